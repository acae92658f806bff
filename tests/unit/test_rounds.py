"""Rounds: when each begins, and what they say one after the other."""

from __future__ import annotations

import datetime as dt

import pytest

from remote_prof.cli.rounds import read_rounds
from remote_prof.errors import UsageError
from remote_prof.fleet.rounds import Rounds, seconds_until, shares_over_time, together
from remote_prof.profile.functions import functions_of
from tests.unit.test_outliers import of

NOON = dt.datetime(2026, 1, 31, 12, 0, 0, tzinfo=dt.UTC)


def test_a_round_begins_at_each_of_its_times() -> None:
    three = Rounds(60.0, times=3)
    assert [three.next_at_s(done, now) for done, now in ((0, 0.0), (1, 12.0), (2, 70.0))] == [
        0.0,
        60.0,
        120.0,
    ]
    assert three.next_at_s(3, 130.0) is None
    # One that takes too long leaves times out: two never run at once.
    assert three.next_at_s(1, 61.0) == 120.0
    assert three.next_at_s(1, 120.0) == 120.0
    # However fast one is, the next has to wait.
    assert three.next_at_s(1, 0.0) == 60.0


def test_no_round_begins_after_the_end() -> None:
    until = Rounds(60.0, until_s=120.0)
    assert until.next_at_s(2, 100.0) == 120.0
    assert until.next_at_s(3, 121.0) is None
    assert Rounds(60.0, until_s=0.5).next_at_s(0, 0.0) == 0.0
    both = Rounds(60.0, times=2, until_s=1000.0)
    assert both.next_at_s(2, 70.0) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("12:30", 1800), ("18:00", 21_600), ("12:00:05", 5), ("9:00", 75_600), ("12:00", 86_400)],
)
def test_times_of_day(written: str, seconds: float) -> None:
    assert seconds_until(written, NOON) == seconds


@pytest.mark.parametrize("written", ["24:00", "18", "6pm", "18:60", "", "-1:00"])
def test_what_is_no_time_of_day_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="no time of day"):
        seconds_until(written, NOON)


def test_options_of_rounds_belong_together() -> None:
    assert read_rounds(None, None, None) is None
    assert read_rounds("5m", 12, None) == Rounds(300.0, 12)
    found = read_rounds("1m", None, "18:00")
    assert found is not None
    assert found.until_s is not None
    assert 0 < found.until_s <= 86_400
    with pytest.raises(UsageError, match="--every has no end"):
        read_rounds("5m", None, None)
    with pytest.raises(UsageError, match="of rounds"):
        read_rounds(None, 3, None)
    with pytest.raises(UsageError, match="not a length of time"):
        read_rounds("often", 3, None)


def test_shares_are_told_over_time() -> None:
    hosts = functions_of(
        {"1": of({"x": 90, "y": 10}), "2": of({"x": 500, "z": 500}), "idle": of({})}
    )
    over_time = shares_over_time([hosts["1"], None, hosts["2"], hosts["idle"]])
    assert over_time == [
        ("x", [0.9, None, 0.5, None]),
        ("z", [0.0, None, 0.5, None]),
        ("y", [0.1, None, 0.0, None]),
        ("main", [0.0, None, 0.0, None]),
    ]
    assert shares_over_time([None]) == []


def test_hosts_of_a_round_are_added_up() -> None:
    hosts = functions_of({"a": of({"x": 90, "y": 10}), "b": of({"x": 10})})
    whole = together([*hosts.values()])
    assert whole is not None
    assert whole.weight == 110
    assert {function.name: weight for function, weight in whole.own.items()} == {"x": 100, "y": 10}
    assert together([]) is None
