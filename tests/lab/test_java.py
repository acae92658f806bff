"""Java by JDK Flight Recorder: known methods, allocations and locks of a real JVM."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .model import LANGUAGES_IMAGE, SIDECAR_IMAGE, Lab, LabHost
from .rights import rights_of
from .targets import JAVA_OPTIONS, JAVA_SECRET
from .tool import SAMPLING, Done, Stock, Tool, at_work

RUN = ("run", "-C", "java", "--engine", "java")
FRAME_POINTERS = "-XX:+PreserveFramePointer"
ENVIRONMENT_SECRET = "k3y-0f-the-environment"


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "java"):
        yield


def jvm_says(host: LabHost, container: str, command: str) -> str:
    """Return what the JVM that is pid 1 of a container answers, asked as its own user."""
    alone = ("--network", "none", "--cap-drop", "ALL", "--user", "1000:1000")
    argv = ("run", "--rm", *alone, "--pid", f"container:{container}", "--entrypoint", "jattach")
    return host.docker(*argv, SIDECAR_IMAGE, "1", "jcmd", command)


def left_in(host: LabHost, container: str) -> list[str]:
    """Return what of ours is in a target's /tmp."""
    names = host.docker("exec", container, "ls", "-A", "/tmp").split()
    return [name for name in names if "remote-prof" in name]


