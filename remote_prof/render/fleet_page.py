"""A run over many hosts as one page: which of them differ, and in what.

The page is a single file that asks for nothing, see ``render/page_file.py``. Functions stand in it
once, with their colours, and elsewhere as their numbers; the graph of all hosts together as in the
report (``render/html.py``), whose scripts draw it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from remote_prof.profile.diff import Function
from remote_prof.profile.hottest import Hot
from remote_prof.profile.model import FrameKind
from remote_prof.profile.outliers import Difference
from remote_prof.render.html import report_document, told_functions
from remote_prof.render.page_file import heads_of, row_of, short_name, text_of, write_file
from remote_prof.render.report import Report

# In the order in which they are joined: a script uses what stands before it.
SCRIPTS = (
    "page/elements",
    "report/profile",
    "report/tree",
    "report/compared",
    "report/chart",
    "report/pointer",
    "report/frames",
    "page/address",
    "report/search",
    "page/theme",
    "fleet/table",
    "fleet/functions",
    "fleet/hosts",
    "fleet/groups",
    "fleet/view",
    "fleet/controls",
)
MOST_HOT = 500  # functions that are in the page
_MOST_BARS = 8
_DIGITS = 5  # of a share: a thousandth of a per cent
_STATUS_WORDS = {
    "failed": "failed",
    "unreachable": "could not be reached",
    "no-samples": "without samples",
    "interrupted": "interrupted",
    "skipped": "skipped",
    "not begun": "not begun",
}


class Bar(NamedTuple):
    """A function and its self share of a host, 0 to 1."""

    name: str
    kind: FrameKind
    share: float


@dataclass(frozen=True, slots=True)
class HostRow:
    """What is told of a host.

    ``status`` is ok, failed, no-samples, unreachable, skipped, interrupted or not begun, and
    ``error`` says why. ``weight`` is that of its profile, None where there is none; ``grade`` and
    ``reason`` are the verdict on it. ``bars`` are its functions, the largest self share first.
    ``distance``, ``noise`` and ``differences`` are as in ``Standing``. ``report`` is the path of
    its own page, relative to this one. ``facts`` (kernel, engine...) and ``problems`` are shown on
    request.
    """

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
    """A group of hosts against the rest, as a host is against the others."""

    name: str
    hosts: tuple[str, ...]
    weight: int
    distance: float
    noise: float | None
    differs: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class FleetPage:
    """What stands in a fleet's page.

    ``facts`` are of the run; ``unit`` is that of all weights. ``hottest`` may be long: the first
    ``MOST_HOT`` are in the page. ``merged`` is the profile of all hosts together. ``noun`` is
    what a row is: a host, or one of several targets of hosts. ``links`` are
    files beside the page: relative paths by what is said of them.
    """

    title: str
    subtitle: str
    unit: str
    facts: Mapping[str, str]
    hosts: tuple[HostRow, ...]
    hottest: tuple[Hot, ...]
    groups: tuple[GroupRow, ...] = ()
    merged: Report | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    noun: str = "host"


def render_fleet_page(page: FleetPage) -> bytes:
    """Write the page. A host takes about a kilobyte, a merged profile what it takes in a report."""
    hosts = sorted(page.hosts, key=_urgency)
    return write_file(
        "fleet/fleet.html",
        SCRIPTS,
        _document(page, hosts),
        title=text_of(page.title),
        subtitle=text_of(page.subtitle),
        answer=text_of(_answer(page.hosts, page.noun)),
        links="".join(
            f'<li><a href="{_address(path)}">{text_of(label)}</a></li>'
            for label, path in page.links.items()
        ),
        facts="".join(
            f"<dt>{text_of(name)}</dt><dd>{text_of(value)}</dd>"
            for name, value in page.facts.items()
        ),
        heading=f"{page.noun.capitalize()}s",
        columns=heads_of(_plain_heads(page.unit)),
        rows="".join(row_of(_plain_cells(host)) for host in hosts),
    )


def _urgency(host: HostRow) -> tuple[bool, bool, float, str]:
    """Sort those first that differ, then those of which there is less than was asked for."""
    distance = -1.0 if host.distance is None else host.distance
    return not host.is_outlier, host.status in ("ok", "skipped"), -distance, host.name


def _answer(hosts: tuple[HostRow, ...], noun: str) -> str:
    """Say in one sentence what the run found."""
    if not hosts:
        return "There are no hosts."
    many = f"1 {noun}" if len(hosts) == 1 else f"{len(hosts):,} {noun}s"
    differ = sum(host.is_outlier for host in hosts)
    if all(host.distance is None for host in hosts):
        first = f"{many}, not compared"
    elif differ:
        first = f"{differ:,} of {many} {'differs' if differ == 1 else 'differ'}"
    else:
        first = f"None of {many} differs"
    counts = Counter(host.status for host in hosts)
    others = [
        f"{counts[status]:,} {word}" for status, word in _STATUS_WORDS.items() if counts[status]
    ]
    return f"{first}; {', '.join(others)}." if others else f"{first}."


def _unit_head(unit: str) -> str:
    return unit.capitalize() if len(unit) > 2 else unit  # us stays what it is


def _address(path: str) -> str:
    # Whatever it is, it is below the page.
    return text_of("./" + quote(path, errors="replace"))


def _plain_heads(unit: str) -> tuple[str, ...]:
    figures = _unit_head(unit), "Quality", "CPU time", "Top function"
    return "Host", "Groups", "Status", "Distance", *figures


def _plain_cells(host: HostRow) -> Iterator[str]:
    """Return the cells of a host where scripts are off."""
    name = text_of(short_name(host.name))
    yield name if host.report is None else f'<a href="{_address(host.report)}">{name}</a>'
    yield text_of(", ".join(host.groups))
    yield text_of(f"{host.status}: {host.error}" if host.error else host.status)
    yield _plain_distance(host)
    yield "" if host.weight is None else f"{host.weight:,}"
    yield text_of(f"{host.grade}: {host.reason}" if host.reason else host.grade)
    yield "" if host.cpu_time_s is None else f"{host.cpu_time_s:,.1f} s"
    yield "".join(f"{bar.share:.1%} {text_of(short_name(bar.name))}" for bar in host.bars[:1])


def _plain_distance(host: HostRow) -> str:
    if host.distance is None:
        return ""
    chance = "" if host.noise is None else f" (chance alone: {host.noise:.1%})"
    return f"{host.distance:.1%}{chance}{', differs' if host.is_outlier else ''}"


def _document(page: FleetPage, hosts: Iterable[HostRow]) -> dict[str, Any]:
    numbers = _Numbers()
    told = {
        "noun": page.noun,
        "unit": page.unit,
        "unit_head": _unit_head(page.unit),
        "hosts": [_told_host(host, numbers) for host in hosts],
        "groups": [_told_group(group, numbers) for group in page.groups],
        "hottest": [_told_hot(hot, numbers) for hot in page.hottest[:MOST_HOT]],
        "functions_in_all": len(page.hottest),
        "merged": None if page.merged is None else report_document(page.merged),
    }
    return {**told, "kinds": list(FrameKind), "functions": told_functions(numbers.known)}


class _Numbers:
    """Gives each function a number, in the order in which they are asked for."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, FrameKind], int] = {}

    def of(self, name: str, kind: str) -> int:
        return self.known.setdefault((name, FrameKind(kind)), len(self.known))


