"""One exchange that reads everything a run needs to know of a host, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from remote_prof.errors import HostError
from remote_prof.host.facts import WORK_NEEDED_BYTES, HostState, parse_facts
from remote_prof.records import Become, Host
from remote_prof.templates import render
from remote_prof.transport.base import Command, Connection

_IMAGE_FORMAT = (
    "[{{json .Id}},{{json .RepoDigests}},{{json .Architecture}},{{json .RootFS.Layers}},"
    "{{with .Config}}{{json .Labels}}{{else}}null{{end}}]"
)
_CONTAINER_FORMAT = (
    "[{{json .Id}},{{json .Name}},{{json .Image}},{{json .Config.Image}},{{json .State.Status}},"
    "{{json .State.Pid}},{{json .State.ExitCode}},{{json .HostConfig.Runtime}},"
    "{{json .HostConfig.PidMode}},{{json .Config.Labels}}]"
)
WORK_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  a private directory is made there


CALL_TIMEOUT_S = 20  # for one word to the engine


@dataclass(frozen=True, slots=True)
class FactsQuery:
    """What to look for. ``engine`` is a name or path, None for docker, then podman.

    ``cpu_window_s`` above 0 measures each process's CPU use that long.
    ``compose``: whether its flavour matters. ``sidecar``: the name of an image of ours to look for,
    too; empty for none.
    """

    image: str
    engine: str | None = None
    work_parent: str | None = None
    cpu_window_s: float = 0.0
    compose: bool = True
    sidecar: str = ""


def facts_command(query: FactsQuery, become: Become | None, *, by_become: bool) -> Command:
    """Return the script that reads the facts, with the login's rights or those of ``become``.

    With its own rights the login tries, where the engine refuses it, what ``become`` gives without
    a password.
    """
    last_resort = become if become is not None and not by_become else None
    parents = (query.work_parent,) if query.work_parent else WORK_PARENTS
    script = render(
        "facts/facts.sh.j2",
        engines=(query.engine,) if query.engine else ("docker", "podman"),
        method=last_resort.method if last_resort else "",
        user=last_resort.user if last_resort else "",
        image=query.image,
        sidecar=query.sidecar,
        image_format=_IMAGE_FORMAT,
        container_format=_CONTAINER_FORMAT,
        json_format="{{json .}}",
        work_parents=parents,
        work_needed_kib=WORK_NEEDED_BYTES >> 10,
        cpu_window_s=query.cpu_window_s,
        compose=query.compose,
        call_timeout_s=CALL_TIMEOUT_S,
    )
    return Command("facts", script, become=by_become)


def gather_state(connection: Connection, query: FactsQuery, timeout_s: float = 60.0) -> HostState:
    """Ask a host for its facts, containers and processes.

    Where only a password or a terminal stands between the login and the engine, and that is to be
    had, it asks a second time with it. Raises HostError, LinkLostError.
    """
    become = connection.host.become
    if become is not None and become.always:
        return _ask(connection, query, timeout_s, by_become=True)
    state = _ask(connection, query, timeout_s, by_become=False)
    if become is None or state.facts.engine is None:
        return state
    _, missing = state.facts.engine.missing
    if missing == "terminal" or (missing == "password" and become.password is not None):
        return _ask(connection, query, timeout_s, by_become=True)
    return state


def _ask(
    connection: Connection, query: FactsQuery, timeout_s: float, *, by_become: bool
) -> HostState:
    host = connection.host
    result = connection.run(facts_command(query, host.become, by_become=by_become), timeout_s)
    if b"@@hung" in result.stderr:
        raise HostError(
            f"{host.name}: the engine does not answer",
            evidence=f"it said nothing for {CALL_TIMEOUT_S} s",
            hint="see to it on the host: systemctl status docker",
        )
    if b"@@end" in result.stdout or b"@@engine" in result.stdout:
        return parse_facts(result.stdout, become=by_become)
    said = " ".join((result.stderr or result.stdout).decode("utf-8", "replace").split())
    if by_become:
        raise _refused(host, host.become or Become(), said, result.exit_code)
    raise HostError(
        f"{host.name}: the facts of the host cannot be read",
        evidence=f"exit code {result.exit_code}: {said[-300:] or 'no output'}",
        hint="the login needs a POSIX sh; try: ssh HOST sh -c true",
    )


_WRONG = ("incorrect password", "Authentication failure", "Authentication failed", "Sorry, try")
_WANTED = ("password is required", "Authentication required")
_TERMINAL = ("wants a terminal", "have a tty")


def _refused(host: Host, become: Become, said: str, exit_code: int) -> HostError:
    """Say why there are no other rights, from what sudo, doas or su said (in English, LC_ALL=C)."""
    method, whose = become.method, become.user if become.method == "su" else "the login"
    said = said.removeprefix("Password: ")
    if become.password is not None and any(text in said for text in _WRONG):
        what = f"{method} does not take the password"
        hint = f"it is the one of {whose}: give it again with --ask-become-pass"
    elif become.password is None and any(text in said for text in (*_WRONG, *_WANTED)):
        what = f"{method} wants a password"
        hint = f"give that of {whose} with --ask-become-pass"
    elif any(text in said for text in _TERMINAL):
        what = f"{method} wants a terminal, and none can be made"
        hint = f"log in as another user (--user), or have requiretty lifted for {method}"
    elif said.endswith(": not found"):
        what = f"there is no {method} on the host"
        hint = "another way to the rights: --become-method sudo, su or doas"
    else:
        what = f"{method} does not give the rights to use the engine"
        hint = "may the login do this? another way: --become-method, or another --user"
    return HostError(
        f"{host.name}: {what}",
        evidence=f"exit code {exit_code}: {said[-300:] or 'no output'}",
        hint=hint,
    )
