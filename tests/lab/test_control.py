"""Tests of how labs come up and go down, and of what they ask of a machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import control, machine, processes
from .conftest import REPOSITORY, run_lab, ssh
from .model import HostSpec, Lab, LabError, Process


def test_up_of_a_running_lab_gives_its_inventory(lab: Lab) -> None:
    done = run_lab("up", "--dir", str(lab.dir))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(lab.inventory)


def machine_state() -> dict[str, set[str]]:
    """Give what a lab might leave in the machine's own namespaces."""
    return {
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "netns": {path.name for path in Path("/run/netns").glob("*")},
        "links": {path.name for path in Path("/sys/class/net").glob("*")},
    }


def cgroups(containers: list[str]) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [path for name in containers for path in root.glob(f"**/docker/{name}")]


def running(directory: Path, containers: list[str]) -> list[Process]:
    """Give all processes of a lab of one host that is up, those of its containers included."""
    place = directory / "hosts" / "prod-1"
    namespaces = processes.namespaces_holding("run/lab/token", (place / "token").read_text())
    found = [*processes.noted(place / "processes.jsonl"), *processes.in_namespaces(namespaces)]
    pids = {
        int(word)
        for group in cgroups(containers)
        for word in (group / "cgroup.procs").read_text().split()
    }
    return found + [Process("container", pid, processes.start_time(pid) or 0) for pid in pids]


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "second"
    yield directory
    run_lab("down", "--dir", str(directory))


def test_a_second_lab_comes_and_goes_without_a_trace(lab: Lab, second: Path) -> None:
    before = machine_state()
    done = run_lab("up", "--dir", str(second), "--hosts", "name=prod-1,compose=none")
    assert done.returncode == 0, done.stderr
    host = Lab.load(second).hosts["prod-1"]
    assert ssh(host, "ops", "hostname").stdout.strip() == "prod-1"
    assert host.exec(["docker-compose", "version"], check=False).returncode != 0
    assert host.exec(["docker", "compose", "version"], check=False).returncode != 0
    containers = host.docker("ps", "-aq", "--no-trunc").split()
    members = running(second, containers)
    roles = {process.role for process in members if processes.alive(process)}
    assert roles == {"anchor", "inetd", "dockerd", "member", "container"}
    first = next(iter(lab.hosts.values()))
    assert host.address != first.address
    assert run_lab("down", "--dir", str(second)).returncode == 0
    assert not second.exists()
    assert not [process for process in members if processes.alive(process)]
    assert cgroups(containers) == []
    assert machine_state() == before
    assert ssh(first, "ops", "true").returncode == 0


@pytest.mark.usefixtures("lab")
def test_a_half_dead_lab_is_replaced(second: Path) -> None:
    before = machine_state()
    spec = "name=prod-1,compose=none"
    assert run_lab("up", "--dir", str(second), "--hosts", spec).returncode == 0
    host = Lab.load(second).hosts["prod-1"]
    containers = host.docker("ps", "-aq", "--no-trunc").split()
    members = running(second, containers)
    noted = processes.noted(second / "hosts" / "prod-1" / "processes.jsonl")
    processes.stop([process for process in noted if process.role != "inetd"], 0)
    assert control.dead_parts(second) == ["prod-1/anchor", "prod-1/dockerd"]
    done = run_lab("up", "--dir", str(second), "--hosts", spec)
    assert done.returncode == 0, done.stderr
    again = Lab.load(second).hosts["prod-1"]
    assert again.anchor != host.anchor
    assert not [process for process in members if processes.alive(process)]
    assert cgroups(containers) == []
    assert ssh(again, "ops", "true").returncode == 0
    assert run_lab("down", "--dir", str(second)).returncode == 0
    assert machine_state() == before


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_an_up_that_is_cut_short_leaves_nothing(second: Path, sig: signal.Signals) -> None:
    before = machine_state()
    argv = [sys.executable, "-m", "tests.lab", "up", "--dir", str(second), "--hosts", "prod-1"]
    place = second / "hosts" / "prod-1"
    with subprocess.Popen(argv, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as starting:
        while not list(place.glob("docker/containers/*")):
            assert starting.poll() is None
            time.sleep(0.05)
        noted = processes.noted(place / "processes.jsonl")
        starting.send_signal(sig)
    if sig == signal.SIGKILL:
        assert run_lab("down", "--dir", str(second)).returncode == 0
    assert [process.role for process in noted] == ["anchor", "inetd", "dockerd"]
    assert not [process for process in noted if processes.alive(process)]
    assert not second.exists()
    assert machine_state() == before


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    for act in (control.up, control.down):
        with pytest.raises(LabError, match="no directory of a lab"):
            act(tmp_path)
    assert (tmp_path / "letter").read_text() == "dear"


def test_a_pid_that_was_reused_is_not_signalled() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        start = processes.start_time(child.pid)
        assert start is not None
        assert not processes.alive(Process("x", child.pid, start + 1))
        assert processes.stop([Process("x", child.pid, start + 1)], 0) == []
        assert child.poll() is None
        processes.stop([Process("x", child.pid, start)], 5)
        assert child.wait(5) == -15


@pytest.mark.parametrize(
    "text", ["", "suite=trixie", "name=a,suite=sid", "name=a,suite=trixie,compose=v1", "name=a,x=1"]
)
def test_a_wrong_spec_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="host spec"):
        HostSpec.parse(text)


def test_a_spec_is_completed_from_its_suite() -> None:
    assert HostSpec.parse("prod-1,suite=bookworm") == HostSpec(
        "prod-1", "bookworm", "v1", "machine", "0.17"
    )


def test_missing_names_what_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(machine, "has_capability", lambda bit: bit != 21)
    text = "; ".join(machine.missing())
    assert "not root" in text
    assert "no CAP_SYS_ADMIN" in text
    assert "CAP_NET_ADMIN" not in text
