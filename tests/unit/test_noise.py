"""Bounds on noise, against exact sums and against chance itself."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile import noise
from remote_prof.profile.noise import CONFIDENCE, ENDLESS, Noise

LEVEL = Fraction(5, 200)  # of one comparison alone, in one direction


def hypergeometric(draws: int, before: int, after: int) -> dict[int, Fraction]:
    """The probability of each count after, by its definition."""
    whole = comb(before + after, draws)
    fewest, most = max(0, draws - before), min(draws, after)
    return {
        x: Fraction(comb(after, x) * comb(before, draws - x), whole)
        for x in range(fewest, most + 1)
    }


def binomial(draws: int) -> dict[int, Fraction]:
    return {x: Fraction(comb(draws, x), 2**draws) for x in range(draws + 1)}


def exact_range(probabilities: dict[int, Fraction], level: Fraction) -> tuple[int, int]:
    """The counts whose tails, on either side, are above the level."""
    inside = [
        x
        for x in probabilities
        if sum(p for y, p in probabilities.items() if y <= x) > level
        and sum(p for y, p in probabilities.items() if y >= x) > level
    ]
    return min(inside), max(inside)


def alone(before: int, after: int, together: int) -> tuple[int, int]:
    bounds = Noise(before, after, [together])
    assert bounds.comparisons == 1
    return bounds.likely_after(together)


@given(st.data(), st.integers(1, 60), st.integers(1, 60))
def test_the_range_is_that_of_the_exact_distribution(
    data: st.DataObject, before: int, after: int
) -> None:
    together = data.draw(st.integers(0, before + after))
    expected = exact_range(hypergeometric(together, before, after), LEVEL)
    assert alone(before, after, together) == expected


@given(st.integers(0, 150))
def test_counts_follow_the_binomial_distribution(together: int) -> None:
    assert alone(ENDLESS, ENDLESS, together) == exact_range(binomial(together), LEVEL)


@given(st.data(), st.integers(1, 10**7), st.integers(1, 10**7))
def test_sides_that_change_places_mirror_the_range(
    data: st.DataObject, before: int, after: int
) -> None:
    together = data.draw(st.integers(0, before + after))
    fewest, most = alone(before, after, together)
    assert alone(after, before, together) == (together - most, together - fewest)
    assert 0 <= fewest <= most <= together


@pytest.mark.parametrize(
    ("before", "after", "together"),
    [(10**6, 10**6, 10**5), (10**6, 10**6, 41_000), (10**7, 10**5, 2 * 10**6)],
)
def test_the_normal_distribution_takes_over_without_a_step(
    before: int, after: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewest, most = alone(before, after, together)
    monkeypatch.setattr(noise, "_LARGEST_VARIANCE", float("inf"))
    exact = alone(before, after, together)
    reach = exact[1] - exact[0]
    assert fewest == pytest.approx(exact[0], abs=reach / 100)
    assert most == pytest.approx(exact[1], abs=reach / 100)


@pytest.mark.parametrize("together", [1, 10**3, 10**20, 2 * 10**26 - 1, 2 * 10**26])
def test_any_weight_ends_at_once(together: int) -> None:
    fewest, most = alone(10**26, 10**26, together)
    assert 0 <= fewest <= most <= together


def test_rare_functions_do_not_count_as_comparisons() -> None:
    # With up to 5 samples, all of them on one side is nothing rare: 1/32 a side.
    assert Noise(ENDLESS, ENDLESS, [1, 2, 3, 4, 5] * 1000).comparisons == 1
    assert Noise(ENDLESS, ENDLESS, [1, 2, 3, 4, 5] * 1000 + [10**4] * 7).comparisons == 7
    # All 6 on one side has 1/64, which passes alone (1/40); all 7 has 1/128: two may share (1/80).
    assert Noise(ENDLESS, ENDLESS, [6]).comparisons == 1
    assert Noise(ENDLESS, ENDLESS, [7, 7, 5]).comparisons == 2
    assert Noise(ENDLESS, ENDLESS, [7] * 9).comparisons == 4


def test_more_comparisons_ask_for_more() -> None:
    one = Noise(1000, 1000, [200]).likely_after(200)
    many = Noise(1000, 1000, [200] * 100).likely_after(200)
    assert many[0] < one[0] <= 100 <= one[1] < many[1]


def draw(rng: random.Random, shares: list[float], samples: int) -> Counter[int]:
    return Counter(rng.choices(range(len(shares)), shares, k=samples))


def flagged(
    before: Counter[int], after: Counter[int], sizes: tuple[int, int] | None = None
) -> set[int]:
    pairs = {f: (before[f], after[f]) for f in before.keys() | after.keys()}
    all_before, all_after = sizes or (before.total(), after.total())
    bounds = Noise(all_before, all_after, [sum(pair) for pair in pairs.values()])
    found = set()
    for function, pair in pairs.items():
        fewest, most = bounds.likely_after(sum(pair))
        if not fewest <= pair[1] <= most:
            found.add(function)
    return found


@pytest.mark.parametrize(("before", "after"), [(1500, 1500), (3000, 300), (200, 4000)])
def test_nothing_is_called_a_change_more_often_than_promised(before: int, after: int) -> None:
    rng = random.Random(20260131)
    # A few functions that are wide, and many that are rare: as profiles are.
    shares = [1 / rank for rank in range(1, 301)]
    pairs = 300
    wrong = sum(
        bool(flagged(draw(rng, shares, before), draw(rng, shares, after))) for _ in range(pairs)
    )
    assert wrong <= (1 - CONFIDENCE) * pairs


def test_counts_are_not_called_a_change_more_often_than_promised() -> None:
    rng = random.Random(20260131)
    pairs, wrong = 300, 0
    for _ in range(pairs):
        # Poisson numbers of a mean each, by counting arrivals.
        sides: list[Counter[int]] = [Counter(), Counter()]
        for side in sides:
            for function in range(60):
                clock = rng.expovariate(1)
                while clock < 300 / (function + 1):
                    side[function] += 1
                    clock += rng.expovariate(1)
        wrong += bool(flagged(sides[0], sides[1], (ENDLESS, ENDLESS)))
    assert wrong <= (1 - CONFIDENCE) * pairs


def test_a_change_of_a_known_size_is_found_and_nothing_else() -> None:
    rng = random.Random(20260131)
    shares = [1 / rank for rank in range(1, 301)]
    changed = list(shares)
    changed[3] *= 2  # from 4 % of the samples to 8 %
    found = [flagged(draw(rng, shares, 3000), draw(rng, changed, 3000)) for _ in range(100)]
    assert sum(3 in each for each in found) >= 95


def test_a_bound_is_about_what_the_normal_approximation_says() -> None:
    # z sqrt(2 p (1 - p) / n), p = 0.1, n = 10,000, for one comparison: 1.96 * 0.0042.
    fewest, most = alone(10_000, 10_000, 2000)
    assert (most - fewest) / 2 / 10_000 * 2 == pytest.approx(1.96 * 0.004243, rel=0.03)


@pytest.mark.parametrize("sides", [(5000, 5000), (900, 60_000), (ENDLESS, ENDLESS)])
def test_a_table_of_bounds_serves_for_the_numbers_between_its_rows(sides: tuple[int, int]) -> None:
    most = min(sum(sides), 50_000)
    compared = [7, 1234, 4321, most]
    bounds = Noise(*sides, compared)
    table = bounds.tabulate(most)
    numbers = [number for number, _, _ in table]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert numbers[-1] == most
    assert set(compared) <= set(numbers)
    assert len(table) < 1000
    for (low, *below), (high, *above) in pairwise(table):
        middle = (low + high) // 2
        share = (middle - low) / (high - low)
        between = [a + share * (b - a) for a, b in zip(below, above, strict=True)]
        assert between == pytest.approx(bounds.likely_after(middle), abs=2)
