"""Coverage-guided fuzzing with atheris: ``python -m tests.fuzz [NAME...] --seconds 60``.

A harness runs in a process of its own; what makes it fail is kept below ``--corpus``.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

NAMES = (
    *("bpftrace", "bpftrace_json", "perf", "pprof", "pyspy", "austin", "speedscope", "convert"),
    "cpuprofile",
    *("jfr", "async_profiler"),
    "dumps",
    *("facts", "follow", "manifest", "inventory"),
)
_RSS_LIMIT_MB = 2048
_TIMEOUT_S = 5
_STATE = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+)")


def main() -> int:
    """Run each harness in turn, or the one that a child process is for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="what is kept (.fuzz)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        _fuzz(given.names[0], given.corpus, given.seconds)
    return max(_run(name, given.corpus, given.seconds) for name in given.names or NAMES)


def _run(name: str, corpus: Path, seconds: int) -> int:
    command = [sys.executable, "-m", "tests.fuzz", name, "--here"]
    done = subprocess.run(
        [*command, "--seconds", str(seconds), "--corpus", str(corpus)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    states = _STATE.findall(done.stderr)
    runs, edges, features = states[-1] if states else (0, 0, 0)
    print(f"{name}: {runs} inputs, {edges} edges, {features} features", flush=True)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    return done.returncode


def _fuzz(name: str, corpus: Path, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["remote_prof"]):
        harness = importlib.import_module(f"tests.fuzz.fuzz_{name}").HARNESS
    place = corpus / name
    place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(harness.seeds):
        (place / f"seed-{number}").write_bytes(seed)
    limits = [f"-rss_limit_mb={_RSS_LIMIT_MB}", f"-timeout={_TIMEOUT_S}", "-max_len=32768"]
    where = [f"-artifact_prefix={corpus}/{name}-", f"-max_total_time={seconds}", str(place)]
    atheris.Setup([sys.argv[0], *limits, *where], harness.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
