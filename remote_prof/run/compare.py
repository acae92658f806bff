"""The two sides of a comparison, found by what somebody calls them: a file, a run, a host of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.parse import read_profile
from remote_prof.parse.diff_folded import parse_diff_folded
from remote_prof.profile.diff import Side, count_samples
from remote_prof.profile.model import Profile
from remote_prof.profile.names import spell_out
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.summary import merge
from remote_prof.profile.view import View, apply_view, under
from remote_prof.records import Problem, Severity
from remote_prof.run.debug_files import DebugFiles
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import HostRecord, Manifest, RequestRecord
from remote_prof.run.remake import load_analysis
from remote_prof.run.report import find_engine, names_by_pid

_MOST_NAMES = 20


def load_side(
    name: str,
    data: bytes | None,
    results: Path,
    view: View,
    *,
    keep_offsets: bool = False,
    symbols: DebugFiles | None = None,
) -> Side:
    """Return what ``name`` stands for.

    ``data`` is the content where it is a file. Else it is a run (its id, the start of it, its
    directory, or ``last``), ``RUN/HOST`` or ``RUN/HOST/TARGET``; the profiles of several hosts are
    added up. What has no name gets it from ``symbols``. Raises UsageError where there is no such
    thing, NoSamplesError where a run has no samples, ParseError where it cannot be read.
    """
    if data is not None:
        named = symbols.named(data) if symbols else data
        return _of_profile(name, read_profile(name, named, keep_offsets=keep_offsets), view)
    directory, place = _find_run(name, results)
    return _of_run(name, directory, place, view, keep_offsets=keep_offsets, symbols=symbols)


def load_both_sides(name: str, data: bytes, view: View) -> tuple[Side, Side]:
    """Return both sides of one file of folded stacks with two weights. Raises ParseError."""
    both = parse_diff_folded(data)
    before = _of_profile(f"{name}, first column", both.before, view)
    if both.may_be_scaled:
        # Its weights are no counts any more.
        before = replace(before, samples=None, problems=())
    return before, _of_profile(f"{name}, second column", both.after, view)


def _of_profile(name: str, profile: Profile, view: View) -> Side:
    quality = measure_quality(profile)
    problems = tuple(hints(profile, quality))
    shown = _shown(profile, view)
    return Side(name, shown, quality, count_samples(shown), problems=problems)


def _shown(profile: Profile, view: View, names: Mapping[int, str] | None = None) -> Profile:
    # What is small on one side may be large on the other: that is looked at in both together.
    chosen = apply_view(profile, replace(view, min_share=0.0), process_names=names)
    return spell_out(chosen, modules=view.modules)


def _find_run(name: str, results: Path) -> tuple[RunDirectory, list[str]]:
    """Return the run that a name begins with, and what follows: a host, and a target."""
    path = Path(name)
    for above in (path, *path.parents[:2]):
        if above.name and (above / "run.json").is_file():
            return RunDirectory(above), list(path.relative_to(above).parts)
    first, *place = name.split("/")
    if not first.strip("."):
        raise UsageError(f"{name} is neither a file nor a run", hint="list runs: remote-prof runs")
    try:
        return RunDirectory.find(first, results), place
    except UsageError as error:
        raise UsageError(
            f"{name} is no file, and {error.what}", evidence=error.evidence, hint=error.hint
        ) from None


def _of_run(
    name: str,
    directory: RunDirectory,
    place: list[str],
    view: View,
    *,
    keep_offsets: bool,
    symbols: DebugFiles | None,
) -> Side:
    manifest = directory.load_manifest()
    chosen = _choose(manifest, place)
    there: list[tuple[HostRecord, int | None]] = []  # and how many samples were expected of it
    missing: list[Problem] = []
    engines: dict[str, str] = {}  # those that sampled something, and their versions

    by_host = view.group_by == "host"

    def profiles() -> Iterator[Profile]:
        for record in chosen:
            analysis = load_analysis(
                directory,
                manifest,
                record,
                keep_offsets=keep_offsets,
                grouped=False,
                symbols=symbols,
            )
            if analysis and analysis.quality.got:
                engines.update(analysis.tools)
                there.append((record, analysis.quality.expected))
                yield under(analysis.profile, record.name) if by_host else analysis.profile
            else:
                what = f"{record.name} has no samples and is left out"
                missing.append(Problem(Severity.WARNING, what, record.error or record.status))

    whole = merge(profiles())
    if not there:
        raise NoSamplesError(
            f"{name} has no samples",
            evidence=_listed(f"{host.name}: {host.error or host.status}" for host in chosen),
            hint=f"remote-prof runs show {manifest.run_id}",
        )
    records, expected = zip(*there, strict=True)
    known = [number for number in expected if number is not None]
    quality = measure_quality(whole, sum(known) if len(known) == len(expected) else None)
    request = manifest.request
    if len(engines) > 1 and view.group_by is None:
        view = replace(view, group_by="process")
    # Pids of several hosts say nothing together.
    profile = _shown(
        whole,
        replace(view, group_by=None) if by_host else view,
        names_by_pid(records[0], tuple(engines)) if len(records) == 1 else None,
    )
    targets = dict.fromkeys(_target(manifest, record) for record in records)
    hosts = dict.fromkeys(record.name for record in records)
    return Side(
        name=f"{_listed(targets)} on {_listed(hosts)}, run {manifest.run_id}",
        profile=profile,
        quality=quality,
        samples=count_samples(profile),
        duration_s=request.duration_s or None,
        scope=_scope(tuple(engines), request),
        problems=(*missing, *hints(whole, quality)),
    )


def _scope(engines: Sequence[str], request: RequestRecord) -> str:
    """Say what was taken of which processes, by which engines."""
    parts = [request.scope, f"{' and '.join(engines)} {request.event}"]
    options = frozenset().union(*(find_engine(name).options for name in engines))
    parts += [f"{request.stacks} stacks"] if "stacks" in options else []
    parts += ["native frames"] if request.native else []
    parts += ["by async-profiler"] if request.async_profiler else []
    parts += [f"unwound by {request.call_graph}"] if "call_graph" in options else []
    return ", ".join(parts)


def _choose(manifest: Manifest, place: list[str]) -> list[HostRecord]:
    """Return the hosts of a run that were named, all of them where none was."""
    host, target, *more = [*place, "", ""][: max(2, len(place))]
    chosen = [record for record in manifest.hosts if host in ("", record.host_name)]
    if more or not chosen:
        hosts = dict.fromkeys(record.host_name for record in manifest.hosts)
        raise UsageError(
            f"run {manifest.run_id} has no host {'/'.join(place)!r}",
            evidence=f"it has {_listed(hosts)}",
            hint="name it as RUN/HOST, or RUN/HOST/TARGET",
        )
    found = [record for record in chosen if target in ("", _target(manifest, record))]
    if not found:
        raise UsageError(
            f"{host} of run {manifest.run_id} has no target {target!r}",
            evidence=f"it has {_listed(_target(manifest, record) for record in chosen)}",
            hint="name it as RUN/HOST/TARGET",
        )
    return found


def _target(manifest: Manifest, record: HostRecord) -> str:
    return record.target.container if record.target else manifest.request.target


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more
