"""Makes inventories by chance, and asks the real Ansible about all of them in one process.

    python tests/inventory/generated.py DIRECTORY

reads ``sources.json`` there, a list of lists of sources, and prints what each list makes: groups
with their hosts and children, the variables of each host, and the hosts that patterns select.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

GROUPS = ("a", "b", "c", "d", "e")
HOSTS = ("h1", "h2", "h3", "x.y", "k")
WRITTEN = (*HOSTS, "r[1:3]", "p:22", "q[a:b]:23")
VALUES = ("1", "True", "yes", "'q'", '"[1,2]"', "a=b", "x#y", "{'a':1}", "1.5", "None", "007")


def make(directory: Path, seed: int) -> list[str]:
    """Write some sources below a directory, with files of variables beside them; list them."""
    chance = random.Random(seed)
    sources = []
    for number in range(chance.randint(1, 3)):
        place = directory / f"{seed}-{number}"
        place.mkdir()
        path = place / chance.choice(("hosts", "inventory.yml"))
        path.write_text(_ini(chance) if path.name == "hosts" else json.dumps(_yaml(chance)))
        for folder, names in (("group_vars", (*GROUPS, "all")), ("host_vars", HOSTS)):
            if chance.random() < 0.5:
                (place / folder).mkdir()
                for name in chance.sample(names, 2):
                    file = place / folder / (name + chance.choice((".yml", "", ".json")))
                    value = f"{folder} {name} {number}"
                    file.write_text(json.dumps({chance.choice("uvwst"): value}))
        sources.append(str(path if chance.random() < 0.7 else place))
    return sources


def make_patterns(seed: int) -> list[tuple[str, str | None]]:
    """List some patterns, and a limit for some of them."""
    chance = random.Random(seed)
    names = (*GROUPS, *HOSTS, "all", "ungrouped", "*", "h*", "~[hk].?", "?", "*.y", "localhost")
    # Of groups with groups below, the order of hosts is that of a set in Ansible, and so by chance.
    ordered = [
        name + subscript
        for name in ("e", "h*", "[hk]*", "h1")
        for subscript in ("[0]", "[-1]", "[0:1]", "[1:]", "[1:0]", "[5]")
    ]

    def pattern() -> str:
        terms = (
            chance.choice(("", "", "&", "!")) + chance.choice((*names, *ordered))
            for _ in range(chance.randint(1, 3))
        )
        return chance.choice((",", ":")).join(terms)

    return [(pattern(), chance.choice((None, None, pattern()))) for _ in range(8)]


def _ini(chance: random.Random) -> str:
    lines = []
    for _ in range(chance.randint(2, 8)):
        kind, group = chance.choice(("", "", ":children", ":vars")), chance.choice(GROUPS)
        lines.append(f"[{group}{kind}]")
        for _ in range(chance.randint(0, 3)):
            if kind == ":children":
                # Later letters only: no group contains itself.
                lines += [chance.choice([g for g in GROUPS if g > group])] if group < "e" else []
            elif kind == ":vars":
                lines.append(f"{chance.choice('uvwst')}={chance.choice(VALUES)}")
            else:
                words = (f" {name}={chance.choice(VALUES)}" for name in chance.sample("uvw", 2))
                lines.append(chance.choice(WRITTEN) + "".join(words))
        if kind == ":vars" and chance.random() < 0.3:
            lines.append(f"ansible_group_priority={chance.randint(0, 5)}")
    return "\n".join([*lines, *(f"[{group}]" for group in GROUPS)]) + "\n"


def _yaml(chance: random.Random) -> dict[str, Any]:
    return {
        name: _group(chance, "" if name == "all" else name)
        for name in chance.sample((*GROUPS, "all"), chance.randint(1, 4))
    }


def _group(chance: random.Random, name: str) -> dict[str, Any]:
    group: dict[str, Any] = {}
    if chance.random() < 0.7:
        variables = ({"u": 1}, {"v": "s", "w": [1]}, None)
        group["hosts"] = {host: chance.choice(variables) for host in chance.sample(WRITTEN, 2)}
    if chance.random() < 0.6:
        values = (1, "x", None, True, [1], {"k": 1})
        group["vars"] = {key: chance.choice(values) for key in chance.sample("uvwst", 2)}
        if chance.random() < 0.3:
            group["vars"]["ansible_group_priority"] = chance.randint(0, 5)
    below = [child for child in GROUPS if child > name]
    if below and chance.random() < 0.5:
        child = chance.choice(below)
        group["children"] = {child: _group(chance, child)}
    return group


def ask(sources: list[str], patterns: list[tuple[str, str | None]]) -> dict[str, Any]:
    """Say what Ansible makes of some sources; None for a pattern that it refuses."""
    from ansible import constants
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=sources)
    manager = VariableManager(loader=loader, inventory=inventory)
    internal = constants.INTERNAL_STATIC_VARS
    found: dict[str, Any] = {
        "groups": {
            name: [[host.name for host in group.hosts], [g.name for g in group.child_groups]]
            for name, group in inventory.groups.items()
        },
        "variables": {
            host.name: {
                name: value
                for name, value in manager.get_vars(
                    host=host, include_hostvars=False, stage="all"
                ).items()
                if name not in internal
            }
            for host in inventory.get_hosts()
        },
        "selected": [],
    }
    for pattern, limit in patterns:
        inventory.subset(limit)
        try:
            hosts = [host.name for host in inventory.get_hosts(pattern)]
        except AnsibleError:
            hosts = None
        found["selected"].append(hosts)
    return found


if __name__ == "__main__":
    asked = json.loads((Path(sys.argv[1]) / "sources.json").read_text())
    json.dump([ask(sources, make_patterns(n)) for n, sources in enumerate(asked)], sys.stdout)
