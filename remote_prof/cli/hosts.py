"""``remote-prof hosts``: what the inventory holds."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import complete_host
from remote_prof.errors import UsageError

if TYPE_CHECKING:
    from remote_prof.records import Host
    from remote_prof.settings import Settings

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof hosts

$ remote-prof hosts 'web:&berlin:!web-7' -i site.yml

$ remote-prof hosts --graph

$ remote-prof hosts --vars web-7

$ remote-prof hosts --json | jq -r .[].name
"""


@flag_sets.lists
def hosts(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Host, group or pattern, as Ansible has them.", autocompletion=complete_host
        ),
    ] = "all",
    inventory: options.Inventory = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print the JSON of ansible-inventory --list.")
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Draw the groups as a tree, or those below one group.")
    ] = False,
    variables_of: Annotated[
        str | None,
        typer.Option(
            "--vars",
            metavar="HOST",
            help="Show each variable of a host and the file that it came from.",
            autocompletion=complete_host,
        ),
    ] = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.InventoryFlags,
) -> None:
    """List the hosts of the inventory, or show its groups and variables."""
    from remote_prof.cli.invocation import resolve_settings, select_hosts

    settings = resolve_settings({"inventory": inventory}).values
    if sum((as_list, graph, variables_of is not None)) > 1:
        raise UsageError("--list, --graph and --vars exclude each other", hint="give one of them")
    if as_list or graph:
        _show_groups(pattern, settings, flags, graph=graph)
    elif variables_of is not None:
        _show_variables(variables_of, settings, flags, as_json=as_json)
    else:
        _show_hosts(select_hosts(pattern, settings, flags), as_json=as_json)


def _show_groups(
    pattern: str, settings: Settings, flags: flag_sets.InventoryFlags, *, graph: bool
) -> None:
    from remote_prof.cli.inventory import open_inventory
    from remote_prof.inventory.listing import render_graph, render_list

    found = open_inventory(settings, flags)
    if not graph:
        console.write(render_list(found, found.match(pattern, flags.limit)))
    elif flags.limit is not None:
        raise UsageError("a tree has no limit", hint="name a group: remote-prof hosts web --graph")
    else:
        console.write(render_graph(found, pattern))


def _show_variables(
    host: str, settings: Settings, flags: flag_sets.InventoryFlags, *, as_json: bool
) -> None:
    from remote_prof.cli.inventory import open_inventory
    from remote_prof.inventory.listing import list_variables

    found = list_variables(open_inventory(settings, flags), host)
    if as_json:
        documents = [dataclasses.asdict(variable) for variable in found]
        console.write(json.dumps(documents, indent=2) + "\n")
    else:
        console.table(("variable", "value", "from"), [(v.name, v.value, v.source) for v in found])


def _show_hosts(found: list[Host], *, as_json: bool) -> None:
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
