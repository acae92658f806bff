"""Many short runs in a row, some of them ended badly; afterwards nothing has grown on either side.

    python -m tests.lab.soak [--runs 300] [--in-process 100] [--seed 1] [--dir LAB]

Every run is a process of its own: what grows then grows on the host or in files. A second part
makes runs inside one process, through the Python interface, and watches that process. It prints a
table and ends with 1 where something has grown or was left behind.
"""

from __future__ import annotations

import argparse
import gc
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .control import down, up
from .engine import Engine
from .leftovers import left_after, snapshot
from .model import HostSpec, Lab, LabHost
from .proxy import Proxy
from .tool import Running, Tool, until

Figures = Mapping[str, float]

_CONTAINER = "api"
_RUN_S = 5.0
"""Until when after its start a run is struck: a run of one second takes some three."""

_INTERPRETER_S = 0.1
"""Before that the interpreter itself is starting, and what it prints is its own."""

_BAD_SHARE = 1 / 3
_ALLOWED: Mapping[str, float] = {
    "host: processes": 0,
    "host: files": 0,
    "host: containers": 0,
    "dockerd: descriptors": 4,
    "dockerd: memory, MiB": 25,
    "containerd: descriptors": 4,
    "containerd: memory, MiB": 25,
    "inetd: descriptors": 0,
    "inetd: memory, MiB": 4,
    "here: temporary files": 0,
    "here: home, kiB": 16,
    "here: files in a good run": 0,
    "here: a good run, kiB": 64,
    "process: threads": 0,
    "process: descriptors": 0,
    "process: memory, MiB": 12,
}
"""How much each figure may grow from the end of the warm-up on: what it varies by anyway."""


@dataclass(frozen=True)
class Trend:
    """A figure at both ends of its straight line through all measurements, and what it may grow."""

    name: str
    first: float
    last: float
    allowed: float

    @property
    def grows(self) -> bool:
        """Whether it has grown by more than it varies."""
        return self.last - self.first > self.allowed + 0.5

    def __str__(self) -> str:
        mark = "  GROWS" if self.grows else ""
        return (
            f"{self.name:28} {self.first:10.1f} {self.last:10.1f}"
            f" {self.last - self.first:+8.1f} {self.allowed:8.0f}{mark}"
        )


def trends(measured: Sequence[Figures]) -> list[Trend]:
    """Fit a line through each figure; needs two measurements."""
    found = []
    for name in measured[0]:
        values = [figures[name] for figures in measured]
        slope, start = statistics.linear_regression(range(len(values)), values)
        found.append(Trend(name, start, start + slope * (len(values) - 1), _ALLOWED[name]))
    return found


class Soak:
    """Runs in a row on one host, and what is measured between them."""

    def __init__(self, lab: Lab, host: LabHost, place: Path, seed: int) -> None:
        self.lab = lab
        self.host = host
        self.tmp = place / "tmp"
        self.tmp.mkdir()
        self.tool = Tool(lab, place, {"TMPDIR": str(self.tmp)})
        self.random = random.Random(seed)
        # One of the targets ends by itself, a moment after the lab is up.
        state = ("inspect", "-f", "{{.State.Status}}", "stopped")
        until("the targets have settled", lambda: host.docker(*state) == "exited", 30)
        self.before = snapshot(host)
        self.endings: dict[str, int] = {}
        self.complaints: list[str] = []
        self._good: Path | None = None

    def attempt(self, number: int) -> None:
        """Make one run; what is wrong with it is noted, and the next one follows."""
        try:
            self.run(number)
        except AssertionError as error:
            self.complaints.append(f"run {number}: {error}")

    def run(self, number: int) -> None:
        """Make one run and end it as chance has it; see that the host is as it was."""
        ways: dict[str, Callable[[Running, Proxy], None]] = {
            "one interrupt": _interrupt,
            "two interrupts": _interrupt_twice,
            "killed": _kill,
            "cut": _cut,
            "cut for good": _cut_for_good,
        }
        bad = self.random.random() < _BAD_SHARE
        way = self.random.choice(list(ways)) if bad else "to its end"
        after_s = self.random.uniform(_INTERPRETER_S, _RUN_S)
        with Proxy((self.host.address, self.host.port)) as proxy:
            inventory = self.tool.through(proxy, self.host)
            argv = ("run", "-H", self.host.name, "-C", _CONTAINER, "-d", 1, "-i", inventory)
            running = self.tool.start(*argv)
            if bad:
                _while_it_runs(running, after_s)
                ways[way](running, proxy)
            done = running.end(300)
            proxy.resume()
            self._note(number, way, done.code, inventory)
        inventory.unlink()

    def _note(self, number: int, way: str, code: int, inventory: Path) -> None:
        self.endings[f"{way}: {code}"] = self.endings.get(f"{way}: {code}", 0) + 1
        runs = sorted((self.tool.place / "results").glob("*"))
        text = f"run {number}, {way}, exit code {code}"
        if way == "to its end" and code != 0:
            self.complaints.append(f"{text}: {runs[-1].name}")
        if code == 0 and way == "to its end":
            self._good = runs[-1]
        # What a run that ended badly still has on the host is got or removed, in turns.
        if code not in (0, 3) and runs:
            verb = "fetch" if number % 2 else "clean"
            self.tool(verb, runs[-1].name, "-i", inventory)
        left = left_after(self.host, self.before, 10)
        if left:
            self.complaints.append(f"{text}: {left}")
            self.before = snapshot(self.host)

    def measure(self) -> Figures:
        """Measure the host and this side."""
        now = snapshot(self.host)
        dockerd = Engine(self.lab, self.host).process.pid
        (containerd,) = [p for p in _children(dockerd) if _program(p) == "containerd"]
        ledger = self.lab.dir / "hosts" / self.host.name / "processes.jsonl"
        (inetd,) = [p.pid for p in processes.noted(ledger) if p.role == "inetd"]
        home = self.tool.place / "home"
        good = list(self._good.rglob("*")) if self._good else []
        return {
            "host: processes": len(now.processes),
            "host: files": len(now.files),
            "host: containers": len(now.containers),
            "dockerd: descriptors": _descriptors(dockerd),
            "dockerd: memory, MiB": _memory_mib(dockerd),
            "containerd: descriptors": _descriptors(containerd),
            "containerd: memory, MiB": _memory_mib(containerd),
            "inetd: descriptors": _descriptors(inetd),
            "inetd: memory, MiB": _memory_mib(inetd),
            "here: temporary files": len(list(self.tmp.rglob("*"))),
            "here: home, kiB": _size_kib(home.rglob("*")),
            "here: files in a good run": len(good),
            "here: a good run, kiB": _size_kib(good),
        }


