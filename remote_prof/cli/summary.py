"""What a person reads of a run: where the time went, how good the data is, what follows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import typer

from remote_prof import console
from remote_prof.profile.quality import quality_text, tenths
from remote_prof.profile.summary import top_functions
from remote_prof.records import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from remote_prof.fleet.invocation import Outcome
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.manifest import HostRecord, Manifest, SidecarRecord
    from remote_prof.run.prepare import HostJob, Prepared
    from remote_prof.run.report import Analysis
    from remote_prof.run.result import HostResult

_TOP = 8
_EVERYWHERE = 0.98


def show_problems(result: HostResult, *, verbose: int) -> None:
    """Print what a host's run had to say, its error last."""
    for problem in result.record.problems:
        told_below = result.error is not None and problem.what == result.error.what
        if not told_below and (verbose or problem.severity is not Severity.NOTE):
            console.problem(problem)
    if result.error:
        console.error(result.error)


def show(result: HostResult, directory: RunDirectory, *, verbose: int) -> None:
    """Print the summary of one host: functions, quality, files."""
    record = result.record
    if result.analysis is not None and result.analysis.quality.got:
        show_analysis(record, result.analysis)
        console.line(
            f"quality: {quality_text(result.analysis.quality, result.analysis.profile.unit)}"
        )
    if verbose:
        _show_details(record)
    elif len(record.sidecars) > 1 and record.target:
        console.note(f"profilers: {record.target.filter}")
    if not record.artifacts:
        return
    graphs = {path.suffix: path for path in _graphs(result, directory)}
    if ".svg" in graphs:
        console.line(f"flame graph: {graphs['.svg']}", style="bold")
    if ".html" in graphs:
        console.line(f"report: {graphs['.html']}", style="bold")
    if not graphs:
        console.line(f"files: {directory.path / record.directory}")


def show_analysis(record: HostRecord, analysis: Analysis) -> None:
    """Print the top functions of a profile."""
    profile, quality, whole = analysis.profile, analysis.quality, analysis.profile.total
    of = f" of {quality.got}" if whole != quality.got else ""
    view = f" ({analysis.view})" if str(analysis.view) else ""
    name = record.target.container if record.target else ""
    console.line(
        f"{name} on {record.name}: {whole}{of} {profile.unit}{view}, {profile.tool or 'profile'}",
        style="bold",
    )
    functions = top_functions(profile)
    own = [share for share in functions if share.self][:_TOP]
    # What is in nearly every stack (main, start-up code) tells nothing.
    most = sorted(functions, key=lambda share: -share.total)
    wide = [share for share in most if share.total < _EVERYWHERE * whole][:_TOP]
    for title, shares in (("where it is (most self)", own), ("through what (most total)", wide)):
        rows = [
            (tenths(share.self / whole), tenths(share.total / whole), share.name)
            for share in shares
        ]
        console.line("")
        console.table(("self", "total", title), rows, right=(0, 1))
    console.line("")


def _show_details(record: HostRecord) -> None:
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in record.timings_s.items())
    console.note(f"times: {times}; {record.round_trips} round trips")
    if record.target:
        console.note(f"filter: {record.target.filter}")
    for sidecar in record.sidecars:
        console.note(f"sidecar: {_sidecar_text(sidecar)}")


def show_manifest(manifest: Manifest, directory: RunDirectory) -> None:
    """Print a run that is over."""
    from remote_prof.run.report import find_engine, find_event, profile_request

    request = manifest.request
    console.line(manifest.run_id, style="bold")
    asked = find_engine(request.engine, request.event).describe(profile_request(request))
    unit = find_event(request.engine, request.event).unit
    console.line(f"  asked:    {request.target}, {request.engine}, {asked}")
    console.line(f"  times:    {manifest.started_at} to {manifest.finished_at}")
    for host in manifest.hosts:
        console.line(f"{host.name}: {host.status}" + (f", {host.error}" if host.error else ""))
        if host.target:
            console.line(f"  target:   {host.target.container}, image {host.target.image}")
            console.line(f"  filter:   {host.target.filter}")
        for sidecar in host.sidecars:
            console.line(f"  sidecar:  {_sidecar_text(sidecar)}")
        if host.quality:
            console.line(f"  quality:  {quality_text(host.quality, unit)}")
        for artifact in host.artifacts:
            console.line(f"  file:     {directory.path / artifact.path}")


def _sidecar_text(sidecar: SidecarRecord) -> str:
    return f"{sidecar.engine} in {sidecar.image} by {sidecar.runner}, {sidecar.rung}"


def plan_document(job: HostJob, prepared: Prepared) -> dict[str, object]:
    """Return what a run would do, for ``--json``."""
    assert prepared.plan is not None
    assert prepared.target is not None
    document = dataclasses.asdict(prepared.plan)
    return document | {"host": job.host.name, "target": prepared.target.name}


def show_plan(job: HostJob, prepared: Prepared) -> None:
    """Print what a run would do: everything that would be put on the host, to the letter."""
    plan, target = prepared.plan, prepared.target
    assert plan is not None
    assert target is not None
    method = job.host.become.method if job.host.become else ""
    lines = [
        f"host:       {job.host.name} ({job.host.address})",
        f"target:     {target.name} ({target.container.container_id[:12]})",
        f"processes:  {', '.join(f'{p.pid} {p.name}' for p in target.processes)}",
        *(f"filter:     {service.sidecar.filter_text}" for service in plan.services),
        *(
            f"sidecar:    {service.engine} in {service.sidecar.image}, {service.sidecar.rung}"
            for service in plan.services
        ),
        *([f"image:      {prepared.push.short_id} is pushed first"] if prepared.push else []),
        f"runner:     {plan.runner}" + (f", by {method}" if plan.become else ""),
        f"directory:  {plan.directory} (removed at the end)",
        f"deadline:   {plan.deadline_s} s after the start",
    ]
    for text in lines:
        console.line(text)
    for name, text in plan.files.items():
        if name not in ("compose.yml", "launcher.sh"):
            # Nobody reads it: what the request says of it tells which it is.
            console.line(f"and beside them: {plan.directory}/{name}, {len(text)} bytes")
            continue
        console.write(f"\n--- {plan.directory}/{name}\n{text}")


def open_graph(outcome: Outcome) -> None:
    """Open what one can work with, or else the picture, with the desktop's own viewer."""
    for result in outcome.results:
        graphs = sorted(_graphs(result, outcome.directory), key=lambda path: path.suffix)
        for path in graphs[:1]:
            typer.launch(str(path.absolute()))


def _graphs(result: HostResult, directory: RunDirectory) -> list[Path]:
    paths = [directory.path / artifact.path for artifact in result.record.artifacts]
    return [path for path in paths if path.suffix in (".html", ".svg")]
