"""How fast a large profile becomes a picture, against the programs that others use for it.

A synthetic bpftrace profile of 100,000 distinct stacks, 8 to 60 frames deep with shared callers
(some 160 MB), text in, SVG out: ``remote-prof convert``, and, where they are given, FlameGraph's
``stackcollapse-bpftrace.pl | flamegraph.pl`` and inferno's ``inferno-flamegraph`` (which knows no
bpftrace: it gets what the Perl collapser makes). All in turns, so that a machine that is slow for
a while is slow for all. Then the sum of 1,000 small profiles, for its memory; and a usual profile,
for what it costs.

    python -m benchmarks.render [--flamegraph DIR] [--inferno FILE] [--rounds 3] [--stacks 100000]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("remote-prof"))
_WORDS = (
    *("accept", "allocate", "append", "batch", "buffer", "cache", "commit", "compact", "cursor"),
    *("decode", "dispatch", "encode", "evict", "execute", "fetch", "filter", "flush", "handle"),
    *("index", "insert", "iterate", "lookup", "merge", "parse", "plan", "project", "read"),
    *("release", "render", "resolve", "scan", "schedule", "seek", "sort", "visit", "write"),
)
_SPACES = ("storage::engine", "net::http::server", "query::planner", "common::memory", "rpc")
_FUNCTIONS = 20_000
_CALL_SITES = 4  # places in a function at which samples find it
_RECENT = 5000  # stacks whose callers new ones share


@dataclass(frozen=True)
class Cost:
    """What a command line took: seconds, and the largest process's memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def write_profile(path: Path, stacks: int) -> None:
    """Write what bpftrace would print of a large program."""
    # In a process of its own: a child's peak memory begins with that of its parent.
    with ProcessPoolExecutor(1) as elsewhere:
        elsewhere.submit(_write_profile, path, stacks).result()


def _write_profile(path: Path, stacks: int) -> None:
    rng = random.Random(1)
    functions = [
        f"{rng.choice(_SPACES)}::{rng.choice(_WORDS)}_{rng.choice(_WORDS)}_{number}"
        for number in range(_FUNCTIONS)
    ]
    sites = [f"{name}+{rng.randrange(4, 4000)}" for name in functions for _ in range(_CALL_SITES)]
    recent: list[tuple[str, ...]] = []
    seen: set[tuple[str, ...]] = set()
    with path.open("w") as out:
        out.write("Attaching 1 probe...\n\n")
        while len(seen) < stacks:
            length = rng.randint(8, 60)
            callers: tuple[str, ...] = ()
            if recent and rng.random() < 0.97:
                known = rng.choice(recent)
                callers = known[: min(rng.randint(1, len(known)), length - 1)]
            stack = callers + tuple(rng.choice(sites) for _ in range(length - len(callers)))
            if stack in seen:
                continue
            seen.add(stack)
            if len(recent) < _RECENT:
                recent.append(stack)
            else:
                recent[rng.randrange(_RECENT)] = stack
            frames = "".join(f"        {frame}\n" for frame in reversed(stack))
            # Most stacks are seen once or twice, a few a thousand times.
            out.write(f"@[\n{frames}]: {min(1000, int(1 / (rng.random() + 1e-4)))}\n")


def cost(argv: Sequence[str], out: Path) -> Cost:
    """Run a command line to its end, its output into a file."""
    begun = time.monotonic()
    with out.open("wb") as file:
        process = subprocess.Popen(argv, stdout=file)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return Cost(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def added(*costs: Cost) -> Cost:
    """Return what several command lines took, one after the other."""
    return Cost(
        sum(each.wall_s for each in costs),
        sum(each.cpu_s for each in costs),
        max(each.peak_mib for each in costs),
    )


def measure(
    profile: Path, scratch: Path, flamegraph: Path | None, inferno: Path | None
) -> dict[str, Cost]:
    """Run each program once over a profile, text to SVG."""
    ours = cost([PROGRAM, "convert", str(profile), "--to", "svg"], scratch / "ours.svg")
    found = {"remote-prof": ours}
    if flamegraph is None:
        return found
    folded = scratch / "folded"
    collapse = cost([str(flamegraph / "stackcollapse-bpftrace.pl"), str(profile)], folded)
    draw = cost([str(flamegraph / "flamegraph.pl"), str(folded)], scratch / "perl.svg")
    found["FlameGraph"] = added(collapse, draw)
    if inferno is not None:
        draw = cost([str(inferno), str(folded)], scratch / "inferno.svg")
        found["FlameGraph's collapser, inferno"] = added(collapse, draw)
        found["inferno alone, folded to SVG"] = draw
        # The same work: folded text that has been made already.
        found["remote-prof, folded to SVG"] = cost(
            [PROGRAM, "convert", str(folded), "--to", "svg"], scratch / "ours.svg"
        )
    return found


def print_costs(rounds: Sequence[dict[str, Cost]]) -> None:
    """Print medians, and ratios to remote-prof's in the same round."""
    print(f"{'':34}{'wall':>9}{'CPU':>9}{'peak':>11}{'wall, ratio':>14}{'peak, ratio':>14}")
    for name in rounds[0]:
        mine, base = [r[name] for r in rounds], [r["remote-prof"] for r in rounds]
        wall, cpu, peak = (
            statistics.median(getattr(each, field) for each in mine)
            for field in ("wall_s", "cpu_s", "peak_mib")
        )
        pairs = list(zip(mine, base, strict=True))
        ratio = statistics.median(a.wall_s / b.wall_s for a, b in pairs)
        size = statistics.median(a.peak_mib / b.peak_mib for a, b in pairs)
        print(f"{name:34}{wall:7.2f} s{cpu:7.2f} s{peak:7.0f} MiB{ratio:14.2f}{size:14.2f}")


def print_merge(scratch: Path) -> None:
    """Print the memory that sums of 10, 100 and 1,000 profiles of 1 MB take."""
    path = scratch / "small.txt"
    write_profile(path, 640)
    size_mb = path.stat().st_size / 1e6
    print(f"\nthe sum of profiles of {size_mb:.1f} MB, the same distinct stacks in all:")
    for number in (10, 100, 1000):
        argv = [PROGRAM, "convert", *[str(path)] * number, "--to", "folded"]
        took = cost(argv, scratch / "sum")
        print(f"{number:6} profiles: {took.wall_s:6.2f} s, {took.peak_mib:.0f} MiB")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--flamegraph", type=Path, help="a checkout of FlameGraph")
    parser.add_argument("--inferno", type=Path, help="the program inferno-flamegraph")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stacks", type=int, default=100_000)
    given = parser.parse_args()
    if given.inferno and not given.flamegraph:
        parser.error("--inferno needs --flamegraph: it is that collapser's output that it draws")
    with tempfile.TemporaryDirectory(prefix="remote-prof-") as place:
        scratch = Path(place)
        profile = scratch / "profile.txt"
        write_profile(profile, given.stacks)
        print(f"{given.stacks} stacks, {profile.stat().st_size / 1e6:.0f} MB of text, to SVG:")
        rounds = [
            measure(profile, scratch, given.flamegraph, given.inferno) for _ in range(given.rounds)
        ]
        print_costs(rounds)
        print_merge(scratch)
        usual = scratch / "usual.txt"
        write_profile(usual, 500)
        print(f"\na usual profile of {usual.stat().st_size / 1e6:.1f} MB, to SVG:")
        print_costs([measure(usual, scratch, given.flamegraph, None) for _ in range(given.rounds)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
