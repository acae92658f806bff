from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.bpftrace_keys import Stacks
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.summary import merge

API = Frame("api-worker", FrameKind.PROCESS, pid=1234)
KERNEL_HEX = Frame("[kernel]", FrameKind.UNRESOLVED, module="[kernel]")
CUT = Frame("[truncated]", FrameKind.TRUNCATED)
WRITE = Frame("vfs_write", FrameKind.KERNEL)

OURS = b"""\
# bpftrace v0.23.2
@@ sampling
@stacks_a[1234, api-worker,\x20
        vfs_write+1
,\x20
        write+2
        main+3
]: 17
@stacks_a[1234, api-worker,\x20
,\x20
        work+20
        main+3
]: 3
@samples: 20
@odd: 0
@stacks_b[1234, api-worker,\x20
,\x20
        work+24
        main+3
]: 4
@stacks_b[99, api-worker,\x20
        vfs_write+7
,\x20
]: 1
@@ end
@samples: 30
@odd: 2
"""


def parse_text(text: str, stacks: Stacks = Stacks.BOTH) -> Profile:
    return parse_bpftrace(dedent(text).encode(), stacks=stacks)


def user(*names: str) -> Stack:
    return tuple(Frame(name) for name in names)


def test_our_own_output() -> None:
    profile = parse_bpftrace(OURS, frequency_hz=99)
    assert profile == Profile.of(
        {
            (API, Frame("main"), Frame("write"), WRITE): 17,
            (API, Frame("main"), Frame("work")): 7,
            (API._replace(pid=99), WRITE): 1,
        },
        frequency_hz=99,
        max_depth=127,
        lost=5,
        tool="bpftrace v0.23.2",
    )


WOKEN = """\
# bpftrace v0.23.2
# unit: us
# extra: waker
@@ sampling
@stacks_a[7, svc, swapper/0, 0,\x20
        try_to_wake_up+1
        hrtimer_wakeup+2
,\x20
]: 30
@stacks_a[7, svc, a, b, 19,\x20
        try_to_wake_up+1
,\x20
        unlock+2
        main+3
]: 12
"""


def test_who_woke_a_process_stands_below_it() -> None:
    profile = parse_bpftrace(WOKEN.encode())
    svc = Frame("svc", FrameKind.PROCESS, pid=7)
    wake = Frame("try_to_wake_up", FrameKind.KERNEL)
    assert profile.unit == "us"
    assert profile.stacks == {
        (
            svc,
            Frame("woken by swapper/0", FrameKind.PROCESS),
            Frame("hrtimer_wakeup", FrameKind.KERNEL),
            wake,
        ): 30,
        (svc, Frame("woken by a, b", FrameKind.PROCESS), *user("main", "unlock"), wake): 12,
    }


def called(machine: str, number: str) -> Profile:
    text = f"# extra: syscall {machine}\n@@ sampling\n"
    for offset, weight in ((4, 3), (8, 2)):
        text += f"@stacks_a[7, svc, {number}, \n\n, \n        ask+{offset}\n]: {weight}\n"
    return parse_bpftrace(text.encode())


@pytest.mark.parametrize(
    ("machine", "number", "name"),
    [
        ("x86_64", "110", "sys_getppid"),
        ("aarch64", "173", "sys_getppid"),
        ("armv7l", "64", "sys_getppid"),
        ("x86_64", "999999", "sys_999999"),
        ("x86_64", "-1", "sys_-1"),
        ("pdp11", "110", "sys_110"),
    ],
)
def test_system_calls_are_the_leaves_by_their_names(machine: str, number: str, name: str) -> None:
    svc = Frame("svc", FrameKind.PROCESS, pid=7)
    leaf = Frame(name, FrameKind.KERNEL)
    assert called(machine, number).stacks == {(svc, *user("ask"), leaf): 5}


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("# unit: bytes", "bytes"),
        ("# unit: Bytes", "samples"),
        ("# unit: a b", "samples"),
        ("# extra: syscall", "samples"),
        ("# extra: waker now", "samples"),
        ("# extra: nonesuch", "samples"),
    ],
)
def test_odd_headers_change_nothing(header: str, unit: str) -> None:
    profile = parse_bpftrace(header.encode() + b"\n" + OURS)
    plain = parse_bpftrace(OURS)
    assert (profile.unit, profile.stacks) == (unit, plain.stacks)


def test_the_same_from_a_terminal() -> None:
    assert parse_bpftrace(OURS.replace(b"\n", b"\r\n")) == parse_bpftrace(OURS)


