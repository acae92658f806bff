"""From ``-i`` to an inventory. Heavy imports wait until there is something to load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof.inventory.model import Inventory, adhoc_hosts

if TYPE_CHECKING:
    from remote_prof.inventory.variables import HostVars
    from remote_prof.records import Host

DEFAULT_NAMES = ("inventory.yml", "inventory.yaml")
"""Looked for in the current directory where no inventory is given."""


def load_inventory(path: Path) -> Inventory:
    """Load one inventory file in Ansible's YAML form.

    Raises InventoryError, with file, line and key, for whatever is wrong in it. What Ansible would
    have to evaluate (templates, vaults) is only refused when a host that needs it is selected.
    """
    from remote_prof.inventory.assemble import assemble
    from remote_prof.inventory.source import Source, read_file

    source = Source()
    read_file(path, source)
    return assemble(source, [str(path)])


def resolve_inventory(given: str | Path | None, directory: Path) -> Inventory:
    """Load the inventory that ``-i`` or the settings name, or the one that lies in a directory.

    A text with a comma that is not the path of a file is a list of hosts. Where nothing is given
    and nothing is found, the inventory is empty: ``localhost`` can be selected from it, and every
    other pattern raises an InventoryError that says where an inventory was looked for.
    """
    if given is not None:
        path = Path(given)
        if "," in str(given) and not path.exists():
            return adhoc_hosts(str(given))
        return load_inventory(path)
    candidates = [directory / name for name in DEFAULT_NAMES]
    for candidate in candidates:
        if candidate.exists():
            return load_inventory(candidate)
    return Inventory(looked_in=tuple(str(candidate) for candidate in candidates))


def host_settings(host: Host) -> HostVars:
    """Give typed access to the variables of a host that was selected from an inventory.

    The password is not among them: it is in ``host.become``.
    """
    from remote_prof.inventory import variables

    return variables.host_settings(host)
