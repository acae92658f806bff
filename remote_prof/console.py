"""The only place that prints: data on stdout; progress, notes and problems on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remote_prof.errors import RemoteProfError
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_STAGES = {
    "starting": "starting the sidecar",
    "sampled": "fetching",
    "ended": "fetching",
    "gone": "the target ended: keeping what was sampled",
    "late": "the sidecar is late: stopping it",
    "stopping": "stopping early, keeping what was sampled (Ctrl-C again leaves at once)",
    "cleaning": "cleaning the host",
}
_WIDEST = 100_000  # columns
_SILENT_STAGES = ("done", "left")


def write(text: str) -> None:
    """Write data to stdout as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Print rows under a header on stdout; columns in ``right`` are numbers."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(header):
        drawn.add_column(name, justify="right" if number in right else "left")
    for row in rows:
        # Text, not str: names of functions and containers are not markup.
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    out = _console(stderr=False)
    # As wide as it needs, as docker ps does it: nothing is cut, neither here nor in a pipe.
    wide = out.options.update(max_width=_WIDEST)
    out.width = max(out.width, Measurement.get(out, wide, drawn).maximum)
    out.print(drawn, soft_wrap=True)


def line(text: str, *, style: str = "") -> None:
    """Print one line on stdout."""
    _console(stderr=False).print(
        printable(text), style=style or None, markup=False, highlight=False, soft_wrap=True
    )


def note(text: str, *, style: str = "") -> None:
    """Print one line on stderr."""
    _console(stderr=True).print(
        printable(text), style=style or None, markup=False, highlight=False, soft_wrap=True
    )


def problem(found: Problem) -> None:
    """Print a problem on stderr: what, evidence, fix; a line each."""
    _three_parts(found.severity, found.what, found.evidence, found.fix)


def error(raised: RemoteProfError) -> None:
    """Print an error on stderr: what, evidence, next step; a line each."""
    _three_parts(Severity.ERROR, raised.what, raised.evidence, raised.hint)


def _three_parts(severity: Severity, what: str, evidence: str, fix: str) -> None:
    from rich.text import Text

    out = _console(stderr=True)
    head = Text(f"{severity}: ", style=_STYLES[severity]).append(printable(what), style="default")
    out.print(head, soft_wrap=True, highlight=False)
    for name, text in (("evidence", evidence), ("next step", fix)):
        if text:
            note(f"  {name}: {text}")


def printable(text: str) -> str:
    """Return text without control characters: what hosts call things must not drive a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


@contextmanager
def progress(duration_s: float) -> Iterator[Stages]:
    """Show how far each host is: live on a terminal, plain lines elsewhere."""
    out = _console(stderr=True)
    if not out.is_terminal:
        yield Stages(None, duration_s)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as live:
        yield Stages(live, duration_s)


class Stages:
    """Told each stage of each host as it begins."""

    def __init__(self, live: Progress | None, duration_s: float) -> None:
        self._live = live
        self._duration_s = duration_s
        self._tasks: dict[str, TaskID] = {}
        self._begun = time.monotonic()

    def __call__(self, host: str, stage: str) -> None:
        """Note that a host comes to a stage."""
        if stage in _SILENT_STAGES:
            return
        text = _STAGES.get(stage, stage)
        if stage == "sampling":
            text = f"sampling for {self._duration_s:g} s"
        if self._live is None:
            note(f"{host}: {text} ({time.monotonic() - self._begun:.1f} s)")
            return
        if host not in self._tasks:
            self._tasks[host] = self._live.add_task(host, total=None)
        self._live.update(self._tasks[host], description=printable(f"{host}: {text}"))


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, emoji=False)
