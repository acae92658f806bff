"""``docs/faults.md``, made of the rows that the tests declare."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from tests.lab.faults.rows import Row, rows_of

MODULES = (
    "test_login",
    "test_link",
    "test_controller",
    "test_engine",
    "test_sidecar",
    "test_target",
    "test_disks",
    "test_neighbours",
)
_HEAD = """\
# Faults

What happens when something goes wrong. Each row is a test that makes the fault on a lab host (a
real sshd, container engine and bpftrace) and sees that the run ends as the row says. The tables are
made of those tests, in `tests/lab/faults`; the gate fails where this page differs from them.

- **when**: the stage of the run in which it happens, or in which a fault that was there before
  shows itself: *connect*, *facts* (the host is read), *deploy* (the files go there), *start* (of
  the sidecar), *sampling*, *stop* (a first Ctrl-C ends the sampling), *fetch*, *clean*. *Before* is
  before the first connection, *throughout* from there to the end.
- **the operator sees**: words from what is printed on stderr; … stands for any others. An error has
  one line each for the cause, the evidence and the next step.
- **exit code**: 137 is what a shell says of a process that was killed with -9.
- **kept**: *profile*: the samples are in the run directory, with the flame graph. *Profile, after
  fetch*: the host holds them until `remote-prof fetch RUN` gets them.
- **left**: what is on the host afterwards and was not there before: containers, processes, files,
  networks, volumes. *Nothing, after clean*: the run says that it does not know, and that
  `remote-prof clean RUN` removes what there is; that was done.

Rows marked with \\* take long and run in `make soak`; all others run in `make test`.
"""
_COLUMNS = ("what was done", "when", "the operator sees", "exit code", "kept", "left")


def render_document() -> str:
    """Return the text of the document."""
    return "\n".join([_HEAD, *(line for name in MODULES for line in _section(name))])


def _section(name: str) -> Iterator[str]:
    module = import_module(f"tests.lab.faults.{name}")
    title = (module.__doc__ or "").strip()
    yield f"## {title}\n"
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    yield from (_line(row) for row in rows_of(module))
    yield ""


def _line(row: Row) -> str:
    fault = f"{row.fault} *" if row.slow else row.fault
    # Escaped like all the rest, it is shown as it is.
    cells = (fault, row.when, row.sees, str(row.exit_code), row.kept, row.left)
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return "".join(f"\\{c}" if c in "|*<_`" else c for c in text)