def test_0_17_prints_nothing_for_a_stack_that_is_empty() -> None:
    profile = parse_text("""\
        @@ sampling
        @stacks_a[1234, api-worker, , \n            work+20
            main+3
        ]: 3
        @stacks_a[1234, api-worker, \n            vfs_write+1
        , ]: 4
        @stacks_a[1234, api-worker, , ]: 5
        @@ end
    """)
    assert profile.stacks == {
        (API, Frame("main"), Frame("work")): 3,
        (API, WRITE): 4,
        (API,): 5,
    }
    assert profile.notes == ()


@pytest.mark.parametrize(
    ("stacks", "frame"),
    [(Stacks.USER, Frame("f")), (Stacks.KERNEL, Frame("f", FrameKind.KERNEL))],
)
def test_a_program_with_one_stack(stacks: Stacks, frame: Frame) -> None:
    text = """\
        @stacks_a[1234, api-worker, \n                f+1
        ]: 3
        @stacks_a[1234, api-worker, \n        ]: 2
        @stacks_b[1234, api-worker, ]: 1
    """
    assert parse_text(text, stacks).stacks == {(API, frame): 3, (API,): 3}


@pytest.mark.parametrize(
    ("header", "root"),
    [
        ("", ()),
        ("api-worker, ", (API._replace(pid=None),)),
        ("1234, api-worker, ", (API,)),
        ("api-worker, 77, ", (API._replace(pid=None),)),
        ("api-worker, 77, 78, ", (API._replace(pid=None),)),
        ("1234, ", (Frame("1234", FrameKind.PROCESS, pid=1234),)),
        ("a, b [c]: 5, ", (Frame("a, b [c]: 5", FrameKind.PROCESS),)),
    ],
)
def test_keys_of_other_programs(header: str, root: Stack) -> None:
    profile = parse_text(f"@[{header}\n    f+1\n    main+2\n]: 9\n")
    assert profile.stacks == {(*root, *user("main", "f")): 9}


@pytest.mark.parametrize(
    "comm", ["a, b", "x]: 5", "[k]", "Web Content", "12", "ü", "a,", "@[", "a\nb"]
)
def test_any_comm(comm: str) -> None:
    text = f"@stacks_a[7, {comm}, \n        vfs_write+1\n, \n        f+1\n]: 2\n"
    ((stack, weight),) = parse_bpftrace(text.encode()).stacks.items()
    assert weight == 2
    assert stack == (
        Frame(comm.replace("\n", " "), FrameKind.PROCESS, pid=7),
        Frame("f"),
        WRITE,
    )


def test_scalar_keys_may_follow_the_stack() -> None:
    assert parse_text("@x[\n    f+1\n, api-worker]: 2\n").stacks == {
        (API._replace(pid=None), Frame("f")): 2
    }


def test_only_the_first_of_several_maps_is_read_unless_they_are_ours() -> None:
    profile = parse_text("@n[\n    f+1\n]: 1\n@bytes[\n    f+1\n]: 64\n@h: \n[1]  2 |@@|\n")
    assert profile.stacks == {user("f"): 1}
    assert profile.notes == ("the map @bytes holds stacks too and is left out",)


def test_a_lone_kernel_stack_is_told_by_its_addresses() -> None:
    profile = parse_text("@[\n    0xffffffff81000130\n    0xffffffff821ed511\n]: 1\n")
    assert profile.stacks == {(KERNEL_HEX, KERNEL_HEX): 1}


def test_stacks_at_the_depth_limit_are_cut_below_their_process() -> None:
    def printed(depth: int) -> bytes:
        lines = "".join(f"        f{level}+1\n" for level in range(depth))
        return f"@stacks_a[1234, api-worker, \n, \n{lines}]: 1\n".encode()

    (whole,) = parse_bpftrace(printed(126)).stacks
    (cut,) = parse_bpftrace(printed(127)).stacks
    assert whole[:2] == (API, Frame("f125"))
    assert cut[:3] == (API, CUT, Frame("f126"))
    (shorter,) = parse_bpftrace(printed(10), max_depth=10).stacks
    assert shorter[1] == CUT


def test_stacks_of_thousands_of_frames() -> None:
    lines = "".join(f"        f{level}+1\n" for level in range(5000))
    profile = parse_bpftrace(f"@[\n{lines}]: 1\n".encode(), max_depth=10_000)
    assert len(next(iter(profile.stacks))) == 5000


FULL = b"""\
stdin:1:46-53: WARNING: Map full; can't update element. Try increasing max_map_keys config
Additional Info - helper: map_update_elem, retcode: -7
@stacks_a[pid, comm, kstack, ustack] = count();
~~~~~~~
"""


