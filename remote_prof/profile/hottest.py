"""The hottest functions of a fleet: how much they take, and on how many hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from remote_prof.profile.diff import Function
from remote_prof.profile.functions import Functions
from remote_prof.profile.model import FrameKind

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
    kind: FrameKind
    self: float
    total: float
    hosts: int
    least: float
    middle: float
    most: float


def hottest(
    hosts: Mapping[str, Functions], weight_by: WeightBy = "samples", most: int | None = None
) -> list[Hot]:
    """Return the functions of all hosts, the largest self share first, then the largest total.

    ``most`` is how many are returned, None for all.

    ``weight_by`` ``samples``: who has more of them counts for more; ``host``: all hosts alike.
    Hosts without any weight are left out.
    """
    own: dict[Function, dict[str, float]] = {}
    total: dict[Function, float] = {}
    there = {host: functions for host, functions in hosts.items() if functions.weight}
    whole = sum(functions.weight for functions in there.values())
    parts = {
        host: 1 / len(there) if weight_by == "host" else functions.weight / whole
        for host, functions in there.items()
    }
    for host, functions in there.items():
        for key, weight in functions.total.items():
            own.setdefault(key, {})[host] = functions.own.get(key, 0) / functions.weight
            total[key] = total.get(key, 0.0) + parts[host] * weight / functions.weight
    whole_self = {
        key: sum(parts[host] * share for host, share in shares.items())
        for key, shares in own.items()
    }
    ranked = sorted(
        own, key=lambda key: (-whole_self[key], -min(total[key], 1.0), key.name, key.kind)
    )
    return [
        _hot(key, whole_self[key], min(total[key], 1.0), [*own[key].values()], len(there))
        for key in ranked[:most]
    ]


def _hot(key: Function, self: float, total: float, shares: list[float], hosts: int) -> Hot:
    everywhere = [*shares, *[0.0] * (hosts - len(shares))]
    least, middle, most = min(everywhere), median(everywhere), max(everywhere)
    return Hot(key.name, key.kind, self, total, len(shares), least, middle, most)
