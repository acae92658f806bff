"""What else than CPU time is measured: known functions wait, fault, allocate and call the kernel.

In each round of the lab's ``waits`` one function does three times what another does: see its
source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from .model import LabHost
from .rights import OF_MEMORY, OF_THE_ENGINE, read_mounts
from .targets import WAITS
from .tool import SAMPLING, Done, Stock, Tool, our_containers

TRACEFS = "/sys/kernel/tracing"
# The functions, three to one, and the processes in whose stacks they can be told. (musl's own
# functions for waiting use the frame pointer for something else.)
EVENTS = {
    "offcpu": ("wait_for_disk", "wait_for_peer", WAITS),
    "lock": ("update_index", "read_index", ("waits", "waits-glibc")),
    "page-faults": ("warm_cache", "copy_reply", WAITS),
    "malloc": ("fill_cache", "build_reply", WAITS),
    "syscalls": ("ask_often", "ask_once", WAITS),
}
UNITS = {
    "offcpu": "us",
    "lock": "us",
    "page-faults": "faults",
    "malloc": "bytes",
    "syscalls": "calls",
    "wakeup": "us",
}
DURATION_S = 3
ROUND_S = 0.08  # of waiting; what else a round costs is little


def measured(tool: Tool, stock: Stock, host: LabHost, event: str) -> Done:
    """Run, and see that all went well and nothing is left."""
    argv = ("run", "-H", host.name, "-C", "waits", "-d", DURATION_S, "--event", event)
    done = tool(*argv)
    for _ in range(4):
        # On a busy machine this version may lose its table of stacks; it is told when it does.
        if host.spec.bpftrace != "0.17" or "could not read stacks" not in done.err:
            break
        done = tool(*argv)
    assert "could not read stacks" not in done.err
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    assert done.parts() == []
    record = done.run.record
    assert done.run.manifest["request"]["event"] == event
    quality = record["quality"]
    assert (quality["expected"], quality["lost"]) == (None, 0)
    assert f"{quality['got']} {UNITS[event]}" in done.out
    assert sum(done.run.stacks().values()) == quality["got"]
    return done


def weight(
    stacks: Counter[tuple[str, ...]], process: str, wanted: Callable[[tuple[str, ...]], bool]
) -> int:
    """Add up the stacks of a process that are wanted."""
    return sum(n for stack, n in stacks.items() if stack[0] == process and wanted(stack))


@pytest.mark.parametrize("event", EVENTS)
def test_the_known_functions_have_their_known_shares(
    event: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    stacks = measured(tool, stock, host, event).run.stacks()
    thrice, once, processes = EVENTS[event]
    for process in processes:
        much = weight(stacks, process, lambda stack: thrice in stack)
        little = weight(stacks, process, lambda stack: once in stack)
        assert much / (much + little) == pytest.approx(0.75, abs=0.06), (process, stacks)
        assert weight(stacks, process, lambda stack: "handle_round" in stack) >= much + little


# What a round costs: a factor in all counts would not change a share.
ROUNDS = {"malloc": ("handle_round", 4000), "page-faults": ("touch", 40), "syscalls": ("ask", 40)}


@pytest.mark.parametrize("event", ROUNDS)
def test_each_is_counted_once(event: str, host: LabHost, tool: Tool, stock: Stock) -> None:
    done = measured(tool, stock, host, event)
    function, expected = ROUNDS[event]
    rounds = DURATION_S / ROUND_S
    for process in WAITS:
        counted = weight(
            done.run.stacks(),
            process,
            lambda stack: any(name.startswith(function) for name in stack),
        )
        assert 0.6 < counted / (expected * rounds) < 1.1, process


def test_waits_are_as_long_as_they_are(host: LabHost, tool: Tool, stock: Stock) -> None:
    """The main thread waits 40 ms for time and 40 ms for a lock in each round: nearly always."""
    done = measured(tool, stock, host, "offcpu")
    stacks = done.run.stacks()
    sampled_us = 1e6 * DURATION_S
    waited = weight(stacks, "waits", lambda stack: "handle_round" in stack)
    sleeps = {"wait_for_disk", "wait_for_peer"}
    asleep = weight(stacks, "waits", lambda stack: not sleeps.isdisjoint(stack))
    assert 0.75 * sampled_us < waited < 1.05 * sampled_us
    assert asleep / waited == pytest.approx(0.5, abs=0.06)
    # The kernel's side is there, and says what kind of wait it is.
    assert weight(stacks, "waits", lambda stack: "do_nanosleep_[k]" in stack) >= asleep


def test_who_wakes_whom_is_told(host: LabHost, tool: Tool, stock: Stock) -> None:
    """A third of the waits ends when a thread of the process lets a lock go, the rest by timers."""
    stacks = measured(tool, stock, host, "wakeup").run.stacks()
    for process in WAITS:
        of_lock = weight(stacks, process, by_lock)
        of_timer = weight(stacks, process, lambda stack: "hrtimer_wakeup_[k]" in stack)
        assert of_lock / (of_lock + of_timer) == pytest.approx(1 / 3, abs=0.06), process
        own = weight(
            stacks, process, lambda stack: by_lock(stack) and stack[1] == f"woken by {stack[0]}"
        )
        assert own == of_lock
    if host.spec.bpftrace != "0.17":
        # That version cannot name functions of threads which have ended when it prints.
        held = weight(stacks, "waits", lambda stack: "hold_index" in stack)
        assert held > 0.9 * weight(stacks, "waits", by_lock)


def by_lock(stack: tuple[str, ...]) -> bool:
    """Tell whether a lock was let go; a timer may have come just then."""
    return "futex_wake_[k]" in stack and "hrtimer_wakeup_[k]" not in stack


def test_system_calls_have_their_names(host: LabHost, tool: Tool, stock: Stock) -> None:
    stacks = measured(tool, stock, host, "syscalls").run.stacks()
    asked = {"ask_often", "ask_once"}
    for process in WAITS:
        leaves = {stack[-1] for stack in stacks if stack[0] == process and asked & {*stack}}
        assert leaves == {"sys_getppid_[k]"}
    assert {"sys_futex_[k]", "sys_mmap_[k]"} <= {stack[-1] for stack in stacks}


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_tracepoints_are_mounted_for_reading_alone(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    argv = ("-C", "waits", "-d", 4, "--event", "offcpu", "--runner", runner)
    running = tool.start("run", "-H", host.name, *argv)
    try:
        running.wait_for(SAMPLING)
        (container,) = our_containers(host)
        pid = host.docker("inspect", "-f", "{{.State.Pid}}", container)
        mounts = read_mounts(pid)
    finally:
        done = running.end()
    assert done.code == 0, done.err
    found = {m.at: m for m in mounts if m.at != "/" and m.kind not in OF_MEMORY}
    assert set(found) - OF_THE_ENGINE == {TRACEFS}
    assert (found[TRACEFS].kind, "ro" in found[TRACEFS].options) == ("tracefs", True)
    assert stock.left(host) == []


def test_what_has_no_allocator_is_told(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", debian13.name, "-C", "nofp", "-d", 1, "--event", "malloc")
    ((what, evidence, _),) = done.parts()
    assert done.code == 1
    assert what == f"{debian13.name}: the sidecar ended before it sampled anything"
    assert "no allocator with symbols" in evidence
    assert "/opt/app/svc-nofp" in evidence
    assert stock.left(debian13) == []


def test_a_target_that_did_not_wait_is_told(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", debian13.name, "-C", "idle", "-d", 1, "--event", "lock")
    ((what, evidence, _),) = done.parts()
    assert done.code == 3
    assert "nothing to count (waits for locks)" in what
    assert "a wait counts when it ends" in evidence
    assert stock.left(debian13) == []


def test_a_comparison_of_different_events_says_so(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    for event in ("offcpu", "lock"):
        measured(tool, stock, debian13, event)
    first, second = sorted(tool.place.joinpath("results").iterdir())
    done = tool("diff", first.name, second.name)
    warnings = [what for what, _, _ in done.parts("warning")]
    assert "the sides are of different scopes: totals are not of the same" in warnings
