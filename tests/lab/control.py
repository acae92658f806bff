"""Starts, checks and takes down whole labs."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from . import machine, processes
from .build import build
from .cache import locked
from .files import inventory_text, known_hosts_lines, ssh_config_text
from .host import HOST_KEY_TYPES, LEDGER, TOKEN, TOKEN_IN_HOST, HostBuilder
from .model import DEFAULT_HOSTS, HostSpec, Lab, LabError, LabHost, Process, enter
from .progress import run, say, step

_CGROUPS = Path("/sys/fs/cgroup")
_MARKER = ".remote-prof-lab"
"""A directory that holds this was made for a lab and may be removed with all that is in it."""


def up(directory: Path, specs: Sequence[HostSpec] = (), api_load: float | None = None) -> Lab:
    """Start a lab, or give the one that is up there already if every host of it is alive.

    ``api_load`` is the share of a core that ``api`` uses on each host; by default so much that
    all hosts together leave room. Raises LabError; what was started is then taken down again.
    """
    directory = directory.absolute()
    with _locked_dir(directory):
        found = _running(directory)
        if found:
            say(f"already up in {directory}")
            if specs and [host.spec for host in found.hosts.values()] != list(specs):
                say("its hosts are others than those asked for: take it down to have these")
            return found
        machine.provide()
        if _is_lab(directory):
            say(f"{directory} holds a lab that is not whole: taking it down first")
            _take_down(directory)
        return _start(directory, tuple(specs) or DEFAULT_HOSTS, api_load)


def down(directory: Path) -> bool:
    """Take a lab down without a trace. Give whether there was one."""
    directory = directory.absolute()
    with _locked_dir(directory):
        if not _is_lab(directory):
            return False
        with step(f"taking down {directory}"):
            _take_down(directory)
        return True


def dead_parts(directory: Path) -> list[str]:
    """Name the noted processes of a lab that do not run any more, as HOST/ROLE."""
    dead = []
    for ledger in sorted((directory / "hosts").glob(f"*/{LEDGER}")):
        roles = {process.role: process for process in processes.noted(ledger)}
        dead += [
            f"{ledger.parent.name}/{role}"
            for role in ("anchor", "inetd", "dockerd")
            if role not in roles or not processes.alive(roles[role])
        ]
    return dead


def _running(directory: Path) -> Lab | None:
    try:
        lab = Lab.load(directory)
    except (LabError, ValueError, KeyError, TypeError):
        return None
    dead = dead_parts(directory)
    if dead:
        say(f"not alive any more: {', '.join(dead)}")
        return None
    return lab


def _is_lab(directory: Path) -> bool:
    """Say whether a directory is a lab's; raise LabError when it is somebody else's."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    if not any((directory / name).exists() for name in (_MARKER, "lab.json")):
        raise LabError(f"{directory} is no directory of a lab: name another with --dir")
    return True


@contextmanager
def _locked_dir(directory: Path) -> Iterator[None]:
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
    with locked(f"dir-{digest}"):
        yield


def _start(directory: Path, specs: Sequence[HostSpec], api_load: float | None) -> Lab:
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise LabError(f"two hosts of the same name among {', '.join(names)}")
    if set(str(directory)) & set(":,\\"):
        raise LabError(f"{directory}: overlayfs takes no colon, comma or backslash in its paths")
    began = time.monotonic()
    built = build(specs)
    load = api_load if api_load is not None else min(0.5, 0.75 / len(specs))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARKER).touch()
    try:
        key = str(directory / "id_ed25519")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key])
        builders = [HostBuilder(spec, directory, built, load) for spec in specs]
        with step(f"starting {', '.join(names)}"), ThreadPoolExecutor(len(specs)) as pool:
            hosts = list(pool.map(HostBuilder.start, builders))
        lab = Lab(directory, {host.name: host for host in hosts})
        _write_files(lab)
    except BaseException:
        say(f"taking down what was started in {directory}")
        _take_down(directory)
        raise
    say(f"up in {time.monotonic() - began:.1f} s")
    return lab


def _write_files(lab: Lab) -> None:
    lines = []
    for host in lab.hosts.values():
        place = lab.dir / "hosts" / host.name
        keys = [(place / f"ssh_host_{kind}_key.pub").read_text() for kind in HOST_KEY_TYPES]
        lines += known_hosts_lines(host, keys)
    lab.known_hosts.write_text("\n".join(lines) + "\n")
    lab.inventory.write_text(inventory_text(lab))
    lab.ssh_config.write_text(ssh_config_text(lab))
    description = lab.dir / "lab.json.new"
    description.touch(mode=0o600)
    description.write_text(lab.dump())
    description.rename(lab.dir / "lab.json")
    _hand_over(lab)


