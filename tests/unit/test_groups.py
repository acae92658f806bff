"""Groups of hosts: those that differ are told apart, and chance, and variety, are no difference."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from remote_prof.profile.functions import Functions, functions_of
from remote_prof.profile.groups import GroupStanding, compare_groups
from tests.unit.test_outliers import drawn, of


def fleet(
    seed: int, hosts: int, odd: Mapping[str, float], samples: int = 500
) -> dict[str, Functions]:
    rng = random.Random(seed)
    names = [f"web-{number}" for number in range(hosts)]
    return functions_of({name: drawn(rng, samples, odd.get(name, 0.0)) for name in names})


def by_name(found: tuple[GroupStanding, ...]) -> dict[str, GroupStanding]:
    return {each.name: each for each in found}


def test_a_group_that_differs_is_told_with_the_function() -> None:
    canary = {"web-0": 0.2, "web-1": 0.2, "web-2": 0.2, "web-3": 0.2}
    hosts = fleet(1, 20, canary)
    groups = {"canary": [*canary], "prod": [f"web-{number}" for number in range(4, 20)]}
    found = by_name(compare_groups(hosts, groups))
    assert found.keys() == {"canary", "prod"}
    # Of two groups each is the other's rest.
    assert found["canary"].distance == pytest.approx(found["prod"].distance)
    for each in found.values():
        assert each.differs
        assert each.lots == 0.005
        assert each.noise is not None
        assert each.noise < each.distance < 0.4
    first = found["canary"].differences[0]
    assert first.function.name == "odd"
    assert first.here == pytest.approx(0.2, abs=0.05)
    assert first.rest == 0.0
    assert found["canary"].weight == 2000


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_no_difference(seed: int) -> None:
    hosts = fleet(seed, 12, {})
    groups = {"a": [f"web-{n}" for n in range(4)], "b": [f"web-{n}" for n in range(4, 12)]}
    assert not any(each.differs for each in compare_groups(hosts, groups))


def test_the_variety_of_hosts_is_no_difference() -> None:
    # Each host does something of its own: any group of them is far from the others.
    own = {f"web-{n}": {"common": 500, f"own_{n}": 500} for n in range(12)}
    hosts = functions_of({name: of(counts) for name, counts in own.items()})
    groups = {"a": [f"web-{n}" for n in range(4)], "b": [f"web-{n}" for n in range(4, 12)]}
    for each in compare_groups(hosts, groups):
        assert each.noise is not None
        assert each.distance > each.noise
        assert each.lots == 1.0
        assert not each.differs


def test_one_against_one_is_told_by_samples_alone() -> None:
    hosts = functions_of({"old": of({"x": 900, "y": 100}), "new": of({"x": 500, "y": 500})})
    found = compare_groups(hosts, {"5.10": ["old"], "6.1": ["new"]})
    assert [each.lots for each in found] == [None, None]
    assert all(each.differs for each in found)
    assert found[0].distance == pytest.approx(0.4)


def test_who_is_in_no_group_or_has_no_samples_counts_for_nothing() -> None:
    hosts = functions_of(
        {
            "a": of({"x": 100}),
            "b": of({"x": 100}),
            "other": of({"z": 1000}),
            "idle": of({}),
        }
    )
    found = by_name(compare_groups(hosts, {"one": ["a", "idle", "gone"], "two": ["b"]}))
    assert found["one"].hosts == ("a",)
    assert found["one"].distance == 0.0
    assert compare_groups(hosts, {"one": ["a"]}) == ()
    assert compare_groups(hosts, {"one": ["a"], "none": ["idle"]}) == ()
    assert compare_groups({}, {}) == ()


def test_a_host_can_be_in_several_groups() -> None:
    hosts = fleet(3, 6, {"web-0": 0.4, "web-1": 0.4})
    groups = {"canary": ["web-0", "web-1"], "eu": ["web-0", "web-2"], "us": ["web-3", "web-4"]}
    found = by_name(compare_groups(hosts, groups))
    assert found["canary"].distance > found["us"].distance
    # web-5 is in none of them.
    assert all("web-5" not in each.hosts for each in found.values())


def test_weights_that_are_no_samples_have_no_bound_of_chance() -> None:
    hosts = functions_of({"a": of({"x": 10}, "bytes"), "b": of({"y": 10}, "bytes")})
    assert [each.noise for each in compare_groups(hosts, {"1": ["a"], "2": ["b"]})] == [None, None]
