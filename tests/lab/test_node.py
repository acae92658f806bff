"""Node.js by V8's CPU profile: known functions, and an inspector that is left as it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .model import LANGUAGES_IMAGE, Lab, LabHost
from .rights import read_status
from .tool import SAMPLING, Done, Stock, Tool, at_work, our_containers, share

RUN = ("run", "-C", "node", "--engine", "node")


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "node"):
        yield


def listening(host: LabHost, container: str = "node") -> list[int]:
    """Give the ports that a container listens at."""
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", container)
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()
    rows = [line.split() for line in lines]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A"]


def profiled(tool: Tool, stock: Stock, host: LabHost, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left."""
    done = tool(*RUN, "-H", host.name, "-d", 4, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    return done


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_the_known_function_has_its_share_and_the_inspector_is_closed(
    runner: str, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, debian13, "-F", 199, "-d", 8, "--runner", runner)
    stacks = done.run.stacks()
    assert share(stacks, "handleRequest_[j]") > 0.7
    more, less = share(stacks, "renderReply_[j]"), share(stacks, "parseRequest_[j]")
    assert more / (more + less) == pytest.approx(0.75, abs=0.2)
    assert list(done.run.target.glob("profile-1.cpuprofile"))
    assert done.run.record["sidecars"][0]["tool"].startswith("node v20.")
    assert listening(debian13) == []


def test_an_interrupt_keeps_what_was_sampled(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start(*RUN, "-H", debian13.name, "-d", 60)
    running.wait_for(SAMPLING)
    pid = debian13.docker("inspect", "-f", "{{.State.Pid}}", our_containers(debian13)[0])
    status = read_status(pid)
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert done.run.stacks().total() > 10
    assert listening(debian13) == []
    assert stock.left(debian13) == []
    # Its sidecar is the target's user, without any right.
    assert {int(status[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["Uid"].split()[0] == "1000"


def test_several_processes_are_profiled_and_an_inspector_that_was_on_stays_on(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    program = "node /opt/app/app.js"
    command = f"{program} & {program} & node --inspect=9333 /opt/app/app.js & wait"
    alone = ("--network", "none", "--user", "1000:1000", "--name", "nodes")
    debian13.docker("run", "-d", *alone, LANGUAGES_IMAGE, "sh", "-c", command)
    try:
        time.sleep(3)
        argv = ("run", "-C", "nodes", "--engine", "node", "-H", debian13.name, "-d", 3)
        done = tool(*argv)
        assert done.code == 0, done.err
        assert len(list(done.run.target.glob("profile-*.cpuprofile"))) == 3
        assert listening(debian13, "nodes") == [9333]
    finally:
        debian13.docker("rm", "-f", "nodes")
    assert stock.left(debian13) == []


def test_what_runs_no_node_is_told_at_once(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-C", "api", "--engine", "node", "-H", debian13.name)
    ((what, _, step),) = done.parts()
    assert (done.code, what) == (1, "no Node.js runs in api")
    assert "--engine bpftrace" in step
    assert stock.left(debian13) == []