def test_warnings_between_entries_are_counted_and_skipped() -> None:
    entry = b"@stacks_a[1234, api-worker, \n, \n        f+1\n]: 4\n"
    raw = b"@@ sampling\n" + FULL + entry + FULL * 2 + entry + b"@@ end\n"
    profile = parse_bpftrace(raw)
    assert profile.stacks == {(API, Frame("f")): 8}
    assert profile.lost == 3
    assert profile.notes == ("Map full; can't update element. Try increasing max_map_keys config",)


def test_a_count_of_all_samples_is_better_than_the_warnings() -> None:
    entry = b"@stacks_a[1234, api-worker, \n, \n        f+1\n]: 4\n"
    assert parse_bpftrace(FULL + entry + b"@samples: 6\n").lost == 2
    assert parse_bpftrace(entry + b"@samples: 3\n").lost == 0


def test_harmless_complaints_are_no_notes_and_others_come_once() -> None:
    raw = (
        b"ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK for bpftrace.\n"
        b"WARNING: something odd\nWARNING: something odd\n"
        b"Attaching 2 probes...\n@[\n    f+1\n]: 1\n"
    )
    assert parse_bpftrace(raw).notes == ("something odd",)


@pytest.mark.parametrize(
    "attached", ["Attaching 2 probes...", "Attaching 1 probe...", "Attached 3 probes"]
)
def test_no_samples_are_an_empty_profile(attached: str) -> None:
    assert parse_bpftrace(f"{attached}\n\n\n".encode()).stacks == {}
    assert parse_bpftrace(b"@@ sampling\n@@ end\n") == Profile.of({}, max_depth=127)
    assert parse_bpftrace(b"@samples: 0\n").stacks == {}


@pytest.mark.parametrize(
    ("raw", "evidence"),
    [
        (b"", "it is empty"),
        (b"ERROR: : No such process\n", "ERROR: : No such process"),
        (
            b"# bpftrace v0.17.0\nstdin:1:1-2: ERROR: Unknown identifier\nfoo\n",
            "Unknown identifier",
        ),
        (b"main;f 5\n", "main;f 5"),
        (b"@home\n", "@home"),
    ],
)
def test_what_is_no_output_is_refused(raw: bytes, evidence: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_bpftrace(raw)
    assert evidence in caught.value.evidence
    assert "Attaching" in caught.value.what


def test_json_is_refused_with_the_way_out() -> None:
    with pytest.raises(ParseError) as caught:
        parse_bpftrace(b'{"type": "map", "data": {"@": {"\\n    f+1\\n": 1}}}\n')
    assert "-f json" in caught.value.hint


def test_every_cut_keeps_the_complete_entries_and_says_so() -> None:
    whole = parse_bpftrace(OURS)
    for end in range(OURS.index(b"@stacks_a") + 1, len(OURS)):
        cut = parse_bpftrace(OURS[:end])
        complete = OURS[:end].rpartition(b"\n")[0].count(b"\n]: ")
        assert sum(cut.stacks.values()) <= whole.total
        assert len(cut.stacks) <= complete
        for stack, weight in cut.stacks.items():
            assert weight <= whole.stacks[stack]
        if b"@@ end" not in OURS[:end]:
            assert "the output ends before the end of the run" in cut.notes


def test_a_number_without_its_line_break_may_be_cut() -> None:
    profile = parse_bpftrace(b"@[\n    f+1\n]: 5\n@[\n    g+1\n]: 12")
    assert profile.stacks == {user("f"): 5}
    assert profile.notes == ("the output is cut in the middle of an entry",)


@pytest.mark.parametrize(
    "damage", [b"@[\n    g+1\n", b"@[\n    g+1\n]: x\n", b"@[\n    g+1\n]: " + b"9" * 99 + b"\n"]
)
def test_damaged_entries_are_skipped_and_counted(damage: bytes) -> None:
    profile = parse_bpftrace(b"Attaching 2 probes...\n\n" + damage + b"@[\n    f+1\n]: 5\n")
    assert profile.stacks == {user("f"): 5}
    assert profile.notes == ("1 entry could not be read: line 3: '@['",)


class Entry(NamedTuple):
    pid: int
    comm: str
    kernel: tuple[str, ...]
    user: tuple[str, ...]
    weight: int


COMMS = st.sampled_from(
    ["api-worker", "a, b", "[k]", "Web Content", "9", "x]: 5", "ü", "VM Periodic Tas"]
)
NAMES = st.sampled_from(["main", "a+b", "ns::f(int, std::vector<int> const&)", "operator+", "x y"])
ENTRIES = st.builds(
    Entry,
    st.integers(1, 2**22),
    COMMS,
    st.lists(NAMES, max_size=3).map(tuple),
    st.lists(NAMES, max_size=3).map(tuple),
    st.integers(1, 2**40),
)


def print_old(entry: Entry, name: str) -> str:
    """An entry as 0.17 prints it."""
    kernel, users = (
        "\n" + "".join(f"    {frame}+1\n" for frame in frames) if frames else ""
        for frames in (entry.kernel, entry.user)
    )
    return f"@{name}[{entry.pid}, {entry.comm}, {kernel}, {users}]: {entry.weight}\n"


def print_new(entry: Entry, name: str) -> str:
    """An entry as 0.23 prints it."""
    kernel, users = (
        "\n" + "".join(f"        {frame}+1\n" for frame in frames)
        for frames in (entry.kernel, entry.user)
    )
    return f"@{name}[{entry.pid}, {entry.comm}, {kernel}, {users}]: {entry.weight}\n"


@pytest.mark.parametrize("print_entry", [print_old, print_new])
@given(entries=st.lists(ENTRIES, max_size=5))
def test_what_bpftrace_prints_is_read(
    print_entry: Callable[[Entry, str], str], entries: list[Entry]
) -> None:
    text = "@@ sampling\n"
    expected: dict[Stack, int] = {}
    for number, entry in enumerate(entries):
        text += print_entry(entry, "stacks_ab"[: 8 + number % 2])
        stack = (
            Frame(entry.comm, FrameKind.PROCESS, pid=entry.pid),
            *(Frame(name) for name in reversed(entry.user)),
            *(Frame(name, FrameKind.KERNEL) for name in reversed(entry.kernel)),
        )
        expected[stack] = expected.get(stack, 0) + entry.weight
    profile = parse_bpftrace((text + "@@ end\n").encode())
    assert profile.stacks == expected
    assert profile.notes == ()


FRAGMENTS = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b"@",
            b"@[",
            b"@stacks_a[",
            b"12, api, ",
            b", ",
            b"\n, ",
            b"]: ",
            b"\n]: ",
        ),
        *(b"    f+1", b"\t7f x (y)", b"7fd7", b"0xffffffff81000130", b"+9", b"(", b")", b"\xff"),
        *(b"17\n", b"@@ sampling\n", b"@@ end\n", b"@samples: 5\n", b"Attaching 2 probes...\n"),
        b"WARNING: Map full; can't update element\n",
    ]
)


