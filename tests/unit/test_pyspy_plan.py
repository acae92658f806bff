"""What py-spy is asked for which processes, and what is made of what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.pyspy import PySpy
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.parse import read_profile
from remote_prof.profile.model import Frame, FrameKind
from remote_prof.records import Severity

STATE = parse_facts((Path(__file__).parent / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 99, "both", "img")


def process(inside: int, parent: int, name: str) -> Process:
    """A process whose pid on the host is 100 more than inside."""
    return Process(100 + inside, "c" * 64, inside, 100 + parent, name)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def script(found: Target, **asked: object) -> str:
    request = replace(REQUEST, **asked)  # type: ignore[arg-type]
    (sidecar,) = PySpy().plan(request, STATE.facts, found)
    return sidecar.script


def test_it_needs_one_right_in_the_target_s_own_namespace() -> None:
    found = target(process(1, 0, "python3"))
    (sidecar,) = PySpy().plan(REQUEST, STATE.facts, found)
    assert sidecar.capabilities == ("SYS_PTRACE",)
    assert sidecar.pid_namespace == f"container:{found.container.container_id}"
    assert (sidecar.mounts, dict(sidecar.environment)) == ((), {})
    assert sidecar.filter_text == "the interpreter 1, by pid inside"


def test_children_of_an_interpreter_are_its_own() -> None:
    found = target(
        process(1, 0, "sh"),
        process(7, 1, "python3"),
        process(8, 7, "python3.11"),
        process(9, 8, "python3"),
        process(20, 1, "gunicorn"),
        process(21, 1, "nginx"),
        # Also by way of a shell: py-spy follows all that is below it.
        process(30, 9, "sh"),
        process(31, 30, "python3"),
    )
    assert "for pid in 7 20 ; do" in script(found)
    assert "--subprocesses" in script(found)
    # Of single processes nobody has asked for the children.
    alone = replace(found, scope="process", processes=found.processes[1:3])
    assert "for pid in 7 8 ; do" in script(alone)
    assert "--subprocesses" not in script(alone)


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({}, "--threads --subprocesses"),
        ({"event": "wall"}, "--threads --idle --subprocesses"),
        ({"event": "gil"}, "--threads --gil --subprocesses"),
        ({"native": True}, "--threads --subprocesses --native"),
    ],
)
def test_events_are_options(asked: dict[str, object], options: str) -> None:
    assert f'    {options} >"$pid.told"' in script(target(process(1, 0, "python3")), **asked)


@pytest.mark.parametrize(("duration_s", "whole"), [(0.2, 1), (1.0, 1), (1.5, 2), (30.0, 30)])
def test_whole_seconds_are_sampled(duration_s: float, whole: int) -> None:
    found = script(target(process(1, 0, "python3")), duration_s=duration_s)
    assert f"--duration {whole} " in found
    assert f"timeout -s INT -k 20 {whole + 60} py-spy" in found
    assert PySpy().describe(replace(REQUEST, duration_s=duration_s)) == f"{whole} s at 99 Hz"


def test_what_is_no_python_is_refused() -> None:
    names = [process(number, 1, f"p{number}") for number in range(1, 20)]
    (found,) = PySpy().problems(REQUEST, STATE.facts, target(*names))
    assert (found.severity, found.what) == (Severity.ERROR, "no Python runs in api")
    assert found.evidence == "its processes: p1, p10, p11, p12, p13, p14, p15, p16..."
    assert "--engine bpftrace" in found.fix
    # Who names a process knows better than its name does.
    named = target(process(7, 1, "[celeryd: w1]"), scope="process")
    assert PySpy().problems(REQUEST, STATE.facts, named) == []
    assert "for pid in 7 ; do" in script(named)


def test_there_is_room_for_a_thread_for_each_process() -> None:
    few, many = (
        target(process(1, 0, "python3")),
        target(*(process(n, 0, "python3") for n in range(1, 101))),
    )
    for found, expected in ((few, 72), (many, 864)):
        (sidecar,) = PySpy().plan(REQUEST, STATE.facts, found)
        assert (sidecar.pids_limit, sidecar.cpu_limit) == (expected, None)


@pytest.mark.parametrize(
    ("errors", "denied"),
    [
        ("Error: Permission Denied: Try running again with elevated permissions", True),
        ("Error: Permission denied (os error 13)", True),
        ("Error: Failed to find python version from target process", False),
        ("", False),
    ],
)
def test_a_refusal_of_the_kernel_is_told(errors: str, denied: bool) -> None:
    assert PySpy().denied(errors) is denied


FAKE = """#!/bin/sh
if [ "$1" = --version ]; then echo "py-spy 0.4.3"; exit; fi
while [ $# -gt 0 ]; do
  case $1 in --pid) pid=$2 ;; --output) out=$2 ;; esac
  shift
