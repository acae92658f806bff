"""How far each host is: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from remote_prof import console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

_STAGES = {
    "starting": "starting the sidecar",
    "sampled": "fetching",
    "ended": "fetching",
    "gone": "the target ended: keeping what was sampled",
    "late": "the sidecar is late: stopping it",
    "deaf": "the engine does not answer: going on without it",
    "full": "the disk of the host is full",
    "cut": "the profile is too large: cutting it",
    "stopping": "stopping early, keeping what was sampled (Ctrl-C again leaves at once)",
    "time-over": "its time is over: keeping what was sampled",
    "cleaning": "cleaning the host",
}
_SILENT_STAGES = ("done", "left")
_OVER = "over"
_MOST_ROWS = 12  # of hosts at work; fewer where the terminal is low
_OTHER_LINES = 7
_LAST_FAILURES = 3
_REFRESH_HZ = 4


class Watcher(Protocol):
    """Is told what happens to hosts."""

    def __call__(self, host: str, stage: str) -> None:
        """Note that a host comes to a stage."""

    def ended(self, host: str, status: str, why: str) -> None:
        """Note what came of a host; ``why`` is what ended it, empty where it went to its end."""

    def parted(self, targets: int) -> None:
        """Note that one of the hosts has so many targets, each of which counts as a host."""


@contextmanager
def progress(duration_s: float, hosts: int = 1) -> Iterator[Watcher]:
    """Show how far hosts are, of so many, which are sampled for so long."""
    out = console.stream(stderr=True)
    if not out.is_terminal:
        yield Lines(duration_s, hosts)
    elif hosts > 1:
        from rich.live import Live

        table = Table(duration_s, hosts, rows=max(1, min(_MOST_ROWS, out.height - _OTHER_LINES)))
        with Live(
            get_renderable=table.draw,
            console=out,
            transient=True,
            refresh_per_second=_REFRESH_HZ,
        ):
            yield table
    else:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=out, transient=True) as live:
            yield Spinner(live, duration_s)


def stage_text(stage: str, duration_s: float) -> str:
    """Say in words what a host is at."""
    if stage == "sampling":
        # What is taken once is there when that is said.
        return f"sampling for {duration_s:g} s" if duration_s else "taken"
    return _STAGES.get(stage, stage)


class Lines:
    """Prints a line for each stage of each host."""

    def __init__(self, duration_s: float, hosts: int) -> None:
        self._duration_s = duration_s
        self._hosts = hosts
        self._ended = 0
        self._begun = time.monotonic()

    def __call__(self, host: str, stage: str) -> None:
        """See ``Watcher``."""
        if stage not in (*_SILENT_STAGES, _OVER):
            text = stage_text(stage, self._duration_s)
            console.note(f"{host}: {text} ({time.monotonic() - self._begun:.1f} s)")

    def ended(self, host: str, status: str, why: str) -> None:
        """See ``Watcher``. Of one host alone the summary tells it."""
        self._ended += 1
        if self._hosts > 1:
            said = f", {why}" if why else ""
            console.note(f"{host}: {status}{said} ({self._ended} of {self._hosts})")

    def parted(self, targets: int) -> None:
        """See ``Watcher``."""
        self._hosts += targets - 1


class Spinner:
    """Shows the stage of a host, or of a few, each in a line that turns."""

    def __init__(self, live: Progress, duration_s: float) -> None:
        self._live = live
        self._duration_s = duration_s
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, host: str, stage: str) -> None:
        """See ``Watcher``."""
        if stage == _OVER:
            if host in self._tasks:
                self._live.remove_task(self._tasks.pop(host))
            return
        if stage in _SILENT_STAGES:
            return
        if host not in self._tasks:
            self._tasks[host] = self._live.add_task("", total=None)
        text = console.short(f"{host}: {stage_text(stage, self._duration_s)}")
        # A stage may be over before the next time that it is drawn.
        self._live.update(self._tasks[host], description=text, refresh=True)

    def ended(self, host: str, status: str, why: str) -> None:
        """See ``Watcher``: the summary tells it."""

    def parted(self, targets: int) -> None:
        """See ``Watcher``: each has its line."""


@dataclass(slots=True)
class _AtWork:
    begun: float
    stage: str = ""


@dataclass(slots=True)
class Table:
    """Counts hosts, and shows those that have been at work the longest, and what failed last."""

    duration_s: float
    hosts: int
    rows: int = _MOST_ROWS
    _at_work: dict[str, _AtWork] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _failures: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_FAILURES))
    _begun: float = field(default_factory=time.monotonic)

    def __call__(self, host: str, stage: str) -> None:
        """See ``Watcher``."""
        if stage == _OVER:
            self._at_work.pop(host, None)
        elif stage not in _SILENT_STAGES:
            row = self._at_work.setdefault(host, _AtWork(time.monotonic()))
            row.stage = stage_text(stage, self.duration_s)

    def ended(self, host: str, status: str, why: str) -> None:
        """See ``Watcher``."""
        self._at_work.pop(host, None)
        self._counts[status] += 1
        if why:
            self._failures.append(f"{host}: {status}, {why}")

    def parted(self, targets: int) -> None:
        """See ``Watcher``."""
        self.hosts += targets - 1

    def draw(self) -> RenderableType:
        """Return what is shown now."""
        from rich import box
        from rich.console import Group
        from rich.table import Table as Drawn
        from rich.text import Text

        now = time.monotonic()
        # Others write into it meanwhile.
        at_work = sorted(self._at_work.copy().items(), key=lambda item: item[1].begun)
        phases = Counter(row.stage for _, row in at_work)
        drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        drawn.add_column("slowest hosts")
        drawn.add_column("at")
        drawn.add_column("for", justify="right")
        for host, row in at_work[: self.rows]:
            drawn.add_row(
                *(Text(console.short(cell), no_wrap=True) for cell in (host, row.stage)),
                f"{now - row.begun:.0f} s",
            )
        parts: list[RenderableType] = [Text(console.short(self._head(now)), style="bold")]
        stages = ", ".join(f"{number} {stage}" for stage, number in phases.most_common(4))
        parts += [Text(console.short(stages), no_wrap=True)]
        parts += [drawn] if at_work else []
        parts += [Text(console.short(each), style="red", no_wrap=True) for each in self._failures]
        return Group(*parts)

    def _head(self, now: float) -> str:
        done = self._counts.total()
        counts = "".join(f", {number} {status}" for status, number in self._counts.most_common())
        elapsed_s = now - self._begun
        left = ""
        if 0 < done < self.hosts:
            left = f"; about {_clock(elapsed_s / done * (self.hosts - done))} left"
        return f"{done} of {self.hosts} hosts{counts}; {_clock(elapsed_s)}{left}"


def _clock(seconds: float) -> dt.timedelta:
    return dt.timedelta(seconds=round(seconds))
