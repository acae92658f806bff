"""A run, made again from its raw files: its profiles, and all that is drawn of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from remote_prof.errors import UsageError
from remote_prof.profile.view import ALL, View
from remote_prof.render import RENDERERS, Renderer, check_formats
from remote_prof.run.debug_files import DebugFiles
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import HostRecord, Manifest
from remote_prof.run.report import (
    Analysis,
    analyse,
    build_report,
    has_sampled,
    profile_request,
    write_formats,
)


def remake(
    directory: RunDirectory,
    manifest: Manifest,
    formats: Iterable[str],
    *,
    keep_offsets: bool,
    view: View = ALL,
    symbols: DebugFiles | None = None,
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
        paths = _raw_paths(directory, host)
        analysis = load_analysis(
            directory, manifest, host, keep_offsets=keep_offsets, view=view, symbols=symbols
        )
        analyses.append(analysis)
        if not paths or analysis is None:
            hosts.append(host)
            continue
        report = build_report(analysis, manifest, host)
        report = replace(report, title=title or report.title, subtitle=subtitle or report.subtitle)
        where = next(iter(paths.values())).parent
        made = write_formats(directory, where, report, names, known)
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
    grouped: bool = True,
    symbols: DebugFiles | None = None,
) -> Analysis | None:
    """Parse and measure the raw profiles of one host of a run, None where it has none.

    What has no name there gets it from ``symbols``.

    Raises ParseError, and UsageError where they cannot be read.
    """
    raws = {}
    for name, path in _raw_paths(directory, host).items():
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read", evidence=str(error)) from error
        # That one of several gave nothing was said when it ran.
        if has_sampled(data) or len(host.sidecars) == 1:
            raws[name] = symbols.named(data) if symbols else data
    if not raws:
        return None
    return analyse(
        raws,
        profile_request(manifest.request),
        cpu_time_s=host.cpu_time_s,
        keep_offsets=keep_offsets,
        view=view,
        host=host,
        grouped=grouped,
    )


def _raw_paths(directory: RunDirectory, host: HostRecord) -> dict[str, Path]:
    """Return the raw profiles of one host, by engine."""
    raw = {a.path.rpartition("/")[2]: a.path for a in host.artifacts if a.raw}
    return {
        sidecar.engine: directory.inside(raw[sidecar.profile])
        for sidecar in host.sidecars
        if sidecar.profile in raw
    }
