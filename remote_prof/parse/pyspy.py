"""What ``py-spy record --format raw`` writes, made a profile: folded stacks with names of its own.

A line is ``name (file:line);name (file:line) 17``, root first; py-spy 0.3 and 0.4. The options add
frames: ``--subprocesses`` puts ``process 12:"command line"`` at the root, ``--threads``
``thread (8): name``; ``--native`` has ``name (library)`` and ``0x7f00 (library)``, and
``--function`` leaves the line out. Where it writes to standard output, its own messages stand
there too: ``py-spy> Sampling process ...``. Our own sidecar says its version and when it began and
ended: ``# py-spy 0.4.3``, ``@@ sampling``, ``@@ end 0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from remote_prof.parse.symbols import nameless, source_frame
from remote_prof.profile.folded import parse_folded, parse_frame
from remote_prof.profile.model import Frame, FrameKind, Profile

_MESSAGES = re.compile(rb"^(?:py-spy> |@@ |# ).*$", re.MULTILINE)
_TOOL = re.compile(rb"# (py-spy [^\n]{1,100})\n")
# A command line may hold the sign that stands between frames. (The kernel keeps 4096 bytes of it.)
_PROCESSES = re.compile(rb'(?:^|(?<=;))process \d+:"[\s\S]{0,4096}?"(?=;| \d+$)', re.MULTILINE)
_ERRORS = re.compile(rb"^py-spy> .*Samples: (\d{1,18}) Errors: (\d{1,18})$", re.MULTILINE)
_LATE = re.compile(rb"^py-spy> .*behind in sampling", re.MULTILINE)
_PROCESS = re.compile(r'process (\d{1,20}):"(.*)"')
_THREAD = re.compile(r"thread \([^)]*\)(?:: (.+))?")
_PLACED = re.compile(r"(.+) \(([^()]*?)(?::(\d+))?\)")
_ADDRESS = re.compile(r"0x([0-9a-f]+)")
_NO_LIBRARY = "?"
_RECOGNISED = re.compile(
    rb'^(?:py-spy> |# py-spy |process \d+:"[^\n]*;|thread \([^\n;]*\)[^\n;]*;'
    rb"|[^\n;]+ \([^\n;()]+:\d+\)(?:;| \d+$))",
    re.MULTILINE,
)


def recognises_pyspy(head: bytes) -> bool:
    """Tell whether this may be the beginning of py-spy's folded stacks."""
    return _RECOGNISED.search(head) is not None


def parse_pyspy(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse py-spy's folded stacks. What stands in Python files is INTERPRETED.

    Processes and threads are PROCESS frames, a file is a module. Lines of a function are one,
    unless ``keep_offsets``: ``leaf (app.py:4)`` is a name then. Raises ``ParseError`` as
    ``remote_prof.profile.folded.parse_folded`` does, whose leniency this has.
    """
    tool, notes = tool_of(data), tuple(_notes(data))
    lost = sum(int(match[2]) for match in _ERRORS.finditer(data))
    data = _MESSAGES.sub(b"", data.replace(b"\r\n", b"\n"))  # line numbers stay as they are
    if b"process " in data:
        data = _PROCESSES.sub(_one_line, data)
    profile = parse_folded(data, read_name=partial(_frame, keep_offsets=keep_offsets))
    return replace(
        profile,
        tool=tool,
        lost=lost,
        notes=notes + profile.notes,
    )


def tool_of(data: bytes) -> str:
    """Return the version that our sidecar has told, or nothing."""
    tool = _TOOL.match(data)
    return tool[1].decode("utf-8", "replace").strip() if tool else ""


def ends_early(data: bytes) -> bool:
    """Tell whether our sidecar's output is cut: what py-spy wrote by itself has no end mark."""
    return _TOOL.match(data) is not None and b"\n@@ end " not in data


def _notes(data: bytes) -> Iterator[str]:
    if _LATE.search(data):
        yield "py-spy came too late to some samples: sample less often (--frequency)"
    if ends_early(data):
        yield "the output ends before the end of the run"


def _one_line(process: re.Match[bytes]) -> bytes:
    return process[0].replace(b";", b":").replace(b"\n", b" ")


def _frame(name: str, *, keep_offsets: bool) -> Frame:
    process = _PROCESS.fullmatch(name)
    if process:
        return Frame(process[2] or name, FrameKind.PROCESS, pid=int(process[1]))
    thread = _THREAD.fullmatch(name)
    if thread:
        return Frame(thread[1] or name, FrameKind.PROCESS)
    return code_frame(name, keep_offsets=keep_offsets)


def code_frame(name: str, *, keep_offsets: bool) -> Frame:
    """Make the frame of a function as py-spy writes it: ``leaf (app.py:4)``, ``f (libc.so.6)``."""
    placed = _PLACED.fullmatch(name)
    if not placed:
        return parse_frame(name)
    function, file, line = placed.groups()
    address = _ADDRESS.fullmatch(function)
    if address:
        library = None if file == _NO_LIBRARY else file
        return nameless(address[1], library, keep_offsets=keep_offsets)
    if file in ("", _NO_LIBRARY):
        return Frame(function)
    return source_frame(function, file, line or "", keep_lines=keep_offsets)
