"""When the rounds of a run begin, and what they say one after the other: pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from remote_prof.errors import UsageError
from remote_prof.profile.diff import Function
from remote_prof.profile.functions import Functions
from remote_prof.profile.hottest import hottest

_CLOCK = re.compile(r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])(:(?P<second>[0-5][0-9]))?")
_MOST_FUNCTIONS = 5


@dataclass(frozen=True, slots=True)
class Rounds:
    """A round begins every ``every_s`` seconds, ``times`` in all, and none after ``until_s``.

    That is seconds from the first one's beginning; None does not bound. A round that takes longer
    than it should has the next one begin at the next of these times: none begins twice at once.
    """

    every_s: float
    times: int | None = None
    until_s: float | None = None

    def next_at_s(self, done: int, now_s: float) -> float | None:
        """Return when the next round begins, after so many at that time; None where all are over.

        Times are seconds from the first one's beginning.
        """
        if self.times is not None and done >= self.times:
            return None
        slot = math.ceil(now_s / self.every_s) if done else 0
        at_s = max(slot, bool(done)) * self.every_s
        return None if self.until_s is not None and at_s > self.until_s else at_s


def seconds_until(written: str, now: dt.datetime) -> float:
    """Return how long it is to ``18:00`` or ``18:00:30``, of tomorrow where it is past today.

    ``now`` is the time where the user is. Raises UsageError.
    """
    found = _CLOCK.fullmatch(written.strip())
    if found is None:
        raise UsageError(f"--until {written!r} is no time of day", hint="write it as 18:00")
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    then = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if then <= now:
        then += dt.timedelta(days=1)
    return (then - now).total_seconds()


def shares_over_time(rounds: Sequence[Functions | None]) -> list[tuple[str, list[float | None]]]:
    """Return the hottest functions of all rounds, and the self share of each in every round.

    Each round counts the same. None is a round without samples.
    """
    there = {str(number): each for number, each in enumerate(rounds) if each and each.weight}
    found = []
    for hot in hottest(there, "host", _MOST_FUNCTIONS):
        shares = [
            each.own.get(Function(hot.name, hot.kind), 0) / each.weight
            if each and each.weight
            else None
            for each in rounds
        ]
        found.append((hot.name, shares))
    return found


def together(hosts: Sequence[Functions]) -> Functions | None:
    """Return the sum of what hosts of one round say; None where they say nothing."""
    if not hosts:
        return None
    own: dict[Function, int] = {}
    total: dict[Function, int] = {}
    for each in hosts:
        for sums, weights in ((own, each.own), (total, each.total)):
            for function, weight in weights.items():
                sums[function] = sums.get(function, 0) + weight
    return Functions(sum(each.weight for each in hosts), hosts[0].unit, own, total)
