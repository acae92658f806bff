"""Ask the hosts of a pattern for their state, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from remote_prof.cli.completion import remember_containers
from remote_prof.cli.flag_sets import ConnectFlags
from remote_prof.cli.invocation import facts_query, select_hosts, ssh_options
from remote_prof.errors import PreflightError
from remote_prof.host.checks import engine_answers
from remote_prof.host.facts import HostState
from remote_prof.host.gather import gather_state
from remote_prof.records import Host
from remote_prof.settings import ResolvedSettings
from remote_prof.transport import Connection, connect


@contextmanager
def connected(host: Host, settings: ResolvedSettings) -> Iterator[Connection]:
    """Open a connection to a host for a while. Raises UnreachableError."""
    connection = connect(host, ssh_options(host, settings))
    try:
        connection.open()
        yield connection
    finally:
        connection.close()


def gather(
    pattern: str, settings: ResolvedSettings, flags: ConnectFlags, *, cpu_window_s: float = 0.0
) -> list[tuple[str, HostState]]:
    """Return the names and states of the hosts of a pattern.

    Raises UnreachableError, and PreflightError where the login may not use the engine.
    """
    found = []
    for host in select_hosts(pattern, settings.values, flags):
        query = replace(facts_query(host, settings, cpu_window_s=cpu_window_s), compose=False)
        with connected(host, settings) as connection:
            state = gather_state(connection, query)
        for problem in engine_answers(state.facts, query.image):
            raise PreflightError(
                f"{host.name}: {problem.what}", evidence=problem.evidence, hint=problem.fix
            )
        remember_containers(host.name, state.containers)
        found.append((host.name, state))
    return found
