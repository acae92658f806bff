"""What is taken once: who is asked for it, how, and what is made of the answers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import AUTO, ENGINES, KNOWN, Engine, ProfileRequest
from remote_prof.engines.java import Java
from remote_prof.engines.pyspy import PySpy
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.parse import read_profile
from remote_prof.parse.enclosed import enclosed
from remote_prof.parse.java_threads import parse_java_threads
from remote_prof.profile.model import FrameKind
from remote_prof.profile.view import View
from remote_prof.records import Severity
from remote_prof.run.manifest import HostRecord, SidecarRecord, Status, TargetRecord
from remote_prof.run.plan import Service, make_plan
from remote_prof.run.report import analyse

HERE = Path(__file__).parent
DATA = HERE.parent / "recorded/data"
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(0.0, 99, "both", "img", event="dump")
HEAP = replace(REQUEST, event="heap")
ONCE = [(engine, event) for engine in ENGINES for event in engine.events.values() if event.once]
PYTHON = (DATA / "py-spy-dump/py-spy-0.4-subprocesses.txt").read_bytes()
THREADS = DATA / "jstack/jdk-25-deadlock.txt"
HISTOGRAM = DATA / "class-histogram/jdk-17.txt"


def process(inside: int, name: str, uid: int | None = 1000) -> Process:
    return Process(100 + inside, "c" * 64, inside, 1, name, uid=uid, gid=uid)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def script(engine: Engine, found: Target, request: ProfileRequest = REQUEST) -> str:
    (sidecar,) = engine.plan(request, STATE.facts, found)
    return sidecar.script


def test_a_run_waits_no_longer_than_it_may_take() -> None:
    assert {(engine.name, event.name) for engine, event in ONCE} == {
        ("pyspy", "dump"),
        ("java", "dump"),
        ("java", "heap"),
        ("gopprof", "heap"),
        ("gopprof", "goroutine"),
    }
    names = {"pyspy": "python3", "java": "java", "gopprof": "svc"}
    for engine, event in ONCE:
        found = target(process(7, names[engine.name]))
        request = replace(REQUEST, event=event.name)
        plan = make_plan(
            run_id="20260131-235959-1a2b3c",
            request=request,
            runner="engine",
            facts=STATE.facts,
            target=found,
            services=(Service(engine.name, engine.plan(request, STATE.facts, found)[0]),),
            become=False,
        )
        assert plan.deadline_s == 75
        # What a process may take to answer is less, with what comes before it.
        waits = re.findall(r"-s INT -k (\d+) (\d+) ", plan.files["launcher.sh"])
        # (Ports are asked one by one: the launcher's own word ends that.)
        assert (
            engine.name == "gopprof"
            or 45 <= sum(int(number) for wait in waits for number in wait) <= 70
        )
        assert engine.describe(request) == "taken once"
        assert not event.sampled


def test_options_are_those_of_a_dump() -> None:
    found = target(process(7, "python3"), process(9, "python3"))
    text = script(PySpy(), found)
    assert 'py-spy dump --pid "$pid" --subprocesses )' in text
    assert "ulimit -f 49152\n" in text
    native = script(PySpy(), found, replace(REQUEST, native=True))
    assert "--subprocesses --native )" in native
    assert PySpy().describe(replace(REQUEST, native=True)) == "taken once, native frames too"
    # Of single processes nobody has asked for the children.
    assert "--subprocesses" not in script(PySpy(), replace(found, scope="process"))
    jvm = target(process(7, "java"))
    assert 'jattach "$1" jcmd Thread.print )' in script(Java(), jvm)
    assert 'jattach "$1" jcmd GC.class_histogram )' in script(Java(), jvm, HEAP)


FAKE_PYSPY = """#!/bin/sh
if [ "$1" = --version ]; then echo "py-spy 0.4.3"; exit; fi
case $3 in
  8) echo "Error: Permission Denied: Try running again with elevated permissions" >&2; exit 1 ;;
  6) echo "Process 6: python3"; while :; do echo "    f (a.py:1)"; done ;;
  5) sleep 100 ;;
