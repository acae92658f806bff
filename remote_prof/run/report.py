"""From a raw profile to files and a summary: what ``run`` and ``report`` share."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remote_prof.engines import ENGINES, Engine, Event, ProfileRequest
from remote_prof.errors import UsageError
from remote_prof.profile.model import Profile, Quality
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.view import ALL, View, apply_view
from remote_prof.records import Problem
from remote_prof.render import RENDERERS, Renderer, Report, check_formats
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import Artifact, HostRecord, Manifest, RequestRecord

RAW_PROFILE = "profile.txt"


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is shown of a parsed profile; how good all of it is, and what follows from that."""

    profile: Profile
    quality: Quality
    hints: tuple[Problem, ...]
    view: View = ALL


def find_engine(name: str) -> Engine:
    """Return an engine by its name. Raises UsageError."""
    for engine in ENGINES:
        if engine.name == name:
            return engine
    raise UsageError(f"there is no engine {name}", hint=f"there are: {[e.name for e in ENGINES]}")


def analyse(
    engine: Engine,
    raw: bytes,
    request: ProfileRequest,
    *,
    cpu_time_s: float | None,
    keep_offsets: bool = False,
    view: View = ALL,
    host: HostRecord | None = None,
) -> Analysis:
    """Parse a raw profile and measure it; ``host`` is that of the run. Pure.

    A sampler of CPU time takes one sample for every ``1 / frequency_hz`` seconds that the target
    is on a CPU: that is how many are expected. Raises ParseError, and NoSamplesError where the
    view shows nothing of it.
    """
    event = find_event(engine.name, request.event)
    profile = engine.parse(raw, request, keep_offsets=keep_offsets)
    expected = None
    if cpu_time_s is not None and event.of_cpu_time:
        # Stacks of the kernel alone still count every sample; only the filter makes a difference.
        expected = round(cpu_time_s * request.frequency_hz)
    quality = measure_quality(profile, expected)
    target = host.target if host else None
    shown = apply_view(
        profile,
        view,
        host=host.name if host else "",
        process_names=target.names_by_pid if target and not engine.pids_inside else {},
    )
    return Analysis(shown, quality, tuple(hints(profile, quality)), view)


def profile_request(record: RequestRecord) -> ProfileRequest:
    """Return what the engine was asked, from the manifest."""
    return ProfileRequest(
        duration_s=record.duration_s,
        frequency_hz=record.frequency_hz,
        stacks=record.stacks,
        image=record.image,
        privileged=record.privileged,
        event=record.event,
        native=record.native,
    )


def build_report(analysis: Analysis, manifest: Manifest, host: HostRecord) -> Report:
    """Return what a renderer draws, with the facts of the run and its problems."""
    request, quality = manifest.request, analysis.quality
    engine = find_engine(request.engine)
    event = find_event(request.engine, request.event)
    unit = analysis.profile.unit
    target = host.target
    name = target.container if target else request.target
    facts = {
        "run": manifest.run_id,
        "host": f"{host.name} ({host.address})",
        "container": f"{name} ({target.container_id[:12]})" if target else name,
        "image": target.image if target else "",
        "kernel": host.kernel,
        "engine": host.engine,
        "tool": analysis.profile.tool,
        "command": _command(manifest.command),
        "began": manifest.started_at,
        "profiler": f"{request.engine}, --event {request.event}",
        "sampled": engine.describe(profile_request(request)),
        "shown": str(analysis.view),
        unit: f"{quality.got}"
        + (f" of {quality.expected} expected" if quality.expected is not None else ""),
    }
    return Report(
        profile=analysis.profile,
        quality=quality,
        title=f"{name} on {host.name}",
        subtitle=f"{event.title}, {facts[unit]} {unit}, {facts['sampled']}"
        + (f", {analysis.view}" if facts["shown"] else ""),
        modules=analysis.view.modules,
        facts={key: value for key, value in facts.items() if value},
        # A run notes the hints too, among the rest.
        problems=tuple(dict.fromkeys((*analysis.hints, *host.problems))),
    )


def find_event(engine: str, name: str) -> Event:
    """Return what an engine can measure. Raises UsageError where there is no such engine, or event.

    The usual one of the engine has no name.
    """
    events = find_engine(engine).events
    if name not in ("", *events):
        raise UsageError(f"{engine} has no event {name!r}", hint=f"it has: {', '.join(events)}")
    return events[name] if name else next(iter(events.values()))


def _command(argv: Sequence[str]) -> str:
    return shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else ""


def write_formats(
    directory: RunDirectory,
    where: Path,
    report: Report,
    formats: Iterable[str],
    known: Mapping[str, Renderer] = RENDERERS,
) -> tuple[Artifact, ...]:
    """Render each format and write its file."""
    return tuple(
        directory.write(where / known[name].filename, known[name].render(report), raw=False)
        for name in formats
    )


def remake(
    directory: RunDirectory,
    manifest: Manifest,
    formats: Iterable[str],
    *,
    keep_offsets: bool,
    view: View = ALL,
    title: str = "",
    subtitle: str = "",
    known: Mapping[str, Renderer] = RENDERERS,
) -> tuple[Manifest, tuple[Analysis | None, ...]]:
    """Make every file of a run again from its raw ones; return the new manifest.

    ``title`` and ``subtitle`` stand instead of the run's own where they are given.
    """
    names = check_formats(formats)
    hosts: list[HostRecord] = []
    analyses: list[Analysis | None] = []
    for host in manifest.hosts:
        path = _raw_path(directory, host)
        analysis = load_analysis(directory, manifest, host, keep_offsets=keep_offsets, view=view)
        analyses.append(analysis)
        if path is None or analysis is None:
            hosts.append(host)
            continue
        report = build_report(analysis, manifest, host)
        report = replace(report, title=title or report.title, subtitle=subtitle or report.subtitle)
        made = write_formats(directory, path.parent, report, names, known)
        kept = {a.path: a for a in host.artifacts} | {a.path: a for a in made}
        hosts.append(replace(host, quality=analysis.quality, artifacts=tuple(kept.values())))
    updated = replace(manifest, hosts=tuple(hosts))
    directory.write_manifest(updated)
    return updated, tuple(analyses)


def load_analysis(
    directory: RunDirectory,
    manifest: Manifest,
    host: HostRecord,
    *,
    keep_offsets: bool = False,
    view: View = ALL,
) -> Analysis | None:
    """Parse and measure the raw profile of one host of a run, None where it has none.

    Raises ParseError, and UsageError where it cannot be read.
    """
    path = _raw_path(directory, host)
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", evidence=str(error)) from error
    return analyse(
        find_engine(manifest.request.engine),
        data,
        profile_request(manifest.request),
        cpu_time_s=host.cpu_time_s,
        keep_offsets=keep_offsets,
        view=view,
        host=host,
    )


def _raw_path(directory: RunDirectory, host: HostRecord) -> Path | None:
    raw = [a for a in host.artifacts if a.raw and a.path.endswith("/" + RAW_PROFILE)]
    return directory.inside(raw[0].path) if raw else None
