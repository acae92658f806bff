"""The files of all hosts of a run together: the merged graph, and the page."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from remote_prof.fleet.answer import Fleet
from remote_prof.fleet.labels import group_hosts, label_hosts
from remote_prof.profile.functions import Functions
from remote_prof.profile.groups import GroupStanding, compare_groups
from remote_prof.profile.hottest import WeightBy
from remote_prof.profile.model import Quality
from remote_prof.profile.outliers import Standing
from remote_prof.profile.quality import hints
from remote_prof.profile.view import ALL, View
from remote_prof.render import RENDERERS, Renderer, Report
from remote_prof.render.fleet_page import Bar, FleetPage, GroupRow, HostRow, render_fleet_page
from remote_prof.run.debug_files import DebugFiles
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import Artifact, HostRecord, Manifest
from remote_prof.run.remake import load_analysis
from remote_prof.run.report import find_engine, find_event, profile_request, run_facts

PAGE = "fleet.html"
MERGED = "fleet"
_BARS = 8
_LOT = 25  # hosts that a process reads at a time
_HOTTEST = 500


def load_fleet(
    directory: RunDirectory,
    manifest: Manifest,
    *,
    weight_by: WeightBy = "samples",
    group_by: str | None = None,
    keep_offsets: bool = False,
    view: View = ALL,
    symbols: DebugFiles | None = None,
) -> Fleet:
    """Read what the hosts of a run say, one after the other. Raises UsageError, ParseError."""
    fleet = Fleet(weight_by, label_hosts(manifest.hosts, group_by) if group_by else {})
    add = partial(add_missing, directory=directory, keep_offsets=keep_offsets, view=view)
    lots = [
        replace(manifest, hosts=manifest.hosts[begin : begin + _LOT])
        for begin in range(0, len(manifest.hosts), _LOT)
    ]
    processes = min(os.cpu_count() or 1, len(lots))
    # What is to be said of symbols is kept here.
    if processes < 2 or symbols is not None:
        add(fleet, manifest=manifest, symbols=symbols)
        return fleet
    empty = Fleet(weight_by, fleet.labels)
    for part in _in_processes(processes, partial(_added, add, empty), lots):
        fleet.merge(part)
    return fleet


def _added(add: Callable[..., None], fleet: Fleet, manifest: Manifest) -> Fleet:
    add(fleet, manifest=manifest)
    return fleet


def _in_processes(
    number: int, read: Callable[[Manifest], Fleet], lots: Sequence[Manifest]
) -> Iterator[Fleet]:
    """Read lots of hosts side by side; they come in their order."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # An interrupt is for this process alone, which then waits for no lot that has not begun.
    deaf = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(number, get_context("spawn"), signal.signal, deaf) as pool:
        try:
            yield from pool.map(read, lots)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def add_missing(
    fleet: Fleet,
    directory: RunDirectory,
    manifest: Manifest,
    *,
    keep_offsets: bool = False,
    view: View = ALL,
    symbols: DebugFiles | None = None,
) -> None:
    """Take in those hosts of a run that have samples and are not in a fleet yet."""
    for record in manifest.hosts:
        if record.name in fleet.functions or not record.sidecars:
            continue
        analysis = load_analysis(
            directory, manifest, record, keep_offsets=keep_offsets, view=view, symbols=symbols
        )
        if analysis is not None:
            fleet.add(record.name, analysis)


def compare_by(fleet: Fleet, manifest: Manifest, by: str) -> tuple[GroupStanding, ...]:
    """Return how far the groups of hosts are from each other. Raises UsageError."""
    return compare_groups(fleet.functions, group_hosts(manifest.hosts, by))


def write_fleet(
    directory: RunDirectory,
    manifest: Manifest,
    fleet: Fleet,
    formats: Iterable[str],
    *,
    groups: Sequence[GroupStanding] = (),
    known: Mapping[str, Renderer] = RENDERERS,
) -> Manifest:
    """Write the page and the merged files; return the manifest that names them, written, too.

    Raises RemoteProfError.
    """
    merged = merged_report(manifest, fleet)
    made: list[Artifact] = []
    links = {}
    where = directory.path / MERGED
    for name in formats if merged else ():
        assert merged is not None
        path = where / known[name].filename
        made.append(directory.write(path, known[name].render(merged), raw=False))
        links[f"all hosts as {name}"] = path.relative_to(directory.path).as_posix()
    page = build_page(manifest, fleet, merged, groups, links)
    made.insert(0, directory.write(directory.path / PAGE, render_fleet_page(page), raw=False))
    kept = {each.path: each for each in (*manifest.fleet, *made)}
    updated = replace(manifest, fleet=tuple(kept.values()))
    directory.write_manifest(updated)
    return updated


def count_hosts(names: Collection[str]) -> str:
    """Return how many hosts these are, in words."""
    return "1 host" if len(names) == 1 else f"{len(names)} hosts"


