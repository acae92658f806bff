"""``remote-prof ps``: the containers of a host, and what a run would profile in each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli import flag_sets, options

if TYPE_CHECKING:
    from remote_prof.host.containers import Container
    from remote_prof.host.facts import HostState
    from remote_prof.host.processes import Process

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof ps --host prod-3

$ remote-prof ps -H localhost -c local

$ remote-prof ps -H prod-3 --json | jq -r '.[] | select(.cpu_share > 0.5).name'
"""

_CPU_WINDOW_S = 0.5
_COLUMNS = {
    "host": "host",
    "name": "name",
    "id": "id",
    "image": "image",
    "service": "service",
    "status": "status",
    "processes": "processes",
    "cpu_share": "CPU",
    "language": "language",
    "profiled": "would be profiled",
}
_LISTED = 4
_NUMBERS = ("processes", "cpu_share")


@flag_sets.connects
def ps(
    host: options.HostPattern,
    inventory: options.Inventory = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> None:
    """List the containers of a host: image, processes, CPU use, language.

    CPU is of one CPU, over half a second. Changes nothing on the host.
    """
    from remote_prof.cli.gathering import gather
    from remote_prof.cli.invocation import resolve_settings

    settings = resolve_settings(flags.settings() | {"inventory": inventory})
    documents: list[dict[str, object]] = []
    rows: list[tuple[str, ...]] = []
    found = gather(host, settings, flags, cpu_window_s=_CPU_WINDOW_S)
    for name, state in found:
        for container in state.containers:
            document = _describe(name, container, state)
            documents.append(document)
            rows.append(tuple(_cell(key, document[key]) for key in _COLUMNS))
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
        return
    # The host is worth a column where there are several.
    first = 0 if len(found) > 1 else 1
    right = [number - first for number, column in enumerate(_COLUMNS) if column in _NUMBERS]
    console.table(tuple(_COLUMNS.values())[first:], [row[first:] for row in rows], right=right)


def _describe(host: str, container: Container, state: HostState) -> dict[str, object]:
    members = [p for p in state.processes if p.container_id == container.container_id]
    shares = [p.cpu_share for p in members if p.cpu_share is not None]
    languages = sorted({p.language for p in members if p.language != "native"})
    return {
        "host": host,
        "name": container.name,
        "id": container.container_id[:12],
        "image": container.image_name,
        "service": container.service,
        "status": container.status,
        "processes": len(members),
        "cpu_share": round(sum(shares), 3) if shares else None,
        "language": ", ".join(languages) or ("native" if members else ""),
        "profiled": _profiled(container, members, state),
    }


def _profiled(container: Container, members: list[Process], state: HostState) -> str:
    """Say which processes a run would sample, and how it would tell them from others."""
    from remote_prof.engines.bpftrace import choose_filter
    from remote_prof.errors import TargetError
    from remote_prof.host.target import TargetSpec, resolve

    try:
        target = resolve(TargetSpec(container.container_id), state)
    except TargetError:
        return ""
    listed = ", ".join(f"{p.pid} {p.name}" for p in members[:_LISTED])
    more = f" and {len(members) - _LISTED} more" if len(members) > _LISTED else ""
    return f"{listed}{more}, {choose_filter(state.facts, target).kind}"


def _cell(key: str, value: object) -> str:
    return f"{value:.1%}" if key == "cpu_share" and isinstance(value, float) else str(value or "")
