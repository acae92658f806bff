"""The call tree of a profile, as it is drawn: each function under its callers, with its place.

Nothing here recurses, and no tree is kept: what is too narrow to be drawn is dropped with all that
it calls, so memory goes with the stacks and not with their depth. Stacks of thousands of frames
are real.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
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


_Members = Sequence[tuple[IndexStack, int]]  # stacks that pass through a frame, with weights
_weight: Callable[[tuple[IndexStack, int]], int] = itemgetter(1)


def place(profile: Profile, *, smallest: float = 0.0) -> Iterator[Placed]:
    """Walk the tree under one root named ``all``, callers before callees, siblings in order.

    That order is the one of flamegraph.pl, which is the alphabetical one of the folded lines: hence
    a frame's self weight comes first (leftmost) and what it calls follows. Frames with a total
    below ``smallest`` are left out with all they call, their room stays empty.
    """
    functions = _Functions(profile)
    # The shortest first: among those that pass through a frame, the ones that end there lead.
    everything = sorted(profile.weights.items(), key=lambda item: len(item[0]))
    own = profile.weights.get((), 0)
    root = Placed(ROOT_NAME, FrameKind.PROCESS, own, sum(map(_weight, everything)), 0, 0)
    waiting: list[tuple[Placed, _Members]] = [(root, everything)] if root.total >= smallest else []
    while waiting:
        placed, members = waiting.pop()
        yield placed
        if len(members) == 1:
            yield from functions.alone(placed, members[0][0])
            continue
        called = []
        start = placed.start + placed.own
        for _, (name, kind), own, group in functions.called(placed.depth, members):
            total = sum(map(_weight, group))
            if total >= smallest:
                called.append((Placed(name, kind, own, total, placed.depth + 1, start), group))
            start += total
        called.reverse()
        waiting += called


def _ended(members: _Members, depth: int) -> tuple[int, int]:
    """Return the weight and the number of those that end at a depth."""
    own = count = 0
    for stack, weight in members:
        if len(stack) > depth:
            break
        own += weight
        count += 1
    return own, count


class _Functions:
    """What is drawn as one: the frames of one name and kind."""

    def __init__(self, profile: Profile) -> None:
        numbers: dict[tuple[str, FrameKind], int] = {}
        self._of_frame = [numbers.setdefault(f[:2], len(numbers)) for f in profile.frames]
        self._identities = list(numbers)
        self._written = [format_frame(name, kind) for name, kind in numbers]

    def called(
        self, depth: int, members: _Members
    ) -> list[tuple[str, tuple[str, FrameKind], int, _Members]]:
        """Group stacks by their function at a depth: order, function, self weight, stacks."""
        of_frame = self._of_frame
        groups: defaultdict[int, list[tuple[IndexStack, int]]] = defaultdict(list)
        for member in members[_ended(members, depth)[1] :]:
            groups[of_frame[member[0][depth]]].append(member)
        found: list[tuple[str, tuple[str, FrameKind], int, _Members]] = []
        for function, group in groups.items():
            own = _ended(group, depth + 1)[0]
            # In a folded line a name is followed by a space where it is the leaf, else by a
            # semicolon; of two names where one starts with the other, these decide.
            order = self._written[function] + (" " if own else ";")
            found.append((order, self._identities[function], own, group))
        if len(found) > 1:
            found.sort()
        return found

    def alone(self, placed: Placed, stack: IndexStack) -> Iterator[Placed]:
        """Follow the only stack that passes through a frame."""
        last = len(stack)
        for depth in range(placed.depth + 1, last + 1):
            name, kind = self._identities[self._of_frame[stack[depth - 1]]]
            own = placed.total if depth == last else 0
            yield Placed(name, kind, own, placed.total, depth, placed.start)