done
if [ "$pid" = 8 ]; then echo "Error: Failed to find python version" >&2; exit 1; fi
echo "py-spy> Sampling process 99 times a second for 10 seconds. Press Control-C to exit."
sleep 0.2
[ "$pid" != 9 ] || echo "py-spy> 1.20s behind in sampling, results may be inaccurate. Try less."
echo "py-spy> Wrote raw flamegraph data to '$out'. Samples: 7 Errors: 2"
echo "process $pid:\\"python3 app.py\\";thread ($pid): main;leaf (app.py:4) 7" > "$out"
"""


def run_sidecar(directory: Path, found: Target) -> subprocess.CompletedProcess[bytes]:
    work = directory / "shm"
    work.mkdir()
    program = directory / "py-spy"
    program.write_text(FAKE)
    program.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", script(found).replace("cd /dev/shm", f"cd {work}")],
        env={"PATH": f"{directory}:/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
    )


def test_what_the_script_prints_is_a_profile(tmp_path: Path) -> None:
    done = run_sidecar(tmp_path, target(process(7, 1, "python3"), process(9, 1, "python3")))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, b"@@ end 0")
    profile = PySpy().parse(done.stdout, REQUEST)
    leaf = Frame("leaf", FrameKind.INTERPRETED, "app.py")
    main = Frame("main", FrameKind.PROCESS)
    assert profile.stacks == {
        (Frame("python3 app.py", FrameKind.PROCESS, pid=pid), main, leaf): 7 for pid in (7, 9)
    }
    assert (profile.tool, profile.frequency_hz) == ("py-spy 0.4.3", 99)
    late = "py-spy came too late to some samples: sample less often (--frequency)"
    assert (profile.unit, profile.notes, profile.lost) == ("samples", (late,), 4)
    assert PySpy().parse(done.stdout, replace(REQUEST, event="wall")).frequency_hz is None
    # Without the run it is told by its content.
    assert replace(read_profile("profile.txt", done.stdout), frequency_hz=99) == profile


def test_one_that_fails_does_not_cost_the_others(tmp_path: Path) -> None:
    done = run_sidecar(tmp_path, target(process(8, 1, "python3"), process(9, 1, "python3")))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, b"@@ end 1")
    assert b"Failed to find python version" in done.stderr
    assert PySpy().parse(done.stdout, REQUEST).total == 7


def test_an_image_without_py_spy_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", script(target(process(1, 0, "python3")))],
        env={"PATH": str(tmp_path)},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (127, b"no py-spy in this image\n")


def test_output_that_is_cut_keeps_what_is_whole(tmp_path: Path) -> None:
    done = run_sidecar(tmp_path, target(process(7, 1, "python3"), process(9, 1, "python3")))
    lines = done.stdout.splitlines(keepends=True)
    cut = PySpy().parse(b"".join(lines[:-2]), REQUEST)
    assert (cut.total, "the output ends before the end of the run" in cut.notes) == (7, True)
    assert PySpy().parse(b"".join(lines[:2]), REQUEST).total == 0


def test_where_none_can_be_sampled_nothing_has_begun(tmp_path: Path) -> None:
    done = run_sidecar(tmp_path, target(process(8, 1, "python3")))
    assert b"@@ sampling" not in done.stdout
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, b"@@ end 1")


def test_a_process_alone_is_the_root_by_its_command_line(tmp_path: Path) -> None:
    found = target(Process(os.getpid(), "c" * 64, os.getpid(), 1, "python3"), scope="process")
    done = run_sidecar(tmp_path, found)
    (stack,) = PySpy().parse(done.stdout, REQUEST).stacks
    assert (stack[0].pid, stack[0].kind) == (os.getpid(), FrameKind.PROCESS)
    assert stack[0].name.startswith(sys.executable)


def test_a_command_line_of_several_lines_is_one_process() -> None:
    raw = b"""# py-spy 0.4.3
@@ sampling
process 7:"python3 -c import time
while True: time.sleep(1); x = 1
";thread (7): MainThread;<module> (<string>:2) 5
@@ end 0
"""
    profile = PySpy().parse(raw, REQUEST)
    ((root, thread, _),) = profile.stacks
    assert (root.pid, thread.name, profile.total, profile.notes) == (7, "MainThread", 5, ())
    assert "while True" in root.name
