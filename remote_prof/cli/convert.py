"""``remote-prof convert``: a profile that lies here, in another format."""

from __future__ import annotations

from typing import Annotated

import typer

from remote_prof.cli import options
from remote_prof.cli.files import read_input, write_output

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof convert profile.txt --to svg -o flamegraph.svg

$ ssh prod-3 cat profile.txt | remote-prof convert - --to folded | sort -k2 -n | tail

$ remote-prof convert a.folded b.folded --to speedscope -o both.json

Reads what bpftrace printed (maps whose keys are stacks) and folded stacks; several inputs are \
added up.
"""


def convert(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files; - is standard input.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="folded, svg or speedscope.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
    title: Annotated[str, typer.Option(help="Title of the picture.")] = "",
    offsets: options.Offsets = False,
) -> None:
    """Turn a profile into another format, without a host."""
    from remote_prof.run.report import check_formats, convert_profiles

    (name,) = check_formats([to])
    data = convert_profiles(
        [(source, read_input(source)) for source in inputs], name, title=title, keep_offsets=offsets
    )
    write_output(data, output)
