"""``remote-prof diff``: what changed between two profiles, and what is noise."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import complete_profile
from remote_prof.cli.files import STANDARD, read_input, write_output
from remote_prof.errors import UsageError

if TYPE_CHECKING:
    from remote_prof.profile.diff import Side
    from remote_prof.run.debug_files import DebugFiles

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof diff 20260131-1 last

$ remote-prof diff last/prod-3 last/prod-4

$ remote-prof diff 20260131-1 last -o changed.html

$ remote-prof diff before.folded after.folded --json | jq '.movers\\[:5]'

$ remote-prof diff before.txt after.txt --format folded | flamegraph.pl > diff.svg

Each side is a file that convert reads, a run (its id, the start of it, its directory, or 'last'), \
RUN/HOST or RUN/HOST/TARGET; - is standard input. One file alone holds both sides: folded stacks \
with two weights. A file or directory that is there comes before a run of that name.
"""


@flag_sets.shows
def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="BEFORE",
            help="File, run, RUN/HOST or RUN/HOST/TARGET; - is standard input.",
            autocompletion=complete_profile,
        ),
    ],
    after: Annotated[
        str | None,
        typer.Argument(
            metavar="AFTER",
            help="The same; without it, BEFORE is a file of both sides.",
            autocompletion=complete_profile,
            show_default=False,
        ),
    ] = None,
    counts: Annotated[
        bool, typer.Option("--counts", help="Compare weights as they are, not shares.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every function, noise too.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Instead of the text: svg, html, json, or folded (lines 'stack before after').",
        ),
    ] = None,
    as_json: options.AsJson = False,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the format goes to, and which by its ending; - is standard output.",
            show_default=False,
        ),
    ] = "-",
    results: Annotated[
        str | None,
        typer.Option("--results", metavar="DIR", help="Directory that holds the runs (./results)."),
    ] = None,
    debug_dir: options.DebugDir = None,
    *,
    shown: flag_sets.ViewFlags,
) -> None:
    """Compare two profiles: what grew, what shrank, what is new or gone, and what is noise."""
    from remote_prof.cli import comparison_text
    from remote_prof.profile.diff import compare, without_small
    from remote_prof.render.comparison import COMPARISON_RENDERERS
    from remote_prof.run.debug_files import DebugFiles

    # Each has its name for an ending.
    ending = Path(output).suffix.removeprefix(".") if output != STANDARD else None
    chosen = "json" if as_json else form or ending
    if chosen is not None and chosen not in COMPARISON_RENDERERS:
        raise UsageError(
            f"there is no format {chosen!r}" if chosen else "the output format is missing",
            evidence="" if form or as_json else f"the output is {output}",
            hint=f"formats are: {', '.join(COMPARISON_RENDERERS)}",
        )
    symbols = DebugFiles(debug_dir) if debug_dir else None
    sides = _load(before, after, results, shown, symbols)
    comparison = without_small(compare(*sides, counts=counts), shown.min_share / 100)
    for problem in symbols.problems() if symbols else ():
        console.problem(problem)
    comparison_text.show_problems(comparison)
    if chosen is None:
        comparison_text.show(comparison, everything=everything)
        return
    write_output(COMPARISON_RENDERERS[chosen](comparison), output)


def _load(
    before: str,
    after: str | None,
    results: str | None,
    shown: flag_sets.ViewFlags,
    symbols: DebugFiles | None,
) -> tuple[Side, Side]:
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.run.compare import load_both_sides, load_side

    view = shown.view()
    if after is None:
        data = _content(before)
        if data is None:
            raise UsageError(
                f"{before} is to be compared with what?",
                evidence="one argument alone is a file of both sides, and there is no such file",
                hint="name both sides: remote-prof diff BEFORE AFTER",
            )
        return load_both_sides(before, data, view)
    if before == after == STANDARD:
        raise UsageError("both sides cannot be standard input")
    place = resolve_settings({"results": results}).values.results
    load = partial(load_side, keep_offsets=shown.offsets, symbols=symbols)
    return (
        load(before, _content(before), place, view),
        load(after, _content(after), place, view),
    )


def _content(name: str) -> bytes | None:
    """Return what is in a file, or None where the name is of no file."""
    path = Path(name)
    # Not only plain files: <(command) is a pipe.
    if name == STANDARD or (path.exists() and not path.is_dir()):
        return read_input(name)
    return None
