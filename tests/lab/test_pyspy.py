"""Python by py-spy: known functions, threads and children of a real interpreter."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .model import LANGUAGES_IMAGE, Lab, LabHost
from .rights import rights_of
from .tool import SAMPLING, Done, Stock, Tool, at_work, share

RUN = ("run", "-C", "python", "--engine", "pyspy")


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "python"):
        yield


def profiled(tool: Tool, stock: Stock, host: LabHost, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left."""
    done = tool(*RUN, "-H", host.name, "-d", 4, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    return done


def of_its_work(stacks: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Leave out what is a thread between two pieces of work."""
    return Counter({stack: n for stack, n in stacks.items() if "hot_leaf" in stack})


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_the_known_functions_have_about_their_known_shares(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, host, "--event", "gil", "-F", 199, "--runner", runner)
    stacks = of_its_work(done.run.stacks())
    served = Counter({stack: n for stack, n in stacks.items() if "handle_request" in stack})
    assert served.total() > 50, stacks
    assert share(served, "render_reply") == pytest.approx(0.75, abs=0.2)
    assert share(served, "parse_request") == pytest.approx(0.25, abs=0.2)
    # A process that the interpreter has started, and the threads by name.
    child = Counter({stack: n for stack, n in stacks.items() if "compress_logs" in stack})
    assert child.total() > 50
    assert {stack[:3] for stack in child} == {
        ("python3 /opt/app/app.py", "/usr/bin/python3 /opt/app/app.py child", "MainThread")
    }
    assert {stack[:2] for stack in served} == {("python3 /opt/app/app.py", "MainThread")}
    record = done.run.record
    assert record["sidecars"][0]["tool"] == "py-spy 0.4.3"
    assert record["quality"]["expected"] is None
    assert record["target"]["filter"] == "the interpreter 1, by pid inside"
    assert "threads that hold the GIL" in (done.run.target / "flamegraph.svg").read_text()


def test_waiting_threads_count_when_that_is_asked_for(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, host, "--event", "wall")
    stacks = done.run.stacks()
    per_thread = Counter({"waiter": 0, "MainThread": 0})
    for stack, n in stacks.items():
        per_thread[stack[1]] += n
    waits = sum(n for stack, n in stacks.items() if "wait_for_peer" in stack)
    # The thread is in it at each of 4 s at 99 Hz.
    assert waits == per_thread["waiter"]
    assert 0.75 * 396 < waits <= 1.1 * 396
    assert per_thread["MainThread"] == pytest.approx(waits, rel=0.1)


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_a_dump_has_all_threads_of_all_interpreters(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool(*RUN, "-H", host.name, "--event", "dump", "--runner", runner)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    stacks = list(done.run.stacks())
    child = ("python3 /opt/app/app.py", "/usr/bin/python3 /opt/app/app.py child")
    assert sorted(stack[1].partition(" (")[0] for stack in stacks if stack[1] != child[1]) == [
        "MainThread",
        "waiter",
    ]
    (waiter,) = [stack for stack in stacks if "waiter (" in stack[1]]
    assert waiter[0] == child[0]
    assert "wait_for_peer" in waiter
    (compressing,) = [stack for stack in stacks if stack[:2] == child]
    assert compressing[2].startswith("MainThread (")
    assert "serve" in compressing
    assert done.run.stacks().total() == 3
    # The text as py-spy printed it is the raw profile.
    text = (done.run.target / "profile.txt").read_text()
    assert '): "waiter"\n    wait_for_peer (app.py:' in text
    record = done.run.record
    assert (record["quality"]["expected"], record["sidecars"][0]["tool"]) == (None, "py-spy 0.4.3")
    assert "sampling for" not in done.err


def test_a_dump_has_native_frames_on_request(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool(*RUN, "-H", debian13.name, "--event", "dump", "--native")
    assert done.code == 0, done.err
    nameless = {"[unknown]", "[libc.so.6]"}
    assert any(nameless & set(stack) for stack in done.run.stacks())
    assert stock.left(debian13) == []


def test_native_frames_are_shown_on_request(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = profiled(tool, stock, debian13, "--native")
    stacks = done.run.stacks()
    # Those of a library without symbols are called by its name, or not at all.
    nameless = {"[unknown]", "[libc.so.6]"}
    assert any("serve" in stack and stack[-1] in nameless for stack in stacks)
    assert done.run.manifest["request"]["native"] is True


def test_an_interrupt_keeps_what_was_sampled(host: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert of_its_work(done.run.stacks()).total() > 20
    assert done.run.record["timings_s"]["sample"] < 30
    assert stock.left(host) == []


def test_its_sidecar_has_one_right_and_sees_the_target_alone(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 4)
    try:
        running.wait_for(SAMPLING)
        seen, main = rights_of(host), rights_of(host, "python")
    finally:
        done = running.end()
    assert done.code == 0, done.err
    seen.check(["SYS_PTRACE"])
    assert seen.namespaces["pid"] == main.namespaces["pid"]
    assert stock.left(host) == []


@pytest.fixture
def leaving(debian13: LabHost) -> Iterator[str]:
    """Give a container of the same program that can be ended."""
    name = "leaving"
    alone = ("--network", "none", "--name", name)
    debian13.docker("run", "-d", *alone, LANGUAGES_IMAGE, "python3", "/opt/app/app.py")
    yield name
    debian13.docker("rm", "-f", name)


def test_a_target_that_ends_takes_the_sidecar_along_and_that_is_said(
    debian13: LabHost, tool: Tool, stock: Stock, leaving: str
) -> None:
    running = tool.start("run", "-C", leaving, "--engine", "pyspy", "-H", debian13.name, "-d", 30)
    running.wait_for(SAMPLING)
    debian13.docker("kill", leaving)
    done = running.end()
    ((what, evidence, step),) = done.parts()
    assert done.code == 1
    assert "the target ended, and with it the sidecar in its pid namespace" in what
    assert "what was sampled until then is lost" in evidence
    assert "--engine bpftrace" in step
    debian13.docker("rm", "-f", leaving)
    stock.take(debian13)
    assert stock.left(debian13) == []


def test_what_runs_no_python_is_told_at_once(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-C", "api", "--engine", "pyspy", "-H", debian13.name)
    ((what, evidence, step),) = done.parts()
    assert (done.code, what) == (1, "no Python runs in api")
    assert evidence == "its processes: sh, svc"
    assert "--engine bpftrace" in step
    assert stock.left(debian13) == []


def test_engines_say_whether_they_would_work_there(debian13: LabHost, tool: Tool) -> None:
    done = tool("engines", "-H", debian13.name, "-C", "python")
    assert done.code == 0, done.err
    programs = ["bpftrace", "perf", "py-spy", "austin"]
    lines = [line.rstrip() for line in done.out.splitlines()[2:]]
    for line, program in zip(lines, programs, strict=False):
        assert line.endswith(f"works, if {program} is in the image")
    assert lines[4].endswith("no: no Node.js runs in python")
    assert lines[5].endswith("no: no JVM runs in python")
    done = tool("engines", "-H", debian13.name, "-C", "api")
    assert done.code == 0
    assert done.out.splitlines()[4].rstrip().endswith("no: no Python runs in api")
