"""What the keys of some of our programs hold between a process's name and its stacks.

The head of the output says so: ``# extra: syscall x86_64``, the number of a system call on that
machine; ``# extra: waker``, the name and the pid of what woke the process. The reader of keys takes
all of it for the name of the process (``svc, 257``); here it becomes a frame of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from remote_prof.profile.folder import refold
from remote_prof.profile.model import Frame, FrameKind, IndexStack, Profile

_NUMBER = re.compile(r"-?[0-9]{1,20}")  # of a call that was cancelled: -1
# As uname -m names machines, and the tables of system calls do.
_MACHINES = {"aarch64": "arm64", "armv7l": "arm", "ppc64le": "powerpc64", "i686": "i386"}


def name_extra(profile: Profile, extra: str) -> Profile:
    """Make a frame of what stands behind the names of processes; of any text, where it is that.

    A system call becomes the leaf, a waker the caller of what it ran.
    """
    kind, _, machine = extra.partition(" ")
    if kind == "syscall":
        return _with_frames(profile, _syscall_namer(machine), at_leaf=True)
    if kind == "waker":
        return _with_frames(profile, _waker, at_leaf=False)
    return profile


def _with_frames(
    profile: Profile, split: Callable[[str], tuple[str, Frame] | None], *, at_leaf: bool
) -> Profile:
    frames = list(profile.frames)
    extra: dict[int, int] = {}
    for number, frame in enumerate(profile.frames):
        if frame.kind is FrameKind.PROCESS and (found := split(frame.name)):
            frames[number] = frame._replace(name=found[0])
            extra[number] = len(frames)
            frames.append(found[1])

    def stacks() -> Iterator[tuple[IndexStack, int]]:
        for stack, weight in profile.weights.items():
            if stack and stack[0] in extra:
                at = len(stack) if at_leaf else 1
                yield (*stack[:at], extra[stack[0]], *stack[at:]), weight
            else:
                yield stack, weight

    return refold(profile, frames, stacks())


def _waker(name: str) -> tuple[str, Frame] | None:
    # "svc, swapper/0, 0": a comma in a name cannot be told from those between
    before, _, pid = name.rpartition(", ")
    woken, comma, waker = before.partition(", ")
    if not comma or not pid.isdigit():
        return None
    return woken, Frame(f"woken by {waker}", FrameKind.PROCESS)


def _syscall_namer(machine: str) -> Callable[[str], tuple[str, Frame] | None]:
    from system_calls import NoSuchArchitecture, NoSuchSystemCall, NotSupportedSystemCall, syscalls

    tables = syscalls()
    unknown = (NoSuchArchitecture, NoSuchSystemCall, NotSupportedSystemCall)

    def split(name: str) -> tuple[str, Frame] | None:
        process, comma, number = name.rpartition(", ")
        if not comma or not _NUMBER.fullmatch(number):
            return None
        try:
            called = tables.get_name(int(number), _MACHINES.get(machine, machine or "unknown"))
        except unknown:
            called = number
        return process, Frame(f"sys_{called}", FrameKind.KERNEL)

    return split
