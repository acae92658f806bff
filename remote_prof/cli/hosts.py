"""``remote-prof hosts``: what the inventory holds."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import options
from remote_prof.cli.completion import complete_host

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof hosts

$ remote-prof hosts 'web:&berlin:!web-7' -i site.yml

$ remote-prof hosts --json | jq -r .[].name
"""


def hosts(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Host, group or pattern, as Ansible has them.", autocompletion=complete_host
        ),
    ] = "all",
    inventory: options.Inventory = None,
    as_json: options.AsJson = False,
) -> None:
    """List the hosts of the inventory."""
    from remote_prof.cli.invocation import resolve_settings, select_hosts

    settings = resolve_settings({"inventory": inventory})
    found = select_hosts(pattern, settings.values, None)
    if as_json:
        documents = []
        for host in found:
            document = dataclasses.asdict(dataclasses.replace(host, become=None, vars={}))
            documents.append(document | {"become": host.become is not None})
        console.write(json.dumps(documents, indent=2) + "\n")
        return
    rows = [
        (
            host.name,
            host.address,
            str(host.port or ""),
            host.user or "",
            host.connection,
            ", ".join(host.groups),
        )
        for host in found
    ]
    console.table(("host", "address", "port", "user", "connection", "groups"), rows, right=(2,))