def _while_it_runs(running: Running, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline and running.process.poll() is None:
        time.sleep(0.02)


def _interrupt(running: Running, proxy: Proxy) -> None:
    del proxy
    running.process.send_signal(signal.SIGINT)


def _interrupt_twice(running: Running, proxy: Proxy) -> None:
    _interrupt(running, proxy)
    _while_it_runs(running, 0.3)
    _interrupt(running, proxy)


def _kill(running: Running, proxy: Proxy) -> None:
    del proxy
    running.process.kill()


def _cut(running: Running, proxy: Proxy) -> None:
    del running
    proxy.drop()


def _cut_for_good(running: Running, proxy: Proxy) -> None:
    proxy.drop(refuse=True)
    _while_it_runs(running, 2)
    _kill(running, proxy)


def soak(lab: Lab, runs: int, seed: int) -> bool:
    """Make that many runs, each a process; print what came of it. Give whether all is well."""
    host = next(iter(lab.hosts.values()))
    with tempfile.TemporaryDirectory(prefix="remote-prof-soak-") as scratch:
        course = Soak(lab, host, Path(scratch), seed)
        measured = []
        for number in range(runs):
            course.attempt(number)
            measured.append(course.measure())
            if number % 50 == 49:
                _show(measured)
            if sys.stderr.isatty() or number % 10 == 9:
                print(f"{number + 1} of {runs}", file=sys.stderr)
    print(f"\n{runs} runs, each a process of its own; seed {seed}")
    for ending, count in sorted(course.endings.items()):
        print(f"  {count:4} {ending}")
    for complaint in course.complaints:
        print(f"  BAD {complaint}")
    return _show(measured) and not course.complaints


def soak_in_process(lab: Lab, runs: int) -> bool:
    """Make that many runs in this process; print what grew in it. Give whether all is well."""
    from remote_prof.cli.flag_sets import ConnectFlags
    from remote_prof.cli.invocation import (
        make_jobs,
        resolve_settings,
        select_hosts,
        target_spec,
    )
    from remote_prof.fleet.invocation import run_jobs

    flags = ConnectFlags()
    given = {"inventory": str(lab.inventory), "duration": "1"}
    settings = resolve_settings(flags.settings() | given)
    spec = target_spec(container=_CONTAINER, labels=None, scope="container")
    (host, *_) = select_hosts(next(iter(lab.hosts)), settings.values, flags)
    measured = []
    failed = 0
    with tempfile.TemporaryDirectory(prefix="remote-prof-soak-") as scratch:
        for _number in range(runs):
            jobs = make_jobs([host], spec, settings)
            outcome = run_jobs(jobs, results=Path(scratch), watch=lambda *_: None, command=["soak"])
            failed += outcome.exit_code != 0
            gc.collect()
            measured.append(
                {
                    "process: threads": threading.active_count(),
                    "process: descriptors": _descriptors("self"),
                    "process: memory, MiB": _memory_mib("self"),
                }
            )
    print(f"\n{runs} runs in one process; {failed} failed")
    return _show(measured) and not failed


def _show(measured: Sequence[Figures]) -> bool:
    # The first tenth warms caches; at 300 runs that is thirty.
    steady = measured[max(2, len(measured) // 10) :]
    if len(steady) < 2:
        print("  too few runs for a trend")
        return True
    print(f"  {'figure':28} {'first':>10} {'last':>10} {'growth':>8} {'allowed':>8}")
    found = trends(steady)
    for trend in found:
        print(f"  {trend}")
    return not any(trend.grows for trend in found)


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from (int(word) for word in path.read_text().split())


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _descriptors(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory_mib(pid: int | str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kib,) = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return kib / 1024


def _size_kib(paths: Iterator[Path] | Sequence[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1024


@contextmanager
def _lab(directory: Path | None) -> Iterator[Lab]:
    """Give the lab that is up there, or one for this time alone."""
    if directory is not None:
        yield Lab.load(directory)
        return
    place = Path(tempfile.mkdtemp(prefix="remote-prof-soak-lab-"))
    try:
        yield up(place, [HostSpec.parse("prod-3")], api_load=0.1)
    finally:
        down(place)


def main() -> int:
    """Soak, and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--in-process", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="a lab that is up; its first host is used")
    given = parser.parse_args()
    with _lab(given.dir) as lab:
        well = [soak(lab, given.runs, given.seed), soak_in_process(lab, given.in_process)]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
