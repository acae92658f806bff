"""A Dask cluster works hosts off: a real scheduler, two real workers, the lab's hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import pytest
import yaml

from .model import TARGET_IMAGE, Lab, LabHost
from .tool import SAMPLING, Stock, Tool, our_containers, until

CONTAINER = "api"
_DASK = Path(sys.executable).with_name("dask")


@dataclass
class Cluster:
    """A scheduler and its workers, as processes; workers keep their files below ``place``."""

    place: Path
    stack: ExitStack
    address: str = ""

    def start(self, name: str, *argv: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.place / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [_DASK, *argv, "--no-dashboard"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.place,
                env={**os.environ, "TMPDIR": str(self.place / "tmp"), **env},
                start_new_session=True,
            )

        def end() -> None:
            process.kill()
            process.wait()

        self.stack.callback(end)
        return process

    def worker(self, name: str, **env: str) -> subprocess.Popen[bytes]:
        options = ("--no-nanny", "--nthreads", "2", "--host", "127.0.0.1", "--name", name)
        return self.start(name, "worker", self.scheduler, *options, **env)

    @property
    def scheduler(self) -> str:
        return self.address.replace("dask://", "tcp://")

    def client(self) -> Any:
        client: Any = distributed.Client
        return client(self.scheduler, set_as_default=False)

    def workers(self) -> set[str]:
        with self.client() as client:
            return set(client.scheduler_info(n_workers=-1)["workers"])

    def wait_for(self, number: int) -> None:
        until(f"{number} workers", lambda: len(self.workers()) == number, 60)

    def left(self) -> list[str]:
        """What the runs left on the workers' machine."""
        return sorted(path.name for path in (self.place / "tmp").glob("remote-prof-*"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Give a scheduler without workers."""
    (tmp_path / "tmp").mkdir()
    with ExitStack() as stack:
        found = Cluster(tmp_path, stack)
        file = tmp_path / "scheduler.json"
        where = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        found.start("scheduler", "scheduler", *where)
        until("scheduler", lambda: file.exists() and file.stat().st_size > 0, 60)
        found.address = yaml.safe_load(file.read_text())["address"].replace("tcp://", "dask://")
        yield found


def test_workers_share_a_fleet(
    lab: Lab, tool: Tool, stock: Stock, cluster: Cluster, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        cluster.worker(name)
    cluster.wait_for(2)
    found = yaml.safe_load(lab.inventory.read_text())
    found["all"].setdefault("hosts", {})["down"] = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    inventory = tmp_path / "fleet.yml"
    inventory.write_text(yaml.safe_dump(found))
    where = ("--executor", cluster.address)
    done = tool("run", "-i", inventory, "-H", "all", "-C", CONTAINER, "-d", 4, *where)
    assert done.code == 4, done.err
    records = {record["name"]: record for record in done.run.manifest["hosts"]}
    assert records["down"]["status"] == "unreachable"
    for name in lab.hosts:
        record = records[name]
        assert record["status"] == "ok"
        assert record["quality"]["got"] > 0
        # What came back is what was noted there, raw files read-only.
        for artifact in record["artifacts"]:
            path = done.run.path / artifact["path"]
            assert path.stat().st_size == artifact["size_bytes"]
            assert artifact["raw"] == (path.stat().st_mode & 0o222 == 0)
        assert f"{name}: {SAMPLING} 4 s" in done.err
    for host in lab.hosts.values():
        assert stock.left(host) == []
    assert not list(done.run.path.rglob("launch.json"))
    assert cluster.left() == []
    with cluster.client() as client:
        (topic,) = (name for name in client.get_events() if name.startswith("remote-prof-"))
        told = [message for _, message in client.get_events(topic)]
    # A share for each of them, and each told of what it did.
    assert {message["worker"] for message in told} == cluster.workers()


def test_targets_of_a_host_are_shared_too(
    debian13: LabHost, tool: Tool, stock: Stock, cluster: Cluster
) -> None:
    for name in ("one", "two"):
        cluster.worker(name)
    cluster.wait_for(2)
    pair = {f"pair-{number}" for number in range(2)}
    for name in pair:
        argv = ("run", "-d", "--name", name, "--network", "none", TARGET_IMAGE)
        debian13.docker(*argv, "/opt/app/svc", "serve", "300")
    try:
        where = ("--executor", cluster.address, "-d", 3)
        done = tool("run", "-H", debian13.name, "-C", "pair-*", *where)
    finally:
        debian13.docker("rm", "-f", *pair)
    assert done.code == 0, done.err
    for record in done.run.manifest["hosts"]:
        name = record["target"]["container"]
        assert record["name"] == f"{debian13.name}/{name}"
        assert (record["host"], record["targets"]) == (debian13.name, 2)
        assert (done.run.path / "hosts" / debian13.name / name / "profile.txt").is_file()
        pair.remove(name)
    assert not pair
    assert stock.left(debian13) == []
    assert cluster.left() == []


def test_an_interrupt_reaches_the_workers(
    lab: Lab, tool: Tool, stock: Stock, cluster: Cluster
) -> None:
    cluster.worker("one")
    cluster.wait_for(1)
    where = ("--executor", cluster.address, "--forks", 2)
    running = tool.start("run", "-H", "all", "-C", CONTAINER, "-d", 60, *where)
    begun = list(lab.hosts)[:2]
    for name in begun:
        running.wait_for(f"{name}: {SAMPLING}")
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    records = {record["name"]: record for record in done.run.manifest["hosts"]}
    assert {name: record["status"] for name, record in records.items()} == dict.fromkeys(
        begun, "interrupted"
    )
    assert all(record["quality"]["got"] > 0 for record in records.values())
    for host in lab.hosts.values():
        assert stock.left(host) == []
    assert cluster.left() == []


def test_leaving_at_once_brings_home_what_fetch_needs(
    lab: Lab, tool: Tool, stock: Stock, cluster: Cluster
) -> None:
    cluster.worker("one")
    cluster.wait_for(1)
    name = next(iter(lab.hosts))
    where = ("--executor", cluster.address)
    running = tool.start("run", "-H", name, "-C", CONTAINER, "-d", 30, *where)
    running.wait_for(f"{name}: {SAMPLING}")
    # Two of one kind at once would be one.
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    done = running.end()
    assert done.code == 130
    assert len(list(done.run.path.rglob("launch.json"))) == 1
    # By this machine, or by a worker: both find the host's launcher, which has begun already.
    again = tool("run", "--resume", "last", *where)
    assert again.code == 0, again.err
    assert again.run.record["quality"]["got"] > 0
    assert not list(again.run.path.rglob("launch.json"))
    for host in lab.hosts.values():
        assert our_containers(host) == []
        assert stock.left(host) == []


def test_a_worker_that_dies_takes_no_host_with_it(
    lab: Lab, tool: Tool, stock: Stock, cluster: Cluster
) -> None:
    first = cluster.worker("one")
    cluster.wait_for(1)
    name = next(iter(lab.hosts))
    where = ("--executor", cluster.address)
    running = tool.start("run", "-H", name, "-C", CONTAINER, "-d", 12, *where)
    running.wait_for(f"{name}: {SAMPLING}")
    cluster.worker("two")
    cluster.wait_for(2)
    first.kill()
    # The other one follows what is on the host already.
    done = running.end()
    assert done.code == 0, done.err
    assert done.run.record["status"] == "ok"
    for host in lab.hosts.values():
        assert stock.left(host) == []


def test_no_secret_goes_to_the_cluster(debian13: LabHost, tool: Tool, cluster: Cluster) -> None:
    secret = {"REMOTE_PROF_BECOME_PASSWORD": debian13.password}
    cluster.worker("one", **secret)
    cluster.wait_for(1)
    asked = ("run", "-H", debian13.name, "-C", CONTAINER, "-d", 2, "--user", "vault")
    where = ("--executor", cluster.address)
    refused = tool(*asked, *where, **secret)
    assert refused.code == 5
    ((what, _, hint),) = refused.parts()
    assert what == f"{debian13.name} needs a password, and none is sent to a cluster"
    assert "REMOTE_PROF_BECOME_PASSWORD" in hint
    assert debian13.password not in refused.err
    # The workers have it of their own.
    done = tool(*asked, *where)
    assert done.code == 0, done.err
    assert done.run.record["status"] == "ok"


def test_where_there_is_no_cluster_that_is_said(tool: Tool, cluster: Cluster) -> None:
    asked = ("run", "-H", "all", "-C", CONTAINER, "--executor")
    alone = tool(*asked, cluster.address)
    assert alone.code == 5
    assert alone.parts()[0][0] == f"the cluster at {cluster.address} has no workers"
    gone = tool(*asked, "dask://127.0.0.1:9")
    assert gone.code == 5
    assert gone.parts()[0][0] == "there is no Dask scheduler at dask://127.0.0.1:9"
    wrong = tool(*asked, "spark://x:1")
    assert not any(wrong.results.iterdir())
    assert wrong.code == 5
    assert "executor should be 'threads'" in wrong.err
