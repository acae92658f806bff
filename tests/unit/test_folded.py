from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.profile.folded import ANNOTATIONS, format_frame, parse_folded
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render.folded import render_folded
from remote_prof.render.report import Report


def write(profile: Profile) -> bytes:
    return render_folded(Report(profile, measure_quality(profile), "title"))


def frames(*names: str) -> Stack:
    return tuple(Frame(name) for name in names)


def test_the_weight_is_the_last_number() -> None:
    profile = parse_folded("main;operator new 5;f 3\nmain;g 4\nmain;g 6\n")
    assert profile.stacks == {
        frames("main", "operator new 5", "f"): 3,
        frames("main", "g"): 10,
    }
    assert profile.unit == "samples"
    assert profile.total == 13


def test_annotations_are_kinds() -> None:
    profile = parse_folded(b"a;b_[i];c_[j];d_[k];[unknown];0x7f00;[truncated] 1\n")
    (stack,) = profile.stacks
    assert [(frame.name, frame.kind) for frame in stack] == [
        ("a", FrameKind.USER),
        ("b", FrameKind.INLINED),
        ("c", FrameKind.JIT),
        ("d", FrameKind.KERNEL),
        ("[unknown]", FrameKind.UNRESOLVED),
        ("0x7f00", FrameKind.UNRESOLVED),
        ("[truncated]", FrameKind.TRUNCATED),
    ]


def test_the_caller_says_what_the_weights_are() -> None:
    assert parse_folded("main 1\n", unit="us").unit == "us"


@pytest.mark.parametrize(
    ("text", "stacks"),
    [
        ("", {}),
        ("\n  \n", {}),
        ("# a comment\na 1\n", {frames("a"): 1}),
        ("#1 thread;a 1\n", {frames("#1 thread", "a"): 1}),
        ("a 1", {frames("a"): 1}),
        ("a 1\r\nb 2\r\n", {frames("a"): 1, frames("b"): 2}),
        ("a 0\n", {}),
        ("a;;b 1\n", {(Frame("a"), Frame("[unknown]", FrameKind.UNRESOLVED), Frame("b")): 1}),
        ("_[k] 1\n", {frames("_[k]"): 1}),
    ],
)
def test_edges_of_the_format(text: str, stacks: dict[Stack, int]) -> None:
    assert parse_folded(text).stacks == stacks


MALFORMED = ["main;f", "main;f ", "main;f x", "main;f 1.5", "main;f -1", " 3", "7", "f ٣"]


@pytest.mark.parametrize("line", [*MALFORMED, "f " + "9" * 30])
def test_a_malformed_line_is_told_by_its_number_and_the_rest_is_read(line: str) -> None:
    profile = parse_folded(f"a;b 1\n\n{line}\na;b 2\n")
    assert profile.stacks == {frames("a", "b"): 3}
    assert profile.notes == (f"1 line could not be read: line 3: {line!r}",)


def test_of_many_malformed_lines_the_first_are_told() -> None:
    profile = parse_folded("a 1\n" + "x\n" * 1000)
    assert profile.notes == (
        "1000 lines could not be read: line 2: 'x'; line 3: 'x'; line 4: 'x'; ...",
    )


@pytest.mark.parametrize("line", MALFORMED)
def test_where_no_line_is_a_stack_it_is_an_error(line: str) -> None:
    with pytest.raises(ParseError, match="no folded stack") as caught:
        parse_folded(f"# a comment\n{line}\n")
    assert caught.value.evidence == f"1 line could not be read: line 2: {line!r}"
    assert caught.value.hint


def test_a_long_malformed_line_is_not_repeated_in_full() -> None:
    with pytest.raises(ParseError) as caught:
        parse_folded("x" * 100_000)
    assert len(caught.value.evidence) < 200


def test_invalid_bytes_are_replaced() -> None:
    assert parse_folded(b"caf\xff;b 1\n").stacks == {frames("caf\ufffd", "b"): 1}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ljava/lang/String;::hash", "Ljava/lang/String:::hash"),
        ("two\nlines\r\x00\x1b[31m", "two?lines???[31m"),
        ("\u2028\u2029\x85", "???"),
        ("\ud800", "?"),
        ("", "[unknown]"),
        ("std::vector<int, a b>::operator+(int) const", None),
        ("naïve 日本", None),
    ],
)
def test_what_the_format_cannot_hold_is_replaced(name: str, written: str | None) -> None:
    assert format_frame(name, FrameKind.USER) == (name if written is None else written)


def test_writing_sorts_and_sums_what_differs_only_in_pid() -> None:
    def of(pid: int) -> Stack:
        return (Frame("api", FrameKind.PROCESS, pid=pid), Frame("main", module="/bin/api"))

    profile = Profile.of({of(2): 5, of(1): 7, (Frame("a"),): 1, (): 2})
    assert write(profile) == b"[unknown] 2\na 1\napi;main 12\n"


def test_stacks_of_thousands_of_frames() -> None:
    stack = tuple(Frame(f"f{depth}") for depth in range(5000))
    profile = Profile.of({stack: 1})
    assert parse_folded(write(profile)).stacks == profile.stacks


NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(
        lambda name: not any(char in name for char in ";\u2028\u2029")
    ),
    st.sampled_from(
        ["main", "std::map<int, int>::at", "operator new", "[unknown", "a_[", "1", " "]
    ),
)
KINDS = st.sampled_from([FrameKind.USER, *ANNOTATIONS])


def is_plain(frame: Frame) -> bool:
    """Whether reading gives the frame back: no user function looks like another kind."""
    bracketed = frame.name.startswith(("[", "0x"))
    return not bracketed and not frame.name.endswith(tuple(ANNOTATIONS.values()))


FRAMES = st.tuples(NAMES, KINDS).map(lambda parts: Frame(*parts)).filter(is_plain)
STACKS = st.lists(FRAMES, min_size=1, max_size=6).map(tuple)


@given(st.dictionaries(STACKS, st.integers(1, 2**63)))
def test_what_is_written_is_read_again(stacks: dict[Stack, int]) -> None:
    assert parse_folded(write(Profile.of(stacks))).stacks == stacks


@given(
    st.dictionaries(
        st.lists(st.builds(Frame, st.text(), st.sampled_from(FrameKind))).map(tuple),
        st.integers(1, 2**40),
    )
)
def test_any_profile_is_written_so_that_it_can_be_read(stacks: dict[Stack, int]) -> None:
    profile = Profile.of(stacks)
    data = write(profile)
    again = parse_folded(data)
    assert again.total == profile.total
    assert write(again) == data


@given(st.one_of(st.binary(), st.text()))
def test_any_input_is_parsed_or_refused(data: bytes | str) -> None:
    try:
        profile = parse_folded(data)
    except ParseError:
        return
    assert all(weight > 0 for weight in profile.stacks.values())
