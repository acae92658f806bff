"""``remote-prof convert``: a profile that lies here, in another format."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.files import read_input, write_output
from remote_prof.records import Problem, Severity

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof convert profile.txt --to svg -o flamegraph.svg

$ ssh prod-3 cat profile.txt | remote-prof convert - --to folded | sort -k2 -n | tail

$ remote-prof convert profile.txt --to svg --width 1800 --inverted -o icicle.svg

$ remote-prof convert a.folded b.folded --to speedscope -o both.json

$ remote-prof convert profile.txt --to top | head

$ perf script | remote-prof convert - -o flamegraph.svg

Reads what bpftrace printed (text and JSON), perf script, pprof, folded stacks, py-spy's and \
austin's, and speedscope's JSON, also compressed by gzip; the content tells which it is. Several \
inputs are \
added up.
"""


@flag_sets.shows
def convert(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files; - is standard input.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help=f"One of {options.FORMATS}; else the ending of the output tells.",
        ),
    ] = "",
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help="What the inputs are, instead of looking at them."
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
    debug_dir: options.DebugDir = None,
    title: options.Title = "",
    subtitle: options.Subtitle = "",
    width: options.Width = 1200,
    minwidth: options.MinWidth = 0.1,
    inverted: options.Inverted = False,
    *,
    shown: flag_sets.ViewFlags,
) -> None:
    """Turn a profile into another format, without a host."""
    from remote_prof.parse import check_reader
    from remote_prof.render import Drawing, check_formats, renderers
    from remote_prof.run.convert import format_of, read_profiles, report_of
    from remote_prof.run.debug_files import DebugFiles

    (name,) = check_formats([to or format_of(output)])
    drawn = renderers(Drawing(width, minwidth, inverted))[name]
    symbols = DebugFiles(debug_dir) if debug_dir else None
    sources = (
        (source, symbols.named(data) if symbols else data)
        for source, data in ((source, read_input(source)) for source in inputs)
    )
    view = shown.view()
    by_host = view.group_by == "host"
    profile = read_profiles(
        sources, reader=check_reader(from_), keep_offsets=shown.offsets, by_host=by_host
    )
    for note in profile.notes:
        console.problem(Problem(Severity.WARNING, note))
    for problem in symbols.problems() if symbols else ():
        console.problem(problem)
    # Each input has its host by now.
    view = replace(view, group_by=None) if by_host else view
    report = report_of(profile, inputs, view=view, title=title, subtitle=subtitle)
    write_output(drawn.render(report), output)
