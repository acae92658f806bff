"""From what the user asked for to the processes that are profiled."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from remote_prof.errors import MissingTargetError, TargetError
from remote_prof.host.containers import LABEL, Container
from remote_prof.host.facts import HostState
from remote_prof.host.processes import Process

_SHORT_ID = 12
_LISTED = 8


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """What the user asked for: a container, and perhaps one process of it.

    ``container`` is a name, an id prefix, ``compose-project/service``, or a pattern with ``*``,
    ``?`` and ``[...]`` that names and services are matched with; ``labels`` are
    ``(key, value)`` pairs that must all match. ``scope`` is ``container`` (every process in it)
    or ``process`` (one: ``pid`` of the host, ``container_pid`` as seen inside, or by its name).
    """

    container: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    scope: str = "container"
    pid: int | None = None
    container_pid: int | None = None
    process: str | None = None

    @property
    def may_be_several(self) -> bool:
        """Whether it may mean several containers of a host, and not by mistake."""
        wanted = self.container or ""
        return self.pid is None and (bool(self.labels) or self._is_pattern or "/" in wanted)

    @property
    def _is_pattern(self) -> bool:
        return any(character in "*?[" for character in self.container or "")

    def only(self, container: Container) -> TargetSpec:
        """Return the spec that means this one of the containers."""
        return replace(self, container=container.name, labels=())

    def matches(self, container: Container) -> bool:
        """Say whether a container is meant; none of ours is meant by what several match."""
        if any(container.labels.get(key) != value for key, value in self.labels):
            return False
        wanted, names = self.container, (container.name, container.service)
        if wanted is None or self._is_pattern:
            own = LABEL in container.labels
            return not own and any(name and fnmatchcase(name, wanted or "*") for name in names)
        return wanted in names or (
            len(wanted) >= 3 and container.container_id.startswith(wanted.lower())
        )

    def __str__(self) -> str:
        labels = [f"label {key}={value}" for key, value in self.labels]
        names = [self.container] if self.container else []
        return ", ".join(names + labels) or f"pid {self.pid}"


@dataclass(frozen=True, slots=True)
class Target:
    """A running container and which of its processes are profiled, by host pids.

    ``cgroup_ids`` are the ids of the unified control groups that its processes are in (empty
    where the kernel has none). ``scope`` ``process`` means: ``processes`` alone, and no others.
    ``others`` are the pids of those that another profiler samples, too.
    """

    container: Container
    processes: tuple[Process, ...]
    scope: str
    cgroup_ids: tuple[int, ...] = ()
    others: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of the container: also the name of its directory in a run."""
        return self.container.name

    @property
    def main_pid(self) -> int:
        """The host pid that the target ends with."""
        return self.processes[0].pid if self.scope == "process" else self.container.pid


def resolve(spec: TargetSpec, state: HostState) -> Target:
    """Find the one running container that a spec means, and its processes.

    Raises TargetError: nothing matches (with near misses), several match, it does not run, a pid
    is not in it.
    """
    container = _owner_of_pid(spec, state) if _by_pid(spec) else _one(spec, state)
    members = tuple(p for p in state.processes if p.container_id == container.container_id)
    if not container.running:
        raise TargetError(
            f"container {container.name} does not run",
            evidence=f"it is {container.status}, exit code {container.exit_code}",
            hint=f"start it (docker start {shlex.quote(container.name)}), "
            "or look at what runs: remote-prof ps",
        )
    chosen = _choose(spec, container, members)
    # Older engines leave the unified hierarchy alone: there a process is in its daemon's group, or
    # in the root's, and that id would take in others.
    own = [p.cgroup for p in members if container.container_id in p.cgroup]
    ids = {state.cgroup_ids[cgroup] for cgroup in own if cgroup in state.cgroup_ids}
    if len(own) < len(members):
        ids.clear()
    return Target(
        container=container,
        processes=chosen or members,
        scope="process" if chosen else "container",
        cgroup_ids=tuple(sorted(ids)),
    )


