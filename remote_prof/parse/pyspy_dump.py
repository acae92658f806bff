"""What ``py-spy dump`` prints, made a profile: each thread of each interpreter counts once.

The leaf comes first; ``--native`` adds ``name (library)``. With ``--subprocesses`` several
processes follow each other, each with the one that started it::

    Process 24: python3 app.py child
    Python v3.11.2 (/usr/bin/python3.11)
    Parent Process 1: python3 app.py

    Thread 24 (active+gil): "MainThread"
        leaf (app.py:4)
        <module> (app.py:25)

What is between other lines (``--locals``) is passed over. Our own sidecar says its version and when
it began and ended, as around py-spy's raw format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from remote_prof.parse.pyspy import code_frame, ends_early, tool_of
from remote_prof.profile.folder import Folder
from remote_prof.profile.model import Frame, FrameKind, Profile

UNIT = "threads"
_PROCESS = re.compile(r"(Parent )?Process (\d{1,10}): ?(.*)")
_THREAD = re.compile(r'Thread (?:0x)?[0-9A-Fa-f]{1,20} \(([a-z+]{1,40})\)(?:: "(.*)")?')
_CODE = re.compile(r" {4}(\S.*)")
_RECOGNISED = re.compile(
    rb"^Thread (?:0x)?[0-9A-Fa-f]{1,20} \((?:active|idle)[a-z+]{0,40}\)", re.MULTILINE
)


def recognises_pyspy_dump(head: bytes) -> bool:
    """Tell whether this may be the beginning of what ``py-spy dump`` prints."""
    return _RECOGNISED.search(head) is not None


def parse_pyspy_dump(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a dump: processes, threads with what they do (``waiter (idle)``), functions.

    A process that another one of the dump has started stands under that. Raises ParseError where it
    is too much (``remote_prof.profile.limits``).
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    processes: dict[int, Frame] = {}
    parents: dict[int, int] = {}
    threads: list[tuple[int, Frame, list[str]]] = []
    process = 0
    codes: list[str] | None = None  # of the thread that is being read
    for line in text.split("\n"):
        if codes is not None and (code := _CODE.fullmatch(line)):
            codes.append(code[1])
        elif found := _THREAD.fullmatch(line):
            codes = []
            name = f"{found[2] or 'thread'} ({found[1]})"
            threads.append((process, Frame(name, FrameKind.PROCESS), codes))
        elif found := _PROCESS.fullmatch(line):
            codes, pid = None, int(found[2])
            root = Frame(found[3] or f"process {pid}", FrameKind.PROCESS, pid=pid)
            processes.setdefault(pid, root)
            if found[1]:
                parents[process] = pid
            else:
                process = pid
    folder = Folder()
    frame = lru_cache(maxsize=None)(lambda code: code_frame(code, keep_offsets=keep_offsets))
    for pid, thread, leaf_first in threads:
        roots = [processes[each] for each in _line_of(pid, parents) if each in processes]
        stack = [*reversed(roots), thread, *(frame(code) for code in reversed(leaf_first))]
        numbers = tuple(folder.number(each, each.name[:100]) for each in stack)
        folder.add(numbers, 1, thread.name[:100])
    notes = ("the output ends before the end of the run",) if ends_early(data) else ()
    return folder.profile(unit=UNIT, tool=tool_of(data), notes=notes, whole_stacks=True)


def _line_of(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """Yield a process and those that it comes from, its own parent first; each once."""
    seen: set[int] = set()
    while pid not in seen:
        seen.add(pid)
        yield pid
        pid = parents.get(pid, pid)
