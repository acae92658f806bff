"""Tests of the lab's hosts: what the other tests rely on is really so."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest

from .conftest import ssh
from .leftovers import compare, left_after, snapshot
from .model import BPFTRACE, SIDECAR_IMAGE, Lab, LabHost
from .targets import API_SHARES, BURN_S

ENGINES = {"bookworm": "20.10.", "trixie": "26.1."}
DEPTH_LIMIT = 127


def workers(host: LabHost, container: str) -> str:
    """Give a predicate of bpftrace for the processes in a container that do work."""
    lines = host.docker("top", container, "-eo", "pid,args").splitlines()[1:]
    return " || ".join(f"pid == {line.split()[0]}" for line in lines if " sh " not in line)


def sample(
    host: LabHost, generation: str, predicate: str, seconds: int
) -> Counter[tuple[str, ...]]:
    """Give stacks, leaf first, with their counts, as a least-privileged sidecar sees them."""
    take = f"profile:hz:199 /{predicate}/ {{ @[ustack] = count(); }}"
    end = f"interval:s:{seconds} {{ exit(); }}"
    caps = ("--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE")
    text = host.docker(
        *("run", "--rm", "--network", "none", "--pid=host", *caps, f"lab/bpftrace:{generation}"),
        *("bpftrace", "-q", "-e", f"{take} {end}"),
    )
    stacks: Counter[tuple[str, ...]] = Counter()
    for body, count in re.findall(r"^@\[(.*?)\]: (\d+)$", text, re.MULTILINE | re.DOTALL):
        frames = [line.strip().partition("+")[0] for line in body.splitlines() if line.strip()]
        stacks[tuple(frames)] += int(count)
    return stacks


@pytest.mark.parametrize(
    "user",
    ["root", "ops", "admin", "secure", "guest", "nosftp", "fish", "csh", "console", "keeper"],
)
def test_every_login_works_with_strict_host_keys(host: LabHost, user: str) -> None:
    done = ssh(host, user, "id -un")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, user, "")
    may = ssh(host, user, "docker ps -q").returncode == 0
    assert may == host.logins[user].docker


def test_sudo_is_as_described(host: LabHost) -> None:
    assert ssh(host, "admin", "sudo -n docker ps -q").returncode == 0
    assert ssh(host, "secure", "sudo -n true").returncode != 0
    asked = f"echo {host.password} | sudo -S -p '' docker ps -q"
    assert ssh(host, "secure", asked).returncode == 0
    assert ssh(host, "guest", "sudo -n true").returncode != 0
    for user in ("console", "vault"):
        assert "must have a tty" in ssh(host, user, "sudo -n true").stderr


def test_doas_is_as_described(host: LabHost) -> None:
    assert ssh(host, "doer", "doas -n docker ps -q").returncode == 0
    assert "Authentication required" in ssh(host, "keeper", "doas -n true").stderr
    assert "not permitted" in ssh(host, "guest", "doas -n true").stderr


def test_typist_is_let_in_by_password_alone(host: LabHost) -> None:
    done = ssh(host, "typist", "true")
    assert done.returncode == 255
    assert "typist" in done.stderr
    assert "(password)" in done.stderr


def test_an_unknown_host_key_is_refused(host: LabHost, tmp_path: Path) -> None:
    nothing = tmp_path / "known_hosts"
    nothing.write_text("")
    done = ssh(replace(host, known_hosts=nothing), "ops", "true")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_hosts_have_keys_of_their_own(lab: Lab) -> None:
    bodies: dict[str, set[str]] = {}
    for line in lab.known_hosts.read_text().splitlines():
        place, _, body = line.split()
        bodies.setdefault(body, set()).add(place.partition("]")[0])
    assert all(len(places) == 1 for places in bodies.values())
    assert len(bodies) == 2 * len(lab.hosts)


def test_only_nosftp_is_refused_sftp(lab: Lab, host: LabHost) -> None:
    def sftp(name: str) -> int:
        argv = ["sftp", "-F", str(lab.ssh_config), "-b", "/dev/null", name]
        return subprocess.run(argv, capture_output=True, check=False).returncode

    assert sftp(host.name) == 0
    assert sftp(f"{host.name}-nosftp") != 0


def test_a_host_serves_as_a_bastion(lab: Lab, host: LabHost) -> None:
    argv = ["ssh", "-F", str(lab.ssh_config), "-J", f"{host.name}-jump", host.name, "hostname"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == host.name, done.stderr


def test_engine_and_compose_are_as_specified(lab: Lab) -> None:
    for host in lab.hosts.values():
        assert host.docker_version.startswith(ENGINES[host.spec.suite])
        v1 = host.exec(["docker-compose", "version", "--short"], check=False)
        v2 = host.exec(["docker", "compose", "version", "--short"], check=False)
        assert (v2.returncode == 0) == (host.spec.compose == "v2")
        if host.spec.compose == "v1":
            assert v1.stdout.startswith(b"1.")
        kind = host.exec(["stat", "-fc", "%T", "/sys/fs/cgroup"]).stdout.decode().strip()
        assert host.spec.cgroup == "machine" or kind == "cgroup2fs"


def test_images_and_containers_are_there(host: LabHost) -> None:
    images = host.docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    assert {SIDECAR_IMAGE, "lab/target:latest"} <= set(images)
    assert {f"lab/bpftrace:{generation}" for generation in BPFTRACE} <= set(images)
    running = set(host.docker("ps", "--format", "{{.Names}}").splitlines())
    assert {"api", "deep", "nofp", "idle", "web-1", "web-2"} <= running
    assert "stopped" not in running
    for image in (SIDECAR_IMAGE, "lab/bpftrace:0.17", "lab/bpftrace:0.23"):
        script = "command -v bpftrace && command -v timeout && command -v stat"
        host.docker("run", "--rm", "--network", "none", image, "sh", "-c", script)


@pytest.mark.parametrize("generation", list(BPFTRACE))
def test_api_shows_its_functions_in_their_shares(host: LabHost, generation: str) -> None:
    stacks = sample(host, generation, workers(host, "api"), 4)
    total = stacks.total()
    assert total > 30, stacks
    for function, share in API_SHARES.items():
        seen = sum(count for stack, count in stacks.items() if function in stack) / total
        # Five standard deviations of a share drawn from so many samples, and a little.
        tolerance = 0.05 + 5 * sqrt(share * (1 - share) / total)
        assert seen == pytest.approx(share, abs=tolerance), (function, stacks)


def test_privileged_containers_start(host: LabHost) -> None:
    host.docker("run", "--rm", "--network", "none", "--privileged", "lab/target", "true")


@pytest.mark.parametrize("generation", list(BPFTRACE))
def test_deep_is_deeper_than_a_profiler_sees(host: LabHost, generation: str) -> None:
    stacks = sample(host, generation, workers(host, "deep"), 2)
    assert any(len(stack) == DEPTH_LIMIT and "main" not in stack for stack in stacks)


@pytest.mark.parametrize("generation", list(BPFTRACE))
def test_nofp_is_shallow_and_nameless(host: LabHost, generation: str) -> None:
    stacks = sample(host, generation, workers(host, "nofp"), 2)
    assert stacks
    frames = {frame for stack in stacks for frame in stack}
    assert all(frame.startswith(("0x", "[")) for frame in frames), frames


def test_exiting_exits_by_itself(host: LabHost) -> None:
    began = time.monotonic()
    host.docker("start", "exiting")
    assert host.docker("wait", "exiting") == "0"
    assert BURN_S - 1 < time.monotonic() - began < BURN_S + 20


def test_leftovers_are_found(host: LabHost) -> None:
    before = snapshot(host)
    assert compare(before, snapshot(host)) == []
    host.docker("run", "-d", "--name", "left", "--network", "none", "lab/target", "sleep", "99")
    host.docker("volume", "create", "left-volume")
    host.docker("network", "create", "left-network")
    host.docker("pause", "idle")
    host.exec(["sh", "-c", "touch /tmp/.left; setsid sleep 99 >/dev/null 2>&1 </dev/null &"])
    found = compare(before, snapshot(host))
    host.docker("unpause", "idle")
    host.docker("rm", "-f", "left")
    host.docker("volume", "rm", "left-volume")
    host.docker("network", "rm", "left-network")
    host.exec(["sh", "-c", "rm /tmp/.left; pkill -x -f 'sleep 99'"])
    kinds = Counter(text.partition(":")[0] for text in found)
    left = {f"{what} left": 1 for what in ("container", "volume", "network", "file", "process")}
    assert kinds == {**left, "container stopped": 1}, found
    assert compare(before, snapshot(host)) == []


def test_ssh_leaves_nothing(host: LabHost) -> None:
    before = snapshot(host)
    for user in ("ops", "fish", "csh", "admin"):
        assert ssh(host, user, "docker run --rm --network none lab/target true").returncode in (
            0,
            126,
        )
    assert left_after(host, before) == []
