"""Which hosts of a fleet run other code than the rest, and in which functions.

Each host's profile is the distribution of its samples over functions (self shares). How far it is
from the rest is the total variation distance: half the sum of the differences of all shares, which
is the part of its samples that would have to be elsewhere for it to be like the rest (D. Levin, Y.
Peres, Markov Chains and Mixing Times, chapter 4). So it is told in per cent, and its summands are
the functions that make it. The rest is the mean of the other hosts' shares, in which each host
counts the same, however many samples it has.

With few samples any host is far from anything. Were it like the rest, its distance would be, on the
average, half the sum of the mean deviations of all shares, which De Moivre's formula gives (P.
Diaconis, S. Zabell, Closed Form Summation for Classical Distributions, 1991), of ``1/v`` samples
with ``v = 1/n + sum(1/m) / k^2`` for its own ``n`` and the ``m`` of each of the ``k`` others; and
beyond that by ``t`` with a probability of at most ``exp(-2 t^2 / v)``, because no sample moves it
by more than ``1/n`` or ``1/(k m)`` (C. McDiarmid, On the Method of Bounded Differences, 1989). What
is within is noise: the chance that any host at all is called different, where all are alike, is at
most ``1 - CONFIDENCE``.

Hosts that do the same are not alike to the last sample: work differs. So a host is an outlier only
if it is also far from the rest as this fleet goes: if its modified z-score, from the median of all
distances and their median deviation, is above 3.5 (B. Iglewicz, D. Hoaglin, How to Detect and
Handle Outliers, 1993). One is taken out at a time, the farthest first, and the others are then
compared without it (B. Rosner, Percentage Points for a Generalized ESD Many-Outlier Procedure,
1983): hosts that differ in the same way would hide each other. Fewer than half can be taken out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, lgamma, log, log1p, sqrt
from statistics import median

from remote_prof.profile.diff import Function
from remote_prof.profile.functions import Functions
from remote_prof.profile.noise import CONFIDENCE

FEWEST_HOSTS = 3
"""Of two that differ nobody can say which is the odd one."""

_FARTHEST_SCORE = 3.5
_NORMAL = 0.6745  # the median deviation of a normal distribution, in standard deviations
_MOST_FUNCTIONS = 10
_NOTHING = 1e-9  # what adding up and taking off leaves of a share


@dataclass(frozen=True, slots=True)
class Difference:
    """A function's self share on a host, and on the rest of the hosts; 0 to 1."""

    function: Function
    here: float
    rest: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a host stands among the others.

    ``distance`` is the share of its samples that is elsewhere than on the rest, 0 to 1; up to
    ``noise`` chance alone gives (None where weights are no samples). ``score`` is how far that is
    as the fleet goes. ``differences`` are the functions that make it, the largest first.
    """

    host: str
    weight: int
    distance: float
    noise: float | None
    score: float
    is_outlier: bool
    differences: tuple[Difference, ...]


def rank_hosts(profiles: Mapping[str, Functions]) -> tuple[Standing, ...]:
    """Return where each host stands, the farthest from the rest first; nothing where there are few.

    Hosts without any weight are left out.
    """
    hosts = {name: _Host(each) for name, each in profiles.items() if each.weight}
    if len(hosts) < FEWEST_HOSTS:
        return ()
    fleet = _Fleet(hosts)
    usual = fleet.distances()
    outliers: set[str] = set()
    while len(outliers) < (len(hosts) - 1) // 2:
        name = max(usual, key=lambda each: (usual[each], each))
        if not fleet.standing(name, usual).is_outlier:
            break
        outliers.add(name)
        fleet.take_out(name)
        usual = fleet.distances()
    # What was taken out is compared with what is left, too.
    standings = (fleet.standing(name, usual) for name in hosts)
    ranked = (replace(each, is_outlier=each.host in outliers) for each in standings)
    return tuple(sorted(ranked, key=lambda each: (-each.distance, each.host)))


class _Host:
    """A host's self shares, and how many samples they are of; no number where they are none."""

    def __init__(self, functions: Functions) -> None:
        self.shares = functions.self_shares()
        self.weight = functions.weight
        self.samples = functions.samples


