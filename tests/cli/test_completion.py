"""Completion: names that are known without asking a host, and never an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from remote_prof.cli.app import app
from remote_prof.cli.completion import (
    complete_container,
    complete_host,
    complete_run,
    remember_containers,
)
from remote_prof.host.containers import Container
from remote_prof.host.facts import parse_facts
from tests.cli.scripted import Script

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("cli")

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
INVENTORY = "shop:\n  hosts:\n    shop-1:\n    shop-2:\nother:\n  hosts:\n    db:\n"


FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()


def container(name: str) -> Container:
    return replace(parse_facts(FACTS).containers[0], name=name)


def context(**parameters: object) -> typer.Context:
    made = typer.Context(typer.main.get_command(app))
    made.params.update(parameters)
    return made


def test_hosts_and_groups_of_the_inventory() -> None:
    Path("inventory.yml").write_text(INVENTORY)
    assert complete_host(context(), "sh") == ["shop", "shop-1", "shop-2"]
    assert complete_host(context(), "loc") == ["localhost"]
    assert complete_host(context(), "x") == []


def test_hosts_of_the_inventory_that_was_named() -> None:
    Path("other.yml").write_text("all:\n  hosts:\n    web-1:\n")
    assert complete_host(context(inventory=["other.yml"]), "w") == ["web-1"]


@pytest.mark.parametrize("text", ["a: {", "[]", "\0"])
def test_an_inventory_that_is_malformed_completes_nothing(text: str) -> None:
    Path("inventory.yml").write_text(text)
    assert complete_host(context(), "w") == []


def test_containers_that_were_seen(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    assert cli("ps", "-i", "prod-3,", "-H", "prod-3").code == 0
    remember_containers("prod-4", [container("worker")])
    assert complete_container(context(host="prod-3"), "w") == ["web-1", "web-2"]
    assert complete_container(context(host="prod-4"), "") == ["worker"]
    assert complete_container(context(), "w") == ["web-1", "web-2", "worker"]
    assert complete_container(context(host="prod-9"), "wo") == ["worker"]


def test_the_newest_word_on_a_host_holds() -> None:
    remember_containers("prod-3", [container("old")])
    remember_containers("prod-3", [container("new")])
    assert complete_container(context(host="prod-3"), "") == ["new"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 5}', '{"a": [5, "x"]}', "\udcff"])
def test_a_damaged_memory_is_no_error(text: str) -> None:
    remember_containers("prod-3", [container("api")])
    (file,) = Path.home().rglob("containers.json")
    file.write_text(text, errors="surrogateescape")
    assert set(complete_container(context(), "")) <= {"x"}
    remember_containers("prod-3", [container("api")])
    assert "api" in json.loads(file.read_text())["prod-3"]


def test_runs_newest_first() -> None:
    for name in ("20260101-a", "20260102-b"):
        (Path("results") / name).mkdir(parents=True)
        (Path("results") / name / "run.json").touch()
    assert complete_run(context(), "") == ["20260102-b", "20260101-a", "last"]
    assert complete_run(context(), "la") == ["last"]
    assert complete_run(context(output="elsewhere"), "2") == []