@given(st.one_of(st.binary(), st.lists(FRAGMENTS, max_size=40).map(b"".join)))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    for stacks in Stacks:
        try:
            profile = parse_bpftrace(raw, stacks=stacks)
        except ParseError:
            return
        assert all(weight > 0 for weight in profile.stacks.values())
        assert all(stack for stack in profile.stacks)


_FIRST_LINES = ["", "7, a, ", "7, a, , ", "7, , ", "a, ", ", ", "7, b", "[", "8, @[, "]
_LINES = [
    "    f+1",
    "\tffff f+1 (/x)",
    "    f+2",
    "    ",
    "",
    ", ",
    ",",
    ", x",
    "7f12",
    "]: 3",
    "a, ",
]
_ENTRIES = st.builds(
    lambda first, lines, end: f"@stacks_a[{first}\n" + "".join(f"{x}\n" for x in lines) + end,
    st.sampled_from(_FIRST_LINES),
    st.lists(st.sampled_from(_LINES), max_size=5),
    st.sampled_from(["]: 1\n", "]: 2\n", ", ]: 1\n", ", 9]: 1\n", "]: 1\nWARNING: w\n", "]: x\n"]),
)


@given(
    st.lists(_ENTRIES, min_size=1, max_size=8), st.sampled_from(Stacks), st.sampled_from([3, 127])
)
def test_an_entry_is_read_as_if_none_like_it_had_been_read(
    entries: list[str], stacks: Stacks, max_depth: int
) -> None:
    def parse(text: str) -> Profile:
        return parse_bpftrace(text.encode(), stacks=stacks, max_depth=max_depth)

    whole, alone = parse("".join(entries)), list(map(parse, entries))
    assert whole.stacks == merge(alone).stacks
    assert whole.frames == merge(alone).frames


def test_of_two_versions_the_one_that_took_the_other_s_place_is_the_tool() -> None:
    raw = b"""# bpftrace v0.23.2
WARNING: bpftrace v0.23.2 could not begin: the other bpftrace of the image takes its place
# bpftrace v0.17.0
Attaching 4 probes...
@@ sampling
@stacks_a[7, svc, ,\x20
    hot_leaf+1
    main+2
]: 3
@@ end 0
"""
    profile = parse_bpftrace(raw)
    assert (profile.tool, profile.total) == ("bpftrace v0.17.0", 3)
    assert any("could not begin" in note for note in profile.notes)
