"""``remote-prof fleet``: what the hosts of a run say together."""

from __future__ import annotations

from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof fleet last

$ remote-prof fleet last --compare-by canary

$ remote-prof fleet last --compare-by canary,prod --weight host

$ remote-prof fleet last --compare-by kernel --format svg

$ remote-prof fleet last --group-by host

It reads the raw profiles of a run, and makes its page and the graph of all hosts anew.
"""


@flag_sets.shows
def fleet(
    run: options.RunName,
    compare_by: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP,...|FACT",
            help="Tell groups of hosts apart: of the inventory, or by kernel, engine, image, "
            "image-id or host; in the graph each stands by itself.",
        ),
    ] = None,
    weight: options.Weight = "samples",
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"{options.FORMATS}; repeatable (as the run had them).",
        ),
    ] = None,
    debug_dir: options.DebugDir = None,
    output: options.Results = None,
    *,
    shown: flag_sets.ViewFlags,
) -> None:
    """Make the page of a run, and the flame graph of all its hosts together."""
    from remote_prof.cli.fleet_summary import show_groups, show_standings
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.fleet.files import PAGE, load_fleet, write_fleet
    from remote_prof.fleet.files import compare_by as compare
    from remote_prof.fleet.labels import group_hosts
    from remote_prof.profile.view import View
    from remote_prof.render import check_formats
    from remote_prof.run.debug_files import DebugFiles
    from remote_prof.run.directory import RunDirectory

    weighting = options.check_weight(weight)
    directory = RunDirectory.find(run, resolve_settings({"results": output}).values.results)
    manifest = directory.load_manifest()
    chosen = check_formats(formats or manifest.request.formats)
    view = shown.view()
    symbols = DebugFiles(debug_dir) if debug_dir else None
    whole = load_fleet(
        directory,
        manifest,
        weight_by=weighting,
        group_by=compare_by,
        keep_offsets=shown.offsets or manifest.request.offsets,
        view=view if view != View() else manifest.request.view,
        symbols=symbols,
    )
    for problem in symbols.problems() if symbols else ():
        console.problem(problem)
    groups = compare(whole, manifest, compare_by) if compare_by else ()
    updated = write_fleet(directory, manifest, whole, chosen, groups=groups)
    names = (*(record.name for record in manifest.hosts), *manifest.not_begun)
    for name in whole.without(names):
        console.note(f"{name} has no samples")
    show_standings(whole.standings(), manifest.noun)
    if compare_by:
        show_groups(groups, compare_by)
        compared = {group.name for group in groups}
        for name in group_hosts(manifest.hosts, compare_by) if groups else ():
            if name not in compared:
                console.note(f"{name} is not compared: it has no samples, or no others have")
    console.line("")
    console.line(f"page: {directory.path / PAGE}", style="bold")
    for artifact in updated.fleet:
        if artifact.path != PAGE:
            console.line(f"file: {directory.path / artifact.path}")
