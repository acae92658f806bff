"""What py-spy and austin write: their names, their weights, their other lines, and any bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse.austin import parse_austin, recognises_austin
from remote_prof.parse.pyspy import parse_pyspy, recognises_pyspy
from remote_prof.profile.model import Frame, FrameKind

P, PY, U, N = FrameKind.PROCESS, FrameKind.INTERPRETED, FrameKind.USER, FrameKind.UNRESOLVED


@pytest.mark.parametrize(
    ("name", "frame", "kept"),
    [
        ("leaf (app.py:4)", Frame("leaf", PY, "app.py"), "leaf (app.py:4)"),
        ("leaf (a (b)/app.py:4)", Frame("leaf (a (b)/app.py:4)"), "leaf (a (b)/app.py:4)"),
        ("leaf (a/app.py)", Frame("leaf", PY, "a/app.py"), "leaf"),
        ("f (<string>:1)", Frame("f", PY, "<string>"), "f (<string>:1)"),
        ("<module> (a/b.py:4)", Frame("<module> (b.py)", PY, "a/b.py"), "<module> (b.py:4)"),
        ("A.<lambda> (b.py:4)", Frame("A.<lambda>", PY, "b.py"), "A.<lambda> (b.py:4)"),
        ("mul (fast.pyx:7)", Frame("mul", U, "fast.pyx"), "mul (fast.pyx:7)"),
        ("fseeko64 (libc.so.6)", Frame("fseeko64", U, "libc.so.6"), "fseeko64"),
        ("std::f(int) (x.so)", Frame("std::f(int)", U, "x.so"), "std::f(int)"),
        ("0x7f8d (libcrypto.so.3)", Frame("[libcrypto.so.3]", N, "libcrypto.so.3"), "0x7f8d"),
        ("0x52c0e5 (?)", Frame("[unknown]", N), "0x52c0e5"),
        ("f (?)", Frame("f"), "f"),
        ("plain", Frame("plain"), "plain"),
        ("thread (8): hasher", Frame("hasher", P), "hasher"),
        ("thread (0x7F00)", Frame("thread (0x7F00)", P), "thread (0x7F00)"),
        ('process 12:"python a b.py"', Frame("python a b.py", P, pid=12), "python a b.py"),
        ('process 12:""', Frame('process 12:""', P, pid=12), 'process 12:""'),
    ],
)
def test_names_of_py_spy(name: str, frame: Frame, kept: str) -> None:
    line = f"{name} 3\n".encode()
    assert parse_pyspy(line).stacks == {(frame,): 3}
    ((offset,),) = parse_pyspy(line, keep_offsets=True).stacks
    assert offset.name == kept


def test_a_command_line_may_hold_what_stands_between_frames() -> None:
    data = (
        b'process 1:"sh -c "a; b"";process 2:"python -c import os; f()";f (a.py:1) 3\n'
        b'process 1:"sh -c "a; b"" 2\n'
    )
    shell = Frame('sh -c "a: b"', P, pid=1)
    python = Frame("python -c import os: f()", P, pid=2)
    assert parse_pyspy(data).stacks == {
        (shell, python, Frame("f", PY, "a.py")): 3,
        (shell,): 2,
    }


def test_messages_of_py_spy_are_no_stacks() -> None:
    data = (
        b"py-spy> Sampling process 99 times a second for 3 seconds.\r\n\r\n"
        b"f (a.py:1) 3\r\nodd\r\npy-spy> Wrote raw data. Samples: 3 Errors: 0\r\n"
    )
    profile = parse_pyspy(data)
    assert profile.stacks == {(Frame("f", PY, "a.py"),): 3}
    assert profile.notes == ("1 line could not be read: line 4: 'odd'",)


@pytest.mark.parametrize(
    ("name", "frame", "kept"),
    [
        ("P12", Frame("process 12", P, pid=12), "process 12"),
        ("T0:8", Frame("thread 8", P), "thread 8"),
        ("T140", Frame("thread 140", P), "thread 140"),
        ("T0x7f00", Frame("thread 0x7f00", P), "thread 0x7f00"),
        ("T0:MainThread", Frame("MainThread", P), "MainThread"),
        ("/a b/app.py:leaf:4", Frame("leaf", PY, "/a b/app.py"), "leaf (app.py:4)"),
        ("C:/x:y/app.py:leaf:4", Frame("leaf", PY, "C:/x:y/app.py"), "leaf (app.py:4)"),
        ("a.py:<module>:4", Frame("<module> (a.py)", PY, "a.py"), "<module> (a.py:4)"),
        ("native@7f00:__clone:64", Frame("__clone"), "__clone"),
        ("native@7f00::64", Frame("[unknown]", N), "[unknown]"),
        ("kernel:do_idle:0", Frame("do_idle", FrameKind.KERNEL), "do_idle"),
        (":GC:", Frame("[GC]"), "[GC]"),
        (":INVALID:", Frame("[INVALID]", N), "[INVALID]"),
        ("::", Frame("[unknown]", N), "[unknown]"),
        ("x", Frame("x"), "x"),
    ],
)
def test_names_of_austin(name: str, frame: Frame, kept: str) -> None:
    line = f"{name} 3\n".encode()
    assert parse_austin(line).stacks == {(frame,): 3}
    ((line_kept,),) = parse_austin(line, keep_offsets=True).stacks
    assert line_kept.name == kept


STACK = b"P1;T0:8;a.py:f:1"


@pytest.mark.parametrize(
    ("lines", "total", "unit"),
    [
        (b"# mode: wall\n" + STACK + b" 10\n" + STACK + b" 5\n", 15, "us"),
        (b"# mode: cpu\n" + STACK + b" 10\n# count: 7\n", 10, "us"),
        (b"# mode: memory\n" + STACK + b" 4096\n", 4096, "bytes"),
        (b"# mode: full\n" + STACK + b" 10,1,-512\n" + STACK + b" 20,0,99\n", 30, "us"),
        (STACK + b" 10\r\n", 10, "us"),
    ],
)
def test_weights_of_austin_are_times_or_bytes(lines: bytes, total: int, unit: str) -> None:
    profile = parse_austin(lines)
    assert (profile.total, profile.unit, profile.notes) == (total, unit, ())


def test_memory_that_is_given_back_is_told() -> None:
    profile = parse_austin(b"# mode: memory\n" + STACK + b" 4096\n" + STACK + b" -512\nodd\n")
    assert profile.total == 4096
    assert profile.notes == (
        "1 samples with a weight below zero are left out",
        "1 line could not be read: line 4: 'odd'",
    )


def test_metadata_alone_is_an_empty_profile() -> None:
    profile = parse_austin(b"# austin: 4.0.0\n# interval: 10000\n# count: 0\n")
    assert (profile.stacks, profile.tool) == ({}, "austin 4.0.0")


@pytest.mark.parametrize("parse", [parse_pyspy, parse_austin])
def test_where_no_line_is_a_stack_it_is_an_error(parse: type[object]) -> None:
    with pytest.raises(ParseError, match="no folded stack"):
        parse(b"hello\nworld\n")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "head", [b"a;b 1\n", b"main (x);f 1\n", b"P1 3\n", b"a (b) 3\n", b"# x: y\n"]
)
def test_other_folded_stacks_are_not_theirs(head: bytes) -> None:
    assert not recognises_pyspy(head)
    assert not recognises_austin(head)


FUNCTIONS = st.sampled_from(["main", "A.run", "<genexpr>", "f.<locals>.g", "ü"])
FILES = st.sampled_from(["app.py", "/srv/a b/app.py", "<string>", "lib/x.pyx"])
STACKS = st.lists(st.tuples(FUNCTIONS, FILES, st.integers(1, 9999)), min_size=1, max_size=5)


@given(st.lists(st.tuples(STACKS, st.integers(1, 2**40)), min_size=1, max_size=5))
def test_both_say_the_same_of_the_same_stacks(
    samples: list[tuple[list[tuple[str, str, int]], int]],
) -> None:
    spied = "".join(
        ";".join(f"{function} ({file}:{line})" for function, file, line in stack) + f" {weight}\n"
        for stack, weight in samples
    )
    austin = "".join(
        "P7;T1;" + ";".join(f"{file}:{function}:{line}" for function, file, line in stack)
        + f" {weight}\n"
        for stack, weight in samples
    )  # fmt: skip
    for keep in (False, True):
        one = parse_pyspy(spied.encode(), keep_offsets=keep)
        other = parse_austin(austin.encode(), keep_offsets=keep)
        assert {stack[2:]: weight for stack, weight in other.stacks.items()} == one.stacks
        assert one.total == sum(weight for _, weight in samples)


PIECES = st.sampled_from(
    [
        b'process 1:"',
        b'";',
        b"P1;T0:8;",
        b"a.py:f:1",
        b"f (a.py:1)",
        b" 7\n",
        b"# mode: full\n",
        b",",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=6)).map(b"".join))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert parse_pyspy(data).total >= 0
    with contextlib.suppress(ParseError):
        assert parse_austin(data).total >= 0
