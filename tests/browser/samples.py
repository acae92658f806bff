"""Profiles that the browser's tests look at, and what Python says of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack, is_kernel
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem, Severity
from remote_prof.render import Report

API = Frame("api", FrameKind.PROCESS, pid=12)
POOL = Frame("api-pool", FrameKind.PROCESS, pid=12)
DB = Frame("db", FrameKind.PROCESS, pid=40)
OTHER_API = Frame("api", FrameKind.PROCESS, pid=13)
MAIN = Frame("main", module="/srv/api")
HANDLE = Frame("handle(request&)", module="/srv/api", offset_bytes=12)
HANDLE_LATER = HANDLE._replace(offset_bytes=40)
WALK = Frame("walk", module="/srv/libtree.so")
WALK_COPY = Frame("walk", module="/srv/libcopy.so")
READ = Frame("read", module="libc.so.6")
VFS = Frame("vfs_read", FrameKind.KERNEL)
COPY = Frame("copy_user", FrameKind.KERNEL)
NAMELESS = Frame("[kernel]", FrameKind.UNRESOLVED)
JIT = Frame("Ljava/lang/String;::hash", FrameKind.JIT)

STACKS: dict[Stack, int] = {
    (API, MAIN, HANDLE, WALK, WALK, WALK): 30,
    (API, MAIN, HANDLE_LATER, WALK_COPY): 11,
    (API, MAIN, HANDLE, READ, VFS, COPY): 20,
    (API, MAIN, HANDLE, READ, VFS): 5,
    (API, MAIN, HANDLE, READ): 3,
    (POOL, MAIN, JIT): 40,
    (OTHER_API, MAIN, JIT, WALK, MAIN): 8,
    (DB, READ, VFS, NAMELESS): 16,
    (DB, VFS): 7,
}


def sample() -> Report:
    profile = Profile.of(STACKS, frequency_hz=99, tool="bpftrace v0.23.2")
    return Report(
        profile,
        measure_quality(profile, 400),
        title="api on prod-3",
        subtitle="on-CPU, 140 samples",
        facts={"host": "prod-3 (192.0.2.3)", "kernel": "6.1.0"},
        problems=(Problem(Severity.WARNING, "the clock is off", "by 3 s", "set it"),),
    )


def changed(change: Callable[[Stack], Stack]) -> Profile:
    """Return the sample's profile with each stack changed, weights of equal ones summed."""
    stacks: dict[Stack, int] = {}
    for stack, weight in STACKS.items():
        new = change(stack)
        stacks[new] = stacks.get(new, 0) + weight
    return Profile.of(stacks)


def without_kernel(stack: Stack) -> Stack:
    return tuple(frame for frame in stack if not is_kernel(frame))


def weight_where(matches: Callable[[Frame], bool]) -> int:
    """Sum the weights of the stacks with a frame that matches."""
    return sum(weight for stack, weight in STACKS.items() if any(map(matches, stack)))


def matched(pattern: str) -> int:
    return weight_where(lambda frame: re.search(pattern, frame.name) is not None)


def report_of(stacks: dict[Stack, int], title: str = "title") -> Report:
    profile = Profile.of(stacks)
    return Report(profile, measure_quality(profile), title)
