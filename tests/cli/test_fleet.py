"""``fleet``: the page and the graph of all hosts of a run, and groups told apart."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.fleet import files
from remote_prof.run.directory import RunDirectory
from tests.cli.test_diff import make_run, raw

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

RUN = "20260101-a"


@pytest.fixture
def fleet(cli: Cli) -> Cli:
    """A run of six hosts with samples, of which two are canaries, and one that is down."""
    usual = {f"web-{number}": ("api", raw(600 + number, 400)) for number in range(4)}
    canaries = {f"new-{number}": ("api", raw(200, 800 + number)) for number in range(2)}
    make_run(RUN, {**usual, **canaries, "down": ("api", None)})
    directory = RunDirectory.find(RUN, Path("results"))
    manifest = directory.load_manifest()
    hosts = tuple(
        replace(
            host,
            groups=("canary", "web") if host.name.startswith("new") else ("web",),
            kernel="6.12" if host.name in ("new-0", "web-0") else "6.1" if host.sidecars else "",
        )
        for host in manifest.hosts
    )
    directory.write_manifest(replace(manifest, hosts=hosts))
    return cli


def folded() -> dict[str, int]:
    text = Path("results", RUN, "fleet", "profile.folded").read_text()
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in text.splitlines()}


def test_the_graph_is_the_sum_of_all_hosts(fleet: Cli) -> None:
    done = fleet("fleet", "last", "--format", "folded", "--format", "svg")
    assert done.code == 0, done.err
    assert "down has no samples" in done.err
    assert f"page: results/{RUN}/fleet.html" in done.out.splitlines()
    assert f"file: results/{RUN}/fleet/flamegraph.svg" in done.out.splitlines()
    stacks = folded()
    assert sum(stacks.values()) == 6 * 1000 + 6 + 1
    assert sum(n for stack, n in stacks.items() if stack.endswith("parse")) == 4 * 600 + 6 + 400
    manifest = RunDirectory.find(RUN, Path("results")).load_manifest()
    assert [artifact.path for artifact in manifest.fleet] == [
        "fleet.html",
        "fleet/profile.folded",
        "fleet/flamegraph.svg",
    ]
    for artifact in manifest.fleet:
        assert Path("results", RUN, artifact.path).stat().st_size == artifact.size_bytes
    # Done again, each is there once.
    assert fleet("fleet", "last", "--format", "svg").code == 0
    again = RunDirectory.find(RUN, Path("results")).load_manifest().fleet
    assert [artifact.path for artifact in again] == [a.path for a in manifest.fleet]


@pytest.mark.parametrize("options", [(), ("--compare-by", "canary"), ("--weight", "host")])
def test_many_hosts_are_read_side_by_side_to_the_same_end(
    fleet: Cli, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    alone = fleet("fleet", "last", *options)
    run = Path("results", RUN)
    made = {path: path.read_bytes() for path in (run / "fleet.html", *(run / "fleet").iterdir())}
    assert len(made) == 2
    monkeypatch.setattr(files, "_LOT", 2)
    assert fleet("fleet", "last", *options).out == alone.out
    assert {path: path.read_bytes() for path in made} == made


def test_each_host_can_count_the_same(fleet: Cli) -> None:
    assert fleet("fleet", "last", "--format", "folded", "--weight", "host").code == 0
    assert sum(folded().values()) == 6_000_000
    svg = fleet("fleet", "last", "--format", "svg", "--weight", "host")
    assert svg.code == 0
    text = Path("results", RUN, "fleet", "flamegraph.svg").read_text()
    assert "millionths of a host" in text
    assert fleet("fleet", "last", "--weight", "size").code == 5


def test_groups_of_the_inventory_are_told_apart(fleet: Cli) -> None:
    done = fleet("fleet", "last", "--format", "folded", "--compare-by", "canary")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "canary (2 hosts) differs from the others" in lines
    assert "other hosts (4 hosts) differs from the others" in lines
    (far,) = [line for line in lines if line.startswith("canary, ")]
    assert re.fullmatch(r"canary, 40\.\d % of it elsewhere \(chance alone: \d\.\d %\)", far)
    assert any(re.search(r" 20\.0 % here, +60\.\d % there: parse", line) for line in lines)
    beside = fleet("fleet", "last", "--compare-by", "canary,web")
    assert "web is not compared: it has no samples, or no others have" in beside.err
    assert fleet("fleet", "last", "--format", "folded", "--compare-by", "canary").code == 0
    # In the graph each stands by itself.
    assert {stack.partition(";")[0] for stack in folded()} == {"canary", "other hosts"}


def test_facts_tell_hosts_apart_too(fleet: Cli) -> None:
    done = fleet("fleet", "last", "--format", "folded", "--compare-by", "kernel")
    assert done.code == 0, done.err
    assert "6.12 (2 hosts)" in done.out
    assert {stack.partition(";")[0] for stack in folded()} == {"6.1", "6.12"}
    alone = fleet("fleet", "last", "--format", "folded", "--compare-by", "image")
    assert alone.code == 0
    assert "by image no group has samples beside which other hosts have some" in alone.err
    wrong = fleet("fleet", "last", "--compare-by", "cannary")
    assert wrong.code == 5
    assert "no host of the run is in a group 'cannary'" in wrong.err
    assert "canary, web" in wrong.err


def test_each_host_can_stand_by_itself(fleet: Cli) -> None:
    assert fleet("fleet", "last", "--format", "folded", "--group-by", "host").code == 0
    roots = {stack.partition(";")[0] for stack in folded()}
    assert roots == {"new-0", "new-1", "web-0", "web-1", "web-2", "web-3"}


def test_only_some_functions_can_be_looked_at(fleet: Cli) -> None:
    assert fleet("fleet", "last", "--format", "folded", "--focus", "write").code == 0
    assert all("write" in stack for stack in folded())


def test_a_run_without_samples_has_a_page_all_the_same(cli: Cli) -> None:
    make_run(RUN, {"a": ("api", None), "b": ("api", None)})
    done = cli("fleet", "last")
    assert done.code == 0, done.err
    assert Path("results", RUN, "fleet.html").exists()
    assert not Path("results", RUN, "fleet").exists()
    document = json.loads(Path("results", RUN, "run.json").read_text())
    assert [artifact["path"] for artifact in document["fleet"]] == ["fleet.html"]
