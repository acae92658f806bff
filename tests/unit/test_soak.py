"""Whether something grows, told from many measurements."""

from __future__ import annotations

import random

from tests.lab.soak import trends

FILES, MEMORY = "host: files", "dockerd: memory, MiB"


def test_what_stays_does_not_grow() -> None:
    chance = random.Random(1)
    measured = [{FILES: 40, MEMORY: 90 + chance.uniform(-8, 8)} for _ in range(270)]
    found = {trend.name: trend for trend in trends(measured)}
    assert not found[FILES].grows
    assert not found[MEMORY].grows


def test_one_file_in_every_tenth_run_is_growth() -> None:
    (trend,) = trends([{FILES: 40 + number // 10} for number in range(270)])
    assert trend.grows
    assert round(trend.last - trend.first) == 27
    assert str(trend).endswith("GROWS")


def test_a_leak_is_seen_through_what_varies() -> None:
    chance = random.Random(2)
    measured = [{MEMORY: 90 + number * 0.15 + chance.uniform(-8, 8)} for number in range(270)]
    (trend,) = trends(measured)
    assert trend.grows


def test_what_shrinks_does_not_grow() -> None:
    (trend,) = trends([{FILES: 300 - number} for number in range(270)])
    assert not trend.grows
