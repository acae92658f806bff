"""The page of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from remote_prof.profile.hottest import Hot
from remote_prof.profile.model import FrameKind
from remote_prof.profile.outliers import Difference
from remote_prof.render.report import Report


class Bar(NamedTuple):
    name: str
    kind: FrameKind
    share: float


@dataclass(frozen=True, slots=True)
class HostRow:
    name: str
    status: str
    groups: tuple[str, ...] = ()
    error: str = ""
    weight: int | None = None
    grade: str = ""
    reason: str = ""
    cpu_time_s: float | None = None
    bars: tuple[Bar, ...] = ()
    distance: float | None = None
    noise: float | None = None
    is_outlier: bool = False
    differences: tuple[Difference, ...] = ()
    report: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupRow:
    name: str
    hosts: tuple[str, ...]
    weight: int
    distance: float
    noise: float | None
    differs: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class FleetPage:
    title: str
    subtitle: str
    unit: str
    facts: Mapping[str, str]
    hosts: tuple[HostRow, ...]
    hottest: tuple[Hot, ...]
    groups: tuple[GroupRow, ...] = ()
    merged: Report | None = None
    links: Mapping[str, str] = field(default_factory=dict)


def render_fleet_page(page: FleetPage) -> bytes:
    return page.title.encode()
