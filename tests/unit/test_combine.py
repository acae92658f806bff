"""What several profilers saw at the same time, in one profile."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.combine import Inside, combine
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack

HOST_PIDS = {1: 4001, 7: 4007}


def process(name: str, pid: int | None) -> Frame:
    return Frame(name, FrameKind.PROCESS, pid=pid)


def stack(root: Frame, *names: str) -> Stack:
    return (root, *(Frame(name) for name in names))


SVC, PYTHON = process("svc", 4009), process("python3", 4001)
WHOLE = Profile.of(
    {
        stack(SVC, "main", "hot"): 30,
        stack(PYTHON, "_PyEval"): 8,
        stack(PYTHON, "sys_read"): 2,
    },
    frequency_hz=99,
    tool="bpftrace",
    lost=3,
)
INSIDE = process("python3 app.py", 1)
THREAD = process("MainThread", None)


def python(**more: object) -> Profile:
    stacks: dict[Stack, int] = {
        (INSIDE, THREAD, Frame("serve"), Frame("render")): 75,
        (INSIDE, THREAD, Frame("serve"), Frame("parse")): 25,
    }
    return Profile.of(stacks, frequency_hz=99, tool="py-spy", **more)


def test_the_kernel_says_how_much_and_the_language_of_what() -> None:
    found = combine(WHOLE, [Inside(python())], HOST_PIDS)
    root = INSIDE._replace(pid=4001)
    assert found.stacks == {
        stack(SVC, "main", "hot"): 30,
        (root, THREAD, Frame("serve"), Frame("render")): 7,
        (root, THREAD, Frame("serve"), Frame("parse")): 3,
    }
    assert found.total == WHOLE.total
    assert (found.tool, found.frequency_hz, found.lost) == ("bpftrace, py-spy", 99, 3)


def test_threads_of_the_vm_that_both_saw_count_once() -> None:
    collector = process("G1 Conc#0", None)
    java = process("java", 1)
    inside = Profile.of({(java, THREAD, Frame("serve")): 20, (java, collector, Frame("mark")): 60})
    kernel = Profile.of(
        {
            stack(process("java", 4001), "Interpreter"): 8,
            stack(process("G1 Conc#0", 4001), "G1ConcurrentMark::mark"): 5,
        }
    )
    seen = Inside(inside, re.compile("G1 "))
    found = combine(kernel, [seen], HOST_PIDS)
    assert {tuple(frame.name for frame in s): n for s, n in found.stacks.items()} == {
        ("java", "MainThread", "serve"): 8,
        ("G1 Conc#0", "G1ConcurrentMark::mark"): 5,
    }
    # Without the kernel's sampler nobody else has seen them.
    assert combine(None, [seen], HOST_PIDS).total == 80


def test_a_process_of_which_the_language_saw_nothing_stays() -> None:
    assert combine(WHOLE, [Inside(Profile((), {}))], HOST_PIDS).stacks == WHOLE.stacks


def test_what_was_left_to_a_profiler_weighs_what_that_says() -> None:
    rest = Profile.of({stack(SVC, "main", "hot"): 30}, frequency_hz=99)
    found = combine(rest, [Inside(python())], HOST_PIDS, unseen={4001})
    assert found.total == 130
    assert combine(rest, [Inside(python())], HOST_PIDS).total == 30


def test_a_few_samples_of_many_say_nothing() -> None:
    few = Profile.of({(INSIDE, Frame("rare")): 1})
    found = combine(WHOLE, [Inside(few)], HOST_PIDS)
    assert found.stacks == WHOLE.stacks
    (note,) = found.notes
    assert note.startswith("process 4001 is shown as the kernel's sampler saw it")
    assert note.endswith("took 1 samples, the kernel's 10")


def test_what_began_in_the_meantime_counts_once() -> None:
    later = Profile.of({(process("python3 new.py", 99), Frame("f")): 50})
    assert combine(WHOLE, [Inside(later)], HOST_PIDS).stacks == WHOLE.stacks


def test_a_child_stands_for_itself() -> None:
    child = Profile.of({(INSIDE, process("python3 child", 7), THREAD, Frame("g")): 5})
    whole = Profile.of({stack(process("python3", 4007), "_PyEval"): 4})
    assert combine(whole, [Inside(child)], HOST_PIDS).stacks == {
        (process("python3 child", 4007), THREAD, Frame("g")): 4
    }


def test_threads_that_the_language_does_not_see_stay() -> None:
    collector = stack(process("GC Thread#0", 4001), "collect")
    whole = Profile.of({**WHOLE.stacks, collector: 6})
    found = combine(whole, [Inside(python(), re.compile("GC "))], HOST_PIDS)
    assert found.stacks[collector] == 6
    assert found.total == whole.total


def test_without_the_kernels_word_the_languages_holds() -> None:
    assert combine(None, [Inside(python())], HOST_PIDS).total == 100


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(0, 500))
def test_no_sample_is_lost_or_made_up(weights: list[int], wanted: int) -> None:
    own = Profile.of({(INSIDE, Frame(f"f{n}")): weight for n, weight in enumerate(weights)})
    whole = Profile.of({stack(PYTHON, "_PyEval"): wanted} if wanted else {})
    found = combine(whole, [Inside(own)], HOST_PIDS)
    if sum(weights) < 0.2 * wanted:
        assert found.stacks == whole.stacks
        return
    assert found.total == wanted
    for number, weight in enumerate(weights):
        got = sum(n for s, n in found.stacks.items() if s[-1].name == f"f{number}")
        assert got == pytest.approx(weight * wanted / sum(weights), abs=1)
