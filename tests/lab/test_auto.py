"""Each process by the profiler that is made for it, and all of them in one flame graph."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .model import Lab, LabHost
from .tool import SAMPLING, Done, Stock, Tool, at_work, our_containers, share

RUN = ("run", "-C", "mixed")
PROCESSES = ("svc", "python3", "node", "java", "app-go")
ENGINES = ["bpftrace", "pyspy", "node", "java"]


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "mixed"):
        yield


def of(done: Done, process: str) -> Counter[tuple[str, ...]]:
    """Give the stacks of one process, of the work that it serves, in the words of no language."""
    found: Counter[tuple[str, ...]] = Counter()
    for stack, n in done.run.stacks().items():
        plain = tuple(map(in_no_language, stack[1:]))
        if stack[0] == process and "handlerequest" in plain:
            found[plain] += n
    return found


def in_no_language(function: str) -> str:
    """Give the name alone, whatever language spells it, and how."""
    name = re.sub(r"_\[[a-z]\]$|[( ].*$", "", function)
    return name.rpartition(".")[2].replace("_", "").lower()


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_one_flame_graph_has_the_functions_of_all(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool(*RUN, "-H", host.name, "-d", 10, "-F", 199, "--runner", runner)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    record = done.run.record
    engines = [sidecar["engine"] for sidecar in record["sidecars"]]
    assert engines == ENGINES
    assert all(sidecar["exit_code"] == 0 for sidecar in record["sidecars"])
    for process in PROCESSES:
        served = of(done, process)
        assert served.total() > 15, (process, served)
        more, less = share(served, "renderreply"), share(served, "parserequest")
        assert more + less > 0.5, (process, served)
        assert more / (more + less) == pytest.approx(0.75, abs=0.2), (process, served)
    # What Python is given is what the kernel saw of it: the whole is the CPU time.
    quality = record["quality"]
    if host.spec.bpftrace == "0.17":
        assert quality["expected"] is None
        return
    assert quality["got"] == pytest.approx(quality["expected"], rel=0.25)
    assert "py-spy: the interpreter" not in done.err
    assert "profilers: bpftrace: by " in done.err


def test_the_heaps_of_two_languages_are_in_one_profile(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool(*RUN, "-H", host.name, "--event", "heap", "-v")
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    assert [sidecar["engine"] for sidecar in done.run.record["sidecars"]] == ["java", "gopprof"]
    kept = {(stack[0], stack[-1]) for stack in done.run.stacks()}
    assert {("java", "App$Receipt"), ("app-go", "main.keepReply")} <= kept
    assert "app-go has a build id of Go" in done.err


def test_a_dump_has_the_threads_of_all_that_can_be_dumped(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool(*RUN, "-H", host.name, "--event", "dump")
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    record = done.run.record
    assert [sidecar["engine"] for sidecar in record["sidecars"]] == ["pyspy", "java"]
    assert {stack[0] for stack in done.run.stacks()} == {"python3", "java"}
    assert any("clerk" in stack[1] for stack in done.run.stacks())
    assert any("waiter" in stack[1] for stack in done.run.stacks())
    assert list(done.run.target.glob("threads-*.txt"))


def test_a_profiler_that_the_image_lacks_leaves_the_others(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    image = "lab/bpftrace-alone:latest"
    script = "rm /usr/local/bin/py-spy"
    name = debian13.docker(
        "create", "--network", "none", "--entrypoint", "sh", "lab/bpftrace:0.23", "-c", script
    )
    try:
        debian13.docker("start", "-a", name)
        debian13.docker("commit", name, image)
        stock.take(debian13)
        done = tool(*RUN, "-H", debian13.name, "-d", 3, "--image", image)
    finally:
        debian13.docker("rm", "-f", name)
        debian13.docker("rmi", image)
    assert done.code == 0, done.err
    assert "pyspy gave nothing" in done.err
    assert "lacks the profiler" in done.err
    assert any(stack[0] == "python3" for stack in done.run.stacks())


def test_an_interrupt_keeps_what_all_of_them_sampled(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    assert len(our_containers(host)) >= 2
    time.sleep(3)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert of(done, "python3").total() > 5
    assert done.run.record["timings_s"]["sample"] < 40
    assert stock.left(host) == []


def test_what_a_killed_controller_left_is_fetched(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", debian13.name, "-d", 6)
    running.wait_for(SAMPLING)
    running.process.kill()
    running.process.wait()
    done = tool("fetch", "last")
    assert done.code == 0, done.err
    assert of(done, "python3").total() > 5
    assert [sidecar["exit_code"] for sidecar in done.run.record["sidecars"]][:2] == [0, 0]
    assert stock.left(debian13) == []
    again = tool("report", "last")
    assert again.code == 0, again.err


def test_a_process_alone_has_one_profiler_or_two(debian13: LabHost, tool: Tool) -> None:
    native = tool(*RUN, "-H", debian13.name, "--process", "svc", "--dry-run")
    assert native.code == 0, native.err
    assert native.out.count("sidecar:  ") == 1
    python = tool(*RUN, "-H", debian13.name, "--process", "python3", "--dry-run")
    assert python.code == 0, python.err
    assert "pyspy in" in python.out
