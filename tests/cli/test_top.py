"""``top``: the functions of a fleet, and the hosts that differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_diff import make_run, raw

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

RUN = "20260101-a"


@pytest.fixture
def fleet(cli: Cli) -> Cli:
    alike = {f"web-{number}": ("api", raw(600 + number, 400)) for number in range(4)}
    make_run(RUN, {**alike, "web-9": ("api", raw(30, 970)), "down": ("api", None)})
    return cli


def test_the_functions_and_the_host_that_differs_are_told(fleet: Cli) -> None:
    done = fleet("top", "last")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "5 hosts, 5006 samples, by samples"
    write, parse = [line.split() for line in lines if " 5/5 " in line and "main" not in line]
    assert (write[0], write[-1], parse[-1]) == ("51.3", "write", "parse")
    assert "1 of 5 hosts differ from the others" in lines
    assert "web-9, 57.1 % of it elsewhere (chance alone: 6.7 %)" in lines
    assert any("3.0 % here" in line and line.endswith(": parse") for line in lines)
    assert done.err == "down has no samples: no route\n"


def test_each_host_can_count_the_same(fleet: Cli) -> None:
    document = json.loads(fleet("top", RUN, "--json", "--weight", "host", "--limit", "1").out)
    (first,) = document["functions"]
    assert first["name"] == "write"
    assert first["self"] == pytest.approx((4 * 0.4 + 0.97) / 5, abs=0.002)
    assert document["hosts"][0]["host"] == "web-9"
    assert document["hosts"][0]["is_outlier"] is True
    assert document["without_samples"] == {"down": "no route"}


def test_only_some_functions_can_be_looked_at(fleet: Cli) -> None:
    document = json.loads(fleet("top", RUN, "--json", "--focus", "write").out)
    assert {each["name"] for each in document["functions"]} == {"main", "write"}


def test_where_none_differs_that_is_said(cli: Cli) -> None:
    make_run(RUN, {f"web-{number}": ("api", raw(600 + number, 400)) for number in range(4)})
    assert "no host differs from the others" in cli("top", "last").out


def test_of_two_hosts_none_is_the_odd_one(cli: Cli) -> None:
    make_run(RUN, {"a": ("api", raw(600, 400)), "b": ("api", raw(1, 999))})
    assert "differ" not in cli("top", "last").out


def test_what_makes_no_sense_is_refused(fleet: Cli) -> None:
    assert fleet("top", "last", "--weight", "cores").code == 5
    make_run("20260102-b", {"down": ("api", None)})
    done = fleet("top", "last")
    assert done.code == 3
    assert "down: no route" in done.err
