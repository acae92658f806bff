"""What it takes to add up and compare the hosts of a large run: time, and memory.

A run directory of so many hosts with a synthetic bpftrace profile of 1 MB each is written: all
hosts run the same program, each is seen at other places of it, and one in a hundred spends its time
elsewhere. ``remote-prof fleet`` reads them all, adds them up, compares each with the others, and
draws the page and the graph. It is done for a fifth of the hosts, too: what memory the others took.
The peer is one pass over the same bytes that only looks for the counts of stacks.

    python -m benchmarks.merge [--hosts 1000] [--stacks 3000]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.render import PROGRAM, Cost, cost
from remote_prof.profile.model import Grade, Quality, Verdict
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    HostRecord,
    Manifest,
    RequestRecord,
    SidecarRecord,
    Status,
)

# The bounds that the project has set itself.
WANTED_S = 60.0
HOST_BYTES = 1 << 20
_ODD_ONE_IN = 100
_FUNCTIONS = 3000
_COUNT = re.compile(rb"^\]: (\d+)$", re.MULTILINE)
_RUN = "20260101-000000-abcdef"
_REQUEST = RequestRecord(
    (), "api", "container", "bpftrace", 30.0, 99, "both", "img", False, "auto", ("folded", "svg")
)
_SIDECAR = SidecarRecord(
    "bpftrace", "img", "", (), "", (), "engine", 0, "bpftrace v0.23.2", profile="profile.txt"
)


def _stacks(number: int) -> list[str]:
    """Return stacks of one program, as bpftrace prints them."""
    rng = random.Random(1)
    names = [f"service::part_{n % 40}::function_{n}" for n in range(_FUNCTIONS)]
    recent: list[tuple[str, ...]] = [("main",)]
    found = []
    for _ in range(number):
        callers = rng.choice(recent)
        stack = callers[: rng.randint(1, min(len(callers), 14))] + tuple(
            f"{rng.choice(names)}+{rng.randrange(4000)}" for _ in range(rng.randint(1, 6))
        )
        recent.append(stack)
        found.append("".join(f"    {frame}\n" for frame in reversed(stack)))
    return found


def write_run(results: Path, hosts: int, stacks: int) -> RunDirectory:
    """Write a run of so many hosts, each of which was seen in a part of so many stacks."""
    directory = RunDirectory.create(results, _RUN)
    known = _stacks(stacks)
    records = []
    for number in range(hosts):
        name = f"web-{number:04}"
        rng = random.Random(number)
        where = directory.fresh_directory(name, "api")
        raw = _profile(rng, known, odd=number % _ODD_ONE_IN == 1).encode()
        artifact = directory.write(where / "profile.txt", raw, raw=True)
        quality = Quality(None, 3000, 0, 0.0, 0.0, 0.0, verdict=Verdict(Grade.SOUND, ""))
        records.append(
            HostRecord(
                name,
                f"192.0.2.{number % 256}",
                Status.OK,
                directory=f"hosts/{name}/api",
                sidecars=(_SIDECAR,),
                quality=quality,
                artifacts=(artifact,),
            )
        )
    directory.write_manifest(
        Manifest(
            MANIFEST_VERSION,
            _RUN,
            "0",
            ("remote-prof", "run"),
            "",
            "",
            replace(_REQUEST, hosts=tuple(record.name for record in records)),
            tuple(records),
        )
    )
    return directory


def _profile(rng: random.Random, known: list[str], *, odd: bool) -> str:
    parts = ["Attaching 4 probes...\n\n@@ sampling\n"]
    size = 0
    order = rng.sample(known, len(known))
    while size < HOST_BYTES and order:
        stack = order.pop()
        weight = min(300, int(1 / (rng.random() + 1e-3)))
        text = f"@stacks_a[{rng.randrange(100, 116)}, svc, \n, \n{stack}]: {weight}\n"
        parts.append(text)
        size += len(text)
    if odd:
        parts.append("@stacks_a[7, svc, \n, \n    spin_here+4\n    main+1\n]: 4000\n")
    return "".join([*parts, "\n@@ end 0\n"])


def _write(results: Path, hosts: int, stacks: int) -> int:
    directory = write_run(results, hosts, stacks)
    files = directory.path.rglob("profile.txt")
    return sum(path.stat().st_size for path in files)


def measure(results: Path, command: str) -> Cost:
    """Run one command over the run there."""
    out = results / "out"
    return cost([PROGRAM, command, str(results / _RUN), "--output", str(results)], out)


def read_alone(results: Path) -> Cost:
    """Read the same bytes in Python, and nothing but the counts of stacks."""
    script = (
        "import re,sys,pathlib\n"
        f"count=re.compile({_COUNT.pattern!r},re.M)\n"
        "for path in pathlib.Path(sys.argv[1]).rglob('profile.txt'):\n"
        "    sum(int(m[1]) for m in count.finditer(path.read_bytes()))\n"
    )
    return cost([sys.executable, "-c", script, str(results)], results / "out")


def main() -> None:
    """Write runs, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--stacks", type=int, default=6000, help="distinct ones of the program")
    given = parser.parse_args()
    rows: list[tuple[int, int, str, Cost]] = []
    for hosts in (given.hosts // 5, given.hosts):
        with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(1) as elsewhere:
            results = Path(scratch)
            size = elsewhere.submit(_write, results, hosts, given.stacks).result()
            for name, taken in (
                ("fleet", measure(results, "fleet")),
                ("top", measure(results, "top")),
                ("read alone", read_alone(results)),
            ):
                rows.append((hosts, size, name, taken))
            text = (results / _RUN / "run.json").read_bytes()
            assert len(json.loads(text)["hosts"]) == hosts
    print(f"{'hosts':>6} {'MB':>6} {'what':<12} {'wall':>8} {'CPU':>8} {'peak':>9}")
    for hosts, size, name, taken in rows:
        print(
            f"{hosts:>6} {size / 1e6:>6.0f} {name:<12} {taken.wall_s:>6.1f} s {taken.cpu_s:>6.1f} s"
            f" {taken.peak_mib:>5.0f} MiB"
        )
    last = next(taken for hosts, _, name, taken in rows if hosts == given.hosts and name == "fleet")
    verdict = "holds" if last.wall_s < WANTED_S else "does NOT hold"
    print(f"wanted: {given.hosts} hosts in less than {WANTED_S:.0f} s: {verdict}")


if __name__ == "__main__":
    begun = time.monotonic()
    main()
    print(f"({time.monotonic() - begun:.0f} s in all)", file=sys.stderr)