def merged_report(manifest: Manifest, fleet: Fleet) -> Report | None:
    """Return what is drawn of all hosts together; None where there are no samples."""
    profile, quality = fleet.merged()
    if not profile.weights:
        return None
    request = manifest.request
    shown = [record for record in manifest.hosts if record.name in fleet.functions]
    hosts = {record.host_name for record in shown}
    several = {record.host_name: record.targets for record in manifest.hosts}
    targets = f"{len(shown)} of {sum(several.values())}"
    names = tuple(fleet.tools) or (request.engine,)
    engine, event = find_engine(names[0], request.event), find_event(names[0], request.event)
    sampled = engine.describe(profile_request(request))
    by = ", each host alike" if fleet.weight_by == "host" else ""
    facts = {
        "hosts": f"{len(hosts)} of {len(request.hosts)}",
        **({"targets": targets} if len(shown) > len(hosts) else {}),
        **run_facts(manifest, names, profile.tool),
        "sampled": sampled,
        "shown": str(fleet.view),
        profile.unit: _amount(quality),
    }
    return Report(
        profile=profile,
        quality=quality,
        title=f"{request.target} on {count_hosts(hosts)}",
        subtitle=f"{event.title}, {facts[profile.unit]} {profile.unit}, {sampled}{by}",
        modules=fleet.view.modules,
        facts={key: value for key, value in facts.items() if value},
        problems=tuple(hints(profile, quality)),
    )


def _amount(quality: Quality) -> str:
    of = f" of {quality.expected} expected" if quality.expected is not None else ""
    return f"{quality.got}{of}"


def build_page(
    manifest: Manifest,
    fleet: Fleet,
    merged: Report | None,
    groups: Sequence[GroupStanding] = (),
    links: Mapping[str, str] | None = None,
) -> FleetPage:
    """Return what the page of a run shows."""
    request = manifest.request
    standings = {each.host: each for each in fleet.standings()}
    rows = [
        _row(record, fleet.functions.get(record.name), standings.get(record.name))
        for record in manifest.hosts
    ]
    rows += [HostRow(name, "not begun") for name in manifest.not_begun]
    unit = next((each.unit for each in fleet.functions.values()), "samples")
    return FleetPage(
        title=f"{request.target} on {count_hosts(request.hosts)}",
        subtitle=merged.subtitle if merged else "",
        unit=unit,
        facts=merged.facts if merged else run_facts(manifest, (request.engine,), ""),
        hosts=tuple(rows),
        hottest=tuple(fleet.hottest(_HOTTEST)),
        groups=tuple(map(_group_row, groups)),
        merged=merged,
        links=links or {},
        noun=manifest.noun,
    )


def _row(record: HostRecord, functions: Functions | None, standing: Standing | None) -> HostRow:
    verdict = record.quality.verdict if record.quality else None
    target = record.target
    facts = {
        "address": record.address,
        "kernel": record.kernel,
        "engine": record.engine,
        "container": target.container if target else "",
        "image": target.image if target else "",
        "round trips": str(record.round_trips or ""),
        "tries": str(record.tries) if record.tries > 1 else "",
        **{name: f"{seconds:.2f} s" for name, seconds in record.timings_s.items()},
    }
    return HostRow(
        name=record.name,
        status=record.status,
        groups=record.groups,
        error=record.error,
        weight=functions.weight if functions else None,
        grade=verdict.grade if verdict else "",
        reason=verdict.reason if verdict else "",
        cpu_time_s=record.cpu_time_s,
        bars=_bars(functions) if functions else (),
        distance=standing.distance if standing else None,
        noise=standing.noise if standing else None,
        is_outlier=standing.is_outlier if standing else False,
        differences=standing.differences if standing else (),
        report=_report(record),
        facts={key: value for key, value in facts.items() if value},
        problems=tuple(
            ": ".join(filter(None, (problem.what, problem.evidence))) for problem in record.problems
        ),
    )


def _bars(functions: Functions) -> tuple[Bar, ...]:
    largest = sorted(functions.own.items(), key=lambda each: (-each[1], each[0]))[:_BARS]
    return tuple(
        Bar(function.name, function.kind, weight / functions.weight) for function, weight in largest
    )


def _report(record: HostRecord) -> str | None:
    """Return the page of a host's own, or else its picture."""
    paths = [artifact.path for artifact in record.artifacts]
    pages = [path for path in paths if path.endswith("/flamegraph.html")]
    return next(iter((*pages, *(path for path in paths if path.endswith(".svg")))), None)


def _group_row(group: GroupStanding) -> GroupRow:
    return GroupRow(
        name=group.name,
        hosts=group.hosts,
        weight=group.weight,
        distance=group.distance,
        noise=group.noise,
        differs=group.differs,
        differences=group.differences,
    )
