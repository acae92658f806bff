"""The call tree of a profile, as it is drawn: each function under its callers, with its place.

Nothing here recurses, and no tree is kept: what is too narrow to be drawn is dropped with all that
it calls, so memory goes with the stacks and not with their depth. Stacks of thousands of frames
are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import FrameKind, IndexStack, Profile

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


_Members = list[tuple[IndexStack, int]]


def place(profile: Profile, *, smallest: float = 0.0) -> Iterator[Placed]:
    """Walk the tree under one root named ``all``, callers before callees, siblings in order.

    That order is the one of flamegraph.pl, which is the alphabetical one of the folded lines: hence
    a frame's self weight comes first (leftmost) and what it calls follows. Frames with a total
    below ``smallest`` are left out with all they call, their room stays empty.
    """
    functions = _Functions(profile)
    everything = list(profile.weights.items())
    own = profile.weights.get((), 0)
    root = Placed(ROOT_NAME, FrameKind.PROCESS, own, profile.total, 0, 0)
    waiting = [(root, everything)]
    while waiting:
        placed, members = waiting.pop()
        if placed.total < smallest:
            continue
        yield placed
        start = placed.start + placed.own
        called = []
        for _, function, own, total, group in sorted(functions.called(placed.depth, members)):
            if total >= smallest:
                name, kind = functions.identities[function]
                child = Placed(name, kind, own, total, placed.depth + 1, start)
                called.append((child, group))
            start += total
        waiting.extend(reversed(called))


class _Functions:
    """What is drawn as one: the frames of one name and kind."""

    def __init__(self, profile: Profile) -> None:
        numbers: dict[tuple[str, FrameKind], int] = {}
        self._of_frame = [numbers.setdefault(f[:2], len(numbers)) for f in profile.frames]
        self.identities = list(numbers)
        self._written = [format_frame(name, kind) for name, kind in numbers]

    def called(
        self, depth: int, members: _Members
    ) -> Iterator[tuple[str, int, int, int, _Members]]:
        """Group stacks by their frame at a depth: order, function, self, total, stacks."""
        of_frame = self._of_frame
        groups: dict[int, _Members] = {}
        for member in members:
            stack = member[0]
            if len(stack) > depth:
                groups.setdefault(of_frame[stack[depth]], []).append(member)
        for function, group in groups.items():
            own = total = 0
            for stack, weight in group:
                total += weight
                if len(stack) == depth + 1:
                    own += weight
            # In a folded line a name is followed by a space where it is the leaf, else by a
            # semicolon; of two names where one starts with the other, these decide.
            yield self._written[function] + (" " if own else ";"), function, own, total, group
