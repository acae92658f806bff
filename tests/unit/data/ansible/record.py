"""Asks the real Ansible what it makes of the inventories beside this file.

    python tests/unit/data/ansible/record.py BIN_DIRECTORY

runs ``ansible-inventory --list`` and ``ansible PATTERN --list-hosts`` of that directory, and writes
``recorded.json``, which the tests compare with. The tests themselves need no Ansible.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PATTERNS: dict[str, list[tuple[str, str | None]]] = {
    "fleet.yml": [
        (pattern, None)
        for pattern in (
            "all",
            "*",
            "web1",
            "db",
            "web:db",
            "db:web",
            "db,web1",
            "web1 , db-1",
            "web:&staging",
            "!web1:web:&staging",
            "&staging:web:db:!db-2",
            "!db",
            "&staging",
            "!staging:!lonely",
            "production:!db:web3",
            "production[0]",
            "production[0:2]",
            "production[-1]",
            "production[5:]",
            "production[1-2]",
            "production[0:0]",
            "production[20]",
            "production[20:30]",
            "production[2:0]",
            "all[-2]",
            "*[-1]",
            "!~web.*",
            "&~(web|db).*:production",
            "*,!web",
            "all:!web:&production",
            "web*[1]",
            "web.*",
            "[wd]*",
            "!all",
            "all:!all",
            "web[0:1]:db[0]",
            "~web[12]",
            "~(web|db-)[0-9]+$",
            "~.*example,db-1",
            "web?",
            "web[13]",
            "web[12]*",
            "w*",
            "*[0:3]",
            "*.example.com",
            "2001:db8::7",
            "2001:db8::7,web1",
            "10.0.0.7",
            "10.*",
            "lonely",
            "clash",
            "!clash",
            "&clash",
            "empty",
            "ungrouped",
            "localhost",
            "web2:localhost",
            "127.0.0.1,localhost,::1",
            "all:!localhost",
            "no*such",
        )
    ]
    + [
        ("all", "db"),
        ("production", "web3:db-2"),
        ("web:db", "!staging"),
        ("db", "web[0:2],db-1"),
        ("web1", "db"),
        ("staging", "&web"),
        ("all", "!web,!db"),
        ("all", "~db.*:web[0]"),
    ],
    "precedence.yml": [("all", None), ("deep", None), ("zoo:&loud", None)],
    "shapes.yml": [("all", None), ("numbers", None), ("more[2:4]", None), ("q1", None)],
}


def ask(directory: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(
        [directory / program, *arguments],
        capture_output=True,
        text=True,
        cwd=HERE,
        env=environment,
        check=False,
    )


def selected(directory: Path, inventory: str, pattern: str, limit: str | None) -> list[str] | None:
    """List the hosts, or None where Ansible refuses the pattern."""
    limited = ["--limit", limit] if limit is not None else []
    answer = ask(directory, "ansible", "--list-hosts", "-i", inventory, *limited, "--", pattern)
    if answer.returncode:
        return None
    return re.findall(r"^    (\S+)$", answer.stdout, re.MULTILINE)


def listed(directory: Path, inventory: str) -> dict[str, object]:
    answer = ask(directory, "ansible-inventory", "-i", inventory, "--list")
    data = json.loads(answer.stdout)
    return {
        "hostvars": data.pop("_meta")["hostvars"],
        "groups": {
            group: selected(directory, inventory, group, None) for group in data if group != "all"
        },
    }


def main(directory: Path) -> None:
    version = ask(directory, "ansible", "--version").stdout.splitlines()[0]
    cases = [
        {
            "inventory": inventory,
            **listed(directory, inventory),
            "patterns": [
                {
                    "pattern": pattern,
                    "limit": limit,
                    "hosts": selected(directory, inventory, pattern, limit),
                }
                for pattern, limit in patterns
            ],
        }
        for inventory, patterns in PATTERNS.items()
    ]
    recorded = {"made_by": version, "cases": cases}
    (HERE / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
