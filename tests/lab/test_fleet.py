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


def test_a_host_without_the_container_fails_alone_or_is_skipped(
    lab: Lab, tool: Tool, stock: Stock
) -> None:
    first, *rest = lab.hosts.values()
    first.docker("rename", FLEET, "elsewhere")
    try:
        failed = tool("run", "-H", "all", "-C", FLEET, "-d", 2)
        retry = (failed.run.path / "hosts.retry").read_text()
        skipped = tool("run", "-H", "all", "-C", FLEET, "-d", 2, "--missing-ok")
    finally:
        first.docker("rename", "elsewhere", FLEET)
    assert failed.code == 2
    assert failed.parts()[0][0] == f"{first.name}: no container matches {FLEET}"
    assert retry == f"{first.name}\n"
    assert skipped.code == 0, skipped.err
    statuses = {record["name"]: record["status"] for record in skipped.run.manifest["hosts"]}
    assert statuses == {first.name: "skipped"} | {host.name: "ok" for host in rest}
    assert skipped.parts() == []
    assert not (skipped.run.path / "hosts.retry").exists()
    for host in lab.hosts.values():
        assert stock.left(host) == []


def test_a_host_has_only_so_much_time(lab: Lab, tool: Tool, stock: Stock, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    began = time.monotonic()
    asked = ("run", "-H", "all", "-C", FLEET, "-d", 300, "--timeout", "8s", "--events", events)
    done = tool(*asked)
    assert time.monotonic() - began < 120
    assert done.code == 2
    for record in done.run.manifest["hosts"]:
        assert record["status"] == "failed"
        assert record["error"] == f"{record['name']}: it was not done within 8 s"
        # What was sampled until then is here.
        assert record["quality"]["got"] > 0
    for host in lab.hosts.values():
        assert stock.left(host) == []
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert {each["host"] for each in told if each.get("stage") == "time-over"} >= {*lab.hosts}
    assert told[0]["hosts"] == list(lab.hosts)
    assert {line["host"] for line in told if line["event"] == "host"} == set(lab.hosts)
    assert told[-1]["exit_code"] == 2
    # Another try is no mixture of both: what there was is kept beside it.
    again = tool("run", "--resume", "last", "--timeout", "8s")
    assert again.code == 2
    for name in lab.hosts:
        places = sorted(path.name for path in (again.run.path / "hosts" / name).iterdir())
        assert places == [FLEET, f"{FLEET}@1"]
        old, new = (again.run.path / "hosts" / name / place / "profile.txt" for place in places)
        assert old.read_bytes() != new.read_bytes()


def test_batches_end_when_too_many_fail(
    lab: Lab, tool: Tool, stock: Stock, inventory: Path
) -> None:
    last = list(lab.hosts)[-1]
    hosts = f"down,{last}"
    asked = ("run", "-i", inventory, "-H", hosts, "-C", FLEET, "-d", 2, "--serial", 1)
    done = tool(*asked, "--order", "sorted", "--max-fail-percentage", 50, "--retries", 1)
    assert done.code == 4, done.err
    (record,) = done.run.manifest["hosts"]
    assert (record["name"], record["status"], record["tries"]) == ("down", "unreachable", 2)
    assert "not begun: 1 host: 1 of 1 have failed" in done.out
    assert (done.run.path / "hosts.retry").read_text() == f"down\n{last}\n"
    # Those named there, and no others.
    retry = f"@{done.run.path}/hosts.retry"
    limited = tool("run", "-H", "all", "-l", retry, "-i", inventory, "-C", FLEET, "-d", 2)
    assert {record["name"] for record in limited.run.manifest["hosts"]} == {last, "down"}
    for host in lab.hosts.values():
        assert stock.left(host) == []


def test_groups_are_told_apart_and_all_hosts_are_one_graph(lab: Lab, tool: Tool) -> None:
    *_, odd = lab.hosts
    done = tool("run", "-H", "all", "-C", FLEET, "-d", 5, "-F", 199, "--format", "folded")
    assert done.code == 0, done.err
    assert (done.run.path / "fleet.html").stat().st_size > 1000
    merged = (done.run.path / "fleet" / "profile.folded").read_text()
    weight = sum(int(line.rpartition(" ")[2]) for line in merged.splitlines())
    assert weight == sum(record["quality"]["got"] for record in done.run.manifest["hosts"])
    compared = tool("fleet", "last", "--compare-by", "host", "--format", "folded")
    assert compared.code == 0, compared.err
    assert f"{odd} (1 host) differs from the others" in compared.out
    assert ": count_compute" in compared.out


def test_rounds_are_runs_of_their_own_and_told_over_time(
    lab: Lab, tool: Tool, stock: Stock
) -> None:
    name = next(iter(lab.hosts))
    running = tool.start("run", "-H", name, "-C", FLEET, "-d", 3, "--every", "20s", "--times", 3)
    running.wait_for("round 2 begins in", 60)
    running.wait_for("round 3 begins in", 60)
    # Between two rounds nothing is on a host.
    assert stock.left(lab.hosts[name]) == []
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert len(list(done.results.iterdir())) == 2
    lines = done.out.splitlines()
    assert lines[0].startswith("round 1 of 3, ")
    assert lines[1].startswith("round 2 of 3, ")
    (header,) = [line for line in lines if line.startswith("began")]
    assert "hot_leaf" in header
    assert len([line for line in lines if " % " in line]) == 2
