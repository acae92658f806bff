"""What is shown: the same options of every command that has a profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

FOLDED = """\
api;main;serve;parse 60
api;main;serve;render;render;encode 30
api;main;idle 10
"""


@pytest.fixture
def files(cli: Cli) -> Cli:
    Path("a.folded").write_text(FOLDED)
    Path("b.folded").write_text(FOLDED.replace("parse 60", "parse 20"))
    return cli


@pytest.mark.parametrize(
    ("options", "stacks"),
    [
        (["--focus", "^enc"], ["api;main;serve;render;render;encode 30"]),
        (["--ignore", "render"], ["api;main;idle 10", "api;main;serve;parse 60"]),
        (["--root-at", "serve"], ["serve;parse 60", "serve;render;render;encode 30"]),
        (
            ["--root-at", "render", "--collapse-recursion"],
            ["render;encode 30"],
        ),
        (
            ["--min-share", "20"],
            [
                "api;main;[other] 10",
                "api;main;serve;parse 60",
                "api;main;serve;render;render;encode 30",
            ],
        ),
    ],
)
def test_convert_shows_what_it_is_told(files: Cli, options: list[str], stacks: list[str]) -> None:
    done = files("convert", "a.folded", "--to", "folded", *options)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == stacks


def test_inputs_are_grouped_by_the_host_that_they_are_of(files: Cli) -> None:
    place = Path("results/run/hosts/prod-3/api")
    place.mkdir(parents=True)
    (place / "profile.folded").write_text("main;f 1\n")
    done = files(
        *("convert", "a.folded", "results/run/hosts/prod-3/api/profile.folded"),
        *("--to", "folded", "--group-by", "host", "--focus", "^(idle|f)$"),
    )
    assert done.out.splitlines() == ["a;api;main;idle 10", "prod-3;main;f 1"]


def test_the_picture_says_that_it_does_not_show_all(files: Cli) -> None:
    done = files("convert", "a.folded", "--to", "svg", "--focus", "parse")
    assert "60 of 100 samples, focus 'parse'" in done.out.replace("&#x27;", "'")


def test_a_comparison_shows_the_same_of_both_sides(files: Cli) -> None:
    done = files("diff", "a.folded", "b.folded", "--root-at", "serve", "--json")
    assert done.code == 0, done.err
    assert '"total": 90' in done.out
    assert '"total": 50' in done.out


def test_what_is_small_on_one_side_alone_stays_in_a_comparison(files: Cli) -> None:
    Path("c.folded").write_text(FOLDED.replace("idle 10", "idle 1"))
    done = files("diff", "a.folded", "c.folded", "--min-share", "5", "--json")
    movers = {mover["name"]: mover for mover in json.loads(done.out)["movers"]}
    assert movers["idle"]["total"]["after"] == 1
    assert movers["idle"]["total"]["trend"] == "shrank"
    done = files("diff", "a.folded", "c.folded", "--min-share", "50", "--json")
    names = {mover["name"] for mover in json.loads(done.out)["movers"]}
    assert "idle" not in names
    assert "parse" in names


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--focus", "a("], 5, "--focus 'a(' is no regular expression"),
        (["--group-by", "shoe"], 5, "--group-by 'shoe' is none of"),
        (["--group-by", "pid"], 5, "--group-by pid: the profile does not tell its processes"),
        (["--min-share", "100"], 5, "--min-share is a share in percent"),
        (["--focus", "nowhere"], 3, "nothing that was sampled is shown: focus 'nowhere'"),
    ],
)
@pytest.mark.parametrize(
    "command", [["convert", "a.folded", "--to", "top"], ["diff", "a.folded", "b.folded"]]
)
def test_what_makes_no_sense_is_one_error(
    files: Cli, command: list[str], arguments: list[str], code: int, said: str
) -> None:
    done = files(*command, *arguments)
    assert done.code == code, done.err
    assert f"error: {said}" in done.err
    assert done.out == ""
