"""The only place that prints: data on stdout; progress, notes and problems on stderr.

What is printed may come from a host, or from an inventory that somebody else wrote: names, output,
error texts. So every text passes ``visible`` here, whoever prints it: what could drive a terminal
is spelt out, and nothing is read as markup.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from remote_prof.errors import RemoteProfError
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_WIDEST = 100_000  # columns
_LONGEST = 4096  # characters of one name or message; C++ has functions with names of thousands


def write(text: str) -> None:
    """Write a document to stdout, line by line."""
    out = _Stream(sys.stdout)
    out.write("\n".join(map(visible, text.split("\n"))))
    out.flush()


def write_bytes(data: bytes) -> None:
    """Write a file's content to stdout: to the letter, but to a terminal as ``write`` does."""
    if sys.stdout.isatty():
        write(data.decode("utf-8", "replace"))
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    styles: Iterable[str] = (),
) -> None:
    """Print rows under a header on stdout; columns in ``right`` are numbers.

    ``styles`` are the rows' own, plain where there is none.
    """
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(header):
        drawn.add_column(name, justify="right" if number in right else "left")
    for row, style in zip_longest(rows, styles, fillvalue=""):
        drawn.add_row(*(Text(short(cell)) for cell in row), style=style)
    out = stream(stderr=False)
    # As wide as it needs, as docker ps does it: nothing is cut, neither here nor in a pipe.
    wide = out.options.update(max_width=_WIDEST)
    out.width = max(out.width, Measurement.get(out, wide, drawn).maximum)
    out.print(drawn, soft_wrap=True)


def line(text: str, *, style: str = "") -> None:
    """Print one line on stdout."""
    _print(text, style, stderr=False)


def note(text: str, *, style: str = "") -> None:
    """Print one line on stderr."""
    _print(text, style, stderr=True)


def _print(text: str, style: str, *, stderr: bool) -> None:
    from rich.text import Text

    # Text, not str: it holds no markup and no :codes: of pictures.
    stream(stderr=stderr).print(Text(short(text), style=style), soft_wrap=True)


def problem(found: Problem) -> None:
    """Print a problem on stderr: what, evidence, fix; a line each."""
    _three_parts(found.severity, found.what, found.evidence, found.fix)


def error(raised: RemoteProfError) -> None:
    """Print an error on stderr: what, evidence, next step; a line each."""
    _three_parts(Severity.ERROR, raised.what, raised.evidence, raised.hint)


def _three_parts(severity: Severity, what: str, evidence: str, fix: str) -> None:
    from rich.text import Text

    out = stream(stderr=True)
    head = Text(f"{severity}: ", style=_STYLES[severity]).append(short(what), style="default")
    out.print(head, soft_wrap=True, highlight=False)
    for name, text in (("evidence", evidence), ("next step", fix)):
        if text:
            note(f"  {name}: {text}")


def visible(text: str) -> str:
    r"""Return one line in which every character that does not show is spelt out.

    ``\x1b``, ``\n``, ``\u202e``: control characters of both kinds, line breaks, signs that turn
    the direction of writing, lone surrogates, and spaces other than the space itself.
    """
    if text.isprintable():
        return text
    spelt = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(spelt)


def short(text: str) -> str:
    """Return one visible line of it, cut where it is very long."""
    if len(text) <= _LONGEST:
        return visible(text)
    return f"{visible(text[:_LONGEST])}... ({len(text) - _LONGEST} more characters)"


def stream(*, stderr: bool) -> Console:
    """Return what prints on a standard stream."""
    from rich.console import Console

    return Console(file=cast("IO[str]", _Stream(sys.stderr if stderr else sys.stdout)), emoji=False)


class _Stream:
    """A standard stream whose terminal may be closed: then nobody reads it, and nothing fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            _pass_over(error, self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _pass_over(error, self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _pass_over(error: OSError, stream: TextIO) -> None:
    if error.errno != errno.EIO:
        raise error
    # What is still in its buffer would fail once more at the end, and change the exit code.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
