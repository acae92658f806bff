"""The target"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import NOTHING, PROFILE, Row, fault
from tests.lab.tool import Done, share, until

_UNTIL_TOLD = "while [ ! -e /tmp/enough ]; do /opt/app/svc burn 0.2; done"
_SERVE = ("/opt/app/svc", "serve", "300")
_ENDED = "warning: the target ended while it was sampled"
_LONG_ENOUGH_S = 4.5
"""Names are looked up after 1 and 3 s."""


def _in_mid_run(bench: Bench, *command: str) -> Done:
    """Do something to the container ``leaving`` while it is sampled."""
    bench.container("leaving", *_SERVE)
    running = bench.start("-d", 12, "-F", 499, container="leaving")
    bench.reach(running)
    time.sleep(_LONG_ENOUGH_S)
    bench.host.docker(*command)
    return running.end()


@fault(Row("the container is stopped", "sampling", _ENDED, 0, PROFILE))
def test_the_container_is_stopped(bench: Bench) -> Done:
    return _in_mid_run(bench, "stop", "-t", "0", "leaving")


@fault(Row("the container is removed", "sampling", _ENDED, 0, PROFILE))
def test_the_container_is_removed(bench: Bench) -> Done:
    return _in_mid_run(bench, "rm", "-f", "leaving")


@fault(Row("the container is restarted", "sampling", _ENDED, 0, PROFILE))
def test_the_container_is_restarted(bench: Bench) -> Done:
    return _in_mid_run(bench, "restart", "-t", "0", "leaving")


@fault(Row("the container is renamed", "sampling", "cleaning the host", 0, PROFILE))
def test_the_container_is_renamed(bench: Bench) -> Done:
    return _in_mid_run(bench, "rename", "leaving", "renamed")


@fault(Row("the container is paused", "sampling", "cleaning the host", 0, PROFILE))
def test_the_container_is_paused(bench: Bench) -> Done:
    return _in_mid_run(bench, "pause", "leaving")


@fault(
    Row(
        "the container is paused before",
        "sampling",
        "error: paused on …was not on a CPU",
        3,
        NOTHING,
    )
)
def test_a_paused_container(bench: Bench) -> Done:
    bench.container("paused", *_SERVE)
    bench.host.docker("pause", "paused")
    return bench.start(container="paused").end()


@fault(
    Row(
        "the container ends before the sampling begins",
        "start",
        "error: …ended before it was sampled",
        3,
        NOTHING,
    )
)
def test_the_container_ends_before(bench: Bench) -> Done:
    bench.container("leaving", *_SERVE)
    running = bench.start(container="leaving")
    bench.reach(running)
    bench.host.docker("kill", "leaving")
    return running.end()


@fault(Row("the target exits", "sampling", _ENDED, 0, PROFILE))
def test_the_target_exits(bench: Bench) -> Done:
    bench.container("leaving", "sh", "-c", _UNTIL_TOLD)
    running = bench.start("-d", 20, "-F", 499, container="leaving")
    bench.reach(running)
    time.sleep(_LONG_ENOUGH_S)
    bench.host.docker("exec", "leaving", "touch", "/tmp/enough")
    return running.end()


@fault(Row("the target execs another program", "sampling", "cleaning the host", 0, PROFILE))
def test_the_target_execs(bench: Bench) -> Done:
    script = "/opt/app/svc burn 3; exec /opt/app/svc serve 900"
    bench.container("changing", "sh", "-c", script)
    done = bench.start("-d", 4, container="changing").end()
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    return done


@fault(Row("the target forks 1,000 processes", "sampling", "cleaning the host", 0, PROFILE))
def test_the_target_forks(bench: Bench) -> Done:
    script = (
        "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); sleep 20 & done; exec /opt/app/svc serve 300"
    )
    bench.container("forking", "sh", "-c", f"sleep 1; {script}")
    running = bench.start("-d", 3, container="forking")
    return running.end()


@fault(
    Row("the target's pid is given to another process", "sampling", _ENDED, 0, PROFILE),
)
def test_the_pid_is_reused(bench: Bench) -> Done:
    bench.container("leaving", *_SERVE)
    pid = int(bench.host.docker("inspect", "-f", "{{.State.Pid}}", "leaving"))
    running = bench.start("-d", 12, "-F", 499, "--scope", "process", container="leaving")
    bench.reach(running)
    time.sleep(_LONG_ENOUGH_S)
    bench.host.docker("kill", "leaving")
    until("the pid is free", lambda: not Path(f"/proc/{pid}").exists(), 10)
    impostor = _start_as(pid)
    try:
        done = running.end()
    finally:
        impostor.kill()
        impostor.wait()
    # It would be seen as a process that the target does not have.
    assert {stack[0].split(" ")[0] for stack in done.run.stacks()} <= {"svc"}
    return done


def _start_as(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that gets a certain pid, and uses a CPU."""
    for _ in range(100):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sh", "-c", "while :; do :; done"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"no process got the pid {pid}")
