"""async-profiler's library in a JVM: a stand-in that is called as it is, and its own refusals."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .build import agent
from .model import LANGUAGES_IMAGE, Lab, LabHost
from .rights import rights_of
from .targets import JAVA_OPTIONS
from .test_java import left_in
from .tool import SAMPLING, Done, Stock, Tool, at_work

RUN = ("run", "-C", "java", "--engine", "java")
JAVA = ("java", *JAVA_OPTIONS, "App")


@pytest.fixture(scope="module", autouse=True)
def _at_work(lab: Lab) -> Iterator[None]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    with at_work(lab.hosts.values(), "java"):
        yield


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory like that of a release."""
    return agent(tmp_path_factory.mktemp("async-profiler"))


def mapped(host: LabHost, sha256: str) -> list[str]:
    """Return the files of one library that the JVM has mapped, by their inodes."""
    maps = host.docker("exec", "java", "cat", "/proc/1/maps").splitlines()
    lines = [line.split() for line in maps if f"remote-prof-{sha256[:16]}/" in line]
    return sorted({words[4] for words in lines})


def began_anew(host: LabHost) -> None:
    """Have a JVM that has loaded nothing yet."""
    host.docker("restart", "-t", "1", "java")
    time.sleep(2)


def profiled(tool: Tool, stock: Stock, host: LabHost, release: Path, *argv: object) -> Done:
    """Run, and see that all went well and nothing is left but what the JVM has mapped."""
    done = tool(*RUN, "--async-profiler", release, "-H", host.name, "-d", 3, *argv)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    assert left_in(host, "java") == []
    return done


