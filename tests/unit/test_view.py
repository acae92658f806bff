from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.names import spell_out
from remote_prof.profile.view import OTHER, View, apply_view, check_view, under


def of(*names: str) -> Stack:
    return tuple(Frame(name) for name in names)


def process(name: str, pid: int | None = None) -> Frame:
    return Frame(name, FrameKind.PROCESS, pid=pid)


PROFILE = Profile.of(
    {
        of("main", "serve", "parse"): 5,
        of("main", "serve", "render", "encode"): 3,
        of("main", "idle"): 2,
        of("boot", "serve"): 1,
    },
    frequency_hz=99,
    tool="bpftrace v0.23.2",
    lost=4,
)
THREADS = Profile.of(
    {
        (process("api", 7), *of("main")): 5,
        (process("net", 7), *of("poll")): 3,
        (process("net", 8), *of("poll")): 9,
        (process("api", 8), *of("main")): 1,
    }
)


@pytest.mark.parametrize(
    ("view", "stacks"),
    [
        (
            View(focus="^ren"),
            {of("main", "serve", "render", "encode"): 3},
        ),
        (
            View(ignore="parse|boot"),
            {of("main", "serve", "render", "encode"): 3, of("main", "idle"): 2},
        ),
        (
            View(root_at="serve"),
            {of("serve", "parse"): 5, of("serve", "render", "encode"): 3, of("serve"): 1},
        ),
        (View(focus="parse", root_at="serve"), {of("serve", "parse"): 5}),
    ],
)
def test_what_is_shown(view: View, stacks: dict[Stack, int]) -> None:
    shown = apply_view(PROFILE, view)
    assert shown.stacks == stacks
    assert (shown.frequency_hz, shown.tool, shown.lost) == (99, "bpftrace v0.23.2", 4)


def test_the_root_is_the_outermost_match() -> None:
    profile = Profile.of({of("a", "f", "b", "f", "c"): 1})
    assert apply_view(profile, View(root_at="f")).stacks == {of("f", "b", "f", "c"): 1}


def test_a_function_that_calls_itself_is_one_frame() -> None:
    profile = Profile.of({of("f", "f", "g", "g", "g", "f"): 2, of("f", "g", "f"): 3, (): 1})
    shown = apply_view(profile, View(collapse_recursion=True))
    assert shown.stacks == {of("f", "g", "f"): 5, (): 1}


def test_small_calls_are_one_frame() -> None:
    shown = apply_view(PROFILE, View(min_share=0.2))
    assert shown.stacks == {
        of("main", "serve", "parse"): 5,
        of("main", "serve", "render", "encode"): 3,
        (*of("main"), Frame(OTHER, FrameKind.UNRESOLVED)): 2,
        (Frame(OTHER, FrameKind.UNRESOLVED),): 1,
    }


@pytest.mark.parametrize(
    ("by", "stacks"),
    [
        (
            "thread",
            {(process("api"), *of("main")): 6, (process("net"), *of("poll")): 12},
        ),
        (
            "process",
            {
                (process("api"), *of("main")): 5,
                (process("api"), *of("poll")): 3,
                (process("worker"), *of("poll")): 9,
                (process("worker"), *of("main")): 1,
            },
        ),
        (
            "pid",
            {
                (process("api (7)", 7), *of("main")): 5,
                (process("api (7)", 7), *of("poll")): 3,
                (process("worker (8)", 8), *of("poll")): 9,
                (process("worker (8)", 8), *of("main")): 1,
            },
        ),
    ],
)
def test_grouping(by: str, stacks: dict[Stack, int]) -> None:
    view = check_view(View(group_by=by))  # type: ignore[arg-type]  # as it comes from outside
    assert apply_view(THREADS, view, process_names={8: "worker"}).stacks == stacks


def test_a_process_without_a_known_name_is_called_after_its_busiest_thread() -> None:
    shown = apply_view(THREADS, View(group_by="process"))
    assert {stack[0].name for stack in shown.stacks} == {"api", "net"}


