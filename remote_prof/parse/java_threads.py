r"""A thread dump of HotSpot (``jcmd Thread.print``, jstack, SIGQUIT), made a profile.

Each Java thread counts once; what locks it holds and waits for stays in the text::

    Full thread dump OpenJDK 64-Bit Server VM (17.0.19+10 mixed mode, sharing):
    "main" #1 prio=5 os_prio=0 cpu=76.88ms elapsed=66.52s tid=0x00007f2e nid=0x8 runnable  [0x00]
       java.lang.Thread.State: WAITING (on object monitor)
    \tat java.lang.Object.wait(java.base@17.0.19/Native Method)
    \t- waiting on <0x000000068d8fd670> (a java.lang.Thread)
    \tat App.main(App.java:13)

Threads of the VM itself (collectors, compilers) are in no state or no method, and left out. What
follows the threads tells of deadlocks, in whose stacks the same threads stand again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from remote_prof.profile.folder import Folder
from remote_prof.profile.model import Frame, FrameKind, Profile

UNIT = "threads"
_RECOGNISED = re.compile(rb"^Full thread dump ", re.MULTILINE)
_STATE = re.compile(r"   java\.lang\.Thread\.State: ([A-Z_]{1,20})")
_CODE = re.compile(r"\s+at ([^()\s][^()]*)\(([^()]*)\)")
_ADDRESS = re.compile(r"[/+]0x[0-9a-f]{1,16}")
_DEADLOCKS = re.compile(r"Found \d{1,9} deadlocks?\.")


def recognises_java_threads(head: bytes) -> bool:
    """Tell whether there is a thread dump of a JVM in this, after whatever."""
    return _RECOGNISED.search(head) is not None


def parse_java_threads(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a dump: threads by name and state (``server (RUNNABLE)``), then methods, root first.

    Lines of a method are one, unless ``keep_offsets``: ``App.main:13`` is a name then. Raises
    ParseError where it is too much (``remote_prof.profile.limits``).
    """
    folder = Folder()
    frame = lru_cache(maxsize=None)(lambda *code: _method(*code, keep_lines=keep_offsets))
    notes: list[str] = []
    name: str | None = None  # of the thread whose state is still to come
    thread: Frame | None = None
    leaf_first: list[Frame] = []

    def take() -> None:
        if thread is not None and leaf_first:
            stack = [thread, *reversed(leaf_first)]
            where = thread.name[:100]
            folder.add(tuple(folder.number(each, where) for each in stack), 1, where)

    for line in data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if thread is not None and (code := _CODE.fullmatch(line)):
            leaf_first.append(frame(code[1], code[2]))
        elif (found := _header(line)) is not None:
            take()
            name, thread, leaf_first = found, None, []
        elif name is not None and (state := _STATE.match(line)):
            thread, name = Frame(f"{name} ({state[1]})", FrameKind.PROCESS), None
        elif line[:1] not in ("", " ", "\t"):
            # What comes now is no thread's.
            take()
            name, thread, leaf_first = None, None, []
            if _DEADLOCKS.fullmatch(line):
                notes.append(f"the JVM has f{line[1:-1]}: the dump's text says of which threads")
    take()
    return folder.profile(unit=UNIT, notes=tuple(dict.fromkeys(notes)), whole_stacks=True)


def _header(line: str) -> str | None:
    """Return the name of the thread whose first line this is. Only the name may hold quotes."""
    before, found, _ = line.rpartition(" tid=0x")
    name, quote, _ = before.rpartition('"')
    return (name.removeprefix('"') or "thread") if found and quote else None


def _method(name: str, place: str, *, keep_lines: bool) -> Frame:
    # Before the file stands the module: java.base@17.0.19/Thread.java:1313.
    module, _, file = place.rpartition("/")
    name, line = _ADDRESS.sub("", name), file.rpartition(":")[2]
    if keep_lines and line.isdecimal():
        name = f"{name}:{line}"
    kind = FrameKind.USER if file == "Native Method" else FrameKind.JIT
    return Frame(name, kind, module.partition("@")[0] or None)
