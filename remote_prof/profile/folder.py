"""Stacks, one after the other, made a profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from remote_prof.profile.limits import MOST_NAMES, Budget, within
from remote_prof.profile.model import Frame, IndexStack, Profile


class Folder:
    """Numbers frames and adds stacks up, within ``remote_prof.profile.limits``.

    ``where`` something stands is told with an error. Raises ParseError where it is too much.
    """

    def __init__(self) -> None:
        self._numbers: dict[Frame, int] = {}
        self._weights: dict[IndexStack, int] = {}
        self._budget = Budget()

    def number(self, frame: Frame, where: str) -> int:
        """Return the number of a frame: the index that stacks are made of."""
        number = self._numbers.get(frame)
        if number is None:
            number = self._numbers[frame] = len(self._numbers)
            within("different names", number + 1, MOST_NAMES, where)
        return number

    def add(self, stack: IndexStack, weight: int, where: str) -> None:
        """Add the weight of a stack, root first."""
        # Most are new, and a long stack takes time to be looked up: they are so once.
        number = len(self._weights)
        known = self._weights.setdefault(stack, weight)
        if len(self._weights) > number:
            self._budget.stack(len(stack), where)
        else:
            self._weights[stack] = known + weight

    def profile(self, **more: Any) -> Profile:
        """Return the sum, without what has no weight; ``more`` are fields of a profile by name."""
        weights = {stack: weight for stack, weight in self._weights.items() if weight}
        return Profile(tuple(self._numbers), weights, **more)


def refold(
    profile: Profile, frames: Iterable[Frame], stacks: Iterable[tuple[IndexStack, int]]
) -> Profile:
    """Return a profile with other frames or other stacks of them, and else what it was.

    ``frames`` are by number what the numbers in ``stacks`` mean. Those that are equal become one,
    and stacks that thereby are equal are added up.
    """
    folder = Folder()
    numbers = [folder.number(frame, frame.name[:100]) for frame in frames]
    for stack, weight in stacks:
        folder.add(tuple(map(numbers.__getitem__, stack)), weight, "another form of it")
    folded = folder.profile()
    return replace(profile, frames=folded.frames, weights=folded.weights)