def find_several(spec: TargetSpec, state: HostState) -> list[Container]:
    """Return the running containers that a spec means; fewer than two are ``resolve``'s matter."""
    found = [c for c in _found(spec, state) if c.running]
    return found if spec.may_be_several and len(found) > 1 else []


def _by_pid(spec: TargetSpec) -> bool:
    return spec.container is None and not spec.labels


def _found(spec: TargetSpec, state: HostState) -> list[Container]:
    found = [c for c in state.containers if spec.matches(c)]
    # An exact name wins over an id prefix or a service that reads the same.
    return [c for c in found if c.name == spec.container] or found


def _one(spec: TargetSpec, state: HostState) -> Container:
    found = _found(spec, state)
    running = [c for c in found if c.running]
    if len(found) > 1 and len(running) == 1:
        found = running
    if len(found) == 1:
        return found[0]
    if found:
        raise TargetError(
            f"{spec} is not one container but {len(found)}",
            evidence=", ".join(_describe(c) for c in found[:_LISTED]),
            hint="name one of them, or choose with --label",
        )
    raise _not_found(spec, state.containers)


def _owner_of_pid(spec: TargetSpec, state: HostState) -> Container:
    owner = next((p.container_id for p in state.processes if p.pid == spec.pid), None)
    for container in state.containers:
        if container.container_id == owner:
            return container
    raise TargetError(
        f"pid {spec.pid} is not a process of any container",
        evidence=f"{len(state.containers)} containers, {len(state.processes)} processes seen",
        hint="see the pids with: remote-prof ps",
    )


def _not_found(spec: TargetSpec, containers: Sequence[Container]) -> MissingTargetError:
    names = [c.name for c in containers] + [c.service for c in containers if c.service]
    near = difflib.get_close_matches(spec.container or "", names, n=3, cutoff=0.5)
    parts = [n for n in names if spec.container and spec.container.lower() in n.lower()]
    near = list(dict.fromkeys([*near, *parts]))[:_LISTED]
    running = [c.name for c in containers if c.running]
    if near:
        hint = f"did you mean {', '.join(near)}?"
    elif running:
        hint = f"running are: {_listing(running)}"
    else:
        hint = "no container runs on this host"
    return MissingTargetError(
        f"no container matches {spec}",
        evidence=f"{len(containers)} containers on the host, {len(running)} of them running",
        hint=hint,
    )


def _choose(
    spec: TargetSpec, container: Container, members: tuple[Process, ...]
) -> tuple[Process, ...]:
    """Return the processes that were asked for by pid or name; empty for the whole container."""
    if spec.pid is not None:
        found = tuple(p for p in members if p.pid == spec.pid)
        asked = f"pid {spec.pid}"
    elif spec.container_pid is not None:
        found = tuple(p for p in members if p.container_pid == spec.container_pid)
        asked = f"pid {spec.container_pid} inside"
    elif spec.process is not None:
        found = tuple(p for p in members if _is_called(p, spec.process))
        asked = f"process {spec.process}"
    elif spec.scope == "process":
        found = tuple(p for p in members if p.pid == container.pid)
        asked = f"main process {container.pid}"
    else:
        return ()
    if found:
        return found
    raise TargetError(
        f"{asked} is not in container {container.name}",
        evidence="its processes: " + _listing([f"{p.pid} {p.name}" for p in members]),
        hint="see them all with: remote-prof ps",
    )


def _is_called(process: Process, name: str) -> bool:
    program = process.arguments.split(" ", 1)[0].rpartition("/")[2]
    return name in (process.name, program)


def _describe(container: Container) -> str:
    return f"{container.name} ({container.container_id[:_SHORT_ID]}, {container.status})"


def _listing(items: Iterable[str]) -> str:
    names = list(items)
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
