"""From ``-i`` to an inventory. Heavy imports wait until there is something to load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof.inventory.model import Inventory

if TYPE_CHECKING:
    from remote_prof.inventory.read import Tools
    from remote_prof.inventory.variables import HostVars
    from remote_prof.records import Host

DEFAULT_NAMES = ("inventory.yml", "inventory.yaml")
"""Looked for in the current directory where no inventory is given."""


def load_inventory(*given: str | Path, tools: Tools | None = None) -> Inventory:
    """Load what one or several ``-i`` name, later ones over earlier ones.

    Each is a file in YAML or INI form, a program that prints one, a directory of all these, or a
    list of hosts as ``host1,host2,``. Raises InventoryError, with file and line, for whatever is
    wrong. Templates and vaults that cannot be evaluated are only refused when a host that needs one
    is selected.
    """
    from remote_prof.inventory.assemble import assemble
    from remote_prof.inventory.read import Tools, read_source
    from remote_prof.inventory.read_vars import read_vars_files
    from remote_prof.inventory.source import Source

    source, tools = Source(), tools or Tools()
    for each in given:
        read_source(str(each), source, tools)
    read_vars_files(source, tools.vault)
    return assemble(source, [str(each) for each in given], tools.vault)


def resolve_inventory(
    given: Sequence[str], directory: Path, tools: Tools | None = None
) -> Inventory:
    """Load the inventory that ``-i`` or the settings name, or the one that lies in a directory.

    Where nothing is given and nothing is found, the inventory is empty: ``localhost`` can be
    selected from it, and every other pattern raises an InventoryError that says where an inventory
    was looked for.
    """
    if given:
        return load_inventory(*given, tools=tools)
    candidates = [directory / name for name in DEFAULT_NAMES]
    for candidate in candidates:
        if candidate.exists():
            return load_inventory(candidate, tools=tools)
    return Inventory(looked_in=tuple(str(candidate) for candidate in candidates))


def host_settings(host: Host) -> HostVars:
    """Give typed access to the variables of a host that was selected from an inventory.

    The password is not among them: it is in ``host.become``.
    """
    from remote_prof.inventory import variables

    return variables.host_settings(host)
