"""Several targets of a host: each for itself, so many at a time, and told like hosts."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .model import TARGET_IMAGE, Lab, LabHost
from .tool import SAMPLING, Done, Stock, Tool, our_containers

USUAL, ODD = ("svc", "serve", "300"), ("waits", "count", "compute")
TARGETS = {f"many-{n}": USUAL for n in range(3)} | {"many-odd": ODD}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    """Have four containers work on a host, of which one does other work."""
    host = next(iter(lab.hosts.values()))
    for name, (program, *words) in TARGETS.items():
        argv = ("run", "-d", "--name", name, "--network", "none", "--label", "tier=many")
        host.docker(*argv, TARGET_IMAGE, f"/opt/app/{program}", *words)
    yield host
    host.docker("rm", "-f", *TARGETS)


def statuses(done: Done) -> dict[str, str]:
    return {record["name"]: record["status"] for record in done.run.manifest["hosts"]}


def names(host: LabHost) -> list[str]:
    return [f"{host.name}/{name}" for name in sorted(TARGETS)]


def test_a_pattern_is_all_of_them_and_no_more_sidecars_than_may_be(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(
        *("run", "-H", host.name, "-C", "many-*", "-d", 5, "-F", 199, "--sidecars-per-host", 3)
    )
    most = 0
    while running.process.poll() is None:
        most = max(most, len(our_containers(host)))
        time.sleep(0.1)
    done = running.end()
    assert done.code == 0, done.err
    assert most == 3
    assert statuses(done) == dict.fromkeys(names(host), "ok")
    assert "1 of 4 targets differ from the others" in done.out
    for record in done.run.manifest["hosts"]:
        assert (record["host"], record["targets"]) == (host.name, 4)
        own = "count_compute" if record["target"]["container"] == "many-odd" else "handle_request"
        folded = done.run.path / record["directory"] / "profile.folded"
        assert own in folded.read_text()
    document = json.loads(tool("top", "last", "--json").out)
    odd = [each["host"] for each in document["hosts"] if each["is_outlier"]]
    assert odd == [f"{host.name}/many-odd"]
    assert stock.left(host) == []
    run = done.run.path.name
    shown = tool("diff", f"{run}/{host.name}/many-0", f"{run}/{host.name}/many-odd")
    assert shown.code == 0, shown.err
    assert "count_compute" in shown.out


def test_a_label_may_mean_several_and_one_is_enough(host: LabHost, tool: Tool) -> None:
    planned = tool("run", "-H", host.name, "--label", "tier=many", "--dry-run", "--json")
    assert [each["target"] for each in json.loads(planned.out)] == sorted(TARGETS)
    done = tool("run", "-H", host.name, "-C", "many-o*", "--label", "tier=many", "-d", 1)
    assert done.code == 0, done.err
    assert statuses(done) == {host.name: "ok"}
    assert "where it is (most self)" in done.out


def test_what_stops_one_of_them_stops_no_other(host: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start("run", "-H", host.name, "-C", "many-*", "-d", 6)
    running.wait_for(f"{host.name}/many-1: {SAMPLING}")
    time.sleep(1)
    host.docker("kill", "many-1")
    try:
        done = running.end()
    finally:
        host.docker("start", "many-1")
    assert done.code == 0, done.err
    assert statuses(done) == dict.fromkeys(names(host), "ok")
    assert "the target ended" in done.err
    assert stock.left(host) == []


def test_an_interrupt_ends_all_and_the_rest_can_be_gone_on_with(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    argv = ("run", "-H", host.name, "-C", "many-*", "-d", 30, "--sidecars-per-host", 2)
    running = tool.start(*argv)
    for name in names(host)[:2]:
        running.wait_for(f"{name}: {SAMPLING}")
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert statuses(done) == dict.fromkeys(names(host)[:2], "interrupted")
    assert f"not begun: 2 of 4 targets of {host.name}" in done.out
    assert stock.left(host) == []


def test_a_controller_that_is_killed_loses_none(host: LabHost, tool: Tool, stock: Stock) -> None:
    argv = ("run", "-H", host.name, "-C", "many-*", "-d", 5, "--sidecars-per-host", 2)
    running = tool.start(*argv)
    for name in names(host)[:2]:
        running.wait_for(f"{name}: {SAMPLING}")
    running.process.kill()
    running.end()
    done = tool("run", "--resume", "last")
    assert done.code == 0, done.err
    assert statuses(done) == dict.fromkeys(names(host), "ok")
    assert our_containers(host) == []
    assert stock.left(host) == []
    again = tool("run", "--resume", "last")
    assert "is finished: every host has a result" in again.err


def test_two_names_of_one_machine_do_not_meet(
    host: LabHost, tool: Tool, stock: Stock, lab: Lab, tmp_path: Path
) -> None:
    found = yaml.safe_load(lab.inventory.read_text())
    hosts = found["all"]["hosts"]
    hosts["alias"] = hosts[host.name]
    path = tmp_path / "alias.yml"
    path.write_text(yaml.safe_dump(found))
    done = tool("run", "-i", path, "-H", f"{host.name},alias", "-C", "many-0", "-d", 2)
    assert done.code == 0, done.err
    assert statuses(done) == {host.name: "ok", "alias": "ok"}
    assert stock.left(host) == []
