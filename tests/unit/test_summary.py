from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.summary import FunctionShare, merge, top_functions
from remote_prof.profile.tree import place

API = Frame("api", FrameKind.PROCESS, pid=1)


def of(*names: str) -> Stack:
    return (API, *(Frame(name) for name in names))


def test_self_is_the_leafs_and_total_is_of_all_stacks_with_the_function() -> None:
    profile = Profile.of({of("main", "a"): 3, of("main", "a", "b"): 5, of("main"): 1})
    assert top_functions(profile) == [
        FunctionShare("b", FrameKind.USER, 5, 5),
        FunctionShare("a", FrameKind.USER, 3, 8),
        FunctionShare("main", FrameKind.USER, 1, 9),
    ]


def test_recursion_counts_once_a_stack() -> None:
    profile = Profile.of({of("f", "g", "f", "g", "f"): 4})
    assert top_functions(profile) == [
        FunctionShare("f", FrameKind.USER, 4, 4),
        FunctionShare("g", FrameKind.USER, 0, 4),
    ]


def test_modules_pids_and_offsets_are_one_function_kinds_are_not() -> None:
    profile = Profile.of(
        {
            (Frame("f", module="a.so"),): 1,
            (Frame("f", module="b.so", offset_bytes=4),): 2,
            (Frame("f", FrameKind.KERNEL),): 4,
        }
    )
    assert top_functions(profile) == [
        FunctionShare("f", FrameKind.KERNEL, 4, 4),
        FunctionShare("f", FrameKind.USER, 3, 3),
    ]


def test_processes_and_the_truncation_mark_are_no_functions() -> None:
    cut = Frame("[truncated]", FrameKind.TRUNCATED)
    profile = Profile.of({(API, cut, Frame("f")): 1, (API,): 2, (): 3})
    assert [share.name for share in top_functions(profile)] == ["f"]


def test_limit_and_order_of_equals() -> None:
    profile = Profile.of({of(name): 1 for name in "cab"})
    assert [share.name for share in top_functions(profile, 2)] == ["a", "b"]
    assert top_functions(profile, 0) == []


def test_merging_adds_weights_and_keeps_what_all_agree_on() -> None:
    one = Profile.of({of("f"): 1, of("g"): 2}, frequency_hz=99, max_depth=127, lost=3, tool="x 1")
    two = Profile.of(
        {of("f"): 10}, frequency_hz=49, max_depth=127, lost=4, tool="x 1", notes=("n",)
    )
    merged = merge([one, two])
    assert merged == Profile.of(
        {of("f"): 11, of("g"): 2},
        frequency_hz=None,
        max_depth=127,
        lost=7,
        tool="x 1",
        notes=("n",),
    )
    assert merge([one]) == one
    whole = replace(one, whole_stacks=True)
    assert [merge([whole, part]).whole_stacks for part in (whole, two)] == [True, False]


def test_merging_nothing_is_an_empty_profile() -> None:
    assert merge([]) == Profile.of({})


def test_units_do_not_mix() -> None:
    with pytest.raises(ValueError, match="samples, us"):
        merge([Profile.of({of("f"): 1}), Profile.of({of("f"): 1}, unit="us")])


def test_the_tree_puts_self_weight_first_and_siblings_in_order() -> None:
    profile = Profile.of({of("b"): 2, of("a", "x"): 3, of("a"): 1})
    places = [(each.name, each.depth, each.start, each.total) for each in place(profile)]
    assert places == [
        ("all", 0, 0, 6),
        ("api", 1, 0, 6),
        ("a", 2, 0, 4),
        ("x", 3, 1, 3),
        ("b", 2, 4, 2),
    ]


def test_siblings_stand_as_their_folded_lines_sort() -> None:
    lines = ["foo 5", "foo.part.0;x 3", "foo2 1", "foz;y 1", "foz(int);y 1"]
    stacks: dict[Stack, int] = {}
    for line in lines:
        names, _, weight = line.rpartition(" ")
        stacks[tuple(Frame(name) for name in names.split(";"))] = int(weight)
    in_tree = [each.name for each in place(Profile.of(stacks)) if each.depth == 1]
    assert in_tree == [line.split(" ")[0].split(";")[0] for line in sorted(lines)]


def test_small_nodes_are_left_out_and_keep_their_room() -> None:
    profile = Profile.of({of("a", "x"): 1, of("b"): 99})
    places = [(each.name, each.start) for each in place(profile, smallest=2)]
    assert places == [("all", 0), ("api", 0), ("b", 1)]


def test_the_tree_does_not_recurse() -> None:
    stack = tuple(Frame(f"f{depth}") for depth in range(20_000))
    depths = [each.depth for each in place(Profile.of({stack: 1}))]
    assert depths == list(range(20_001))


NAMES = st.sampled_from(["a", "a b", "a.", "ab", "b", "[k]"])
STACKS = st.lists(st.builds(Frame, NAMES, st.sampled_from(FrameKind)), max_size=5).map(tuple)


@given(st.dictionaries(STACKS, st.integers(1, 1000)))
def test_the_tree_holds_the_profile(stacks: dict[Stack, int]) -> None:
    total = sum(stacks.values())
    placed = list(place(Profile.of(stacks)))
    assert placed[0].total == total
    ends: dict[int, int] = {}
    own = 0
    for number, each in enumerate(placed):
        own += each.own
        inside = [o for o in placed[number + 1 :] if o.depth == each.depth + 1]
        mine = [o for o in inside if each.start <= o.start < each.start + each.total]
        assert each.total == each.own + sum(o.total for o in mine)
        assert each.start >= ends.get(each.depth, 0), "siblings do not overlap"
        ends[each.depth] = each.start + each.total
        assert ends[each.depth] <= total
    assert own == total