def profiled(tool: Tool, stock: Stock, host: LabHost, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left, in the JVM either."""
    done = tool(*RUN, "-H", host.name, "-d", 4, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    assert left_in(host, "java") == []
    assert "remote-prof" not in jvm_says(host, "java", "JFR.check")
    return done


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_the_known_methods_have_about_their_known_shares(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, host, "-d", 8, "--runner", runner)
    served = Counter({s: n for s, n in done.run.stacks().items() if "App.handleRequest" in str(s)})
    assert served.total() > 30, done.run.stacks()
    # However it ran: interpreted, compiled, or within its caller.
    reply = sum(n for stack, n in served.items() if "App.renderReply" in str(stack))
    assert reply / served.total() == pytest.approx(0.75, abs=0.2)
    assert {stack[:2] for stack in served} == {("java", "server")}
    record = done.run.record
    assert record["sidecars"][0]["tool"].startswith("jattach 2.")
    assert ", JDK 21." in record["sidecars"][0]["tool"]
    assert record["target"]["filter"] == "the JVM 1, by pid inside"
    assert record["quality"]["expected"] is None
    # It is kept raw, too.
    assert list(done.run.target.glob("recording-1.jfr"))


@pytest.mark.parametrize(
    ("event", "large", "small"),
    [("alloc", "storeReply", "storeToken"), ("lock", "writeLedger", "takeStock")],
)
def test_allocations_and_locks_have_about_their_known_shares(
    event: str, large: str, small: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = profiled(tool, stock, host, "--event", event)
    weights: Counter[str] = Counter()
    for stack, weight in done.run.stacks().items():
        for name in (large, small):
            if any(f"App.{name}" in frame for frame in stack):
                weights[name] += weight
    assert weights[large] / weights.total() == pytest.approx(0.75, abs=0.15)
    assert weights.total() > 0.9 * done.run.stacks().total()
    if event == "lock":  # of 50 ms the clerks wait some 38
        assert 1_500_000 < weights.total() < 4_500_000


def taken_once(tool: Tool, stock: Stock, host: LabHost, container: str, *argv: object) -> Done:
    """Run what needs no duration, and see that all went well and nothing is left."""
    done = tool("run", "-C", container, "-H", host.name, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert done.run.record["quality"]["expected"] is None
    assert stock.left(host) == []
    assert left_in(host, container) == []
    return done


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_a_dump_has_all_threads_and_the_locks_in_its_text(
    runner: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    argv = ("--engine", "java", "--event", "dump", "--runner", runner)
    done = taken_once(tool, stock, host, "java", *argv)
    threads = {stack[1].partition(" (")[0]: stack for stack in done.run.stacks()}
    assert {"server", "allocator", "keeper", "ledger-clerk", "stock-clerk"} <= threads.keys()
    assert all(stack[0] == "java" for stack in threads.values())
    assert any("App.writeLedger" in frame for frame in threads["ledger-clerk"])
    assert any("App.keep" in frame for frame in threads["keeper"])
    assert set(done.run.stacks().values()) == {1}
    text = (done.run.target / "threads-1.txt").read_text()
    assert "Full thread dump" in text
    assert '"ledger-clerk"' in text
    assert "all threads at one moment" in (done.run.target / "flamegraph.svg").read_text()
    assert "sampling for" not in done.err
    assert done.run.record["sidecars"][0]["tool"].startswith("jattach 2.")


def test_the_heap_holds_what_the_program_keeps(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = taken_once(tool, stock, host, "java", "--engine", "java", "--event", "heap")
    weights = {stack[-1]: weight for stack, weight in done.run.stacks().items()}
    assert weights["App$Receipt"] == 10_000 * 40
    assert "byte[]" in weights
    assert {len(stack) for stack in done.run.stacks()} == {2}
    assert " 10000         400000  App$Receipt" in (done.run.target / "heap-1.txt").read_text()
    assert "frame pointers" not in done.err


def test_an_interrupt_keeps_what_was_sampled(host: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    time.sleep(4)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert any("App.handleRequest" in str(stack) for stack in done.run.stacks())
    assert done.run.record["timings_s"]["sample"] < 30
    assert stock.left(host) == []
    assert left_in(host, "java") == []
    assert "remote-prof" not in jvm_says(host, "java", "JFR.check")


def test_its_sidecar_has_no_right_and_is_the_target_s_user(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", host.name, "-d", 4)
    try:
        running.wait_for(SAMPLING)
        seen, main = rights_of(host), rights_of(host, "java")
    finally:
        done = running.end()
    assert done.code == 0, done.err
    seen.check([])
    assert seen.status["Uid"].split() == ["1000"] * 4
    assert seen.namespaces["pid"] == main.namespaces["pid"]
    assert stock.left(host) == []


@pytest.fixture
def twins(host: LabHost) -> Iterator[str]:
    """Give a container of root's, with a secret, in which two JVMs run."""
    name, java = "twins", f"java {' '.join(JAVA_OPTIONS)} App"
    alone = ("--network", "none", "--name", name, "-e", f"SECRET={ENVIRONMENT_SECRET}")
    host.docker("run", "-d", *alone, LANGUAGES_IMAGE, "sh", "-c", f"{java} & {java} & wait")
    time.sleep(2)
    yield name
    host.docker("rm", "-f", name)


def test_two_jvms_of_root_are_taken_and_nothing_of_them_is_a_secret(
    host: LabHost, tool: Tool, stock: Stock, twins: str
) -> None:
    done = tool("run", "-C", twins, "--engine", "java", "--event", "lock", "-H", host.name, "-d", 4)
    assert done.code == 0, done.err
    files = {path.name: path.read_bytes() for path in done.run.path.rglob("*") if path.is_file()}
    recordings = [data for name, data in files.items() if name.endswith(".jfr")]
    assert len(recordings) == 2
    for data in recordings:
        weights = [b"App", b"writeLedger"]
        assert all(word in data for word in weights)
    for secret in (JAVA_SECRET, ENVIRONMENT_SECRET):
        for name, data in files.items():
            assert secret.encode() not in data, name
            assert secret.encode("utf-16-be") not in data, name
            assert secret.encode("utf-16-le") not in data, name
    assert left_in(host, twins) == []
    host.docker("rm", "-f", twins)
    stock.take(host)


def test_a_jvm_that_records_already_is_left_alone(host: LabHost, tool: Tool, stock: Stock) -> None:
    jvm_says(host, "java", "JFR.start name=theirs settings=default")
    try:
        done = tool(*RUN, "-H", host.name, "-d", 4)
        told = jvm_says(host, "java", "JFR.check")
    finally:
        jvm_says(host, "java", "JFR.stop name=theirs")
    assert done.code == 1
    # Compose v1 ends its errors with the exit code, so that the message does not show this line.
    assert "it records already" in (done.run.target / "sidecar.err").read_text()
    assert "name=theirs" in told
    assert "remote-prof" not in told
    assert not list(done.run.path.rglob("*.jfr"))
    assert stock.left(host) == []


def test_what_runs_no_java_is_told_at_once(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-C", "api", "--engine", "java", "-H", host.name)
    ((what, evidence, step),) = done.parts()
    assert (done.code, what) == (1, "no JVM runs in api")
    assert evidence == "its processes: sh, svc"
    assert "--engine bpftrace" in step
    assert stock.left(host) == []


@pytest.fixture
def framed(host: LabHost) -> Iterator[str]:
    """Give a container whose JVM keeps frame pointers."""
    name = "framed"
    alone = ("--network", "none", "--user", "1000:1000", "--name", name)
    host.docker("run", "-d", *alone, LANGUAGES_IMAGE, "java", FRAME_POINTERS, *JAVA_OPTIONS, "App")
    time.sleep(6)  # until what is hot is compiled
    yield name
    host.docker("rm", "-f", name)


def maps_in(host: LabHost, container: str) -> list[str]:
    """Return the perf maps that are in a target's /tmp."""
    names = host.docker("exec", container, "ls", "-A", "/tmp").split()
    return [name for name in names if name.startswith("perf-")]


@pytest.mark.parametrize("engine", ["bpftrace", "perf"])
def test_a_sampler_in_the_kernel_names_java_by_a_map_that_is_gone_again(
    engine: str, host: LabHost, tool: Tool, stock: Stock, framed: str
) -> None:
    done = tool("run", "-C", framed, "--engine", engine, "-H", host.name, "-d", 6)
    assert done.code == 0, done.err
    stacks = done.run.stacks()
    named = sum(n for stack, n in stacks.items() if any("App." in frame for frame in stack))
    assert named / stacks.total() > 0.5, stacks
    assert "JVMs are asked for a perf map" in json.dumps(done.run.record["problems"])
    assert maps_in(host, framed) == []
    # A map that was there stays, and is used.
    jvm_says(host, framed, "Compiler.perfmap")
    done = tool("run", "-C", framed, "--engine", engine, "-H", host.name, "-d", 2)
    assert done.code == 0, done.err
    assert maps_in(host, framed) == ["perf-1.map"]
    assert "it has a perf map: that is used" in (done.run.target / "launcher.log").read_text()
    host.docker("rm", "-f", framed)
    stock.take(host)


def test_an_interrupt_takes_the_map_away_too(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    debian13.docker(
        *("run", "-d", "--network", "none", "--user", "1000:1000", "--name", "framed"),
        *(LANGUAGES_IMAGE, "java", FRAME_POINTERS, *JAVA_OPTIONS, "App"),
    )
    try:
        time.sleep(3)
        argv = ("run", "-C", "framed", "--engine", "bpftrace", "-H", debian13.name, "-d", 60)
        running = tool.start(*argv)
        running.wait_for(SAMPLING)
        assert maps_in(debian13, "framed") == ["perf-1.map"]
        time.sleep(3)
        running.process.send_signal(signal.SIGINT)
        done = running.end()
        assert done.code == 130, done.err
        assert maps_in(debian13, "framed") == []
    finally:
        debian13.docker("rm", "-f", "framed")
    assert stock.left(debian13) == []
