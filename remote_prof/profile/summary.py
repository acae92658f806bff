"""Figures over a whole profile, and several profiles made one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from remote_prof.profile.model import FrameKind, Profile, Stack

# Frames that stand for no function.
_NO_FUNCTIONS = frozenset({FrameKind.PROCESS, FrameKind.TRUNCATED})


class FunctionShare(NamedTuple):
    """A function's weights, in the profile's unit.

    ``self`` is the weight of the stacks where it is the leaf, ``total`` of those where it occurs
    (once a stack, however often it calls itself).
    """

    name: str
    kind: FrameKind
    self: int
    total: int


def top_functions(profile: Profile, limit: int | None = None) -> list[FunctionShare]:
    """List functions, largest self weight first, then largest total, then by name.

    ``limit`` is the number of functions to list, None for all. Processes and the mark of cut
    stacks are no functions.
    """
    own: dict[tuple[str, FrameKind], int] = {}
    total: dict[tuple[str, FrameKind], int] = {}
    for stack, weight in profile.stacks.items():
        for key in {frame[:2] for frame in stack}:
            total[key] = total.get(key, 0) + weight
        if stack:
            leaf = stack[-1][:2]
            own[leaf] = own.get(leaf, 0) + weight
    shares = [
        FunctionShare(name, kind, own.get((name, kind), 0), weight)
        for (name, kind), weight in total.items()
        if kind not in _NO_FUNCTIONS
    ]
    shares.sort(key=lambda share: (-share.self, -share.total, share.name, share.kind))
    return shares[:limit]


def merge(profiles: Iterable[Profile]) -> Profile:
    """Add profiles up. Frequency and depth limit stay only where all agree; notes are united.

    Raises ``ValueError`` where units differ (samples and microseconds do not add up).
    """
    parts = list(profiles)
    units = {part.unit for part in parts}
    if len(units) > 1:
        raise ValueError(f"profiles of different units: {', '.join(sorted(units))}")
    stacks: dict[Stack, int] = {}
    for part in parts:
        for stack, weight in part.stacks.items():
            stacks[stack] = stacks.get(stack, 0) + weight
    return Profile(
        stacks=stacks,
        unit=units.pop() if units else "samples",
        frequency_hz=_agreed(part.frequency_hz for part in parts),
        max_depth=_agreed(part.max_depth for part in parts),
        lost=sum(part.lost for part in parts),
        tool=", ".join(dict.fromkeys(part.tool for part in parts if part.tool)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _agreed(values: Iterable[int | None]) -> int | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