def _hand_over(lab: Lab) -> None:
    """Let the user who called sudo read what is needed to use the lab."""
    user = os.environ.get("SUDO_UID")
    if user is not None:
        for path in (lab.dir, lab.key, lab.known_hosts, lab.inventory, lab.ssh_config):
            os.chown(path, int(user), -1)


def _take_down(directory: Path) -> None:
    places = [path for path in sorted((directory / "hosts").glob("*")) if path.is_dir()]
    if places:
        with ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(_stop_host, places))
    shutil.rmtree(directory)


def _stop_host(place: Path) -> None:
    """Stop all that runs in a host, by what its ledger notes and what its engine's data says."""
    noted = {process.role: process for process in processes.noted(place / LEDGER)}
    containers = _container_ids(place)
    anchor = noted.get("anchor")
    if anchor and processes.alive(anchor):
        _remove_containers(anchor)
    processes.stop([noted[role] for role in ("inetd", "dockerd") if role in noted], 15)
    _end_members(place, anchor)
    for cgroup in _cgroups(containers | _container_ids(place)):
        _end_cgroup(cgroup)
    for parent in [*_CGROUPS.glob("docker"), *_CGROUPS.glob("*/docker")]:
        _remove_if_empty(parent)


def _container_ids(place: Path) -> set[str]:
    directory = place / "docker" / "containers"
    return {path.name for path in directory.glob("*") if len(path.name) == 64}


def _remove_containers(anchor: Process) -> None:
    script = 'ids=$(docker ps -aq) && [ -z "$ids" ] || docker rm -f -v $ids'
    try:
        run([*enter(anchor.pid), "sh", "-c", script], timeout=60)
    except LabError as error:
        say(f"the engine does not remove its containers, so their processes are ended: {error}")


def _end_members(place: Path, anchor: Process | None) -> None:
    """End whatever runs in a host's mount namespace; its anchor goes last.

    The namespace is that of the anchor and of any process whose root holds the host's token: an
    anchor that died is no reason to leave others behind.
    """
    own = processes.namespace(anchor.pid) if anchor and processes.alive(anchor) else None
    namespaces = {own} if own else set()
    if (place / TOKEN).exists():
        namespaces |= processes.namespaces_holding(TOKEN_IN_HOST, (place / TOKEN).read_text())
    deadline = time.monotonic() + 15
    while namespaces and time.monotonic() < deadline:
        members = [p for p in processes.in_namespaces(namespaces) if p != _as_member(anchor)]
        if not members:
            break
        for member in members:
            processes.send(member, signal.SIGKILL)
        time.sleep(0.02)
    if anchor:
        processes.send(anchor, signal.SIGKILL)
        while processes.alive(anchor) and time.monotonic() < deadline:
            time.sleep(0.01)


def _as_member(anchor: Process | None) -> Process | None:
    return anchor and Process("member", anchor.pid, anchor.start)


def _cgroups(container_ids: set[str]) -> list[Path]:
    patterns = ("docker/{}", "*/docker/{}")
    return [
        path
        for container in container_ids
        for pattern in patterns
        for path in _CGROUPS.glob(pattern.format(container))
    ]


def _end_cgroup(cgroup: Path) -> None:
    """End the processes in a container's control group, and remove the group."""
    deadline = time.monotonic() + 10
    while cgroup.exists() and time.monotonic() < deadline:
        for path in [*cgroup.glob("**/cgroup.procs")]:
            for pid in path.read_text().split():
                start = processes.start_time(int(pid))
                if start is not None:
                    processes.send(Process("container", int(pid), start), signal.SIGKILL)
        for child in sorted(cgroup.glob("**/"), reverse=True):
            _remove_if_empty(child)
        time.sleep(0.02)


def _remove_if_empty(cgroup: Path) -> None:
    with suppress(OSError):
        cgroup.rmdir()


def status(directory: Path) -> list[str]:
    """Describe a lab in lines for people. Raises LabError when there is none."""
    lab = Lab.load(directory.absolute())
    lines = [f"lab in {lab.dir}"]
    lines += [f"not alive: {part}" for part in dead_parts(lab.dir)]
    for host in lab.hosts.values():
        lines += [_describe(host), *_containers(host)]
    return [*lines, str(lab.inventory)]


def _describe(host: LabHost) -> str:
    return (
        f"{host.name}  {host.address}:{host.port}  {host.spec.suite}  docker {host.docker_version}"
        f"  compose {host.spec.compose}  cgroup v{host.cgroup_version}  {host.runtime}"
    )


def _containers(host: LabHost) -> list[str]:
    done = host.exec(["docker", "ps", "-a", "--format", "  {{.Names}}\t{{.Status}}"], check=False)
    if done.returncode:
        return ["  (its engine does not answer)"]
    return done.stdout.decode().splitlines()