class _Fleet:
    """The sum of the shares of all hosts that are not taken out."""

    def __init__(self, hosts: Mapping[str, _Host]) -> None:
        self._hosts = hosts
        self._inside = set(hosts)
        self._sum: dict[Function, float] = {}
        for host in hosts.values():
            self._add(host, 1)

    def _add(self, host: _Host, sign: int) -> None:
        for function, share in host.shares.items():
            self._sum[function] = self._sum.get(function, 0.0) + sign * share

    def take_out(self, name: str) -> None:
        """Have a host count no more for the rest."""
        self._inside.remove(name)
        self._add(self._hosts[name], -1)

    def distances(self) -> dict[str, float]:
        """Return how far each that is not taken out is from the rest."""
        return {name: self._distance(name) for name in self._inside}

    def _distance(self, name: str) -> float:
        own = self._hosts[name].shares
        inside = name in self._inside
        others = len(self._inside) - inside
        here = elsewhere = 0.0
        for function, share in own.items():
            rest = (self._sum.get(function, 0.0) - inside * share) / others
            here += abs(share - rest)
            elsewhere += rest
        # What the rest has in functions that it has not.
        return min((here + max(1 - elsewhere, 0.0)) / 2, 1.0)

    def standing(self, name: str, usual: Mapping[str, float]) -> Standing:
        """Return where a host stands, where ``usual`` are the distances of the others and its."""
        host, distance, noise = self._hosts[name], self._distance(name), self._noise(name)
        score = _score(distance, usual.values())
        rest = self._rest(name)
        return Standing(
            name,
            host.weight,
            distance,
            noise,
            score,
            score > _FARTHEST_SCORE and (noise is None or distance > noise),
            differences(host.shares, rest),
        )

    def _rest(self, name: str) -> dict[Function, float]:
        own = self._hosts[name].shares if name in self._inside else {}
        others = len(self._inside) - (name in self._inside)
        shares = {f: (whole - own.get(f, 0.0)) / others for f, whole in self._sum.items()}
        return {function: share for function, share in shares.items() if share > _NOTHING}

    def _noise(self, name: str) -> float | None:
        others = [self._hosts[other].samples for other in self._inside if other != name]
        own = self._hosts[name].samples
        return chance_bound(self._rest(name), [[own], others], len(self._hosts))


def chance_bound(
    shares: Mapping[Function, float], sides: Sequence[Sequence[int | None]], comparisons: int
) -> float | None:
    """Return how far two sides are from each other at most by chance; None where that is unknown.

    ``shares`` are the true ones of both, as far as they are known. Each side is the mean of hosts
    with so many samples. So many comparisons are made.
    """
    v = 0.0
    for side in sides:
        counted = [number for number in side if number]
        if len(counted) < len(side):
            return None
        v += sum(1 / number for number in counted) / len(counted) ** 2
    usual = sum(_mean_deviation(int(1 / v), share) for share in shares.values()) / 2
    return min(usual + sqrt(log(comparisons / (1 - CONFIDENCE)) * v / 2), 1.0)


def differences(
    here: Mapping[Function, float], rest: Mapping[Function, float]
) -> tuple[Difference, ...]:
    """Return the functions whose shares differ most, the largest difference first."""
    found = [
        Difference(function, here.get(function, 0.0), rest.get(function, 0.0))
        for function in here.keys() | rest.keys()
    ]
    found.sort(key=lambda each: (-abs(each.here - each.rest), each.function))
    return tuple(found[:_MOST_FUNCTIONS])


def _mean_deviation(samples: int, share: float) -> float:
    """Return how far a share that is counted in so many samples is from the true one, usually."""
    if not 0 < share < 1:
        return 0.0
    above = int(samples * share) + 1
    if above > samples:
        return 2 * share * (1 - share)
    # The chance of just that many, times the part of the way; its factors go beyond any float.
    logarithm = (
        *(lgamma(samples + 1), -lgamma(above + 1), -lgamma(samples - above + 1)),
        *(above * log(share), (samples - above + 1) * log1p(-share)),
    )
    return 2 * above * exp(sum(logarithm)) / samples


def _score(distance: float, all_distances: Collection[float]) -> float:
    usual = median(all_distances)
    spread = median(abs(each - usual) for each in all_distances)
    # Where at least half are the same, whatever is not is far.
    return _NORMAL * (distance - usual) / max(spread, _NOTHING)
