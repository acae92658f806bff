"""Formats that are JSON: bpftrace's and speedscope's, damaged ones, and any bytes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.bpftrace_json import parse_bpftrace_json
from remote_prof.parse.speedscope import parse_speedscope
from remote_prof.profile import limits
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render import Report
from remote_prof.render.speedscope import render_speedscope


def bpftrace_line(kind: str, data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode() + b"\n"


@pytest.mark.parametrize("escaped", [False, True], ids=["0.17", "0.23"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("\n    f+1\n    main+2\n", "\n    f+1\n    main+2\n"),
        ("api,22123,\n    f+1\n", "api, 22123, \n    f+1\n"),
        ("7,api,\n    k+1\n,\n    f+1\n", "7, api, \n    k+1\n, \n    f+1\n"),
        ("7,a,b,\n,\n    f+1\n", "7, a,b, \n, \n    f+1\n"),
        ("api,\n    a(int, b),\n    f+1\n", "api, \n    a(int, b), \n    f+1\n"),
        ("\n", "\n"),
    ],
)
def test_keys_are_those_of_the_text_output(key: str, text: str, escaped: bool) -> None:
    given_key = key.replace("\n", "\\n") if escaped else key
    data = bpftrace_line("attached_probes", {"probes": 2})
    data += bpftrace_line("map", {"@": {given_key: 3, "\n    other+1\n": 2}})
    textual = f"Attaching 2 probes...\n@[{text}]: 3\n@[\n    other+1\n]: 2\n"
    for keep in (False, True):
        expected = parse_bpftrace(textual.encode(), keep_offsets=keep)
        assert parse_bpftrace_json(data, keep_offsets=keep).stacks == expected.stacks


def test_our_own_maps_are_added_up_and_losses_told() -> None:
    ours = {"7,api,\n,\n    f+1\n": 3}
    lost = json.dumps({"type": "helper_error", "msg": "Map full; can't update", "retcode": -7})
    data = (
        bpftrace_line("map", {"@stacks_a": ours})
        + bpftrace_line("map", {"@stacks_b": ours})
        + bpftrace_line("hist", {"@h": [{"min": 1, "max": 2, "count": 3}]})
        + 2 * (lost.encode() + b"\n\n")
    )
    profile = parse_bpftrace_json(data)
    assert profile.stacks == {(Frame("api", FrameKind.PROCESS, pid=7), Frame("f")): 6}
    assert (profile.lost, profile.notes) == (2, ("Map full; can't update",))
    assert parse_bpftrace_json(data + bpftrace_line("map", {"@samples": 10})).lost == 4


WHOLE = bpftrace_line("map", {"@": {"\n    f+1\n": 3, "\n    g+1\n": 4, "\n    h+1\n": 5}})


@pytest.mark.parametrize(
    ("data", "names", "note"),
    [
        (b"[1]\n" + WHOLE, "fgh", "line 1: '[1]'"),
        (WHOLE + b"{\n", "fgh", "line 2: '{'"),
        (WHOLE[:-20], "fg", "line 1:"),
        (WHOLE.replace(b": 4", b": 4x"), "fh", "line 1:"),
        (b"\n" + WHOLE + b"[" * 100_000, "fgh", "line 3: '[[["),
    ],
)
def test_of_a_damaged_output_the_rest_is_kept(data: bytes, names: str, note: str) -> None:
    profile = parse_bpftrace_json(data)
    assert {stack[-1].name for stack in profile.stacks} == set(names)
    assert profile.notes[0].startswith(f"1 entry could not be read: {note}")


@pytest.mark.parametrize("weight", [-1, 1.5, True, None, "3", [], 10**30])
def test_what_is_no_weight_is_none(weight: Any) -> None:
    data = bpftrace_line("map", {"@": {"\n    f+1\n": weight, "\n    g+1\n": 4}})
    assert parse_bpftrace_json(data).total == 4


@pytest.mark.parametrize("data", [b"hello\n", b"[]\n", b"{}\n", b'{"type": 3}\n', b"[" * 100_000])
def test_what_bpftrace_does_not_print_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="not bpftrace's JSON output") as raised:
        parse_bpftrace_json(data)
    assert "line 1" in raised.value.evidence


def speedscope(*profiles: Any, frames: Any = ("a", "b", "c"), **more: Any) -> bytes:
    shared = {"frames": [{"name": each} if isinstance(each, str) else each for each in frames]}
    return json.dumps({"shared": shared, "profiles": profiles, **more}).encode()


def sampled(samples: Any, weights: Any, **more: Any) -> dict[str, Any]:
    return {"type": "sampled", "unit": "none", "samples": samples, "weights": weights, **more}


def evented(*events: tuple[str, int, float], **more: Any) -> dict[str, Any]:
    listed = [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events]
    return {"type": "evented", "unit": "none", "events": listed, **more}


def of(*names: str) -> Stack:
    return tuple(Frame(name) for name in names)


def test_samples_are_root_first() -> None:
    profile = parse_speedscope(speedscope(sampled([[0, 1], [0], [0, 1]], [1, 2, 3])))
    assert profile.stacks == {of("a", "b"): 4, of("a"): 2}
    assert (profile.unit, profile.notes) == ("samples", ())


def test_the_time_between_events_is_the_innermost_frame_s() -> None:
    events = evented(
        ("O", 0, 10), ("O", 1, 12), ("C", 1, 15), ("O", 1, 15), ("C", 1, 16), ("C", 0, 20),
        ("O", 2, 30), endValue=37,
    )  # fmt: skip
    profile = parse_speedscope(speedscope(events))
    assert profile.stacks == {of("a"): 6, of("a", "b"): 4, of("c"): 7}
    assert profile.notes == ()


@pytest.mark.parametrize(
    ("unit", "total", "ours"),
    [
        ("none", 2, "samples"),
        ("nanoseconds", 2, "ns"),
        ("microseconds", 2, "us"),
        ("milliseconds", 1_500, "us"),
        ("seconds", 1_500_000, "us"),
        ("bytes", 2, "bytes"),
        ("furlongs", 2, "samples"),
    ],
)
def test_units_become_ours_and_weights_whole(unit: str, total: int, ours: str) -> None:
    profile = parse_speedscope(speedscope(sampled([[0]], [1.5], unit=unit)))
    assert (profile.total, profile.unit) == (total, ours)


def test_several_profiles_are_told_apart_by_their_names() -> None:
    one, two = sampled([[0]], [1], name="Thread 1"), sampled([[0]], [2], name="Thread 2")
    profile = parse_speedscope(speedscope(one, two))
    assert profile.stacks == {
        (Frame(f"Thread {number}", FrameKind.PROCESS), Frame("a")): number for number in (1, 2)
    }


@pytest.mark.parametrize(("active", "unit"), [(None, "bytes"), (1, "samples"), (9, "bytes")])
def test_profiles_of_other_units_are_left_out(active: int | None, unit: str) -> None:
    both = (sampled([[0]], [1], unit="bytes"), sampled([[1]], [1]))
    profile = parse_speedscope(speedscope(*both, activeProfileIndex=active))
    assert (profile.total, profile.unit) == (1, unit)
    assert profile.notes == (f"1 profiles in other units than {unit} are left out",)


def test_a_file_is_the_module_and_a_line_is_kept_on_request() -> None:
    frames = (
        {"name": "f", "file": "/srv/app.py", "line": 4},
        {"name": "main", "file": "/bin/svc", "line": 7, "col": None},
        {"name": "do_idle", "file": "[kernel]"},
        {"name": "[unknown]", "file": "/lib/x.so", "line": None},
    )
    data = speedscope(sampled([[0, 1, 2, 3]], [1]), frames=frames)
    kernel = Frame("do_idle", FrameKind.KERNEL)
    unknown = Frame("[unknown]", FrameKind.UNRESOLVED, "/lib/x.so")
    assert parse_speedscope(data).frames == (
        Frame("f", FrameKind.INTERPRETED, "/srv/app.py"),
        Frame("main", module="/bin/svc"),
        kernel,
        unknown,
    )
    assert [frame.name for frame in parse_speedscope(data, keep_offsets=True).frames] == [
        *("f (app.py:4)", "main (svc:7)", "do_idle", "[unknown]"),
    ]


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (sampled([[0], [9]], [1, 1]), "number 1 of"),
        (sampled([[0], [-1]], [1, 1]), "number 1 of"),
        (sampled([[0], 7], [1, 1]), "number 1 of"),
        (sampled([[0], [[0]]], [1, 1]), "number 1 of"),
        (sampled([[0], "a"], [1, 1]), "number 1 of"),
        (sampled([[0], [0]], [1]), "number 1 of"),
        (sampled([[0]], [1, 1]), "number 1 of"),
        (sampled([[0], [0]], [1, -1]), "number 1 of"),
        (sampled([[0], [0]], [1, float("nan")]), "number 1 of"),
        (sampled([[0], [0]], [1, float("inf")]), "number 1 of"),
        (sampled([[0], [0]], [1, 10**400]), "number 1 of"),
        (sampled([[0], [0]], [1, None]), "number 1 of"),
        (evented(("O", 0, 1), ("C", 1, 1), ("C", 0, 2)), "number 1 of"),
        (evented(("O", 0, 1), ("O", 1, 0), ("C", 0, 2)), "number 1 of"),
        (evented(("O", 0, 1), ("X", 1, 1), ("C", 0, 2)), "number 1 of"),
        (evented(("C", 0, 1), ("O", 0, 1), ("C", 0, 2)), "number 0 of"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_kept(profile: Any, note: str) -> None:
    read = parse_speedscope(speedscope(profile))
    assert read.stacks == {of("a"): 1}
    assert read.notes[0].startswith(f"1 sample or event could not be read: {note}")


@pytest.mark.parametrize(
    "data",
    [
        b"hello", b"{", b"[" * 100_000, b"{}", b"[]", b'{"shared": {"frames": []}}',
        b'{"shared": 3, "profiles": []}', b'{"shared": {"frames": 3}, "profiles": []}',
        speedscope({}), speedscope(3), speedscope(sampled([[9]], [1])),
        speedscope(sampled([[0]], [1]))[:-9],
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError) as raised:
        parse_speedscope(data)
    assert "speedscope" in raised.value.what
    assert raised.value.hint


def test_a_file_without_profiles_is_empty() -> None:
    assert parse_speedscope(speedscope()).stacks == {}


def test_weights_below_a_half_are_told() -> None:
    profile = parse_speedscope(speedscope(sampled([[0], [1]], [0.2, 3])))
    assert profile.stacks == {of("b"): 3}
    assert profile.notes == ("1 stacks that weigh less than half of the unit are left out",)


def test_deep_stacks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = evented(*(("O", 0, number) for number in range(limits.LONGEST_STACK + 1)))
    with pytest.raises(ParseError, match="frames in one stack"):
        parse_speedscope(speedscope(opened))
    with pytest.raises(ParseError, match="frames in one stack"):
        parse_speedscope(speedscope(sampled([[0] * (limits.LONGEST_STACK + 1)], [1])))
    monkeypatch.setattr(limits, "MOST_FRAMES", 1000)
    with pytest.raises(ParseError, match="frames in all stacks"):
        parse_speedscope(speedscope(evented(*(("O", 0, number) for number in range(100)))))


NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda name: name[:1] not in "[0" and not name.endswith(("_[k]", "_[i]", "_[j]"))
)
FRAMES = st.tuples(NAMES, st.just(FrameKind.USER), st.sampled_from([None, "/bin/svc"])).map(
    lambda parts: Frame(*parts)
)
STACKS = st.dictionaries(st.lists(FRAMES, max_size=5).map(tuple), st.integers(1, 2**50), max_size=5)


@given(STACKS, st.sampled_from(["samples", "us", "ns", "bytes"]))
def test_what_we_write_is_read_again(stacks: dict[Stack, int], unit: str) -> None:
    profile = Profile.of(stacks, unit=unit)
    data = render_speedscope(Report(profile, measure_quality(profile), "title"))
    again = parse_speedscope(data)
    assert (again.stacks, again.unit, again.notes) == (stacks, unit, ())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.sampled_from(["a", "O"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["frames", "profiles", "name", "samples", "weights", "events", "type", "at", "frame"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(VALUES, VALUES, VALUES)
def test_any_document_is_parsed_or_refused(one: Any, two: Any, three: Any) -> None:
    shared = {"frames": [{"name": "a"}]}
    documents = (
        {"shared": {"frames": one}, "profiles": two},
        {"shared": shared, "profiles": [{"samples": one, "weights": two}, three]},
        {"shared": shared, "profiles": [{"events": [one, two, three]}, one]},
        one,
    )  # fmt: skip
    for document in documents:
        with contextlib.suppress(ParseError):
            assert parse_speedscope(json.dumps(document).encode()).total >= 0
        with contextlib.suppress(ParseError):
            assert parse_bpftrace_json(bpftrace_line("map", {"@": document})).total >= 0