def test_hosts_stand_above_all() -> None:
    shown = apply_view(THREADS, View(group_by="host"), host="prod-3")
    assert all(stack[0] == process("prod-3") for stack in shown.stacks)
    assert shown.total == THREADS.total
    assert under(Profile.of({}), "x").stacks == {}


@pytest.mark.parametrize(
    ("profile", "by", "said"),
    [
        (PROFILE, "process", "does not tell its processes"),
        (PROFILE, "thread", "does not tell its processes"),
        (Profile.of({(process("api"), *of("f")): 1}), "pid", "does not tell its processes"),
        (THREADS, "host", "does not tell of which host"),
    ],
)
def test_what_the_profile_does_not_tell(profile: Profile, by: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        apply_view(profile, View(group_by=by))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View(focus="operator("), "--focus 'operator\\(' is no regular expression"),
        (View(ignore="*"), "--ignore '\\*' is no regular expression"),
        (View(root_at="x" * 2000), "--root-at is longer than 1000 characters"),
        (View(group_by="shoe"), "--group-by 'shoe' is none of"),  # type: ignore[arg-type]
        (View(min_share=1.5), "not 150"),
        (View(min_share=float("nan")), "--min-share is a share"),
    ],
)
def test_what_makes_no_sense_is_refused(view: View, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_view(view)


def test_a_view_says_what_it_is() -> None:
    assert str(View()) == ""
    view = View("a", "b", "c", collapse_recursion=True, group_by="pid", min_share=0.005)
    assert str(view) == (
        "focus 'a', ignore 'b', root at 'c', recursion collapsed, by pid, at least 0.5 %"
    )


NAMES = st.sampled_from(["f", "g", "h"])
STACKS = st.lists(NAMES.map(Frame), max_size=6).map(tuple)


@given(
    st.dictionaries(STACKS, st.integers(1, 1000)),
    st.booleans(),
    st.floats(0, 0.99),
)
def test_recursion_and_small_calls_keep_every_sample(
    stacks: dict[Stack, int], collapse: bool, least: float
) -> None:
    view = View(collapse_recursion=collapse, min_share=least)
    assert apply_view(Profile.of(stacks), view).total == sum(stacks.values())


@given(st.dictionaries(STACKS, st.integers(1, 1000)), NAMES)
def test_focus_and_ignore_share_the_profile(stacks: dict[Stack, int], name: str) -> None:
    def shown(view: View) -> dict[Stack, int]:
        try:
            return apply_view(Profile.of(stacks), view).stacks
        except NoSamplesError:
            return {}

    kept, dropped = shown(View(focus=name)), shown(View(ignore=name))
    assert not kept.keys() & dropped.keys()
    assert {**kept, **dropped} == stacks


def test_modules_and_offsets_are_spelt_out_where_they_are_known() -> None:
    profile = Profile.of(
        {
            (
                process("api", 7),
                Frame("main", module="/usr/bin/api", offset_bytes=12),
                Frame("read", module="/lib/libc.so.6"),
                Frame("[libc.so.6]", FrameKind.UNRESOLVED, module="/lib/libc.so.6"),
            ): 1
        }
    )
    (plain,) = spell_out(profile, modules=False).stacks
    assert [frame.name for frame in plain] == ["api", "main+12", "read", "[libc.so.6]"]
    (spelt,) = spell_out(profile, modules=True).stacks
    assert [frame.name for frame in spelt] == [
        "api",
        "main+12 (api)",
        "read (libc.so.6)",
        "[libc.so.6]",
    ]
    assert spelt[0].pid == 7


def test_what_is_spelt_out_already_stays() -> None:
    assert spell_out(PROFILE, modules=True) is PROFILE


@pytest.mark.parametrize("view", [View(ignore="serve|idle"), View(focus="^$"), View(root_at="x")])
def test_a_view_of_nothing_is_told(view: View) -> None:
    with pytest.raises(NoSamplesError, match="nothing that was sampled is shown") as raised:
        apply_view(PROFILE, view)
    assert raised.value.evidence == "there are 11 samples without that"
    assert apply_view(Profile.of({}), view).stacks == {}
