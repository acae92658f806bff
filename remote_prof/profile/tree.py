"""The call tree of a profile, as it is drawn: each function under its callers, with its place.

Nothing here recurses, and no tree is kept: what is too narrow to be drawn is dropped with all that
it calls, so memory goes with the stacks and not with their depth. Stacks of thousands of frames
are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import FrameKind, Profile, Stack

ROOT_NAME = "all"


class Placed(NamedTuple):
    """A frame under its callers: ``depth`` 0 is the root, ``start`` is in units of weight.

    ``own`` is its self weight, ``total`` with all it calls. Frames of one name and kind under the
    same callers are one: pids, modules and offsets are not told apart.
    """

    name: str
    kind: FrameKind
    own: int
    total: int
    depth: int
    start: int

    @property
    def order(self) -> str:
        """What it is sorted by among its siblings.

        In a folded line a name is followed by a space where it is the leaf, else by a semicolon;
        of two names where one starts with the other, these decide.
        """
        return format_frame(self.name, self.kind) + (" " if self.own else ";")


_Members = list[tuple[Stack, int]]


def place(profile: Profile, *, smallest: float = 0.0) -> Iterator[Placed]:
    """Walk the tree under one root named ``all``, callers before callees, siblings in order.

    That order is the one of flamegraph.pl, which is the alphabetical one of the folded lines: hence
    a frame's self weight comes first (leftmost) and what it calls follows. Frames with a total
    below ``smallest`` are left out with all they call, their room stays empty.
    """
    everything = list(profile.stacks.items())
    own = sum(weight for stack, weight in everything if not stack)
    root = Placed(ROOT_NAME, FrameKind.PROCESS, own, profile.total, 0, 0)
    waiting = [(root, everything)]
    while waiting:
        placed, members = waiting.pop()
        if placed.total < smallest:
            continue
        yield placed
        start = placed.start + placed.own
        called = []
        children = _children(placed.depth, members)
        for child, below in sorted(children, key=lambda each: each[0].order):
            called.append((child._replace(start=start), below))
            start += child.total
        waiting.extend(reversed(called))


def _children(depth: int, members: _Members) -> Iterator[tuple[Placed, _Members]]:
    """Group stacks by their frame at a depth; ``start`` is not known yet."""
    groups: dict[tuple[str, FrameKind], _Members] = {}
    for member in members:
        stack = member[0]
        if len(stack) > depth:
            name, kind, *_ = stack[depth]
            groups.setdefault((name, kind), []).append(member)
    for (name, kind), group in groups.items():
        total = sum(weight for _, weight in group)
        own = sum(weight for stack, weight in group if len(stack) == depth + 1)
        yield Placed(name, kind, own, total, depth + 1, 0), group
