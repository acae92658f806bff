"""The same inventories, read by us and by the real ``ansible-inventory``: no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from remote_prof.errors import InventoryError
from remote_prof.inventory import Inventory, load_inventory
from remote_prof.inventory.listing import render_graph, render_list
from remote_prof.inventory.read import Tools
from remote_prof.inventory.vault import Vault
from remote_prof.transport.local import run_program
from tests.inventory.generated import make, make_patterns

CORPUS = Path(__file__).parent / "corpus"
RECORDED = Path(__file__).parents[1] / "unit" / "data" / "ansible"
PASSWORD = CORPUS / "vault" / "password"

ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_CONFIG": str(Path(__file__).with_name("ansible.cfg")),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
}

_MADE = 200

CASES: dict[str, tuple[str, ...]] = {
    "ini": ("ini/plain",),
    "types": ("ini/types",),
    "forward": ("ini/forward",),
    "priority": ("ini/priority",),
    "twice": ("ini/twice",),
    "spaces": ("ini/spaces.ini",),
    "yaml": ("yaml/inventory.yml",),
    "without-suffix": ("yaml/noext",),
    "json": ("yaml/hosts.json",),
    "beside": ("beside/hosts",),
    "directory": ("directory",),
    "two": ("two/a/hosts", "two/b/hosts"),
    "two-reversed": ("two/b/hosts", "two/a"),
    "three": ("two/a/hosts", "two/b/hosts", "two/a"),
    "with-list": ("beside/hosts", "web2,extra:2200,web9,"),
    "list": ("one,two:22,2001:db8::1,web[1:3],10.0.0.1,",),
    "script": ("script/meta.sh",),
    "script-each": ("script/each.sh",),
    "script-marked": ("script/marked.sh",),
    "script-and-ini": ("ini/plain", "script/meta.sh"),
    "names": ("names/hosts",),
    "vault": ("vault/hosts",),
    "vault-inventory": ("vault/encrypted-hosts",),
    "ini-in-yml": ("nasty/ini-in.yml",),
    "executable-ini": ("nasty/executable-ini",),
    "executable-yaml": ("nasty/executable.yml",),
    "letters": ("nasty/letters",),
    "crlf": ("nasty/crlf",),
    "templates": ("nasty/templates",),
    "yaml-priority": ("nasty/priority.yml",),
    "diamond": ("nasty/diamond",),
    "merge": ("nasty/merge.yml",),
    "variables-only": ("nasty/variables-only", "one,"),
    "ranges": ("nasty/ranges",),
    "replace": ("nasty/replace",),
    "plugin": ("plugin/fleet.yml",),
    "plugin-and-ini": ("plugin/fleet.yml", "beside/hosts"),
    "json-with-tabs": ("yaml/tabs.json",),
    "fleet": (str(RECORDED / "fleet.yml"),),
    "precedence": (str(RECORDED / "precedence.yml"),),
    "shapes": (str(RECORDED / "shapes.yml"),),
}


def asked(sources: Sequence[str]) -> list[str]:
    return [source if "," in source else str(CORPUS / source) for source in sources]


def ansible(*arguments: str) -> str:
    done = subprocess.run(
        ["ansible-inventory", *arguments],
        env=os.environ | ENVIRONMENT,
        cwd=CORPUS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Failed to parse" not in done.stderr, done.stderr
    return done.stdout


def ours(sources: Sequence[str]) -> Inventory:
    vault = Vault(lambda: [PASSWORD.read_bytes().strip()])
    tools = Tools(lambda argv: run_program(argv, 30), vault=vault)
    return load_inventory(*asked(sources), tools=tools)


@pytest.mark.parametrize("sources", CASES.values(), ids=CASES)
def test_the_same_hosts_groups_and_variables(
    sources: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    named = [word for source in asked(sources) for word in ("-i", source)]
    if "vault" in sources[0]:
        named += ["--vault-password-file", str(PASSWORD)]
    inventory = ours(sources)
    listed = render_list(inventory, [host.name for host in inventory.hosts])
    expected: dict[str, Any] = json.loads(ansible(*named, "--list"))
    assert json.loads(listed) == expected
    assert render_graph(inventory) == ansible(*named, "--graph")


def test_inventories_made_by_chance(tmp_path: Path) -> None:
    cases = [make(tmp_path, seed) for seed in range(_MADE)]
    (tmp_path / "sources.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("generated.py"), tmp_path],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "to parse" not in done.stderr
    for seed, (sources, expected) in enumerate(zip(cases, json.loads(done.stdout), strict=True)):
        inventory = load_inventory(*sources)
        tree = {
            name: [list(group.hosts), list(group.children)]
            for name, group in inventory.tree.items()
        }
        listed = json.loads(render_list(inventory, [host.name for host in inventory.hosts]))
        variables = {name: {} for name in inventory.variables} | listed["_meta"]["hostvars"]
        assert (sources, variables) == (sources, expected["variables"])
        assert (sources, tree) == (sources, expected["groups"])
        for (pattern, limit), hosts in zip(make_patterns(seed), expected["selected"], strict=True):
            check_pattern(inventory, pattern, limit, hosts)


def check_pattern(
    inventory: Inventory, pattern: str, limit: str | None, hosts: list[str] | None
) -> None:
    try:
        selected, said = inventory.match(pattern, limit), ""
    except InventoryError as error:
        selected, said = [], error.what
    # Ansible takes a name that is none for nothing, and goes on.
    if "no host or group is called" not in said:
        assert sorted(selected) == sorted(hosts or ()), (pattern, limit)
