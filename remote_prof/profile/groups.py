"""Groups of hosts told apart: how far each is from the other hosts, and in which functions.

A group's profile is the mean of its hosts' self shares, each host counting the same; the distance
is that of ``outliers``. Two things can make it without any cause. Samples are few: that is bounded
as it is there. And hosts of one kind are not alike either: how often a group that is drawn from the
same hosts by lot is as far from the rest is counted (a permutation test; R. A. Fisher, The Design
of Experiments, 1935). The group itself is one of the lots, so that the answer is never nought
(B. Phipson, G. Smyth, Permutation P-values Should Never Be Zero, 2010). A group differs if both
speak for it; where there are too few hosts for lots to tell anything, the first alone.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from remote_prof.profile.diff import Function
from remote_prof.profile.functions import Functions
from remote_prof.profile.noise import CONFIDENCE
from remote_prof.profile.outliers import Difference, chance_bound, differences

# So many lots are drawn for each group: enough to show a chance of half of what is called rare.
_LOTS = 40
_FEWEST_LOTS = 200
# What lots are compared by: the hottest functions, and all others as one.
_COMPARED = 100


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """A group against the other hosts that are compared. Shares and distances are 0 to 1.

    ``distance`` up to ``noise`` is what so few samples give by chance (None where weights are no
    samples). ``lots`` is the part of all groups of so many of these hosts that are as far, None
    where there are too few to tell. ``differences`` are the largest first.
    """

    name: str
    hosts: tuple[str, ...]
    weight: int
    distance: float
    noise: float | None
    lots: float | None
    differs: bool
    differences: tuple[Difference, ...]


def compare_groups(
    hosts: Mapping[str, Functions], groups: Mapping[str, Collection[str]]
) -> tuple[GroupStanding, ...]:
    """Return where each group stands, the farthest first; nothing where it has no rest.

    Hosts of no group count for nothing. Hosts without any weight are left out.
    """
    named = {name for members in groups.values() for name in members}
    there = {name: each for name, each in hosts.items() if each.weight and name in named}
    shares = {name: each.self_shares() for name, each in there.items()}
    vectors = _vectors(shares)
    found = []
    for group, members in groups.items():
        inside = [name for name in there if name in members]
        rest = [name for name in there if name not in members]
        if not inside or not rest:
            continue
        here, elsewhere = (_mean([shares[name] for name in side]) for side in (inside, rest))
        distance = _distance(here, elsewhere)
        sides = [[there[name].samples for name in side] for side in (inside, rest)]
        noise = chance_bound(elsewhere, sides, len(groups))
        lots = _lots(vectors, inside, len(groups))
        found.append(
            GroupStanding(
                group,
                tuple(inside),
                sum(there[name].weight for name in inside),
                distance,
                noise,
                lots,
                (noise is None or distance > noise)
                and (lots is None or lots * len(groups) <= 1 - CONFIDENCE),
                differences(here, elsewhere),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.distance, each.name)))


def _mean(sides: Sequence[Mapping[Function, float]]) -> dict[Function, float]:
    found: dict[Function, float] = {}
    for side in sides:
        for function, share in side.items():
            found[function] = found.get(function, 0.0) + share / len(sides)
    return found


def _distance(here: Mapping[Function, float], rest: Mapping[Function, float]) -> float:
    keys = here.keys() | rest.keys()
    return min(sum(abs(here.get(key, 0.0) - rest.get(key, 0.0)) for key in keys) / 2, 1.0)


def _vectors(shares: Mapping[str, Mapping[Function, float]]) -> dict[str, list[float]]:
    """Return each host's shares of the functions that are the hottest of all, and of the others."""
    whole = _mean([*shares.values()])
    hot = sorted(whole, key=lambda function: (-whole[function], function))[:_COMPARED]
    found = {}
    for name, own in shares.items():
        vector = [own.get(function, 0.0) for function in hot]
        found[name] = [*vector, max(0.0, 1.0 - sum(vector))]
    return found


def _lots(
    vectors: Mapping[str, list[float]], inside: Sequence[str], comparisons: int
) -> float | None:
    """Return the part of groups, drawn by lot, that are as far from the rest; None: too few."""
    names, size = [*vectors], len(inside)
    if comb(len(names), size) * (1 - CONFIDENCE) < comparisons:
        return None
    whole: list[float] = [sum(column) for column in zip(*vectors.values(), strict=True)]

    def far(members: Iterable[str]) -> float:
        here: list[float] = [
            sum(column) for column in zip(*(vectors[name] for name in members), strict=True)
        ]
        others = len(names) - size
        pairs = zip(here, whole, strict=True)
        apart = [abs(own / size - (all_ - own) / others) for own, all_ in pairs]
        return sum(apart)

    # The same answer each time: it is no secret, and has to be told again by report.
    draw = random.Random(0)  # noqa: S311
    own = far(inside) * (1 - 1e-9)
    number = max(_FEWEST_LOTS, _LOTS * comparisons)
    as_far = sum(far(draw.sample(names, size)) >= own for _ in range(number - 1))
    return (as_far + 1) / number
