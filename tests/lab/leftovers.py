"""Proves that nothing was left on a host: a snapshot before, one after, and what is different."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .model import LabHost

FILE_ROOTS = ("/tmp", "/var/tmp", "/run", "/home", "/root", "/dev/shm")
"""Where files are looked for, hidden ones too."""

NOT_LISTED = (
    "/run/docker*",
    "/run/containerd*",
    "/run/lab",
    "/run/sshd",
    "/run/sudo",
    "/run/xtables.lock",
    "/run/runc",
)
"""What the engine, sshd, sudo and the lab itself keep under those places."""

_DAEMONS = frozenset(
    {
        "sshd",
        "sshd-session",
        "sshd-auth",
        "dockerd",
        "containerd",
        "containerd-shim",
        "docker-proxy",
        "runc",
    }
)
_OWN_NETWORKS = frozenset({"bridge", "host", "none"})


@dataclass(frozen=True)
class Snapshot:
    """What is on a host. Containers by id: name and state; processes by pid and start time."""

    containers: Mapping[str, tuple[str, str]]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]
    files: frozenset[str]
    processes: Mapping[tuple[int, int], str]


def snapshot(host: LabHost) -> Snapshot:
    """Take stock of a host, by the lab's back door."""
    listed = host.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}}\t{{.Names}}\t{{.State}}")
    containers = {}
    for line in listed.splitlines():
        container, name, state = line.split("\t")
        containers[container] = (name, state)
    images = ("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    return Snapshot(
        containers=containers,
        networks=_networks(host),
        volumes=_lines(host, "volume", "ls", "--format", "{{.Name}}"),
        images=_lines(host, *images),
        files=_files(host),
        processes=_processes(host, containers.keys()),
    )


def compare(before: Snapshot, after: Snapshot, *, images: bool = False) -> list[str]:
    """Name what was left behind, and what was there and is gone or stopped. Empty is good.

    Images count only when asked for: a sidecar image that was loaded may be meant to stay.
    """
    found = [
        f"container left: {name} ({container[:12]}, {state})"
        for container, (name, state) in after.containers.items()
        if container not in before.containers
    ]
    for container, (name, state) in before.containers.items():
        now = after.containers.get(container)
        if now is None:
            found.append(f"container gone: {name}")
        elif state == "running" != now[1]:
            found.append(f"container stopped: {name} ({now[1]})")
    found += _differences("network", before.networks, after.networks)
    found += _differences("volume", before.volumes, after.volumes)
    found += _differences("file", before.files, after.files)
    if images:
        found += _differences("image", before.images, after.images)
    found += [
        f"process left: {text} (pid {key[0]})"
        for key, text in after.processes.items()
        if key not in before.processes
    ]
    return found


def left_after(host: LabHost, before: Snapshot, patience_s: float = 5.0) -> list[str]:
    """Compare with the host as it is, again until nothing is left or patience is over.

    Engines remove containers a moment after those who asked for it are told.
    """
    deadline = time.monotonic() + patience_s
    while (found := compare(before, snapshot(host))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _differences(what: str, before: frozenset[str], after: frozenset[str]) -> list[str]:
    left = [f"{what} left: {item}" for item in sorted(after - before)]
    return left + [f"{what} gone: {item}" for item in sorted(before - after)]


def _lines(host: LabHost, *args: str) -> frozenset[str]:
    return frozenset(host.docker(*args).splitlines())


def _networks(host: LabHost) -> frozenset[str]:
    """Give networks with their ids; an engine makes those of its own anew when it starts."""
    listed = _lines(host, "network", "ls", "--no-trunc", "--format", "{{.Name}} {{.ID}}")
    names = {line: line.partition(" ")[0] for line in listed}
    return frozenset(name if name in _OWN_NETWORKS else line for line, name in names.items())


def _files(host: LabHost) -> frozenset[str]:
    prune = [word for name in NOT_LISTED for word in ("-o", "-path", name)][1:]
    argv = ["find", *FILE_ROOTS, "-mindepth", "1", "(", *prune, ")", "-prune", "-o", "-print0"]
    names = host.exec(argv, check=False).stdout.split(b"\0")
    return frozenset(name.decode(errors="backslashreplace") for name in names if name)


def _processes(host: LabHost, containers: Iterable[str]) -> dict[tuple[int, int], str]:
    """Give the host's processes: those in its mount namespace and all that descend from them.

    Left out are the lab's anchor, the daemons and the processes of listed containers.
    """
    namespace = processes.namespace(host.anchor.pid)
    parents: dict[int, int] = {}
    members: set[int] = set()
    for pid in processes.all_pids():
        parents[pid] = _status(pid, "PPid")
        if processes.namespace(pid) == namespace:
            members.add(pid)
    known = frozenset(containers)
    found = {}
    for pid in parents:
        if pid == host.anchor.pid or not _descends(pid, parents, members.__contains__):
            continue
        start = processes.start_time(pid)
        if start is None or _name(pid) in _DAEMONS or _cgroup_ids(pid) & known:
            continue
        found[pid, start] = _command_line(pid)
    return found


def _descends(pid: int, parents: Mapping[int, int], member: Callable[[int], bool]) -> bool:
    while pid > 1:
        if member(pid):
            return True
        pid = parents.get(pid, 0)
    return False


def _status(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+)", _read(pid, "status"), re.MULTILINE)
    return int(found[1]) if found else 0


def _name(pid: int) -> str:
    """Give the name of a process's program; the kernel cuts comm, so the path counts first."""
    words = _read(pid, "cmdline").split("\0")
    name = Path(words[0].split(":")[0]).name if words[0] else _read(pid, "comm").strip()
    return "containerd-shim" if name.startswith("containerd-shim") else name


def _command_line(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ").strip() or f"[{_read(pid, 'comm').strip()}]"


def _cgroup_ids(pid: int) -> set[str]:
    return set(processes.CONTAINER_ID.findall(_read(pid, "cgroup")))


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
