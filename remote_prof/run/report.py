"""From a raw profile to files and a summary: what ``run`` and ``report`` share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_prof.engines import KNOWN, Engine, Event, ProfileRequest
from remote_prof.errors import ParseError, UsageError
from remote_prof.profile.combine import Inside, combine
from remote_prof.profile.model import Profile, Quality
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.view import ALL, View, apply_view
from remote_prof.records import Problem, Severity
from remote_prof.render import RENDERERS, Renderer, Report
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import Artifact, HostRecord, Manifest, RequestRecord

_HEAD_BYTES = 4096
_UNSEEN = re.compile(rb"^# without:((?: [0-9]{1,10})+)$", re.MULTILINE)
_ENDED = re.compile(rb"^@@ end [0-9]{1,3}$", re.MULTILINE)
_BEGUN = re.compile(rb"^@@ sampling", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is shown of a parsed profile; how good all of it is, and what follows from that."""

    profile: Profile
    quality: Quality
    hints: tuple[Problem, ...]
    view: View = ALL
    tools: Mapping[str, str] = field(default_factory=dict)  # by engine


def find_engine(name: str, event: str = "") -> Engine:
    """Return an engine by its name; of several (``auto``) the first that measures an event.

    Raises UsageError.
    """
    for engine in KNOWN.named(name):
        if event in ("", *engine.events):
            return engine
    raise UsageError(f"{name} has no event {event!r}", hint="see: remote-prof engines")


def analyse(
    raws: Mapping[str, bytes],
    request: ProfileRequest,
    *,
    cpu_time_s: float | None,
    keep_offsets: bool = False,
    view: View = ALL,
    host: HostRecord | None = None,
    grouped: bool = True,
) -> Analysis:
    """Parse the raw profiles of a target, by engine, and measure them. Pure.

    ``host`` is that of the run. What several engines saw becomes one profile, by process if it is
    to be ``grouped`` and nothing else is asked for.

    A sampler of CPU time takes one sample for every ``1 / frequency_hz`` seconds that the target
    is on a CPU: that is how many are expected. Raises ParseError, and NoSamplesError where the
    view shows nothing of it.
    """
    parsed, unread = _parsed(raws, request, keep_offsets=keep_offsets)
    event = find_event(next(iter(parsed)), request.event)
    unseen = {int(pid) for raw in raws.values() for pid in _unseen(raw)}
    ended = {name for name, raw in raws.items() if has_ended(raw)}
    profile = _one_of(parsed, host, unseen, ended)
    unread += _missing(parsed, profile, unseen)
    if len(parsed) > 1 and grouped:
        view = replace(view, group_by=view.group_by or "process")
    expected = None
    if cpu_time_s is not None and event.of_cpu_time and not unseen:
        # Stacks of the kernel alone still count every sample; only the filter makes a difference.
        expected = round(cpu_time_s * request.frequency_hz)
    quality = measure_quality(profile, expected)
    shown = apply_view(
        profile,
        view,
        host=host.name if host else "",
        process_names=names_by_pid(host, tuple(parsed)) if host else {},
    )
    tools = {name: part.tool for name, part in parsed.items()}
    return Analysis(shown, quality, (*unread, *hints(profile, quality)), view, tools)


def _parsed(
    raws: Mapping[str, bytes], request: ProfileRequest, *, keep_offsets: bool
) -> tuple[dict[str, Profile], list[Problem]]:
    """Parse each, and say of which one cannot be read. Raises ParseError where none can be."""
    parsed: dict[str, Profile] = {}
    errors: dict[str, ParseError] = {}
    for name, raw in raws.items():
        engine = find_engine(name, request.event)
        try:
            parsed[name] = engine.parse(raw, request, keep_offsets=keep_offsets)
        except ParseError as error:
            errors[name] = error
    if not parsed:
        raise next(iter(errors.values()))
    return parsed, [
        Problem(Severity.WARNING, f"{name}: {error.what}", error.evidence, error.hint)
        for name, error in errors.items()
    ]


def _unseen(raw: bytes) -> list[bytes]:
    """Return the pids that a sampler of the whole container has left to others."""
    head = _UNSEEN.search(raw, 0, _HEAD_BYTES)
    return head[1].split() if head else []


def _one_of(
    parsed: Mapping[str, Profile],
    host: HostRecord | None,
    unseen: Collection[int],
    ended: Collection[str],
) -> Profile:
    if len(parsed) == 1:
        return next(iter(parsed.values()))
    engines = {name: find_engine(name) for name in parsed}
    insides = [
        Inside(parsed[name], engine.vm_threads)
        for name, engine in engines.items()
        if engine.pids_inside
    ]
    # One that was killed before it had printed anything says nothing of anybody's CPU time.
    whole = [
        parsed[name]
        for name, engine in engines.items()
        if not engine.pids_inside and (parsed[name].weights or name in ended)
    ]
    target = host.target if host else None
    pids = dict(zip(target.container_pids, target.pids, strict=False)) if target else {}
    return combine(whole[0] if whole else None, insides, pids, unseen)


def _missing(
    parsed: Mapping[str, Profile], profile: Profile, unseen: Collection[int]
) -> list[Problem]:
    """Say which of several profilers took nothing, and which processes are shown by none."""
    if len(parsed) == 1:
        return []
    found = [
        Problem(
            Severity.WARNING, f"{name} took no sample", "its processes were idle, or it saw none"
        )
        for name, part in parsed.items()
        if not part.weights
    ]
    shown = {frame.pid for frame in profile.frames}
    return found + [
        Problem(
            Severity.WARNING,
            f"process {pid} is missing: it was left to a profiler that took nothing of it",
            "bpftrace before 0.20 leaves what has a profiler of its own to that",
            "profile it with --engine bpftrace",
        )
        for pid in sorted(unseen)
        if pid not in shown
    ]


def names_by_pid(host: HostRecord, engines: Sequence[str]) -> Mapping[int, str]:
    """Return the names of a target's processes by the pids that are in its profile."""
    inside = len(engines) == 1 and find_engine(engines[0]).pids_inside
    return host.target.names_by_pid if host.target and not inside else {}


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
        call_graph=record.call_graph,
        script=record.script,
        async_profiler=record.async_profiler,
    )


def build_report(analysis: Analysis, manifest: Manifest, host: HostRecord) -> Report:
    """Return what a renderer draws, with the facts of the run and its problems."""
    request, quality = manifest.request, analysis.quality
    names = tuple(analysis.tools) or (request.engine,)
    engine = find_engine(names[0], request.event)
    event = find_event(names[0], request.event)
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
        **run_facts(manifest, names, analysis.profile.tool),
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


def run_facts(manifest: Manifest, engines: Sequence[str], tool: str) -> dict[str, str]:
    """Return what is to be told of a run on any picture of it."""
    return {
        "run": manifest.run_id,
        "tool": tool,
        "command": _command(manifest.command),
        "began": manifest.started_at,
        "profiler": f"{', '.join(engines)}, --event {manifest.request.event}",
    }


def find_event(engine: str, name: str) -> Event:
    """Return what an engine can measure. Raises UsageError where there is no such engine, or event.

    The usual one of the engine has no name.
    """
    events = KNOWN.events(engine)
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


def has_sampled(raw: bytes) -> bool:
    """Tell from what a sidecar printed whether it had begun to sample."""
    return _BEGUN.search(raw) is not None


def has_ended(raw: bytes) -> bool:
    """Tell from what a sidecar printed whether it had come to its end."""
    return _ENDED.search(raw) is not None
