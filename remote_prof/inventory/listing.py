"""An inventory shown: the JSON of ``ansible-inventory --list``, a tree, a host's variables."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remote_prof.errors import InventoryError
from remote_prof.inventory.frozen import EncryptedText, UnsafeText
from remote_prof.inventory.model import Inventory
from remote_prof.inventory.variables import is_secret

_PROFILE = "inventory_legacy"


@dataclass(frozen=True, slots=True)
class ShownVariable:
    """A variable as it may be shown: a secret is named, its value is not."""

    name: str
    value: str
    source: str


def render_list(inventory: Inventory, hosts: Collection[str]) -> str:
    """Return what ``ansible-inventory --list`` prints, with these hosts alone.

    Secrets are in it as they are in Ansible's own: as they were written, vaults as vaults.
    """
    kept = frozenset(hosts)
    document: dict[str, Any] = {}
    for name in _reached(inventory):
        group = inventory.tree[name]
        own = [] if name == "all" else [host for host in group.hosts if host in kept]
        parts = {"hosts": own, "children": list(group.children)}
        if any(parts.values()):
            document[name] = {part: names for part, names in parts.items() if names}
    variables = {
        host: {name: _plain(variable.value) for name, variable in inventory.variables[host].items()}
        for host in hosts
        if inventory.variables.get(host)
    }
    document["_meta"] = {"hostvars": variables, "profile": _PROFILE}
    return json.dumps(document, sort_keys=True, indent=4) + "\n"


def render_graph(inventory: Inventory, group: str = "all") -> str:
    """Return the tree that ``ansible-inventory --graph`` draws. Raises InventoryError."""
    if group not in inventory.tree:
        raise InventoryError(
            f"there is no group {group!r} to draw",
            hint=f"there are {', '.join(sorted(inventory.tree))}",
        )
    return "".join(f"{line}\n" for line in _branch(inventory, group))


def list_variables(inventory: Inventory, host: str) -> list[ShownVariable]:
    """List the variables of a host that count, by name. Raises InventoryError."""
    if host not in inventory.variables:
        raise InventoryError(
            f"there is no host {host!r} in the inventory", hint="`remote-prof hosts` lists them"
        )
    return [
        ShownVariable(
            name,
            "(secret)" if variable.secret or is_secret(name) else _shown(variable.value),
            str(variable.where),
        )
        for name, variable in sorted(inventory.variables[host].items())
    ]


def _reached(inventory: Inventory) -> list[str]:
    """List the groups, each after the one that names it."""
    reached = {"all": None}
    pending = ["all"]
    while pending:
        for child in inventory.tree[pending.pop()].children:
            if child not in reached:
                reached[child] = None
                pending.append(child)
    return list(reached)


def _branch(inventory: Inventory, root: str) -> Iterator[str]:
    # An explicit stack: a chain of groups may be longer than Python's recursion goes.
    pending = [(0, f"@{root}:", root)]
    while pending:
        depth, text, group = pending.pop()
        yield "  |" * depth + "--" + text if depth else text
        if not group:
            continue
        node = inventory.tree[group]
        below = [(depth + 1, f"@{child}:", child) for child in node.children]
        if group != "all":
            below += [(depth + 1, host, "") for host in node.hosts]
        pending += reversed(below)


def _plain(value: Any) -> Any:
    """Return a value in the types of JSON, as Ansible writes them."""
    if isinstance(value, EncryptedText):
        return {"__ansible_vault": str(value)}
    if isinstance(value, UnsafeText):
        return {"__ansible_unsafe": str(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    if isinstance(value, EncryptedText):
        return "(encrypted by ansible-vault)"
    if isinstance(value, str):
        return str(value)
    return json.dumps(_masked(value), ensure_ascii=False)


def _masked(value: Any) -> Any:
    if isinstance(value, EncryptedText):
        return "(encrypted by ansible-vault)"
    if isinstance(value, Mapping):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_masked(item) for item in value]
    return str(value) if isinstance(value, UnsafeText) else _plain(value)
