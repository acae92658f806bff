"""perf: stacks of a program without frame pointers, and names from the target's own files."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .model import TARGET_IMAGE, Lab, LabHost
from .rights import rights_of
from .targets import API_SHARES
from .tool import SAMPLING, Done, Stock, Tool, at_work, share

RIGHTS = ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "SYSLOG")


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "frameless"):
        yield


def profiled(tool: Tool, stock: Stock, host: LabHost, target: str, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left."""
    done = tool("run", "-C", target, "-H", host.name, "-d", 5, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    return done


def in_user_code(stacks: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return Counter({stack: n for stack, n in stacks.items() if stack[-1] == "hot_leaf"})


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_frame_pointers_give_the_known_shares(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    # Of a hundred samples, as a busy machine gives them at 99 Hz, shares would be too rough.
    often = ("-d", 10, "-F", 499)
    done = profiled(tool, stock, host, "api", *often, "--engine", "perf", "--runner", runner)
    stacks = done.run.stacks()
    for name, known in API_SHARES.items():
        assert share(stacks, name) == pytest.approx(known, abs=0.12), name
    record = done.run.record
    quality = record["quality"]
    assert quality["got"] + quality["lost"] == pytest.approx(quality["expected"], rel=0.15)
    assert record["sidecars"][0]["tool"].startswith("perf 6.")
    pids = ", ".join(map(str, record["target"]["pids"]))
    assert record["target"]["filter"] == f"by the pids of now, and what they start: {pids}"
    # Those of the host, as bpftrace's are.
    assert {stack[0] for stack in stacks} <= {"svc", "sh"}


def test_dwarf_shows_the_callers_where_there_are_no_frame_pointers(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    by_pointers = profiled(tool, stock, host, "frameless", "--engine", "perf").run.stacks()
    assert share(by_pointers, "main") < 0.2
    # Nobody has to know which engine it is that can do so.
    done = profiled(tool, stock, host, "frameless", "--call-graph", "dwarf")
    stacks = done.run.stacks()
    leaf = in_user_code(stacks)
    assert leaf.total() > 50
    for name, known in (("parse_request", 0.2), ("render_reply", 0.6), ("compress_body", 0.2)):
        assert share(leaf, name) == pytest.approx(known, abs=0.2), name
    assert share(leaf, "main") > 0.95
    # The kernel's side comes by its own pointers, on top of a user's stack that came by the table.
    reads = Counter({stack: n for stack, n in stacks.items() if "drain" in stack})
    assert all(stack.index("write_log") < stack.index("drain") for stack in reads)
    record = done.run.record
    assert record["sidecars"][0]["engine"] == "perf"
    assert done.run.manifest["request"]["call_graph"] == "dwarf"


@pytest.mark.parametrize("side", ["user", "kernel"])
def test_one_side_alone_still_counts_each_sample(
    side: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, host, "api", "--engine", "perf", "--stacks", side)
    quality = done.run.record["quality"]
    assert quality["got"] == pytest.approx(quality["expected"], rel=0.15)
    stacks = done.run.stacks()
    assert any("ksys_read_[k]" in stack for stack in stacks) == (side == "kernel")
    assert any("hot_leaf" in stack for stack in stacks) == (side == "user")


def test_names_come_from_the_targets_own_files(host: LabHost, tool: Tool, stock: Stock) -> None:
    host.docker("start", "python")
    try:
        stacks = profiled(tool, stock, host, "python", "--engine", "perf").run.stacks()
    finally:
        host.docker("kill", "python")
    # The interpreter is not that of the sidecar's image, on the older host.
    assert share(stacks, "_PyEval_EvalFrameDefault") > 0.1


def test_each_switch_counts(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = profiled(tool, stock, debian13, "waits", "--engine", "perf", "-e", "context-switches")
    assert "of context switches" in (done.run.target / "flamegraph.svg").read_text()
    stacks = done.run.stacks()
    assert stacks.total() > 20
    by_name = sum(n for stack, n in stacks.items() if "schedule_[k]" in stack)
    assert by_name > 0.9 * stacks.total()


def test_what_the_hardware_lacks_is_told_at_once(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    for argv, lacks in (
        (("-e", "cache-misses"), "hardware counters"),
        (("--call-graph", "lbr"), "last branch records"),
    ):
        done = tool("run", "-H", debian13.name, "-C", "api", "--engine", "perf", *argv)
        ((what, evidence, step),) = done.parts()
        assert done.code == 1
        assert lacks in what
        assert "/sys/bus/event_source/devices" in evidence
        assert step
    assert stock.left(debian13) == []


def test_an_interrupt_keeps_what_was_sampled(host: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start("run", "-C", "api", "--engine", "perf", "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    time.sleep(3)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert in_user_code(done.run.stacks()).total() > 20
    assert done.run.record["timings_s"]["sample"] < 30
    assert stock.left(host) == []


def test_a_target_that_ends_leaves_its_samples_and_their_names(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    alone = ("--network", "none", "--name", "leaving")
    host.docker("run", "-d", *alone, TARGET_IMAGE, "/opt/app/svc", "burn", "12")
    try:
        done = tool("run", "-C", "leaving", "--engine", "perf", "-H", host.name, "-d", 60)
    finally:
        host.docker("rm", "-f", "leaving")
    assert done.code == 0, done.err
    assert "the target ended" in done.err
    stacks = done.run.stacks()
    assert share(stacks, "render_reply") == pytest.approx(0.57, abs=0.2)
    assert done.run.record["timings_s"]["sample"] < 40
    stock.take(host)
    assert stock.left(host) == []


def test_its_sidecar_has_the_rights_that_names_need(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start("run", "-C", "api", "--engine", "perf", "-H", host.name, "-d", 4)
    try:
        running.wait_for(SAMPLING)
        seen = rights_of(host)
    finally:
        done = running.end()
    assert done.code == 0, done.err
    seen.check(RIGHTS)
    assert Path(f"/proc/{seen.pid}").exists() is False
    assert stock.left(host) == []