esac
cat RECORDED
"""
FAKE_JATTACH = """#!/bin/sh
if [ $# = 0 ]; then echo "jattach 2.2 built on some day"; exit 1; fi
case "$1 $3" in
  "8 "*) echo "Could not start attach mechanism: No such file or directory"; exit 1 ;;
  *VM.version*) echo "OpenJDK 64-Bit Server VM"; echo "JDK 21.0.9"; exit ;;
  "6 "*) echo "Full thread dump"; while :; do echo '"x" tid=0x1'; done ;;
  "5 "*) sleep 100 ;;
  "4 "*) echo "Connected to remote JVM"; echo "java.lang.OutOfMemoryError"; exit 1 ;;
esac
cat RECORDED
"""


def start(place: Path, text: str, fake: str, recorded: Path, *pids: int) -> subprocess.Popen[bytes]:
    """Run a script with files in place of /proc, and another program in place of the profiler."""
    (place / "shm").mkdir()
    for pid in pids:
        (place / f"proc/{pid}").mkdir(parents=True)
        (place / f"proc/{pid}/comm").write_text("java\n")
        (place / f"proc/{pid}/status").write_text("SigCgt:\t2000000181005ccf\n")
        (place / f"proc/{pid}/maps").write_text(
            "" if pid == 3 else "7f00 r-xp 0 08:01 1 /opt/java/lib/server/libjvm.so\n"
        )
    program = place / ("jattach" if fake is FAKE_JATTACH else "py-spy")
    program.write_text(fake.replace("RECORDED", str(recorded)))
    program.chmod(0o755)
    text = text.replace("/dev/shm", f"{place}/shm").replace("/proc/", f"{place}/proc/")
    # Of what does not come to an end the bounds would be waited for.
    text = text.replace("-k 5 45", "-k 1 2").replace("ulimit -f", "ulimit -f 64 #")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", "-c", text],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_pyspy(place: Path, *pids: int) -> tuple[int, bytes, bytes]:
    found = target(*(process(pid, "python3") for pid in pids))
    recorded = place / "recorded"
    recorded.write_bytes(PYTHON)
    with start(place, script(PySpy(), found), FAKE_PYSPY, recorded, *pids) as running:
        out, err = running.communicate(timeout=60)
    return running.returncode, out, err


def run_java(
    place: Path, *pids: int, request: ProfileRequest = REQUEST, recorded: Path = THREADS
) -> tuple[int, bytes, bytes]:
    found = target(*(process(pid, "java") for pid in pids))
    with start(place, script(Java(), found, request), FAKE_JATTACH, recorded, *pids) as running:
        out, err = running.communicate(timeout=60)
    return running.returncode, out, err


def test_a_dump_of_interpreters_is_the_raw_profile_itself(tmp_path: Path) -> None:
    code, out, err = run_pyspy(tmp_path, 7)
    assert (code, err, out.splitlines()[-1]) == (0, b"", b"@@ end 0")
    assert PYTHON in out
    profile = PySpy().parse(out, REQUEST)
    assert (profile.total, profile.unit, profile.tool) == (3, "threads", "py-spy 0.4.3")
    assert (profile.notes, profile.frequency_hz, profile.whole_stacks) == ((), None, True)
    # A child stands under who has started it, as in samples.
    child = next(stack for stack in profile.stacks if stack[-1].name == "serve")
    assert [frame.kind for frame in child[:3]] == [FrameKind.PROCESS] * 3
    assert child[1].name == "/usr/bin/python3 /opt/app/app.py child"
    assert child[2].name == "MainThread (idle)"
    # Without the run it is told by its content.
    assert read_profile("profile.txt", out) == profile
    cut = PySpy().parse(out[: out.index(b"@@ end")], REQUEST)
    assert cut.notes == ("the output ends before the end of the run",)


def test_the_text_of_a_jvm_is_enclosed(tmp_path: Path) -> None:
    code, out, err = run_java(tmp_path, 7, 9)
    assert (code, err, out.splitlines()[-1]) == (0, b"", b"@@ end 0")
    assert [(file.name, file.pid, file.data) for file in enclosed(out)] == [
        (f"threads-{pid}.txt", pid, THREADS.read_bytes()) for pid in (7, 9)
    ]
    profile = Java().parse(out, REQUEST)
    assert profile.total == 2 * parse_java_threads(THREADS.read_bytes()).total
    assert {stack[0].pid for stack in profile.stacks} == {7, 9}
    assert (profile.unit, profile.tool) == ("threads", "jattach 2.2, JDK 21.0.9")
    assert profile.notes == ("the JVM has found 1 deadlock: the dump's text says of which threads",)
    assert (profile.frequency_hz, profile.whole_stacks) == (None, True)


def test_a_heap_is_bytes_by_class(tmp_path: Path) -> None:
    code, out, err = run_java(tmp_path, 7, request=HEAP, recorded=HISTOGRAM)
    assert (code, err) == (0, b"")
    ((name, data),) = [(file.name, file.data) for file in enclosed(out)]
    assert (name, data) == ("heap-7.txt", HISTOGRAM.read_bytes())
    profile = Java().parse(out, HEAP)
    weights = {stack[-1].name: weight for stack, weight in profile.stacks.items()}
    assert all(len(stack) == 2 and stack[0].pid == 7 for stack in profile.stacks)
    assert (weights["byte[]"], weights["java.lang.Object[]"]) == (129616, 70528)
    analysis = analyse({"java": out}, HEAP, cpu_time_s=None)
    # That stacks are short is no fault here.
    assert (analysis.quality.expected, analysis.quality.shallow_share) == (None, 0)
    assert analysis.hints == ()


@pytest.mark.parametrize(
    ("pid", "why"),
    [
        (8, b"pid 8: Could not start attach mechanism"),
        (3, b"pid 3: this is no JVM, or it does not catch SIGQUIT: it gets no signal"),
        (4, b"pid 4: it gives none (exit code 1): Connected to remote JVM java.lang.OutOfMemory"),
        (5, b"pid 5: it does not answer within 45 s"),
    ],
)
def test_a_jvm_that_gives_none_says_why_and_costs_no_other(
    tmp_path: Path, pid: int, why: bytes
) -> None:
    code, out, err = run_java(tmp_path, pid, 9)
    assert (code, out.splitlines()[-1]) == (1, b"@@ end 1")
    assert why in err
    assert {stack[0].pid for stack in Java().parse(out, REQUEST).stacks} == {9}


def test_where_no_jvm_gives_one_nothing_has_begun(tmp_path: Path) -> None:
    code, out, _ = run_java(tmp_path, 8)
    assert (code, out) == (1, b"@@ end 1\n")
    assert Java().parse(out, REQUEST).total == 0


def test_a_dump_without_end_is_cut(tmp_path: Path) -> None:
    code, out, err = run_java(tmp_path, 6)
    assert (code, out.splitlines()[-1]) == (1, b"@@ end 1")
    assert b"pid 6: what it gave is not whole" in err
    assert len(enclosed(out)[0].data) <= 64 * 1024


def test_an_interpreter_that_gives_none_costs_no_other(tmp_path: Path) -> None:
    code, out, err = run_pyspy(tmp_path, 8, 5, 6, 9)
    assert code != 0
    assert out.splitlines()[-1] == f"@@ end {code}".encode()
    assert b"Permission Denied" in err
    assert len(out) < 1 << 20
    assert PySpy().parse(out, REQUEST).total == 3


def test_where_no_interpreter_gives_one_nothing_has_begun(tmp_path: Path) -> None:
    code, out, err = run_pyspy(tmp_path, 8)
    assert (code, out) == (1, b"# py-spy 0.4.3\n@@ end 1\n")
    assert PySpy().denied(err.decode())


@pytest.mark.parametrize("engine", [PySpy(), Java()], ids=lambda engine: engine.name)
def test_a_signal_ends_it_with_what_there_is(tmp_path: Path, engine: Engine) -> None:
    name, fake = ("java", FAKE_JATTACH) if engine.name == "java" else ("python3", FAKE_PYSPY)
    recorded = tmp_path / "recorded"
    recorded.write_bytes(THREADS.read_bytes() if engine.name == "java" else PYTHON)
    # One of them hangs, for longer than this test may take.
    text = script(engine, target(process(5, name), process(9, name))).replace("-k 5 45", "-k 5 99")
    begun = time.monotonic()
    with start(tmp_path, text, fake, recorded, 5, 9) as running:
        time.sleep(1.5)
        os.kill(running.pid, signal.SIGTERM)
        out, _ = running.communicate(timeout=40)
    assert time.monotonic() - begun < 30
    assert out.splitlines()[-1].startswith(b"@@ end ")
    assert engine.parse(out, REQUEST).total > 0


def chosen(*names: str, request: ProfileRequest = REQUEST) -> list[str]:
    found = target(*(process(number, name) for number, name in enumerate(names, 7)))
    choice = KNOWN.choose(AUTO, request, STATE.facts, found)
    return [engine.name for engine, _ in choice.engines]


def test_each_language_that_runs_there_is_dumped() -> None:
    assert chosen("sh", "python3") == ["pyspy"]
    assert chosen("java", "svc") == ["java"]
    assert chosen("python3", "java") == ["pyspy", "java"]
    assert chosen("java", request=HEAP) == ["java"]
    found = target(process(7, "python3"), process(8, "java"), scope="process")
    choice = KNOWN.choose(AUTO, REQUEST, STATE.facts, found)
    assert [[p.name for p in part.processes] for _, part in choice.engines] == [
        ["python3"],
        ["java"],
    ]
    assert {problem.severity for problem in choice.problems} == {Severity.NOTE}


def test_what_runs_nothing_that_can_be_dumped_is_told() -> None:
    choice = KNOWN.choose(AUTO, REQUEST, STATE.facts, target(process(7, "svc")))
    (problem,) = choice.problems
    assert (choice.engines, problem.severity) == ((), Severity.ERROR)
    assert problem.what == "no Python and no Java runs in api"
    assert "--engine pyspy or java" in problem.fix


def test_one_that_cannot_costs_no_other() -> None:
    several = (process(8, "java"), process(9, "java", uid=0))
    both = KNOWN.choose(AUTO, REQUEST, STATE.facts, target(process(7, "python3"), *several))
    assert [engine.name for engine, _ in both.engines] == ["pyspy"]
    assert [p.severity for p in both.problems] == [Severity.NOTE, Severity.WARNING]
    alone = KNOWN.choose(AUTO, REQUEST, STATE.facts, target(*several))
    assert ([p.severity for p in alone.problems], alone.engines) == ([Severity.ERROR], ())


def test_dumps_of_several_languages_are_one_profile_by_process(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, python, _ = run_pyspy(tmp_path / "a", 9)
    _, java, _ = run_java(tmp_path / "b", 9)
    # Its pids are those of the recording.
    pids = tuple(frame.pid for frame in PySpy().parse(python, REQUEST).frames if frame.pid)
    made = (
        SidecarRecord(name, "img", "", (), "", (), "engine", 0, "", profile=f"profile-{name}.txt")
        for name in ("pyspy", "java")
    )
    host = HostRecord(
        "prod-3",
        "10.0.0.3",
        Status.OK,
        target=TargetRecord(
            *("mixed", "c" * 64, "img", "i", "container", ""),
            pids=(*range(4001, 4001 + len(pids)), 4009),
            container_pids=(*pids, 9),
            filter="",
            process_names=(*("python3" for _ in pids), "java"),
        ),
        sidecars=tuple(made),
    )
    raws = {"pyspy": python, "java": java}
    analysis = analyse(raws, REQUEST, cpu_time_s=None, host=host)
    assert analysis.view == View(group_by="process")
    by_process: dict[str, int] = {}
    for stack, weight in analysis.profile.stacks.items():
        by_process[stack[0].name] = by_process.get(stack[0].name, 0) + weight
    assert by_process == {"python3": 3, "java": 6}
    assert (analysis.profile.unit, analysis.quality.got) == ("threads", 9)
