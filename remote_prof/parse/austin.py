"""austin's text, made a profile: folded stacks with names and weights of its own.

A line is ``P1;T0:8;/srv/app.py:handle:12;/srv/app.py:leaf:4 10085``: the process, the thread (with
its interpreter before the colon, since 3.6), then ``file:function:line``, root first; one line a
sample. Native frames (austinp) are ``native@7f00:name:12``, the kernel's ``kernel:name:0``, the
garbage collector's ``:GC:``. Lines ``# key: value`` say how it was made. austin 4 writes a binary
format, see ``parse.mojo``; ``mojo2austin`` of the package austin-python makes this text of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from remote_prof.parse.symbols import source_frame
from remote_prof.profile.folded import parse_folded, parse_frame
from remote_prof.profile.model import UNKNOWN, Frame, FrameKind, Profile

_MODE = re.compile(rb"^# mode: (\w+)\s*$", re.MULTILINE)
_TOOL = re.compile(rb"^# austin: ([^\n]{1,100})$", re.MULTILINE)
_COMMENT = re.compile(rb"^# [\w-]+: .*$", re.MULTILINE)
_FULL = re.compile(rb"^(P\d+;.* -?\d+),[01],-?\d+$", re.MULTILINE)  # time, idle, memory
_GIVEN_BACK = re.compile(rb"^P\d+;.* -\d+$", re.MULTILINE)
_UNITS = {b"memory": "bytes"}  # of the mode; all others measure time
_RECOGNISED = re.compile(
    rb"^(?:# austin: |# mode: (?:wall|cpu|memory|full)$|P\d+;T[^\n;]+(?:;| ))", re.MULTILINE
)

_PROCESS = re.compile(r"P(\d{1,20})")
_THREAD = re.compile(r"T(?:\d+:)?([^:]+)")
_PLACED = re.compile(r"(.*):([^:]*):(-?\d*)")
_NUMBER = re.compile(r"(?:0x)?[0-9a-fA-F]+")


def recognises_austin(head: bytes) -> bool:
    """Tell whether this may be the beginning of austin's text."""
    return _RECOGNISED.search(head) is not None


def parse_austin(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse austin's text. What stands in Python files is INTERPRETED.

    Weights are microseconds, or bytes in memory mode (memory that was given back, a weight below
    zero, is left out, and a note says so); of the full mode the time is taken. Processes and
    threads are PROCESS frames, a file is a module. Lines of a function are one, unless
    ``keep_offsets``: ``leaf (app.py:4)`` is a name then. Raises ``ParseError`` as
    ``remote_prof.profile.folded.parse_folded`` does, whose leniency this has.
    """
    data = data.replace(b"\r\n", b"\n")
    mode, tool = _MODE.search(data), _TOOL.search(data)
    kind = mode[1] if mode else b""
    data = _COMMENT.sub(b"", data)  # line numbers stay as they are
    if kind == b"full":
        data = _FULL.sub(rb"\1", data)
    data, below = _GIVEN_BACK.subn(b"", data) if b" -" in data else (data, 0)
    unit = _UNITS.get(kind, "us")
    read_name = partial(austin_frame, keep_offsets=keep_offsets)
    profile = parse_folded(data, unit=unit, read_name=read_name)
    notes = (f"{below} samples with a weight below zero are left out",) if below else ()
    return replace(
        profile,
        tool=f"austin {tool[1].decode('utf-8', 'replace').strip()}" if tool else "",
        notes=notes + profile.notes,
    )


def austin_frame(name: str, *, keep_offsets: bool) -> Frame:
    """Return the frame of one piece of a line: a process, a thread, or a function."""
    process = _PROCESS.fullmatch(name)
    if process:
        return Frame(f"process {process[1]}", FrameKind.PROCESS, pid=int(process[1]))
    thread = _THREAD.fullmatch(name)
    if thread:
        number = _NUMBER.fullmatch(thread[1])
        return Frame(f"thread {thread[1]}" if number else thread[1], FrameKind.PROCESS)
    placed = _PLACED.fullmatch(name)
    if not placed:
        return parse_frame(name)
    file, function, line = placed.groups()
    if file == "kernel":
        return Frame(function or UNKNOWN, FrameKind.KERNEL)
    if not file:
        # What austin itself says of the stack: GC (collecting), INVALID (it could not be read).
        kind = FrameKind.USER if function == "GC" else FrameKind.UNRESOLVED
        return Frame(f"[{function or 'unknown'}]", kind)
    if file.startswith("native@"):
        return Frame(function) if function else Frame(UNKNOWN, FrameKind.UNRESOLVED)
    return source_frame(function or UNKNOWN, file, line, keep_lines=keep_offsets)
