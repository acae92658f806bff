"""Which hosts of a fleet differ: those that do are found, and chance is told from a difference."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from remote_prof.profile.functions import functions_of
from remote_prof.profile.hottest import Hot, WeightBy, hottest
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.outliers import Standing, rank_hosts

ROOT = Frame("svc", FrameKind.PROCESS)
USUAL: Mapping[str, float] = {f"function_{number}": 1 / number for number in range(1, 200)}


def drawn(rng: random.Random, samples: int, odd_share: float = 0.0, odd: str = "odd") -> Profile:
    """Draw samples, as a host of the fleet gives them; a part of them in another function."""
    names = rng.choices([*USUAL], weights=[*USUAL.values()], k=samples)
    counts = Counter(odd if rng.random() < odd_share else name for name in names)
    return of(counts)


def of(counts: Mapping[str, int], unit: str = "samples") -> Profile:
    stacks: dict[Stack, int] = {(ROOT, Frame("main"), Frame(name)): n for name, n in counts.items()}
    return Profile.of(stacks, unit=unit)


def rank(profiles: Mapping[str, Profile]) -> tuple[Standing, ...]:
    return rank_hosts(functions_of(profiles))


def hot_of(profiles: Mapping[str, Profile], weight_by: WeightBy = "samples") -> list[Hot]:
    return hottest(functions_of(profiles), weight_by)


def outliers(profiles: Mapping[str, Profile]) -> list[str]:
    return [standing.host for standing in rank(profiles) if standing.is_outlier]


def test_hosts_that_differ_are_found_with_the_function_that_makes_it() -> None:
    rng = random.Random(1)
    fleet = {f"web-{number}": drawn(rng, 1000) for number in range(20)}
    fleet["web-7"] = drawn(rng, 1000, 0.3)
    fleet["web-9"] = drawn(rng, 400, 0.3)
    ranked = rank(fleet)
    assert {standing.host for standing in ranked if standing.is_outlier} == {"web-7", "web-9"}
    first = ranked[0]
    assert first.host in ("web-7", "web-9")
    assert first.noise is not None
    assert first.noise < first.distance < 0.6
    assert first.differences[0].function == ("odd", FrameKind.USER)
    assert first.differences[0].here == pytest.approx(0.3, abs=0.07)
    assert first.differences[0].rest == 0.0


@pytest.mark.parametrize("samples", [20, 300, 3000])
@pytest.mark.parametrize("hosts", [3, 12, 60])
def test_chance_alone_makes_no_outlier(hosts: int, samples: int) -> None:
    for seed in range(3):
        rng = random.Random(seed)
        fleet = {f"web-{n}": drawn(rng, rng.randrange(samples // 2, samples)) for n in range(hosts)}
        assert outliers(fleet) == []


def test_one_of_three_is_found() -> None:
    rng = random.Random(2)
    fleet = {name: drawn(rng, 3000) for name in ("a", "b")} | {"c": drawn(rng, 3000, 0.4)}
    assert outliers(fleet) == ["c"]


def test_a_busy_host_is_not_the_measure_of_the_others() -> None:
    rng = random.Random(3)
    fleet = {f"web-{number}": drawn(rng, 500) for number in range(9)}
    fleet["busy"] = drawn(rng, 50_000, 0.5)
    assert outliers(fleet) == ["busy"]


def test_hosts_that_differ_alike_do_not_hide_each_other() -> None:
    rng = random.Random(4)
    fleet = {f"web-{number}": drawn(rng, 2000) for number in range(10)}
    fleet |= {f"odd-{number}": drawn(rng, 2000, 0.5) for number in range(3)}
    assert sorted(outliers(fleet)) == ["odd-0", "odd-1", "odd-2"]


def test_a_fleet_of_two_halves_has_no_outliers() -> None:
    fleet = {f"a-{n}": of({"x": 1000}) for n in range(4)} | {
        f"b-{n}": of({"y": 1000}) for n in range(4)
    }
    assert outliers(fleet) == []


def test_of_few_hosts_nobody_can_say() -> None:
    assert rank({}) == ()
    assert rank({"a": of({"x": 10}), "b": of({"y": 10})}) == ()
    assert rank({"a": of({"x": 10}), "b": of({"y": 10}), "idle": of({})}) == ()


def test_where_all_are_the_same_nothing_is_far() -> None:
    ranked = rank({name: of({"x": 10, "y": 5}) for name in "abcd"})
    assert [standing.distance for standing in ranked] == pytest.approx([0.0] * 4)
    assert not any(standing.is_outlier for standing in ranked)


def test_weights_that_are_no_samples_have_no_bound_of_noise() -> None:
    fleet = {name: of({"x": 10_000, "y": 5000}, "us") for name in "abcd"}
    fleet["e"] = of({"x": 10, "z": 90_000}, "us")
    first = rank(fleet)[0]
    assert (first.host, first.noise, first.is_outlier) == ("e", None, True)


def test_four_of_three_hundred_hosts_are_found() -> None:
    rng = random.Random(5)
    fleet = {f"web-{number}": drawn(rng, 500) for number in range(300)}
    fleet |= {f"odd-{number}": drawn(rng, 500, 0.6) for number in range(4)}
    assert sorted(outliers(fleet)) == [f"odd-{number}" for number in range(4)]


def test_the_hottest_functions_of_a_fleet() -> None:
    fleet = {"a": of({"x": 90, "y": 10}), "b": of({"x": 100, "y": 800}), "idle": of({})}
    by_samples = {hot.name: hot for hot in hot_of(fleet)}
    assert [*by_samples] == ["y", "x", "main"]
    assert by_samples["x"].self == pytest.approx(0.19)
    assert (by_samples["x"].least, by_samples["x"].most) == pytest.approx((1 / 9, 0.9))
    assert by_samples["x"].middle == pytest.approx((1 / 9 + 0.9) / 2)
    assert (by_samples["main"].self, by_samples["main"].total) == (0.0, 1.0)
    assert all(hot.hosts == 2 for hot in by_samples.values())
    by_host = {hot.name: hot for hot in hot_of(fleet, "host")}
    assert [*by_host] == ["x", "y", "main"]
    assert by_host["x"].self == pytest.approx((1 / 9 + 0.9) / 2)


def test_a_function_that_one_host_has_says_so() -> None:
    only = next(hot for hot in hot_of({"a": of({"x": 10}), "b": of({"y": 10})}) if hot.name == "x")
    assert (only.hosts, only.least, only.middle, only.most) == (1, 0.0, 0.5, 1.0)
