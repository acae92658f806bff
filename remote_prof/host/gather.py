"""One exchange that reads everything a run needs to know of a host, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from remote_prof.errors import HostError
from remote_prof.host.facts import HostState, parse_facts
from remote_prof.templates import render
from remote_prof.transport.base import Command, Connection

_IMAGE_FORMAT = "[{{json .Id}},{{json .RepoDigests}},{{json .Architecture}}]"
_CONTAINER_FORMAT = (
    "[{{json .Id}},{{json .Name}},{{json .Image}},{{json .Config.Image}},{{json .State.Status}},"
    "{{json .State.Pid}},{{json .State.ExitCode}},{{json .HostConfig.Runtime}},"
    "{{json .HostConfig.PidMode}},{{json .Config.Labels}}]"
)
WORK_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  a private directory is made there


@dataclass(frozen=True, slots=True)
class FactsQuery:
    """What to look for. ``engine`` is a name or path, None for docker, then podman.

    ``engine_sudo``: ``auto`` asks sudo where the login may not use the engine itself, ``always``
    and ``never`` decide it. ``cpu_window_s`` above 0 measures each process's CPU use that long.
    ``compose``: whether its flavour matters.
    """

    image: str
    engine: str | None = None
    engine_sudo: str = "auto"
    work_parent: str | None = None
    cpu_window_s: float = 0.0
    compose: bool = True


def facts_command(query: FactsQuery, *, become: bool) -> Command:
    """Return the script that reads the facts."""
    parents = (query.work_parent,) if query.work_parent else WORK_PARENTS
    script = render(
        "facts/facts.sh.j2",
        engines=(query.engine,) if query.engine else ("docker", "podman"),
        engine_sudo="never" if become else query.engine_sudo,
        image=query.image,
        image_format=_IMAGE_FORMAT,
        container_format=_CONTAINER_FORMAT,
        json_format="{{json .}}",
        work_parents=parents,
        cpu_window_s=query.cpu_window_s,
        compose=query.compose,
    )
    return Command("facts", script, become=become)


def gather_state(connection: Connection, query: FactsQuery, timeout_s: float = 60.0) -> HostState:
    """Ask a host for its facts, containers and processes.

    Where only a password stands between the login and the engine, and the host's ``become`` has
    one, it asks a second time with it. Raises HostError, LinkLostError.
    """
    become = connection.host.become
    if become is not None and become.always:
        return _ask(connection, query, timeout_s, become=True)
    state = _ask(connection, query, timeout_s, become=False)
    engine = state.facts.engine
    if engine and engine.access == "sudo-password" and become is not None and become.password:
        return _ask(connection, query, timeout_s, become=True)
    return state


def _ask(connection: Connection, query: FactsQuery, timeout_s: float, *, become: bool) -> HostState:
    result = connection.run(facts_command(query, become=become), timeout_s)
    if b"@@end" not in result.stdout and b"@@engine" not in result.stdout:
        said = " ".join((result.stderr or result.stdout).decode("utf-8", "replace").split())
        evidence = f"exit code {result.exit_code}: {said[-300:] or 'no output'}"
        if become:
            method = connection.host.become.method if connection.host.become else "sudo"
            raise HostError(
                f"{connection.host.name}: {method} does not give the rights to use the engine",
                evidence=evidence,
                hint="is the password right (--ask-become-pass), and may the login do this?",
            )
        raise HostError(
            f"{connection.host.name}: the facts of the host cannot be read",
            evidence=evidence,
            hint="the login needs a POSIX sh; try: ssh HOST sh -c true",
        )
    return parse_facts(result.stdout, become=become)
