"""Dumps of threads and heaps: what their texts mean, whatever stands in them."""

from __future__ import annotations

import time

import pytest

from remote_prof.errors import ParseError
from remote_prof.parse.java_heap import parse_java_heap
from remote_prof.parse.java_threads import parse_java_threads
from remote_prof.parse.pyspy_dump import parse_pyspy_dump
from remote_prof.profile import limits
from remote_prof.profile.model import Frame, FrameKind, Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.profile.summary import merge

STATE = "   java.lang.Thread.State: "


def names(profile: Profile) -> dict[tuple[str, ...], int]:
    return {tuple(frame.name for frame in stack): n for stack, n in profile.stacks.items()}


def java(*threads: str) -> bytes:
    return ("Full thread dump OpenJDK 64-Bit Server VM (17):\n\n" + "\n".join(threads)).encode()


def thread(name: str, *frames: str, state: str = "RUNNABLE") -> str:
    lines = [f'"{name}" #1 prio=5 os_prio=0 tid=0x00007f2e nid=0x8 runnable  [0x0]', STATE + state]
    return "\n".join([*lines, *frames, ""])


def test_java_methods_have_kinds_and_modules() -> None:
    (stack,) = parse_java_threads(
        java(
            thread(
                "main",
                "\tat java.lang.Object.wait(java.base@17.0.19/Native Method)",
                "\t- waiting on <0x000000068d8fd670> (a java.lang.Thread)",
                "\tat java.lang.Thread.join(java.base@17.0.19/Thread.java:1313)",
                "\tat App$$Lambda$4/0x00007f2dbc000c28.run(Unknown Source)",
                "\tat App.<init>(App.java:13)",
                state="TIMED_WAITING (on object monitor)",
            )
        )
    ).stacks
    assert stack == (
        Frame("main (TIMED_WAITING)", FrameKind.PROCESS),
        Frame("App.<init>", FrameKind.JIT),
        Frame("App$$Lambda$4.run", FrameKind.JIT),
        Frame("java.lang.Thread.join", FrameKind.JIT, "java.base"),
        Frame("java.lang.Object.wait", FrameKind.USER, "java.base"),
    )


def test_java_lines_are_kept_on_request() -> None:
    dump = java(thread("main", "\tat App.a(App.java:13)", "\tat App.b(Unknown Source)"))
    assert list(names(parse_java_threads(dump, keep_offsets=True))) == [
        ("main (RUNNABLE)", "App.b", "App.a:13")
    ]


def test_threads_of_the_same_name_add_up() -> None:
    one = thread("worker", "\tat A.b(A.java:1)")
    assert names(parse_java_threads(java(one, one))) == {("worker (RUNNABLE)", "A.b"): 2}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('say "hi" #2 tid=0x1', 'say "hi" #2 tid=0x1'),
        ("", "thread"),
        ("a\nb", "b"),
        ("a\n@@ end 0\nb", "b"),
        ("\u2028x\u0085", "\u2028x\u0085"),
    ],
)
def test_a_thread_may_be_called_anything(name: str, shown: str) -> None:
    found = parse_java_threads(
        java(thread("before", "\tat A.a(A.java:1)"), thread(name, "\tat A.b(A.java:1)"))
    )
    assert names(found) == {
        ("before (RUNNABLE)", "A.a"): 1,
        (f"{shown} (RUNNABLE)", "A.b"): 1,
    }


def test_what_has_no_method_is_left_out() -> None:
    vm = '"VM Thread" os_prio=0 cpu=0.82ms tid=0x00007fc8 nid=6219 runnable  \n'
    found = parse_java_threads(java(thread("C2 CompilerThread0", "   No compile task"), vm))
    assert found.weights == {}


def test_classes_are_called_as_in_java() -> None:
    found = parse_java_heap(
        b""" num     #instances         #bytes  class name (module)
-------------------------------------------------------
   1:          2667         129616  [B (java.base@17.0.19)
   2:             3             72  [[Lcom.shop.Order$Line;
   3:             3              8  com.shop.Order
   4:             1              8  com.shop.Order
   5:             2             16  App$$Lambda/0x0000000086040210 (app@1)
   6:             1              4  [Z
   7:             1              4  [L
   8:             1              4  [
Total          2680         129732
"""
    )
    assert names(found) == {
        ("byte[]",): 129616,
        ("com.shop.Order$Line[][]",): 72,
        ("com.shop.Order",): 16,
        ("App$$Lambda",): 16,
        ("boolean[]",): 4,
        ("L[]",): 4,
        ("[]",): 4,
    }
    assert {frame.module for frame in found.frames} == {"java.base", "app", None}
    assert (found.unit, found.whole_stacks) == ("bytes", True)


def test_children_of_interpreters_may_come_in_circles() -> None:
    found = parse_pyspy_dump(
        b"""Process 7: sh -c a
b
Python v3.11.2 (/usr/bin/python3.11)
Parent Process 8: x

Thread 0x7F3 (idle+gil)
    f (a.py:1)

Process 8: \n\
Parent Process 7: y
Thread 9 (active): "a"b" (idle)"
    <module> (a.py)
        Locals:
            x: "Thread 1 (idle): \\"no\\""
Thread 9 (active): "empty"
"""
    )
    assert names(found) == {
        ("x", "sh -c a", "thread (idle+gil)", "f"): 1,
        ("sh -c a", "x", 'a"b" (idle) (active)', "<module> (a.py)"): 1,
        ("sh -c a", "x", "empty (active)"): 1,
    }


@pytest.mark.parametrize("parse", [parse_pyspy_dump, parse_java_threads, parse_java_heap])
def test_nothing_and_nonsense_are_no_threads(parse) -> None:  # type: ignore[no-untyped-def]
    for data in (b"", b"\n", b"\xff\xfe\0", b"    f (a.py:1)\n\tat A.b(A.java:1)\n", b'"' * 9):
        assert parse(data).weights == {}


def test_10000_threads_are_read_in_a_moment() -> None:
    frames = [f"\tat com.shop.Service{depth}.call(Service.java:{depth})" for depth in range(50)]
    dump = java(*(thread(f"worker-{number}", *frames) for number in range(10_000)))
    begun = time.monotonic()
    found = parse_java_threads(dump)
    assert (found.total, len(found.frames)) == (10_000, 10_050)
    # It takes 1 s; what is quadratic takes hours.
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("parse", [parse_pyspy_dump, parse_java_threads, parse_java_heap])
def test_long_lines_are_read_in_a_moment(parse) -> None:  # type: ignore[no-untyped-def]
    begun = time.monotonic()
    for piece in (b'" tid=0x', b" (", b"    a (", b'Thread 1 (idle): "', b"1: 1 1  [(", b" at a("):
        parse(piece * 200_000)
    assert time.monotonic() - begun < 60


def test_a_stack_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_STACK", 100)
    with pytest.raises(ParseError, match="more than 100 frames"):
        parse_java_threads(java(thread("main", *["\tat A.b(A.java:1)"] * 200)))


def test_short_stacks_that_the_runtime_lists_are_whole() -> None:
    main, leaf = Frame("main", FrameKind.PROCESS), Frame("leaf", FrameKind.INTERPRETED)
    walked = Profile.of({(main, leaf): 7})
    listed = Profile.of({(main, leaf): 7}, whole_stacks=True)
    assert measure_quality(walked).shallow_share == 1
    assert measure_quality(listed).shallow_share == 0
    assert merge([listed, listed]).whole_stacks
    assert not merge([listed, walked]).whole_stacks
