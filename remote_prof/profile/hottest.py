"""The hottest functions of a fleet: how much they take, and on how many hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from remote_prof.profile.diff import Function
from remote_prof.profile.model import Profile
from remote_prof.profile.summary import top_functions

WeightBy = Literal["samples", "host"]
WEIGHTINGS: tuple[WeightBy, ...] = ("samples", "host")


@dataclass(frozen=True, slots=True)
class Hot:
    """A function of a fleet. Shares are 0 to 1.

    ``self`` and ``total`` are its shares of all hosts together. ``hosts`` is how many have it at
    all; ``least``, ``middle`` and ``most`` are the smallest, median and largest self share of a
    host, of all hosts.
    """

    name: str
    kind: str
    self: float
    total: float
    hosts: int
    least: float
    middle: float
    most: float


def hottest(profiles: Mapping[str, Profile], weight_by: WeightBy = "samples") -> list[Hot]:
    """Return the functions of all hosts, the largest self share first, then the largest total.

    ``weight_by`` ``samples``: who has more of them counts for more; ``host``: all hosts alike.
    Hosts without any weight are left out.
    """
    own: dict[Function, dict[str, float]] = {}
    total: dict[Function, float] = {}
    there = {host: profile for host, profile in profiles.items() if profile.total}
    whole = sum(profile.total for profile in there.values())
    parts = {
        host: 1 / len(there) if weight_by == "host" else profile.total / whole
        for host, profile in there.items()
    }
    for host, profile in there.items():
        for function in top_functions(profile):
            if not function.total:
                continue  # what is not shown of it
            key = Function(function.name, function.kind)
            own.setdefault(key, {})[host] = function.self / profile.total
            total[key] = total.get(key, 0.0) + parts[host] * function.total / profile.total
    found = []
    for key, shares in own.items():
        everywhere = [shares.get(host, 0.0) for host in there]
        found.append(
            Hot(
                key.name,
                key.kind,
                sum(parts[host] * share for host, share in shares.items()),
                min(total[key], 1.0),
                len(shares),
                min(everywhere),
                median(everywhere),
                max(everywhere),
            )
        )
    found.sort(key=lambda hot: (-hot.self, -hot.total, hot.name, hot.kind))
    return found
