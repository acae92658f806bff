"""Finding and removing what earlier runs left on a host, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from remote_prof.errors import HostError
from remote_prof.host.containers import LABEL
from remote_prof.host.gather import CALL_TIMEOUT_S, WORK_PARENTS, FactsQuery, gather_state
from remote_prof.records import Host
from remote_prof.run.plan import LAUNCH_LABEL
from remote_prof.templates import render
from remote_prof.transport import Command, Connection, SshOptions, connect

_TIMEOUT_S = 180.0
_FORMAT = (
    f'{{{{.Id}}}} {{{{index .Config.Labels "{LABEL}"}}}} {{{{.State.Status}}}} {{{{.Name}}}}'
    f' {{{{index .Config.Labels "{LAUNCH_LABEL}"}}}}'
)
_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}", re.ASCII)
STATES = {
    "running": "still at work",
    "fetching": "being fetched",
    "waiting": "waits to be fetched",
    "left": "left behind",
    "foreign": "of another login",
}


@dataclass(frozen=True, slots=True)
class Remnant:
    """Something of a run on a host.

    ``kind`` is directory or container; ``name`` a path or an id; ``state`` one of ``STATES``.
    ``removed`` is None where nothing was tried.
    """

    run_id: str
    kind: str
    name: str
    state: str
    removed: bool | None = None


def is_run_id(text: str) -> bool:
    """Say whether this is the whole id of a run."""
    return _RUN_ID.fullmatch(text) is not None


def open_and_clean(
    host: Host, ssh: SshOptions, query: FactsQuery, *, run_id: str | None, remove: bool
) -> list[Remnant]:
    """Clean over a connection of its own, see ``clean_host``. Raises UnreachableError, too."""
    connection = connect(host, ssh)
    try:
        connection.open()
        return clean_host(connection, query, run_id=run_id, remove=remove)
    finally:
        connection.close()


def clean_host(
    connection: Connection, query: FactsQuery, *, run_id: str | None, remove: bool
) -> list[Remnant]:
    """Return what runs left on a host, and remove it if told to.

    Without ``run_id`` runs that are still at work, or being fetched, are left alone. Raises
    HostError, LinkLostError.
    """
    state = gather_state(connection, query)
    engine = state.facts.engine
    if engine is None or not engine.answers:
        raise HostError(
            f"{connection.host.name}: the container engine does not answer",
            evidence="so it cannot be said which containers there are",
            hint="remote-prof doctor looks for causes",
        )
    result = connection.run(
        clean_command(
            engine.path, query.work_parent, run_id=run_id, remove=remove, become=state.become
        ),
        _TIMEOUT_S,
    )
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    if "@@end" not in lines or "@@failed engine" in lines:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise HostError(
            f"{connection.host.name}: what is left cannot be told",
            evidence=said[-300:] or f"exit code {result.exit_code}",
            hint="remote-prof doctor looks for causes",
        )
    return parse_remnants(lines)


def clean_command(
    engine_path: str, work_parent: str | None, *, run_id: str | None, remove: bool, become: bool
) -> Command:
    """Return the command that looks for what runs left, and perhaps removes it."""
    script = render(
        "launcher/clean.sh.j2",
        engine_path=engine_path,
        label=LABEL,
        launch_label=LAUNCH_LABEL,
        run_id=run_id or "",
        remove=remove,
        format=_FORMAT,
        parents=(work_parent, *WORK_PARENTS) if work_parent else WORK_PARENTS,
        call_timeout_s=CALL_TIMEOUT_S,
    )
    return Command("clean", script, become=become)


def parse_remnants(lines: list[str]) -> list[Remnant]:
    """Parse what ``templates/launcher/clean.sh.j2`` prints; lines of another form are skipped."""
    found: dict[tuple[str, str], Remnant] = {}
    for line in lines:
        mark, _, rest = line.partition(" ")
        if mark == "@@found":
            kind, run_id, state, name = [*rest.split(" ", 3), "", "", "", ""][:4]
            if state in STATES and kind in ("directory", "container"):
                found[kind, name] = Remnant(run_id, kind, name, state)
        elif mark in ("@@removed", "@@left"):
            kind, _, name = [*rest.split(" ", 2), "", "", ""][:3]
            if (kind, name) in found:
                removed = mark == "@@removed"
                found[kind, name] = replace(found[kind, name], removed=removed)
    return list(found.values())
