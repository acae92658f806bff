"""Two profiles compared: what grew, what shrank, and what is noise.

Pure. Functions are told by name and kind, as in ``top_functions``: frames that differ in module,
offset or pid alone are one. Both sides' functions and stacks are there, so that code which
vanished and code which is new are both seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.profile.model import FrameKind, IndexStack, Profile, Quality
from remote_prof.profile.noise import ENDLESS, Noise
from remote_prof.profile.summary import NO_FUNCTIONS
from remote_prof.records import Problem, Severity

# Kinds that folded stacks do not tell from USER. A profile without any may have been folded.
_UNTOLD = frozenset({FrameKind.PROCESS, FrameKind.INTERPRETED})


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. ``name`` is one line that says what it is.

    ``samples`` is how many samples the weights stand for, None where nobody knows: weights of time
    or bytes, or counts that were scaled. ``duration_s`` is how long it was sampled and ``scope``
    what was (processes, stacks); None and empty where nobody knows. ``problems`` is what there is
    to say of this side alone.
    """

    name: str
    profile: Profile
    quality: Quality
    samples: int | None
    duration_s: float | None = None
    scope: str = ""
    problems: tuple[Problem, ...] = ()


def count_samples(profile: Profile) -> int | None:
    """Return how many samples a profile is made of, or None where its weights are none."""
    return profile.total if profile.unit == "samples" else None


class Trend(StrEnum):
    """What became of a function's weight; noise is told beside it."""

    NEW = "new"
    VANISHED = "vanished"
    GREW = "grew"
    SHRANK = "shrank"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Change:
    """A function's weight on both sides, as it was sampled, and the difference.

    ``change`` is after less before: of shares (0.01 is a point), or of weights where raw counts
    are compared. ``factor`` is after divided by before, likewise; None where before is 0.
    ``noise_low`` to ``noise_high`` is the change that chance alone gives, None where there is no
    such bound; ``is_noise`` tells whether the change is within.
    """

    before: int
    after: int
    change: float
    factor: float | None
    trend: Trend
    noise_low: float | None
    noise_high: float | None
    is_noise: bool | None


@dataclass(frozen=True, slots=True)
class Mover:
    """A function and its changes.

    ``self`` is of the stacks where it is the leaf, ``total`` of those where it occurs.
    """

    name: str
    kind: FrameKind
    self: Change
    total: Change


class Function(NamedTuple):
    """What is taken for one function."""

    name: str
    kind: FrameKind


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two profiles, side by side.

    ``functions`` holds each function of either side once. ``stacks`` has the weights before and
    after of each stack, which is a tuple of indexes into ``functions``, root first. ``movers`` are
    all functions but processes and the mark of cut stacks, the largest changes first.
    ``counts``: weights are compared as they are, not as shares. ``comparisons`` is how many tests
    share the level of confidence (see ``remote_prof.profile.noise``), None where there is no
    bound. ``warnings`` say what makes the sides unlike. What has less than ``min_share`` of both
    sides is not shown.
    """

    before: Side
    after: Side
    counts: bool
    functions: tuple[Function, ...]
    stacks: Mapping[IndexStack, tuple[int, int]]
    movers: tuple[Mover, ...]
    comparisons: int | None
    warnings: tuple[Problem, ...]
    min_share: float = 0.0

    @property
    def unit(self) -> str:
        """The unit of both sides' weights."""
        return self.after.profile.unit


def compare(before: Side, after: Side, *, counts: bool = False) -> Comparison:
    """Compare two profiles by shares, or by raw weights with ``counts``.

    Raises UsageError where the units differ, NoSamplesError where a side has no weight.
    """
    if before.profile.unit != after.profile.unit:
        raise UsageError(
            f"{before.profile.unit} cannot be compared with {after.profile.unit}",
            evidence=f"before: {before.name}; after: {after.name}",
            hint="compare profiles of the same kind",
        )
    for word, side in (("before", before), ("after", after)):
        if not side.profile.total:
            raise NoSamplesError(
                f"there are no samples {word}: {side.name}",
                evidence=f"the sum of its weights is 0 {side.profile.unit}",
                hint="was the target busy while it was sampled?",
            )
    functions, stacks = _unite(before.profile, after.profile)
    own, total = _weigh(len(functions), stacks)
    told = [i for i, function in enumerate(functions) if function.kind not in NO_FUNCTIONS]
    pairs = (pair for i in told for pair in _once(own[i], total[i]))
    measure = Measure(before, after, pairs, counts=counts)
    movers = [Mover(*functions[i], measure(own[i]), measure(total[i])) for i in told]
    movers.sort(key=_by_change)
    return Comparison(
        before,
        after,
        counts,
        functions,
        stacks,
        tuple(movers),
        measure.noise.comparisons if measure.noise else None,
        tuple(_differences(before, after, counts=counts)),
    )


def compared_weights(movers: Iterable[Mover]) -> Iterator[tuple[int, int]]:
    """Return the weights before and after that are compared, of functions."""
    for mover in movers:
        own, total = mover.self, mover.total
        yield from _once((own.before, own.after), (total.before, total.after))


def _once(own: tuple[int, int], total: tuple[int, int]) -> Collection[tuple[int, int]]:
    # Where all of a function's time is its own, self and total are one comparison.
    return {own, total}


def without_small(comparison: Comparison, min_share: float) -> Comparison:
    """Show nothing that has, with what it calls, less than a share of either side."""
    sides = (comparison.before.profile.total, comparison.after.profile.total)
    movers = tuple(
        mover
        for mover in comparison.movers
        if any(
            weight >= min_share * whole
            for weight, whole in zip((mover.total.before, mover.total.after), sides, strict=True)
        )
    )
    return replace(comparison, movers=movers, min_share=min_share)


