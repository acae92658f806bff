"""The choice of engines: which process is profiled by what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_prof.engines import AUTO, ENGINES, KNOWN, ProfileRequest
from remote_prof.errors import UsageError
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process, parse_processes
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.records import Severity

STATE = parse_facts((Path(__file__).parent / "data/facts/docker-26-hybrid.txt").read_bytes())
FACTS = replace(STATE.facts, tracefs="/sys/kernel/tracing")
REQUEST = ProfileRequest(10.0, 99, "both", "img")


def target(*programs: str, scope: str = "container", **more: Any) -> Target:
    found = resolve(TargetSpec("api"), STATE)
    one = found.processes[0]
    processes = (
        replace(one, pid=100 + n, container_pid=1 + n, parent_pid=0, name=name, arguments=name)
        for n, name in enumerate(programs)
    )
    return replace(found, scope=scope, processes=tuple(replace(p, **more) for p in processes))


def chosen(found: Target, request: ProfileRequest = REQUEST, name: str = AUTO) -> list[str]:
    choice = KNOWN.choose(name, request, FACTS, found)
    return [engine.name for engine, _ in choice.engines]


def test_what_is_native_is_the_kernels_samplers_alone() -> None:
    choice = KNOWN.choose(AUTO, REQUEST, FACTS, target("sh", "svc"))
    assert [engine.name for engine, _ in choice.engines] == ["bpftrace"]
    assert choice.problems == ()


def test_an_interpreter_has_its_own_profiler_beside_it() -> None:
    found = target("svc", "python3")
    choice = KNOWN.choose(AUTO, REQUEST, FACTS, found)
    assert [engine.name for engine, _ in choice.engines] == ["bpftrace", "pyspy"]
    assert [part for _, part in choice.engines] == [replace(found, others=(101,)), found]
    (note,) = choice.problems
    assert note.severity is Severity.NOTE
    assert note.what == "Python is profiled by pyspy"
    assert note.evidence == "101 is called python3 (the login may not see what it runs)"


def test_of_processes_that_were_named_each_profiler_gets_its_own() -> None:
    choice = KNOWN.choose(AUTO, REQUEST, FACTS, target("svc", "python3", scope="process"))
    assert [[p.name for p in part.processes] for _, part in choice.engines] == [
        ["svc", "python3"],
        ["python3"],
    ]


def test_what_one_engine_alone_measures_it_measures() -> None:
    both = target("svc", "python3")
    assert chosen(both, replace(REQUEST, event="offcpu")) == ["bpftrace"]
    assert chosen(both, replace(REQUEST, event="gil")) == ["pyspy"]
    assert chosen(both, name="pyspy") == ["pyspy"]
    against = KNOWN.choose(AUTO, replace(REQUEST, event="gil"), FACTS, target("svc")).problems
    assert [p.what for p in against if p.severity is Severity.ERROR] == ["no Python runs in api"]


def test_what_perf_alone_can_unwind_perf_samples() -> None:
    dwarf = replace(REQUEST, call_graph="dwarf")
    assert chosen(target("svc"), dwarf) == ["perf"]
    assert chosen(target("svc", "python3"), dwarf) == ["perf", "pyspy"]
    assert chosen(target("svc"), dwarf, name="bpftrace") == ["bpftrace"]
    # Where perf does not measure it, nothing is lost.
    assert chosen(target("svc"), replace(dwarf, event="offcpu")) == ["bpftrace"]


def test_of_several_for_one_language_the_first_measures() -> None:
    assert chosen(target("svc", "python3")) == ["bpftrace", "pyspy"]
    assert chosen(target("svc", "python3"), replace(REQUEST, event="wall")) == ["pyspy"]
    assert chosen(target("svc", "python3"), replace(REQUEST, event="memory")) == ["austin"]


def test_what_nothing_tells_beforehand_is_looked_at_where_no_other_can() -> None:
    heap = replace(REQUEST, event="heap")
    assert chosen(target("svc", "java"), heap) == ["java"]
    assert chosen(target("svc"), heap) == ["gopprof"]
    assert chosen(target("svc", runtime="go"), heap) == ["gopprof"]
    against = KNOWN.choose(AUTO, heap, FACTS, target("python3")).problems
    assert [p.what for p in against] == ["no Java and no Go runs in api"]


def test_of_several_languages_each_measures_its_own() -> None:
    heap = replace(REQUEST, event="heap")
    java, go = target("java"), target("svc", runtime="go")
    (moved,) = (replace(process, pid=200) for process in go.processes)
    both = replace(java, processes=(*java.processes, moved))
    assert chosen(both, heap) == ["java", "gopprof"]
    problems = KNOWN.choose(AUTO, heap, FACTS, both).problems
    assert "200 svc has a build id of Go" in [problem.evidence for problem in problems]


def test_cpu_time_of_go_the_kernel_s_sampler_sees_whole() -> None:
    assert chosen(target("svc", runtime="go")) == ["bpftrace"]
    assert chosen(target("svc", runtime="go"), replace(REQUEST, call_graph="dwarf")) == ["perf"]


def test_where_bpftrace_cannot_the_others_still_do() -> None:
    locked = replace(FACTS, lockdown="confidentiality")
    choice = KNOWN.choose(AUTO, REQUEST, locked, target("svc", "python3"))
    assert [engine.name for engine, _ in choice.engines] == ["pyspy"]
    assert [p.severity for p in choice.problems] == [Severity.WARNING, Severity.NOTE]
    alone = KNOWN.choose(AUTO, REQUEST, locked, target("svc"))
    assert [p.severity for p in alone.problems] == [Severity.ERROR]


def test_one_flag_more_is_told() -> None:
    places, pointers = KNOWN.choose(AUTO, REQUEST, FACTS, target("java")).problems[-2:]
    assert "-XX:+DebugNonSafepoints" in places.what
    assert "-XX:+PreserveFramePointer" in pointers.what
    flags = "-XX:+DebugNonSafepoints -XX:+PreserveFramePointer"
    flagged = target("java", arguments=f"java {flags} App")
    assert not [
        p for p in KNOWN.choose(AUTO, REQUEST, FACTS, flagged).problems if "started with" in p.what
    ]


@pytest.mark.parametrize(
    ("facts", "language", "evidence"),
    [
        ({}, "native", "is called worker (the login may not see what it runs)"),
        ({"program": "/usr/bin/python3.11"}, "Python", "runs /usr/bin/python3.11"),
        ({"runtime": "jvm", "program": "/opt/app/x"}, "Java", "worker has loaded libjvm"),
        ({"runtime": "go", "program": "/opt/app/x"}, "Go", "worker has a build id of Go"),
        ({"program": "/opt/app/svc", "arguments": "python3"}, "native", "runs /opt/app/svc"),
    ],
)
def test_the_program_tells_more_than_a_name(
    facts: dict[str, Any], language: str, evidence: str
) -> None:
    process = Process(1, "c", 1, 0, "worker", **facts)
    assert process.language == language
    if language == "Python":
        choice = KNOWN.choose(AUTO, REQUEST, FACTS, target("worker", **facts))
        assert choice.problems[0].evidence == f"100 {evidence}"


def test_the_facts_of_a_process_are_read() -> None:
    owner = "ab" * 32
    (process,) = parse_processes(
        {
            "membership": [f"/proc/7/cgroup:0::/docker/{owner}"],
            "status": [
                "/proc/7/status:Name:\tworker",
                "/proc/7/status:Uid:\t0\t1000\t1000\t1000",
                "/proc/7/status:Gid:\t0\t1001\t1001\t1001",
            ],
            "programs": ["lrwxrwxrwx 1 a b 0 Nov 26 19:00 /proc/7/exe -> /opt/py (deleted)"],
            "runtimes": ["/proc/7/maps:/libpython3.11.so"],
            "builds": ["==> /proc/7/exe <=="],
        }
    )
    assert (process.uid, process.gid) == (1000, 1001)
    assert (process.program, process.runtime) == ("/opt/py", "python")


def test_a_program_of_go_is_told_by_its_build() -> None:
    owner = "ab" * 32
    build = "/".join(["aB0_-" * 4] * 4)
    processes = parse_processes(
        {
            "membership": [f"/proc/{pid}/cgroup:0::/docker/{owner}" for pid in (7, 8, 9)],
            "status": [f"/proc/{pid}/status:Name:\tsvc" for pid in (7, 8, 9)],
            "builds": ["==> /proc/7/exe <==", "==> /proc/8/exe <==", build, "==> /proc/9/exe <=="],
        }
    )
    assert [process.language for process in processes] == ["native", "Go", "native"]


def test_all_that_any_of_them_can_is_known() -> None:
    assert set(KNOWN.events(AUTO)) == {event for engine in ENGINES for event in engine.events}
    assert KNOWN.options(AUTO, "cpu") >= {"stacks", "native"}
    assert KNOWN.options(AUTO, "wall") == {"native", "async_profiler"}
    with pytest.raises(UsageError, match="no engine perl"):
        KNOWN.named("perl")