def _told_host(host: HostRow, numbers: _Numbers) -> dict[str, Any]:
    told = {
        "name": host.name,
        "status": host.status,
        "groups": host.groups,
        "error": host.error,
        "weight": host.weight,
        "grade": host.grade,
        "reason": host.reason,
        "cpu": host.cpu_time_s,
        "bars": [(numbers.of(*bar[:2]), _share(bar.share)) for bar in host.bars[:_MOST_BARS]],
        "distance": _share(host.distance),
        "noise": _share(host.noise),
        "differs": host.is_outlier or None,
        "differences": _told_differences(host.differences, numbers),
        "report": None if host.report is None else _address(host.report),
        "facts": list(host.facts.items()),
        "problems": host.problems,
    }
    # What a host has not is left out.
    return {name: value for name, value in told.items() if value not in (None, "", (), [])}


def _told_group(group: GroupRow, numbers: _Numbers) -> dict[str, Any]:
    return {
        "name": group.name,
        "hosts": group.hosts,
        "weight": group.weight,
        "distance": _share(group.distance),
        "noise": _share(group.noise),
        "differs": group.differs,
        "differences": _told_differences(group.differences, numbers),
    }


def _told_differences(
    differences: Iterable[Difference], numbers: _Numbers
) -> list[tuple[int, float | None, float | None]]:
    return [
        (numbers.of(*each.function), _share(each.here), _share(each.rest)) for each in differences
    ]


def _told_hot(hot: Hot, numbers: _Numbers) -> tuple[int | float | None, ...]:
    shares = hot.least, hot.middle, hot.most
    number = numbers.of(*Function(hot.name, FrameKind(hot.kind)))
    return number, _share(hot.self), _share(hot.total), hot.hosts, *map(_share, shares)


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, _DIGITS)
