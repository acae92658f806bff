"""``remote-prof convert``: a profile that lies here, in another format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import options
from remote_prof.errors import UsageError

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
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="folded, svg, html or speedscope.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
    title: Annotated[str, typer.Option(help="Title of the picture.")] = "",
    offsets: options.Offsets = False,
) -> None:
    """Turn a profile into another format, without a host."""
    from remote_prof.run.directory import write_atomically
    from remote_prof.run.report import check_formats, convert_profiles

    (name,) = check_formats([to])
    data = convert_profiles(
        [(source, _read(source)) for source in inputs], name, title=title, keep_offsets=offsets
    )
    if output == "-":
        console.write_bytes(data)
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe, which is not to be replaced
        else:
            write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"{output} cannot be written", evidence=str(error)) from error


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"{source} cannot be read", evidence=str(error)) from error
