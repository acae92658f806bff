"""Several hosts at once: in one command, each with its own end, and an answer for all."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .model import TARGET_IMAGE, Lab
from .tool import SAMPLING, Stock, Tool, our_containers

FLEET = "fleet"


@pytest.fixture(scope="module", autouse=True)
def _a_fleet(lab: Lab) -> Iterator[None]:
    """Have a container of one name work on all hosts, and do other work on one of them."""
    *usual, odd = lab.hosts.values()
    assert len(usual) >= 2
    for host in lab.hosts.values():
        work = ("waits", "count", "compute") if host is odd else ("svc", "serve", "300")
        argv = ("run", "-d", "--name", FLEET, "--network", "none", TARGET_IMAGE)
        host.docker(*argv, f"/opt/app/{work[0]}", *work[1:])
    yield
    for host in lab.hosts.values():
        host.docker("rm", "-f", FLEET)


@pytest.fixture
def inventory(lab: Lab, tmp_path: Path) -> Path:
    """Give the lab's inventory, and a host that is down."""
    found = yaml.safe_load(lab.inventory.read_text())
    found["all"].setdefault("hosts", {})["down"] = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    path = tmp_path / "fleet.yml"
    path.write_text(yaml.safe_dump(found))
    return path


def test_a_fleet_is_profiled_in_one_command_and_the_odd_one_is_found(
    lab: Lab, tool: Tool, stock: Stock, inventory: Path
) -> None:
    names = list(lab.hosts)
    done = tool("run", "-i", inventory, "-H", "all", "-C", FLEET, "-d", 6, "-F", 199)
    assert done.code == 4, done.err
    records = {record["name"]: record for record in done.run.manifest["hosts"]}
    assert {name: records[name]["status"] for name in names} == dict.fromkeys(names, "ok")
    assert records["down"]["status"] == "unreachable"
    for host in lab.hosts.values():
        assert stock.left(host) == []
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert " unreachable " in rows["down"]
    assert f"1 of {len(names)} hosts differ from the others" in done.out
    assert rows[f"{names[-1]},"].startswith(f"{names[-1]}, ")
    assert ": count_compute" in done.out

    document = json.loads(tool("top", "last", "--json").out)
    assert [each["host"] for each in document["hosts"] if each["is_outlier"]] == [names[-1]]
    assert document["without_samples"].keys() == {"down"}


def test_an_interrupt_ends_sampling_everywhere_and_keeps_what_there_is(
    lab: Lab, tool: Tool, stock: Stock
) -> None:
    running = tool.start("run", "-H", "all", "-C", FLEET, "-d", 60)
    # Side by side: all of them sample at the same time.
    for name in lab.hosts:
        running.wait_for(f"{name}: {SAMPLING}")
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    records = done.run.manifest["hosts"]
    assert [record["status"] for record in records] == ["interrupted"] * len(lab.hosts)
    assert all(record["quality"]["got"] > 0 for record in records)
    for host in lab.hosts.values():
        assert stock.left(host) == []


def test_a_controller_that_is_killed_loses_nothing(lab: Lab, tool: Tool, stock: Stock) -> None:
    running = tool.start("run", "-H", "all", "-C", FLEET, "-d", 6)
    for name in lab.hosts:
        running.wait_for(f"{name}: {SAMPLING}")
    running.process.kill()
    running.end()
    done = tool("run", "--resume", "last")
    assert done.code == 0, done.err
    records = done.run.manifest["hosts"]
    assert {record["name"]: record["status"] for record in records} == dict.fromkeys(
        lab.hosts, "ok"
    )
    for host in lab.hosts.values():
        assert our_containers(host) == []
        assert stock.left(host) == []
