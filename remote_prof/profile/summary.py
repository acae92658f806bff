"""Figures over a whole profile, and several profiles made one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from remote_prof.profile.folder import Folder
from remote_prof.profile.model import Frame, FrameKind, IndexStack, Profile

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
    whole = Sum()
    for part in chain((alone, more), parts):
        whole.add(part)
    return whole.profile()


class Sum:
    """Profiles added up as they come: see ``merge``."""

    def __init__(self) -> None:
        self._folder = Folder()
        self._unit: str | None = None
        self._frequencies: set[int | None] = set()
        self._depths: set[int | None] = set()
        self._tools: dict[str, None] = {}
        self._notes: dict[str, None] = {}
        self._lost = 0
        self._whole_stacks = True
        self._builds: dict[str, str] = {}

    def add(
        self,
        part: Profile,
        frames: Iterable[Frame] | None = None,
        stacks: Iterable[tuple[IndexStack, int]] | None = None,
    ) -> None:
        """Add a profile, or other ``frames`` and ``stacks`` of it. Raises ``ValueError``."""
        if part.weights:
            self._unit = self._unit or part.unit
            if part.unit != self._unit:
                raise ValueError(f"profiles of different units: {self._unit}, {part.unit}")
        folder = self._folder
        numbers = [folder.number(frame, frame.name[:100]) for frame in frames or part.frames]
        for stack, weight in part.weights.items() if stacks is None else stacks:
            folder.add(tuple(map(numbers.__getitem__, stack)), weight, "the sum")
        self._frequencies.add(part.frequency_hz)
        self._depths.add(part.max_depth)
        self._tools |= {part.tool: None} if part.tool else {}
        self._notes |= dict.fromkeys(part.notes)
        self._lost += part.lost
        self._whole_stacks = self._whole_stacks and part.whole_stacks
        self._add_builds(part.build_ids)

    def _add_builds(self, builds: Mapping[str, str]) -> None:
        # Of different builds of a file none is that of the sum.
        self._builds |= {
            path: build if self._builds.get(path, build) == build else ""
            for path, build in builds.items()
        }

    def merge(self, other: Sum) -> None:
        """Add what another one has added up. Raises ``ValueError``."""
        whole = other.profile()
        self.add(replace(whole, tool="", notes=(), build_ids={}))
        self._frequencies |= other._frequencies
        self._depths |= other._depths
        self._tools |= other._tools
        self._notes |= other._notes
        self._add_builds(other._builds)

    def profile(self) -> Profile:
        """Return the sum."""
        return self._folder.profile(
            unit=self._unit or "samples",
            frequency_hz=_agreed(self._frequencies),
            max_depth=_agreed(self._depths),
            lost=self._lost,
            tool=", ".join(self._tools),
            notes=tuple(self._notes),
            whole_stacks=self._whole_stacks,
            build_ids={path: build for path, build in self._builds.items() if build},
        )


def _agreed(values: AbstractSet[int | None]) -> int | None:
    return next(iter(values)) if len(values) == 1 else None
