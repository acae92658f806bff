"""Go by its own net/http/pprof: known functions, over a network where nothing is published."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .model import LANGUAGES_IMAGE, Lab, LabHost
from .rights import rights_of
from .tool import SAMPLING, Done, Stock, Tool, at_work, our_containers, share

RUN = ("run", "-C", "go", "--engine", "gopprof")


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "go"):
        yield


def profiled(tool: Tool, stock: Stock, host: LabHost, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left."""
    done = tool(*RUN, "-H", host.name, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    return done


def part(stacks: Counter[tuple[str, ...]], function: str) -> float:
    """Return the share of the stacks in which a function is, however it is marked."""
    whole = stacks.total()
    return sum(n for stack, n in stacks.items() if function in str(stack)) / whole if whole else 0


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_cpu_time_has_about_the_known_shares(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    # More than ten seconds are fetched in two parts.
    done = profiled(tool, stock, host, "-d", 12, "-F", 999, "--runner", runner)
    stacks = done.run.stacks()
    served = Counter({s: n for s, n in stacks.items() if "main.handleRequest" in s})
    assert served.total() > 60, stacks
    assert share(served, "main.renderReply") == pytest.approx(0.75, abs=0.2)
    assert {stack[0] for stack in served} == {"app-go"}
    assert sorted(p.name for p in done.run.target.glob("*.pb.gz")) == [
        "cpu-1-1.pb.gz",
        "cpu-1-2.pb.gz",
    ]
    record = done.run.record
    assert record["sidecars"][0]["tool"].startswith("net/http/pprof go1.")
    assert record["quality"]["expected"] is None
    assert "12 s at 100 Hz" in (done.run.target / "flamegraph.svg").read_text()


@pytest.mark.parametrize(
    ("event", "function", "least", "kept"),
    [
        ("heap", "main.keepReply", 0.3, {"heap-1.pb.gz"}),
        ("allocs", "main.keepReply", 0.5, {"before-1.pb.gz", "allocs-1.pb.gz"}),
        ("goroutine", "main.contend", 0.1, {"goroutine-1.pb.gz"}),
        ("mutex", "main.holdLock", 0.9, {"before-1.pb.gz", "mutex-1.pb.gz"}),
        ("block", "main.holdLock", 0.9, {"before-1.pb.gz", "block-1.pb.gz"}),
    ],
)
def test_the_known_function_is_there(
    event: str, function: str, least: float, kept: set[str], host: LabHost, tool: Tool, stock: Stock
) -> None:
    # By no engine's name: there is one that can measure it.
    long = () if event in ("heap", "goroutine") else ("-d", 4)
    done = profiled(tool, stock, host, "--engine", "auto", "--event", event, *long)
    stacks = done.run.stacks()
    assert part(stacks, function) > least, stacks
    assert {path.name for path in done.run.target.glob("*.pb.gz")} == kept
    assert [sidecar["engine"] for sidecar in done.run.record["sidecars"]] == ["gopprof"]
    if event in ("mutex", "block"):  # two that want a lock which each holds for 2 ms of 3
        assert 500_000 < stacks.total() < 8_000_000
    if event == "allocs":
        assert share(stacks, "main.keepReply") / part(stacks, "main.keep") == pytest.approx(
            0.75, abs=0.15
        )


def test_an_interrupt_keeps_what_was_sampled(host: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    time.sleep(4)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert share(done.run.stacks(), "main.handleRequest") > 0.5
    assert done.run.record["timings_s"]["sample"] < 30
    assert stock.left(host) == []


def test_its_sidecar_has_no_right_and_is_the_target_s_user(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 4)
    try:
        running.wait_for(SAMPLING)
        (container,) = our_containers(host)
        seen, main = rights_of(host, container), rights_of(host, "go")
        ports = host.docker("inspect", "-f", "{{.NetworkSettings.Ports}}", container)
    finally:
        done = running.end()
    assert done.code == 0, done.err
    seen.check([])
    assert seen.status["Uid"].split() == ["1000"] * 4
    assert ports == "map[]"
    for space in ("pid", "net"):
        assert seen.namespaces[space] == main.namespaces[space]
    assert stock.left(host) == []


@pytest.fixture
def several(host: LabHost) -> Iterator[str]:
    """Give a container of root's with two Go programs, of two users, and a port that is no Go's."""
    name, go = "several", "/opt/app/app-go"
    other = "python3 -c 'import socket; s = socket.create_server((\"\", 8080)); s.accept()'"
    user = "setpriv --reuid 1000 --regid 1000 --clear-groups"
    command = f"{other} & {go} 6060 & {user} {go} 6061 & wait"
    host.docker(
        "run", "-d", "--network", "none", "--name", name, LANGUAGES_IMAGE, "sh", "-c", command
    )
    time.sleep(2)
    yield name
    host.docker("rm", "-f", name)


def test_two_programs_of_two_users_are_taken_and_a_port_of_another_is_not_asked(
    host: LabHost, tool: Tool, several: str
) -> None:
    done = tool("run", "-C", several, "--event", "goroutine", "-H", host.name)
    assert done.code == 0, done.err
    assert len(list(done.run.target.glob("goroutine-*.pb.gz"))) == 2
    # Whoever had connected would have ended the accepting, and with it the process.
    assert "python3 -c" in host.docker("top", several, "-eo", "pid,args")
    (sidecar,) = done.run.record["sidecars"]
    assert sidecar["capabilities"] == ["SYS_PTRACE", "DAC_READ_SEARCH"]


def test_a_port_of_another_container_in_the_same_network_is_none_of_ours(
    debian13: LabHost, tool: Tool
) -> None:
    # As in a pod: both listen on one loopback, and the main process of each has the pid 1.
    alone = ("--network", "container:go", "--user", "1000:1000", "--name", "podmate")
    debian13.docker("run", "-d", *alone, LANGUAGES_IMAGE, "/opt/app/app-go", "6061", "count")
    try:
        time.sleep(1)
        done = tool("run", "-C", "podmate", "--event", "goroutine", "-H", debian13.name)
    finally:
        debian13.docker("rm", "-f", "podmate")
    assert done.code == 0, done.err
    stacks = done.run.stacks()
    assert part(stacks, "main.count") > 0
    assert part(stacks, "main.serve") == 0


def test_root_s_program_takes_one_right(debian13: LabHost, tool: Tool) -> None:
    name = "rooted"
    argv = ("run", "-d", "--network", "none", "--name", name, LANGUAGES_IMAGE)
    debian13.docker(*argv, "/opt/app/app-go", "7070")
    try:
        time.sleep(2)
        done = tool("run", "-C", name, "--event", "heap", "-H", debian13.name)
    finally:
        debian13.docker("rm", "-f", name)
    assert done.code == 0, done.err
    (sidecar,) = done.run.record["sidecars"]
    assert (sidecar["capabilities"], sidecar["rung"]) == (["SYS_PTRACE"], "SYS_PTRACE")


def test_what_serves_no_profiles_is_told(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-C", "api", "--engine", "gopprof", "-H", host.name, "-d", 4)
    assert done.code == 1
    # Compose v1 ends its errors with the exit code, so that the message does not show this line.
    told = (done.run.target / "sidecar.err").read_text()
    assert "no Go program is among the processes [" in told
    assert stock.left(host) == []


def test_what_runs_no_go_is_told_at_once(debian13: LabHost, tool: Tool) -> None:
    debian13.docker("start", "python")
    try:
        done = tool("run", "-C", "python", "--event", "heap", "-H", debian13.name)
    finally:
        debian13.docker("kill", "python")
    ((what, _, step),) = done.parts()
    assert (done.code, what) == (1, "no Java and no Go runs in python")
    assert "--engine java or gopprof" in step
