"""``remote-prof report``: everything again from the raw files of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.errors import ExitCode, NoSamplesError

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof report last

$ remote-prof report 20260131-235959-1a2b3c --format svg --offsets

$ remote-prof report last --format pprof --format gecko

$ remote-prof report last --debug-dir ./debug

The raw files are never changed.
"""


@flag_sets.shows
def report(
    run: options.RunName,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"{options.FORMATS}; repeatable (as the run had them).",
        ),
    ] = None,
    debug_dir: options.DebugDir = None,
    title: options.Title = "",
    subtitle: options.Subtitle = "",
    width: options.Width = 1200,
    minwidth: options.MinWidth = 0.1,
    inverted: options.Inverted = False,
    output: options.Results = None,
    as_json: options.AsJson = False,
    *,
    shown: flag_sets.ViewFlags,
) -> int:
    """Make the files of a run again from its raw profile, and print its summary."""
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.profile.view import View
    from remote_prof.render import Drawing, renderers
    from remote_prof.run.debug_files import DebugFiles
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.manifest import dump_manifest
    from remote_prof.run.remake import remake
    from remote_prof.run.result import HostResult

    results = resolve_settings({"results": output}).values.results
    directory = RunDirectory.find(run, results)
    manifest = directory.load_manifest()
    view = shown.view()
    symbols = DebugFiles(debug_dir) if debug_dir else None
    updated, analyses = remake(
        directory,
        manifest,
        formats or manifest.request.formats,
        keep_offsets=shown.offsets or manifest.request.offsets,
        view=view if view != View() else manifest.request.view,
        symbols=symbols,
        title=title,
        subtitle=subtitle,
        known=renderers(Drawing(width, minwidth, inverted)),
    )
    for problem in symbols.problems() if symbols else ():
        console.problem(problem)
    if as_json:
        console.write(dump_manifest(updated).decode())
        return ExitCode.OK
    if not any(analysis and analysis.quality.got for analysis in analyses):
        raise NoSamplesError(
            f"run {updated.run_id} has no raw profile to make a report of",
            evidence="; ".join(f"{h.name}: {h.error or h.status}" for h in updated.hosts),
            hint=f"remote-prof runs show {updated.run_id}",
        )
    for record, analysis in zip(updated.hosts, analyses, strict=True):
        result = HostResult(record, analysis)
        summary.show_problems(result, verbose=0)
        summary.show(result, directory, verbose=0)
    return ExitCode.OK
