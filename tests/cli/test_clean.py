"""``remote-prof clean``: which hosts, what is printed, how it ends. The rest is in tests/unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.errors import LinkLostError
from tests.cli.scripted import Script

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()
RUN = "20260131-235959-1a2b3c"
DIRECTORY = f"/tmp/remote-prof-{RUN}"
FOUND = f"@@found directory {RUN} left {DIRECTORY}\n@@found container {RUN} left {'a1' * 32} /x\n"
REMOVED = f"@@removed directory {RUN} {DIRECTORY}\n@@removed container {RUN} {'a1' * 32} /x\n"
HOSTS = ("-i", "prod-3,prod-4,", "-H")


def answers(text: str) -> list[tuple[str, bytes]]:
    return [("facts", FACTS), ("clean", f"{text}@@end\n".encode())]


def test_a_clean_host(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers("")}
    done = cli("clean", *HOSTS, "prod-3")
    assert (done.code, done.out) == (0, "nothing of a run is on prod-3\n")


def test_what_was_found_and_removed(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers(FOUND + REMOVED), "prod-4": answers("")}
    done = cli("clean", *HOSTS, "all")
    assert done.code == 0
    assert f"directory {DIRECTORY}" in done.out
    assert "container a1a1a1a1a1a1 " in done.out
    assert done.out.count("removed") == 2


def test_a_dry_run_is_told_apart(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers(FOUND)}
    done = cli("clean", *HOSTS, "prod-3", "--dry-run", "--json")
    assert done.code == 0
    assert [(one["host"], one["state"], one["removed"]) for one in json.loads(done.out)] == [
        ("prod-3", "left", None),
        ("prod-3", "left", None),
    ]


def test_what_is_at_work_is_explained(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers(FOUND.replace(" left ", " running "))}
    done = cli("clean", *HOSTS, "prod-3")
    assert done.code == 0
    assert "still at work" in done.out
    assert "remote-prof clean RUN" in done.err


def test_what_could_not_be_removed(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers(FOUND + f"@@left directory {RUN} {DIRECTORY}\n")}
    done = cli("clean", *HOSTS, "prod-3")
    assert done.code == 1
    assert "could not be removed" in done.out


def test_a_host_that_is_not_reached_does_not_hide_the_others(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-4": answers(FOUND + REMOVED)}
    script.unreachable = ["prod-3"]
    done = cli("clean", *HOSTS, "all")
    assert done.code == 4
    assert "error: prod-3 does not answer" in done.err
    assert "removed" in done.out


def test_it_says_what_is_missing(cli: Cli, script: Script) -> None:
    done = cli("clean")
    assert done.code == 5
    assert "there is nothing to look at" in done.err
    assert script.connected == []


def test_a_run_that_others_made_is_named_by_its_id(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": answers(FOUND + REMOVED)}
    assert cli("clean", RUN, *HOSTS, "prod-3").code == 0


def test_a_run_of_ours_is_cleaned_and_forgotten(
    cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_prof.run.link._PATIENCE_S", -1.0)
    lost = ("deploy and follow", LinkLostError("gone"))
    script.hosts = {"prod-3": [("facts", FACTS), lost, *answers(FOUND + REMOVED)]}
    assert cli("run", *HOSTS, "prod-3", "-C", "api").code == 4
    assert list(Path("results").rglob("launch.json"))
    assert cli("clean", "last").code == 0
    assert not list(Path("results").rglob("launch.json"))


def test_an_engine_that_does_not_answer(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS), ("clean", b"@@failed engine\n@@end\n")]}
    done = cli("clean", *HOSTS, "prod-3")
    assert done.code == 1
    assert "what is left cannot be told" in done.err
