"""Two profiles compared: both sides whole, changes exact, noise called noise."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.profile.diff import (
    Change,
    Comparison,
    Mover,
    Side,
    Trend,
    compare,
    count_samples,
)
from remote_prof.profile.diff_tree import Weights, place_pairs
from remote_prof.profile.folded import parse_folded
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.profile.summary import merge, top_functions
from remote_prof.profile.tree import place

API = Frame("api", FrameKind.PROCESS, pid=7)
MAIN, PARSE, WRITE, OLD, FRESH = map(Frame, ("main", "parse", "write", "old", "fresh"))
BEFORE: dict[Stack, int] = {(API, MAIN, PARSE): 600, (API, MAIN, WRITE): 300, (API, OLD): 100}
AFTER: dict[Stack, int] = {(API, MAIN, PARSE): 300, (API, MAIN, WRITE): 1500, (API, FRESH): 200}


def side(stacks: dict[Stack, int], name: str = "it", **more: Any) -> Side:
    profile = Profile.of(stacks, **more)
    return Side(name, profile, measure_quality(profile), count_samples(profile))


def by_name(comparison: Comparison) -> dict[str, Mover]:
    return {mover.name: mover for mover in comparison.movers}


def numbers(change: Change) -> tuple[Any, ...]:
    return change.before, change.after, change.change, change.factor, change.trend


def stacks_of(kinds: list[FrameKind]) -> st.SearchStrategy[dict[Stack, int]]:
    frames = st.builds(
        Frame,
        st.sampled_from(["a", "ab", "b;", "main", "[unknown]", "a "]),
        st.sampled_from(kinds),
        st.sampled_from([None, "/lib/a.so"]),
    )
    return st.dictionaries(
        st.lists(frames, max_size=5).map(tuple), st.integers(1, 10**6), min_size=1, max_size=8
    )


stacks = stacks_of(list(FrameKind))
# Without those that are taken for the other side's where one side does not tell them.
told_stacks = stacks_of([FrameKind.USER, FrameKind.KERNEL, FrameKind.UNRESOLVED])
# Of frames whose names tell their kind, so that no two are written alike.
plain_stacks = st.dictionaries(
    st.lists(st.sampled_from([Frame("a"), Frame("ab"), Frame("a b"), MAIN]), max_size=6).map(tuple),
    st.integers(1, 10**6),
    min_size=1,
    max_size=12,
)


def test_what_grew_shrank_came_and_went() -> None:
    found = by_name(compare(side(BEFORE), side(AFTER)))
    assert numbers(found["parse"].self) == (600, 300, pytest.approx(-0.45), 0.25, Trend.SHRANK)
    assert numbers(found["write"].self) == (300, 1500, pytest.approx(0.45), 2.5, Trend.GREW)
    assert numbers(found["old"].self) == (100, 0, -0.1, 0, Trend.VANISHED)
    assert numbers(found["fresh"].self) == (0, 200, 0.1, None, Trend.NEW)
    assert numbers(found["main"].self) == (0, 0, 0, None, Trend.SAME)
    assert numbers(found["main"].total) == (900, 1800, 0, 1, Trend.SAME)
    assert all(found[name].self.is_noise is False for name in ("parse", "write", "old", "fresh"))
    assert found["main"].total.is_noise is True
    assert "api" not in found


def test_raw_counts() -> None:
    found = by_name(compare(side(BEFORE), side(AFTER), counts=True))
    assert numbers(found["parse"].self) == (600, 300, -300, 0.5, Trend.SHRANK)
    assert numbers(found["main"].total) == (900, 1800, 900, 2, Trend.GREW)
    assert found["main"].total.is_noise is False
    low, high = found["parse"].self.noise_low, found["parse"].self.noise_high
    assert low is not None
    assert high is not None
    assert low == -high  # a fair coin
    assert 60 < high < 150  # about z * sqrt(900), z of 1.96 to 5


def test_the_largest_changes_come_first() -> None:
    found = compare(side(BEFORE), side(AFTER)).movers
    assert [mover.name for mover in found] == ["parse", "write", "fresh", "old", "main"]


def test_recursion_counts_once() -> None:
    one = side({(MAIN, PARSE, PARSE): 10})
    assert by_name(compare(one, one))["parse"].total.before == 10


def test_functions_of_one_name_and_kind_are_one() -> None:
    before = side({(Frame("f", module="/a", offset_bytes=3),): 10})
    after = side({(Frame("f", module="/b"),): 10, (Frame("f", FrameKind.KERNEL),): 10})
    comparison = compare(before, after)
    assert {(m.name, m.kind, m.self.trend) for m in comparison.movers} == {
        ("f", FrameKind.USER, Trend.SHRANK),
        ("f", FrameKind.KERNEL, Trend.NEW),
    }
    assert len(comparison.stacks) == 2


def test_a_profile_and_its_folded_stacks_are_the_same() -> None:
    told = {(API, Frame("eval", FrameKind.INTERPRETED), MAIN): 10, (API, MAIN): 5}
    folded = parse_folded(b"api;eval;main 10\napi;main 5\n")
    assert folded != Profile.of(told)
    other = Side("folded", folded, measure_quality(folded), count_samples(folded))
    for comparison in (compare(side(told), other), compare(other, side(told))):
        assert {(m.name, m.kind, m.total.trend) for m in comparison.movers} == {
            ("eval", FrameKind.INTERPRETED, Trend.SAME),
            ("main", FrameKind.USER, Trend.SAME),
        }
        assert len(comparison.stacks) == 2


def test_a_function_is_not_taken_for_a_process_where_processes_are_told() -> None:
    before = side({(API, Frame("worker")): 10})
    after = side({(Frame("worker", FrameKind.PROCESS), MAIN): 10})
    assert by_name(compare(before, after))["worker"].self.trend is Trend.VANISHED


@given(told_stacks, told_stacks)
def test_the_union_keeps_both_sides_whole(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    before, after = side(one), side(two)
    comparison = compare(before, after)
    for number, each in enumerate((before, after)):
        assert sum(pair[number] for pair in comparison.stacks.values()) == each.profile.total
        kept = {
            (name, kind): (own, total) for name, kind, own, total in top_functions(each.profile)
        }
        found = {
            (mover.name, mover.kind): tuple(
                (change.before, change.after)[number] for change in (mover.self, mover.total)
            )
            for mover in comparison.movers
        }
        assert found.keys() >= kept.keys()
        assert {key: value for key, value in found.items() if any(value)} == {
            key: value for key, value in kept.items() if any(value)
        }


@given(stacks, stacks, st.booleans())
def test_sides_that_change_places_mirror_everything(
    one: dict[Stack, int], two: dict[Stack, int], counts: bool
) -> None:
    there = compare(side(one), side(two), counts=counts)
    back = compare(side(two), side(one), counts=counts)
    assert there.comparisons == back.comparisons
    mirrored = {
        Trend.NEW: Trend.VANISHED,
        Trend.GREW: Trend.SHRANK,
        Trend.SAME: Trend.SAME,
    }
    mirrored |= {value: key for key, value in mirrored.items()}
    for mover, other in zip(
        sorted(there.movers, key=_key), sorted(back.movers, key=_key), strict=True
    ):
        assert _key(mover) == _key(other)
        for change, again in ((mover.self, other.self), (mover.total, other.total)):
            assert (change.before, change.after) == (again.after, again.before)
            assert change.change == -again.change
            assert change.noise_low is not None
            assert again.noise_high is not None
            assert change.noise_low == -again.noise_high
            assert change.is_noise is again.is_noise
            assert change.trend is mirrored[again.trend]


def _key(mover: Mover) -> tuple[str, FrameKind]:
    return mover.name, mover.kind


@given(stacks, st.booleans())
def test_a_profile_and_itself_have_nothing_but_noise(one: dict[Stack, int], counts: bool) -> None:
    for mover in compare(side(one), side(one), counts=counts).movers:
        for change in (mover.self, mover.total):
            assert (change.change, change.trend, change.is_noise) == (0, Trend.SAME, True)


@given(told_stacks, told_stacks)
def test_changes_of_self_add_up_to_nothing(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    named = {(*stack, MAIN): weight for stack, weight in one.items()}
    also = {(*stack, PARSE): weight for stack, weight in two.items()}
    comparison = compare(side(named | also), side(also))
    assert sum(mover.self.change for mover in comparison.movers) == pytest.approx(0, abs=1e-9)
    before, after = comparison.before.profile.total, comparison.after.profile.total
    assert sum(m.self.before / before for m in comparison.movers) == pytest.approx(1)
    assert sum(m.self.after / after for m in comparison.movers) == pytest.approx(1)


def test_profiles_of_the_same_thing_differ_by_noise_and_a_change_is_found() -> None:
    rng = random.Random(20260131)
    leaves = [Frame(f"f{rank}") for rank in range(200)]
    shares = [1 / (rank + 1) for rank in range(200)]

    def profile(shares: list[float]) -> Side:
        drawn = Counter(rng.choices(leaves, shares, k=3000))
        return side({(API, MAIN, leaf): weight for leaf, weight in drawn.items()})

    def changed(comparison: Comparison) -> set[str]:
        return {m.name for m in comparison.movers if m.self.is_noise is False}

    pairs = 100
    wrong = sum(bool(changed(compare(profile(shares), profile(shares)))) for _ in range(pairs))
    assert wrong <= 0.05 * pairs
    planted = [*shares[:3], 2 * shares[3], *shares[4:]]
    found = sum("f3" in changed(compare(profile(shares), profile(planted))) for _ in range(pairs))
    assert found >= 0.95 * pairs


@pytest.mark.parametrize("unit", ["us", "bytes"])
def test_weights_that_are_no_samples_have_no_bound(unit: str) -> None:
    comparison = compare(side(BEFORE, unit=unit), side(AFTER, unit=unit))
    assert comparison.comparisons is None
    for mover in comparison.movers:
        assert (mover.self.noise_low, mover.self.noise_high) == (None, None)
        assert mover.self.is_noise is None


def test_one_side_of_unknown_samples_leaves_no_bound() -> None:
    scaled = replace(side(BEFORE), samples=None)
    assert compare(scaled, side(AFTER)).comparisons is None
    assert compare(side(AFTER), scaled).comparisons is None


def test_units_that_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="samples cannot be compared with us"):
        compare(side(BEFORE), side(AFTER, unit="us"))


@pytest.mark.parametrize("word", ["before", "after"])
def test_a_side_without_samples_is_refused(word: str) -> None:
    sides = [side(BEFORE), side(AFTER)]
    sides[word == "after"] = side({}, name="the empty one")
    with pytest.raises(NoSamplesError, match=f"no samples {word}: the empty one"):
        compare(*sides)


def test_what_makes_the_sides_unlike_is_said() -> None:
    before = replace(side(BEFORE, frequency_hz=99, max_depth=127), duration_s=10.0, scope="user")
    after = replace(side(AFTER, frequency_hz=49, max_depth=64), duration_s=30.0, scope="both")
    found = compare(before, after).warnings
    assert [problem.evidence for problem in found] == [
        "10 s before, 30 s after",
        "99 Hz before, 49 Hz after",
        "user before, both after",
        "127 frames before, 64 after",
    ]
    assert all("shares stay comparable" in problem.what for problem in found[:2])
    assert compare(before, before).warnings == ()
    # What is not known is not said to differ.
    assert compare(before, side(AFTER)).warnings == ()


@pytest.mark.parametrize(
    "after",
    [
        replace(side(AFTER, frequency_hz=99), duration_s=30.0),
        replace(side(AFTER, frequency_hz=49), duration_s=10.0),
    ],
)
def test_counts_of_different_exposure_have_no_bound(after: Side) -> None:
    before = replace(side(BEFORE, frequency_hz=99), duration_s=10.0)
    comparison = compare(before, after, counts=True)
    assert comparison.comparisons is None
    assert "counts differ for that reason alone" in comparison.warnings[0].what
    assert compare(before, after).comparisons is not None
    assert compare(before, before, counts=True).comparisons is not None


@given(plain_stacks, plain_stacks)
def test_the_tree_of_both_is_that_of_their_sum(
    one: dict[Stack, int], two: dict[Stack, int]
) -> None:
    before, after = side(one), side(two)
    nodes = list(place_pairs(compare(before, after)))
    summed = list(place(merge([before.profile, after.profile])))
    assert [
        (
            node.name,
            node.kind,
            node.before.own + node.after.own,
            node.before.total + node.after.total,
            node.depth,
            node.before.start + node.after.start,
        )
        for node in nodes
    ] == [tuple(each) for each in summed]


@given(told_stacks, told_stacks)
def test_the_tree_has_each_side_whole(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    before, after = side(one), side(two)
    nodes = list(place_pairs(compare(before, after)))
    for which, each in (("before", before), ("after", after)):
        kept = Counter(
            (node.name, node.kind, node.depth, getattr(node, which).own, getattr(node, which).total)
            for node in nodes
            if getattr(node, which).total
        )
        assert kept == Counter(
            (p.name, p.kind, p.depth, p.own, p.total) for p in place(each.profile)
        )
        check_places([(node.depth, getattr(node, which)) for node in nodes])


def check_places(nodes: list[tuple[int, Weights]]) -> None:
    """Each node lies within its caller, behind its caller's self and its elder siblings."""
    ends: list[tuple[int, int]] = []  # where the next callee begins, and where the caller ends
    for depth, weights in nodes:
        del ends[depth:]
        if ends:
            begin, end = ends[-1]
            assert weights.start == begin
            assert weights.start + weights.total <= end
            ends[-1] = (begin + weights.total, end)
        ends.append((weights.start + weights.own, weights.start + weights.total))


