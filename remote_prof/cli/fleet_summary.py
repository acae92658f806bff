"""What a person reads of many hosts: what came of each, which differ, and in what."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.fleet.files import PAGE, count_hosts
from remote_prof.fleet.invocation import RETRY
from remote_prof.profile.quality import tenths
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remote_prof.fleet.answer import Fleet
    from remote_prof.fleet.invocation import Outcome
    from remote_prof.profile.functions import Functions
    from remote_prof.profile.groups import GroupStanding
    from remote_prof.profile.outliers import Difference, Standing
    from remote_prof.run.manifest import HostRecord
    from remote_prof.run.result import HostResult

_MOST_DIFFERENCES = 3
_MOST_NAMES = 5
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def show_problems(results: Sequence[HostResult], *, verbose: int) -> None:
    """Print what hosts had to say, the same of several of them once, errors last."""
    said: dict[tuple[Severity, str], list[tuple[str, Problem]]] = {}
    for result in results:
        for problem in _problems(result, verbose=verbose):
            record = result.record
            own = problem.what.removeprefix(f"{record.name}: ").removeprefix(
                f"{record.host_name}: "
            )
            # Numbers, and names of hosts, are each one's own.
            alike = own
            for name in _names(record):
                alike = alike.replace(name, "#")
            alike = _NUMBER.sub("#", alike)
            mine = (record.name, replace(problem, what=own))
            said.setdefault((problem.severity, alike), []).append(mine)
    for _, told in sorted(said.items(), key=lambda item: item[0][0] is Severity.ERROR):
        name, problem = told[0]
        if len(told) > 1:
            names = ", ".join(name for name, _ in told[:_MOST_NAMES])
            more = f" and {len(told) - _MOST_NAMES} more" if len(told) > _MOST_NAMES else ""
            name = f"{len(told)} hosts ({names}{more}), the first"
        console.problem(replace(problem, what=f"{name}: {problem.what}"))


def _names(record: HostRecord) -> tuple[str, ...]:
    target = record.target.container if record.target else record.name
    return record.name, record.host_name, target


def _problems(result: HostResult, *, verbose: int) -> Iterator[Problem]:
    error = result.error
    for problem in result.record.problems:
        told_below = error is not None and problem.what == error.what
        if not told_below and (verbose or problem.severity is not Severity.NOTE):
            yield problem
    if error is not None:
        yield Problem(Severity.ERROR, error.what, error.evidence, error.hint)


def show_recap(outcome: Outcome, fleet: Fleet) -> None:
    """Print a line for each of several hosts: what came of it; and what they say together."""
    known = {record.name: record for record in outcome.manifest.hosts}
    names = [result.record.name for result in outcome.results]
    rows = [_recap(known[name], fleet.functions.get(name)) for name in names]
    header = (
        outcome.manifest.noun,
        "status",
        "samples",
        "data",
        "self",
        "hottest function, or why there is none",
    )
    console.table(header, rows, right=(2, 4))
    if outcome.not_begun:
        why = f": {outcome.stopped}" if outcome.stopped else ""
        whole = outcome.manifest.not_begun
        begun_in_part = outcome.not_begun[len(whole) :]
        hosts = [count_hosts(whole)] if whole else []
        what = " and ".join([*hosts, *begun_in_part])
        console.line(f"not begun: {what}{why}", style="bold")
    show_standings(fleet.standings(), outcome.manifest.noun)
    console.line(f"files: {outcome.directory.path}", style="bold")
    page = outcome.directory.path / PAGE
    if page.exists():
        console.line(f"page: {page}", style="bold")
    retry = outcome.directory.path / RETRY
    if retry.exists():
        run = outcome.manifest.run_id
        console.note(f"again: remote-prof run --resume {run}; or anew, with --limit @{retry}")


def _recap(record: HostRecord, functions: Functions | None) -> tuple[str, ...]:
    if functions is None or not functions.own:
        tried = f" (tried {record.tries} times)" if record.tries > 1 else ""
        return (record.name, record.status, "", "", "", record.error + tried)
    hottest, weight = max(functions.own.items(), key=lambda each: (each[1], each[0]))
    verdict = record.quality.verdict if record.quality else None
    return (
        record.name,
        record.status,
        str(record.quality.got if record.quality else functions.weight),
        verdict.grade if verdict else "",
        tenths(weight / functions.weight),
        hottest.name,
    )


def show_standings(standings: Sequence[Standing], noun: str) -> None:
    """Print the hosts, or whatever they are, that differ from the others, and in what."""
    if not standings:
        return
    outliers = [standing for standing in standings if standing.is_outlier]
    console.line("")
    if not outliers:
        farthest = _far(standings[0].host, standings[0].distance, standings[0].noise)
        console.line(f"no {noun} differs from the others; the farthest: {farthest}")
        return
    number = f"{len(outliers)} of {len(standings)} {noun}s"
    console.line(f"{number} differ from the others", style="bold")
    for standing in outliers:
        console.line(_far(standing.host, standing.distance, standing.noise))
        _show_differences(standing.differences)


def show_groups(groups: Sequence[GroupStanding], by: str) -> None:
    """Print how far groups of hosts are from each other, and in what."""
    if not groups:
        console.note(f"by {by} no group has samples beside which other hosts have some, too")
    for group in groups:
        console.line("")
        verdict = "differs from the others" if group.differs else "is like the others"
        number = len(group.hosts)
        plural = "" if number == 1 else "s"
        console.line(f"{group.name} ({number} host{plural}) {verdict}", style="bold")
        lots = ""
        if group.lots is not None:
            lots = f"; {tenths(group.lots)} of groups by lot are as far"
        console.line(_far(group.name, group.distance, group.noise) + lots)
        if group.differs:
            _show_differences(group.differences)


def _far(name: str, distance: float, noise: float | None) -> str:
    chance = f" (chance alone: {tenths(noise)})" if noise is not None else ""
    return f"{name}, {tenths(distance)} of it elsewhere{chance}"


def _show_differences(differences: Sequence[Difference]) -> None:
    for difference in differences[:_MOST_DIFFERENCES]:
        console.line(
            f"  {tenths(difference.here):>7} here, {tenths(difference.rest):>7} there:"
            f" {difference.function.name}"
        )
