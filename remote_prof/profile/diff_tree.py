"""The call tree of two profiles together, as a comparison is drawn.

As in ``remote_prof.profile.tree``, nothing recurses and no tree is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from remote_prof.profile.diff import Comparison, Function
from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import FrameKind, IndexStack
from remote_prof.profile.tree import ROOT_NAME


class Weights(NamedTuple):
    """One side of a node: ``start`` is where it begins in that side's own tree, all in weight."""

    own: int
    total: int
    start: int


class PlacedPair(NamedTuple):
    """A function under its callers, on both sides; ``depth`` 0 is the root.

    A side that has it not has a total of 0 there, and a place all the same. As every node has a
    place on both sides, it has one in any sum of them too, such as
    ``before.start / before_total + after.start / after_total``.
    """

    name: str
    kind: FrameKind
    depth: int
    before: Weights
    after: Weights


_Members = list[tuple[IndexStack, tuple[int, int]]]


class _Group(NamedTuple):
    """The stacks of one function under the same callers; ``order`` is its place among siblings."""

    order: tuple[str, Function]
    own: tuple[int, int]
    total: tuple[int, int]
    members: _Members


def place_pairs(comparison: Comparison, *, smallest_share: float = 0.0) -> Iterator[PlacedPair]:
    """Walk the union of both call trees, callers before callees, siblings in order.

    The order is that of ``place`` for the sum of both profiles: the same whichever side is before.
    What is below ``smallest_share`` of both sides' weight is left out with all it calls; its room
    stays empty.
    """
    functions = comparison.functions
    written = [format_frame(*function) for function in functions]
    totals = comparison.before.profile.total, comparison.after.profile.total
    smallest_before, smallest_after = (smallest_share * total for total in totals)
    own = comparison.stacks.get((), (0, 0))
    root = PlacedPair(
        ROOT_NAME,
        FrameKind.PROCESS,
        0,
        Weights(own[0], totals[0], 0),
        Weights(own[1], totals[1], 0),
    )
    waiting: list[tuple[PlacedPair, _Members]] = [(root, list(comparison.stacks.items()))]
    while waiting:
        placed, members = waiting.pop()
        yield placed
        start_before = placed.before.start + placed.before.own
        start_after = placed.after.start + placed.after.own
        called = []
        for group in sorted(_called(placed.depth, members, functions, written), key=_order):
            before, after = group.total
            if before >= smallest_before or after >= smallest_after:
                pair = PlacedPair(
                    *group.order[1],
                    placed.depth + 1,
                    Weights(group.own[0], before, start_before),
                    Weights(group.own[1], after, start_after),
                )
                called.append((pair, group.members))
            start_before += before
            start_after += after
        waiting.extend(reversed(called))


def compared_frames(placed: Iterable[PlacedPair]) -> Iterator[tuple[int, int]]:
    """Return the weights that are compared: a frame with those of its caller is no further one."""
    above: list[tuple[int, int]] = []
    for each in placed:
        del above[each.depth :]
        pair = each.before.total, each.after.total
        if not above or above[-1] != pair:
            yield pair
        above.append(pair)


def _order(group: _Group) -> tuple[str, Function]:
    return group.order


def _called(
    depth: int, members: _Members, functions: Sequence[Function], written: Sequence[str]
) -> Iterator[_Group]:
    """Group stacks by their function at a depth."""
    groups: dict[int, _Members] = {}
    for member in members:
        stack = member[0]
        if len(stack) > depth:
            groups.setdefault(stack[depth], []).append(member)
    for function, group in groups.items():
        own_before = own_after = before = after = 0
        for stack, (first, second) in group:
            before += first
            after += second
            if len(stack) == depth + 1:
                own_before += first
                own_after += second
        # As in a folded line: a leaf's name is followed by a space, another by a semicolon.
        name = written[function] + (" " if own_before or own_after else ";")
        yield _Group((name, functions[function]), (own_before, own_after), (before, after), group)
