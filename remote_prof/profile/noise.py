"""What chance alone does to two profiles of the same thing.

Samples are counts. Let a function have ``x1`` of ``n1`` samples before and ``x2`` of ``n2`` after.
If nothing has changed, and each sample falls anywhere independently of the others, then the
``m = x1 + x2`` samples that it has together are spread over both sides by the draw alone: ``x2``
follows the hypergeometric distribution of ``m`` draws from ``n1 + n2``, of which ``n2`` are after,
whatever the function's true share is. That is Fisher's exact test of two proportions (R. A. Fisher,
The Logic of Inductive Inference, Journal of the Royal Statistical Society 98, 1935). It holds for
functions with a handful of samples and for sides of unequal size, where the usual bound
``z * sqrt(p (1 - p) (1/n1 + 1/n2))`` promises too much.

Counts that are not normalised come from sides that were sampled for the same time: each is a
Poisson number, and ``x2`` follows the binomial distribution of ``m`` throws of a fair coin
(J. Przyborowski, H. Wilenski, Homogeneity of Results in Testing Samples from Poisson Series,
Biometrika 31, 1940). It is the same, with ``n1`` and ``n2`` equal and without end.

Many functions are looked at together. The level of each is such that the chance of calling
anything at all a change, where nothing has changed, is at most ``1 - CONFIDENCE``: Bonferroni's
bound, in which functions do not count that could not be called changed whatever their samples did
(R. E. Tarone, A Modified Bonferroni Method for Discrete Data, Biometrics 46, 1990). It needs no
independence of the functions from each other, and they have none: a caller has its callees'
samples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from math import ceil, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95  # for all functions together

# So many samples that drawing some leaves the rest as it was: what a Poisson number is drawn from.
ENDLESS = 1 << 200
# Above this variance the normal distribution serves: its error in a bound is below a hundredth.
_LARGEST_VARIANCE = 10_000
# Of the weight of the most likely count: what is left out is far below any level that is asked for.
_NEGLIGIBLE = 1e-20
# In a table of bounds each small number has a row; from there on each is larger by a part.
_SMALL = 300
_STEP = 1.04
# Both directions have to agree where a probability is the level itself, to the last bit.
_TIE = 1 + 1e-9


class Noise:
    """What chance alone gives, between sides of ``before`` and ``after`` samples.

    ``together`` lists, for each comparison that is going to be made, the samples of both sides
    together. ``comparisons`` is how many of them count.
    """

    def __init__(self, before: int, after: int, together: Iterable[int]) -> None:
        self._before = before
        self._after = after
        self._ranges: dict[int, tuple[int, int]] = {}
        rarest: dict[int, float] = {}
        for number in (numbers := tuple(together)):
            if number not in rarest:
                rarest[number] = _rarest_probability(number, after, before + after)
        self._compared = rarest.keys()
        self.comparisons = _count_testable(rarest[number] for number in numbers)
        # Half of it for each direction.
        self._level = (1 - CONFIDENCE) / 2 / self.comparisons

    def likely_after(self, together: int) -> tuple[int, int]:
        """Return the fewest and the most of ``together`` samples that chance puts after.

        Each count outside has, with all beyond it, at most the level's probability.
        """
        found = self._ranges.get(together)
        if found is None:
            whole = self._before + self._after
            found = _likely_range(together, self._after, whole, self._level)
            self._ranges[together] = found
        return found

    def tabulate(self, most: int) -> list[tuple[int, int, int]]:
        """Return what ``likely_after`` says of numbers up to ``most``: the number, fewest, most.

        All that are compared have a row. What lies between two rows is near enough to the line
        between them: rows are close where the bounds bend, which is at both ends.
        """
        near = {*range(min(_SMALL, most) + 1)}
        distance = float(_SMALL)
        while distance < most:
            near.add(int(distance))
            distance *= _STEP
        numbers = sorted(self._compared | near | {most - number for number in near})
        return [(number, *self.likely_after(number)) for number in numbers]


def _likely_range(draws: int, wanted: int, whole: int, level: float) -> tuple[int, int]:
    """Return the middle of a hypergeometric distribution: what is outside is below the level.

    ``draws`` from ``whole``, of which ``wanted`` are what is counted.
    """
    fewest, most = max(0, draws + wanted - whole), min(draws, wanted)
    if fewest == most:
        return fewest, most
    variance = draws * wanted * (whole - wanted) * (whole - draws) / (whole * whole * (whole - 1))
    if variance > _LARGEST_VARIANCE:
        reach = ceil(NormalDist().inv_cdf(1 - level) * sqrt(variance))
        mean, rest = divmod(draws * wanted, whole)
        return max(fewest, mean - reach), min(most, mean + (rest > 0) + reach)
    mode = (draws + 1) * (wanted + 1) // (whole + 2)
    rest = whole - draws - wanted
    up, down = [1.0], [1.0]  # weights of the counts from the most likely one on
    for x in range(mode, most):
        weight = up[-1] * ((draws - x) * (wanted - x) / ((x + 1) * (rest + x + 1)))
        if weight < _NEGLIGIBLE:
            break
        up.append(weight)
    for x in range(mode, fewest, -1):
        weight = down[-1] * (x * (rest + x) / ((draws - x + 1) * (wanted - x + 1)))
        if weight < _NEGLIGIBLE:
            break
        down.append(weight)
    limit = level * (sum(up) + sum(down) - 1) * _TIE
    return mode - _reach(down, limit), mode + _reach(up, limit)


def _reach(weights: list[float], limit: float) -> int:
    """Return the last place from which on, to the end, there is more than the limit."""
    tail = 0.0
    for place in range(len(weights) - 1, 0, -1):
        tail += weights[place]
        if tail > limit:
            return place
    return 0


def _rarest_probability(draws: int, wanted: int, whole: int) -> float:
    """Return the probability of the rarest count, as far as it matters (0 for very small)."""
    # The distribution stays the same where draws and wanted change places, and is turned round
    # where what is drawn and what is left do: so both are at most half.
    fewer, more = sorted((min(draws, whole - draws), min(wanted, whole - wanted)))
    probability = 1.0
    for x in range(fewer):
        probability *= (more - x) / (whole - x)
        if probability < _NEGLIGIBLE:
            return 0.0
    return probability


def _count_testable(rarest: Iterable[float]) -> int:
    """Return Tarone's K: the least k such that at most k comparisons can pass at ``alpha / k``."""
    ordered = sorted(rarest)
    k = 1
    while bisect_right(ordered, (1 - CONFIDENCE) / 2 / k * _TIE) > k:
        k += 1
    return k