@pytest.mark.parametrize("runner", ["engine", "compose"])
def test_it_is_loaded_and_gone_again(
    runner: str, host: LabHost, tool: Tool, stock: Stock, release: Path
) -> None:
    said = host.docker("logs", "java")
    done = profiled(tool, stock, host, release, "--runner", runner)
    stacks = done.run.stacks()
    assert sorted(stacks) == [
        ("java", "server", "App.main", "App.handleRequest_[j]", "App.parseRequest_[j]"),
        ("java", "server", "App.main", "App.handleRequest_[j]", "App.renderReply_[i]"),
    ]
    # The stand-in counts the milliseconds between the two words.
    assert 3000 < stacks.total() / 4 < 6000
    record = done.run.record
    assert record["sidecars"][0]["tool"].startswith("async-profiler stand-in (ctimer), jattach 2.")
    assert record["sidecars"][0]["capabilities"] == []
    asked = done.run.manifest["request"]["async_profiler"]
    data = (release / "lib/libasyncProfiler.so").read_bytes()
    assert (asked["sha256"], asked["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert asked["architecture"] == os.uname().machine
    assert (done.run.target / "stacks-1.txt").read_text().startswith("[server tid=13];")
    # What it has to say is not in the target's log, and a second run maps no second one.
    assert "Profiling" not in host.docker("logs", "java")[len(said) :]
    before = mapped(host, asked["sha256"])
    profiled(tool, stock, host, release, "--event", "lock", "--runner", runner)
    assert mapped(host, asked["sha256"]) == before
    assert len(before) == 1
    # The report is made again of what was written, without the library.
    assert tool("report", "last").code == 0


def test_waits_are_microseconds_and_all_threads_can_be_sampled(
    debian13: LabHost, tool: Tool, stock: Stock, release: Path
) -> None:
    done = profiled(tool, stock, debian13, release, "--event", "lock")
    assert 3_000_000 < done.run.stacks().total() / 4 < 6_000_000
    done = profiled(tool, stock, debian13, release, "--event", "wall")
    assert done.run.record["sidecars"][0]["tool"].startswith("async-profiler stand-in (wall)")
    refused = tool(*RUN, "-H", debian13.name, "--event", "wall")
    assert refused.code == 1
    assert "give it: --async-profiler DIR" in refused.err


def test_an_interrupt_keeps_what_was_sampled(
    host: LabHost, tool: Tool, stock: Stock, release: Path
) -> None:
    running = tool.start(*RUN, "--async-profiler", release, "-H", host.name, "-d", 60)
    running.wait_for(SAMPLING)
    seen = rights_of(host)
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert done.run.stacks().total() > 0
    assert done.run.record["timings_s"]["sample"] < 30
    seen.check([])
    assert stock.left(host) == []
    assert left_in(host, "java") == []


def test_of_two_runs_the_second_is_refused_and_the_first_loses_nothing(
    debian13: LabHost, tool: Tool, stock: Stock, release: Path
) -> None:
    first = tool.start(*RUN, "--async-profiler", release, "-H", debian13.name, "-d", 12)
    first.wait_for(SAMPLING)
    second = tool(*RUN, "--async-profiler", release, "-H", debian13.name, "-d", 2)
    assert second.code == 1
    assert "async-profiler does not start: [ERROR] Profiler already started" in second.err
    done = first.end()
    assert done.code == 0, done.err
    assert stock.left(debian13) == []
    assert left_in(debian13, "java") == []


def test_what_a_killed_sidecar_leaves_the_next_run_takes_away(
    debian13: LabHost, tool: Tool, stock: Stock, release: Path
) -> None:
    running = tool.start(*RUN, "--async-profiler", release, "-H", debian13.name, "-d", 60)
    running.wait_for(SAMPLING)
    (name,) = debian13.docker(
        "ps", "--filter", "label=remote-prof.run", "--format", "{{.Names}}"
    ).split()
    debian13.docker("kill", "--signal", "KILL", name)
    done = running.end()
    assert done.code == 1
    assert stock.left(debian13) == []
    # Its directory and the library's.
    assert len(left_in(debian13, "java")) == 2
    # It is at work until its own time is over, or the JVM is.
    began_anew(debian13)
    profiled_again = tool(*RUN, "--async-profiler", release, "-H", debian13.name, "-d", 2)
    assert profiled_again.code == 0, profiled_again.err
    (left,) = left_in(debian13, "java")
    debian13.docker("exec", "java", "rm", "-rf", f"/tmp/{left}")


@pytest.mark.parametrize(
    ("options", "java", "why"),
    [
        (("--read-only",), JAVA, "the target's /tmp cannot be written to"),
        (
            ("--tmpfs", "/tmp:rw,noexec,mode=1777"),
            JAVA,
            "the target's /tmp lets no library be loaded: mount it without noexec",
        ),
        (
            (),
            ("java", "-XX:-EnableDynamicAgentLoading", *JAVA[1:]),
            "the library does not load: Dynamic agent loading is not enabled",
        ),
    ],
)
def test_a_target_that_cannot_take_it_says_why(
    options: tuple[str, ...],
    java: tuple[str, ...],
    why: str,
    debian13: LabHost,
    tool: Tool,
    stock: Stock,
    release: Path,
) -> None:
    alone = ("--network", "none", "--user", "1000:1000", "--name", "odd")
    debian13.docker("run", "-d", *alone, *options, LANGUAGES_IMAGE, *java)
    try:
        time.sleep(2)
        argv = ("run", "-C", "odd", "--engine", "java", "--async-profiler", release)
        done = tool(*argv, "-H", debian13.name, "-d", 2)
        ((what, evidence, step),) = done.parts()
        assert (done.code, what) == (
            1,
            f"{debian13.name}: the sidecar ended before it sampled anything",
        )
        assert why in evidence
        assert step
        names = debian13.docker("exec", "odd", "ls", "-A", "/tmp").split()
        assert [name for name in names if "remote-prof" in name] == []
    finally:
        debian13.docker("rm", "-f", "odd")
    assert stock.left(debian13) == []


def test_a_library_for_another_c_library_is_told_by_the_jvm_s_own_words(
    debian13: LabHost, tool: Tool, stock: Stock, tmp_path: Path
) -> None:
    musl = agent(tmp_path / "musl", "musl-gcc")
    done = tool(*RUN, "--async-profiler", musl, "-H", debian13.name, "-d", 2)
    ((_, evidence, _),) = done.parts()
    assert done.code == 1
    assert "the library does not load: " in evidence
    assert "libc.so" in evidence
    assert stock.left(debian13) == []
    assert left_in(debian13, "java") == []


def test_what_is_no_release_is_told_before_anything_is_connected_to(
    debian13: LabHost, tool: Tool, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    done = tool(*RUN, "--async-profiler", tmp_path / "none", "-H", debian13.name)
    ((what, _, step),) = done.parts()
    assert (done.code, what) == (5, f"there is no async-profiler in {tmp_path / 'none'}")
    assert "unpack a release" in step


def test_a_plan_does_not_print_the_library(debian13: LabHost, tool: Tool, release: Path) -> None:
    argv = (*RUN, "--async-profiler", release, "-H", debian13.name, "--dry-run")
    done = tool(*argv)
    assert done.code == 0, done.err
    assert "/library, " in done.out
    assert len(done.out) < 30_000
    (plan,) = json.loads(tool(*argv, "--json").out)
    assert plan["files"]["library"]
