"""Figures over a whole profile, and several profiles made one."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import NamedTuple

from remote_prof.profile.folder import Folder
from remote_prof.profile.model import FrameKind, Profile

# Frames that stand for no function.
NO_FUNCTIONS = frozenset({FrameKind.PROCESS, FrameKind.TRUNCATED})


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
    # Frames that differ in module, offset or pid alone are one function.
    keys: dict[tuple[str, FrameKind], int] = {}
    key_of = [keys.setdefault(frame[:2], len(keys)) for frame in profile.frames]
    own, total = [0] * len(keys), [0] * len(keys)
    for stack, weight in profile.weights.items():
        for key in set(map(key_of.__getitem__, stack)):
            total[key] += weight
        if stack:
            own[key_of[stack[-1]]] += weight
    shares = [
        FunctionShare(name, kind, own[key], total[key])
        for (name, kind), key in keys.items()
        if kind not in NO_FUNCTIONS
    ]
    shares.sort(key=lambda share: (-share.self, -share.total, share.name, share.kind))
    return shares[:limit]


def merge(profiles: Iterable[Profile]) -> Profile:
    """Add profiles up, one after the other: none is kept.

    Frequency and depth limit stay only where all agree; notes are united. Stacks are whole where
    those of all are.
    Raises ``ValueError`` where units differ (samples and microseconds do not add up); a profile
    without stacks fits any.
    """
    parts = iter(profiles)
    alone, more = next(parts, None), next(parts, None)
    if alone is None or more is None:
        return alone or Profile((), {})
    folder = Folder()
    unit: str | None = None
    frequencies, depths = set(), set()
    tools: dict[str, None] = {}
    notes: dict[str, None] = {}
    lost = 0
    whole = True
    builds: dict[str, str] = {}
    for part in chain((alone, more), parts):
        if part.weights:
            unit = unit or part.unit
            if part.unit != unit:
                raise ValueError(f"profiles of different units: {unit}, {part.unit}")
        numbers = [folder.number(frame, frame.name[:100]) for frame in part.frames]
        for stack, weight in part.weights.items():
            folder.add(tuple(map(numbers.__getitem__, stack)), weight, "the sum")
        frequencies.add(part.frequency_hz)
        depths.add(part.max_depth)
        tools |= {part.tool: None} if part.tool else {}
        notes |= dict.fromkeys(part.notes)
        lost += part.lost
        whole = whole and part.whole_stacks
        # Of different builds of a file none is that of the sum.
        builds |= {
            path: build if builds.get(path, build) == build else ""
            for path, build in part.build_ids.items()
        }
    return folder.profile(
        unit=unit or "samples",
        frequency_hz=_agreed(frequencies),
        max_depth=_agreed(depths),
        lost=lost,
        tool=", ".join(tools),
        notes=tuple(notes),
        whole_stacks=whole,
        build_ids={path: build for path, build in builds.items() if build},
    )


def _agreed(values: AbstractSet[int | None]) -> int | None:
    return next(iter(values)) if len(values) == 1 else None