def _unite(
    before: Profile, after: Profile
) -> tuple[tuple[Function, ...], dict[IndexStack, tuple[int, int]]]:
    numbers: dict[Function, int] = {}
    stacks: dict[IndexStack, tuple[int, int]] = {}
    for side, (profile, other) in enumerate(((before, after), (after, before))):
        functions = _functions(profile, other)
        of_frame = [numbers.setdefault(function, len(numbers)) for function in functions]
        for stack, weight in profile.weights.items():
            known = tuple(map(of_frame.__getitem__, stack))
            first, second = stacks.get(known, (0, 0))
            stacks[known] = (first, second + weight) if side else (first + weight, second)
    return tuple(numbers), stacks


def _functions(profile: Profile, other: Profile) -> list[Function]:
    """Return the function of each frame of a profile that is compared with another."""
    functions = [Function(*frame[:2]) for frame in profile.frames]
    if not _UNTOLD.isdisjoint(function.kind for function in functions):
        return functions
    kinds: dict[str, set[FrameKind]] = {}
    for name, kind, *_ in other.frames:
        kinds.setdefault(name, set()).add(kind)
    # What is of one such kind alone on the other side is the same here.
    untold = {name: kind for name, (kind, *more) in kinds.items() if not more and kind in _UNTOLD}
    return [
        Function(name, untold.get(name, kind)) if kind is FrameKind.USER else Function(name, kind)
        for name, kind in functions
    ]


_Pairs = list[tuple[int, int]]


def _weigh(functions: int, stacks: Mapping[IndexStack, tuple[int, int]]) -> tuple[_Pairs, _Pairs]:
    """Return self and total of each function, before and after."""
    own_before, own_after = [0] * functions, [0] * functions
    total_before, total_after = [0] * functions, [0] * functions
    for stack, (before, after) in stacks.items():
        for function in set(stack):
            total_before[function] += before
            total_after[function] += after
        if stack:
            own_before[stack[-1]] += before
            own_after[stack[-1]] += after
    return (
        list(zip(own_before, own_after, strict=True)),
        list(zip(total_before, total_after, strict=True)),
    )


def _noise(before: Side, after: Side, together: list[int], *, counts: bool) -> Noise | None:
    if before.samples is None or after.samples is None:
        return None
    if not counts:
        return Noise(before.samples, after.samples, together)
    # Counts of unequal exposure differ for that reason alone: there is nothing to test.
    if _unlike(before.duration_s, after.duration_s):
        return None
    if _unlike(before.profile.frequency_hz, after.profile.frequency_hz):
        return None
    return Noise(ENDLESS, ENDLESS, together)


class Measure:
    """Makes changes of weights before and after.

    ``pairs`` lists all that are going to be compared, which together share the level of confidence
    of ``noise``; that is None where there is no bound.
    """

    def __init__(
        self, before: Side, after: Side, pairs: Iterable[tuple[int, int]], *, counts: bool
    ) -> None:
        self.noise = _noise(before, after, [sum(pair) for pair in pairs], counts=counts)
        # What weights are divided by: nothing, where they are compared as they are.
        self._divisors = (1, 1) if counts else (before.profile.total, after.profile.total)

    def __call__(self, pair: tuple[int, int]) -> Change:
        """Return the change of a weight before and after."""
        before, after = pair
        per_before, per_after = self._divisors
        # Exact: equal shares must not differ by rounding.
        excess = after * per_before - before * per_after
        change = self._change(after, before)
        low = high = noise = None
        if self.noise is not None:
            fewest, most = self.noise.likely_after(before + after)
            low = self._change(fewest, before + after - fewest)
            high = self._change(most, before + after - most)
            noise = fewest <= after <= most
        factor = after * per_before / (before * per_after) if before else None
        trend = _trend(before, after, excess)
        return Change(before, after, change, factor, trend, low, high, noise)

    def _change(self, after: int, before: int) -> float:
        per_before, per_after = self._divisors
        return (after * per_before - before * per_after) / (per_before * per_after)


def _trend(before: int, after: int, excess: int) -> Trend:
    if not excess:
        return Trend.SAME
    if excess > 0:
        return Trend.GREW if before else Trend.NEW
    return Trend.SHRANK if after else Trend.VANISHED


def _by_change(mover: Mover) -> tuple[float, float, str, FrameKind]:
    return -abs(mover.self.change), -abs(mover.total.change), mover.name, mover.kind


def _differences(before: Side, after: Side, *, counts: bool) -> list[Problem]:
    """Say what makes the sides unlike, but for what was measured."""
    found = []
    old, new = before.profile, after.profile
    exposure = "counts differ for that reason alone" if counts else "shares stay comparable"
    if _unlike(before.duration_s, after.duration_s):
        times = f"{before.duration_s:g} s before, {after.duration_s:g} s after"
        found.append(_warn(f"the sides were sampled for different times: {exposure}", times))
    if _unlike(old.frequency_hz, new.frequency_hz):
        rates = f"{old.frequency_hz} Hz before, {new.frequency_hz} Hz after"
        found.append(_warn(f"the sampling frequencies differ: {exposure}", rates))
    if _unlike(before.scope or None, after.scope or None):
        scopes = f"{before.scope} before, {after.scope} after"
        found.append(_warn("the sides are of different scopes: totals are not of the same", scopes))
    if _unlike(old.max_depth, new.max_depth):
        depths = f"{old.max_depth} frames before, {new.max_depth} after"
        found.append(_warn("stacks were cut at different depths: callers may be missing", depths))
    return found


def _unlike(before: object, after: object) -> bool:
    """Tell whether two values are known and differ."""
    return before is not None and after is not None and before != after


def _warn(what: str, evidence: str) -> Problem:
    return Problem(Severity.WARNING, what, evidence, "profile both sides alike to be sure")