@given(stacks, stacks)
def test_the_order_does_not_depend_on_which_side_is_before(
    one: dict[Stack, int], two: dict[Stack, int]
) -> None:
    there = [
        (n.name, n.kind, n.depth, n.before, n.after)
        for n in place_pairs(compare(side(one), side(two)))
    ]
    back = [
        (n.name, n.kind, n.depth, n.after, n.before)
        for n in place_pairs(compare(side(two), side(one)))
    ]
    assert there == back


def test_what_is_small_on_both_sides_is_left_out_of_the_tree() -> None:
    before = side({(MAIN, OLD): 1, (MAIN, PARSE): 99, (WRITE,): 900})
    after = side({(MAIN, PARSE): 5, (WRITE,): 995})
    nodes = list(place_pairs(compare(before, after), smallest_share=0.05))
    assert [node.name for node in nodes] == ["all", "main", "parse", "write"]
    # The room of what is left out stays empty.
    assert nodes[2].before.start == 1
    assert nodes[3].before.start == 100


def test_stacks_of_thousands_of_frames() -> None:
    deep = side({(MAIN,) * 9000: 1, (PARSE, *(MAIN,) * 9000): 1})
    assert sum(1 for _ in place_pairs(compare(deep, deep))) == 1 + 9000 + 9001
