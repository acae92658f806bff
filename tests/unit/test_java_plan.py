"""What a JVM is asked for, in whose name, and what is made of what the sidecar prints."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.java import Java
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.parse.jfr import parse_jfr
from remote_prof.records import Severity

HERE = Path(__file__).parent
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 99, "both", "img")
RECORDING = gzip.decompress((HERE.parent / "recorded/data/jfr/jdk-21-lock.jfr.gz").read_bytes())


def process(inside: int, name: str = "java", uid: int | None = 1000, gid: int = 1000) -> Process:
    return Process(100 + inside, "c" * 64, inside, 1, name, uid=uid, gid=gid)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def script(found: Target, **asked: object) -> str:
    (sidecar,) = Java().plan(replace(REQUEST, **asked), STATE.facts, found)  # type: ignore[arg-type]
    return sidecar.script


def test_it_is_the_target_s_user_without_a_right() -> None:
    found = target(process(1, "sh"), process(7), process(9))
    (sidecar,) = Java().plan(REQUEST, STATE.facts, found)
    assert (sidecar.user, sidecar.capabilities, sidecar.rung) == ("1000:1000", (), "")
    assert sidecar.pid_namespace == f"container:{found.container.container_id}"
    assert (sidecar.network, sidecar.mounts) == ("none", ())
    assert sidecar.filter_text == "the JVMs 7, 9, by pid inside"


@pytest.mark.parametrize("uid", [0, None])
def test_root_may_not_look_at_root_without_one_right(uid: int | None) -> None:
    (sidecar,) = Java().plan(REQUEST, STATE.facts, target(process(1, uid=uid, gid=0)))
    assert (sidecar.user, sidecar.capabilities) == ("0:0", ("SYS_PTRACE",))
    privileged = replace(REQUEST, privileged=True)
    (sidecar,) = Java().plan(privileged, STATE.facts, target(process(1, uid=uid, gid=0)))
    assert (sidecar.rung, sidecar.capabilities) == ("privileged", ())


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (
            {},
            ("one jdk.CPUTimeSample throttle 10ms", 'one jdk.ExecutionSample period "10 ms"'),
        ),
        ({"frequency_hz": 49}, ('one jdk.ExecutionSample period "20 ms"',)),
        ({"frequency_hz": 5000}, ('one jdk.ExecutionSample period "1 ms"',)),
        ({"event": "alloc"}, ("one jdk.ObjectAllocationSample throttle 300/s",)),
        (
            {"event": "lock"},
            ('one jdk.JavaMonitorEnter threshold "100 us"', "one jdk.ThreadPark threshold"),
        ),
    ],
)
def test_events_are_settings(asked: dict[str, object], lines: tuple[str, ...]) -> None:
    found = script(target(process(1)), **asked)
    assert all(line in found for line in lines)
    assert "settings=default" not in found
    assert "settings=profile" not in found


def test_what_is_asked_for_is_told() -> None:
    assert Java().describe(REQUEST) == "10 s at 100 Hz"
    assert Java().describe(replace(REQUEST, duration_s=1.5, event="lock")).startswith("2 s ")


def test_what_is_no_java_and_who_is_another_are_refused() -> None:
    (found,) = Java().problems(REQUEST, STATE.facts, target(process(1, "svc")))
    assert (found.severity, found.what) == (Severity.ERROR, "no JVM runs in api")
    assert (found.evidence, "bpftrace" in found.fix) == ("its processes: svc", True)
    several = target(process(1), process(2, uid=0, gid=0))
    (found,) = Java().problems(REQUEST, STATE.facts, several)
    assert found.what == "the JVMs in api run as several users"
    assert found.evidence == "their uids and gids on the host: 0:0, 1000:1000"
    # Who names a process knows better than its name does.
    assert Java().problems(REQUEST, STATE.facts, target(process(1, "app"), scope="process")) == []


@pytest.mark.parametrize(
    ("errors", "denied"),
    [
        ("pid 1: Could not start attach mechanism: No such file or directory", True),
        ("Failed to change credentials: Operation not permitted", True),
        ("pid 1: JFR does not start: Unknown diagnostic command", False),
    ],
)
def test_a_refusal_of_the_kernel_is_told(errors: str, denied: bool) -> None:
    assert Java().denied(errors) is denied


FAKE = """#!/bin/sh
if [ $# = 0 ]; then echo "jattach 2.2 built on some day"; exit 1; fi
pid=$1; shift 2
echo "$pid $*" >> ASKED
case "$pid $*" in
  "8 "*) echo "Could not start attach mechanism: No such file or directory"; exit 1 ;;
  "6 JFR.check"*) echo "Recording 1: name=theirs (running)" ;;
  *JFR.check*) cat "STATE-$pid" 2>/dev/null || echo "No available recordings." ;;
  "5 JFR.start"*) echo "Unknown diagnostic command" ;;
  *VM.version*) echo "OpenJDK 64-Bit Server VM"; echo "JDK 21.0.9" ;;
  *JFR.start*)
    name=${1#*name=}; echo "Recording 1: name=${name%% *} (running)" > "STATE-$pid"
    file=${1#*settings=}; cat "PROC/$pid/root${file%% *}" > "SETTINGS"
    echo "Started recording 1. The result will be written to:" ;;
  *JFR.stop*filename=*) file=${1##*filename=}; cp RECORDING "PROC/$pid/root$file"; echo "Stopped" ;;
esac
"""


def start_sidecar(place: Path, found: Target, **asked: object) -> subprocess.Popen[bytes]:
    """Run the script with files in place of /proc, and of a JVM."""
    (place / "shm").mkdir()
    (place / "recording").write_bytes(RECORDING)
    for each in found.processes:
        (place / f"proc/{each.container_pid}/root/tmp").mkdir(parents=True)
        (place / f"proc/{each.container_pid}/comm").write_text("java\n")
        # Of pid 3 that is no JVM, whatever it is called: what it catches tells.
        caught = "0000000000000000" if each.container_pid == 3 else "2000000181005ccf"
        (place / f"proc/{each.container_pid}/status").write_text(f"SigCgt:\t{caught}\n")
        maps = "7f00-7f01 r-xp 0 08:01 1 /opt/java/lib/server/libjvm.so\n"
        # One that catches it and has no VM, as nginx and what is written in Go, would end, too.
        (place / f"proc/{each.container_pid}/maps").write_text(
            maps if each.container_pid != 2 else ""
        )
    fake = FAKE.replace("PROC", f"{place}/proc").replace("ASKED", f"{place}/asked")
    fake = fake.replace("STATE", f"{place}/state")
    fake = fake.replace("RECORDING", f"{place}/recording").replace("SETTINGS", f"{place}/settings")
    (place / "jattach").write_text(fake)
    (place / "jattach").chmod(0o755)
    text = script(found, **asked).replace("/dev/shm", f"{place}/shm")
    text = text.replace("/proc/sys", "/PROC/sys").replace("/proc/", f"{place}/proc/")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", "-c", text.replace("/PROC/sys", "/proc/sys")],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_sidecar(place: Path, found: Target, **asked: object) -> tuple[int, bytes, bytes]:
    running = start_sidecar(place, found, **{"duration_s": 1.0, **asked})
    out, err = running.communicate(timeout=60)
    return running.returncode, out, err


def test_what_the_script_prints_is_a_profile_and_nothing_is_left(tmp_path: Path) -> None:
    found = target(process(7), process(9))
    code, out, err = run_sidecar(tmp_path, found, event="lock")
    assert (code, out.splitlines()[-1], err) == (0, b"@@ end 0", b"")
    lock = replace(REQUEST, event="lock")
    profile = Java().parse(out, lock)
    assert profile.total == 2 * parse_jfr(RECORDING).total
    assert {stack[0].pid for stack in profile.stacks} == {7, 9}
    assert (profile.tool, profile.unit) == ("jattach 2.2, JDK 21.0.9", "us")
    assert (profile.frequency_hz, profile.notes) == (None, ())
    settings = (tmp_path / "settings").read_text()
    assert "jdk.JavaMonitorEnter" in settings
    assert "jdk.ExecutionSample" not in settings
    assert '<event name="jdk.ProcessStart"><setting name="enabled">false<' in settings
    assert list(tmp_path.glob("proc/*/root/tmp/*")) == []
    # The recording ends by itself, and leaves no file then.
    (begun,) = {line.partition(" settings=")[2].partition(" ")[2] for line in _asked(tmp_path)} - {
        ""
    }
    assert begun == "filename=/dev/null maxsize=40m duration=61s"
    cut = Java().parse(out.partition(b"@@ end")[0], lock)
    assert cut.notes == ("the output ends before the end of the run",)


def _asked(place: Path) -> list[str]:
    return (place / "asked").read_text().splitlines()


@pytest.mark.parametrize(
    ("pid", "why"),
    [
        (8, b"pid 8: Could not start attach mechanism"),
        (6, b"pid 6: it records already (Recording 1: name=theirs (running))"),
        (3, b"pid 3: this is no JVM, or it does not catch SIGQUIT"),
        (2, b"pid 2: this is no JVM, or it does not catch SIGQUIT"),
        (5, b"pid 5: JFR does not start: Unknown diagnostic command"),
    ],
)
def test_one_that_fails_says_why_and_costs_no_other(tmp_path: Path, pid: int, why: bytes) -> None:
    code, out, err = run_sidecar(tmp_path, target(process(pid), process(9)), event="lock")
    assert (code, out.splitlines()[-1]) == (1, b"@@ end 1")
    assert why in err
    assert Java().parse(out, replace(REQUEST, event="lock")).total == parse_jfr(RECORDING).total


def test_where_none_can_be_recorded_nothing_has_begun(tmp_path: Path) -> None:
    code, out, _ = run_sidecar(tmp_path, target(process(8)))
    assert (code, out) == (1, b"@@ end 1\n")
    assert Java().parse(out, REQUEST).total == 0


def test_an_interrupt_ends_it_early_with_what_there_is(tmp_path: Path) -> None:
    begun = time.monotonic()
    with start_sidecar(tmp_path, target(process(9)), event="lock", duration_s=50.0) as running:
        assert running.stdout is not None
        head = [running.stdout.readline() for _ in range(2)]
        assert head[1] == b"@@ sampling\n"
        # It heeds INT as well; but that is ignored by what a shell has started in the background.
        os.kill(running.pid, signal.SIGTERM)
        out, _ = running.communicate(timeout=40)
    assert running.returncode == 0
    assert time.monotonic() - begun < 40
    assert Java().parse(b"".join(head) + out, replace(REQUEST, event="lock")).total > 0


def test_an_image_without_jattach_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", script(target(process(1)))],
        env={"PATH": str(tmp_path)},
        capture_output=True,
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (127, b"no jattach in this image")
