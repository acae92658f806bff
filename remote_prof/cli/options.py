"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof.cli.completion import complete_container, complete_host, complete_run
from remote_prof.errors import UsageError

if TYPE_CHECKING:
    from remote_prof.profile.hottest import WeightBy

_WHERE = "Where"
_PICTURE = "The picture"

# Written out, because --help should not wait for what draws; a test compares it.
FORMATS = "folded, svg, html, speedscope, pprof, gecko, top, top-json"

Inventory = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory",
        "-i",
        metavar="FILE|DIR|HOST,",
        help="Inventory: file, directory, script, or hosts with a comma at the end; repeatable.",
        rich_help_panel=_WHERE,
    ),
]
HostPattern = Annotated[
    str,
    typer.Option(
        "--host",
        "--hosts",
        "-H",
        metavar="PATTERN",
        help="Host, group or pattern of the inventory; localhost needs none.",
        rich_help_panel=_WHERE,
        autocompletion=complete_host,
    ),
]
AnyHostPattern = Annotated[
    str | None,
    typer.Option(
        "--host",
        "--hosts",
        "-H",
        metavar="PATTERN",
        help="Host, group or pattern of the inventory; localhost needs none.",
        rich_help_panel=_WHERE,
        autocompletion=complete_host,
    ),
]
Container = Annotated[
    str | None,
    typer.Option(
        "--container",
        "-C",
        metavar="NAME",
        help="Container: name, start of its id, compose-project/service, or a pattern: api-*.",
        rich_help_panel=_WHERE,
        autocompletion=complete_container,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="auto|NAME",
        help="The profiler by its name (see remote-prof engines); auto chooses for each process.",
        rich_help_panel="What to sample",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="KEY=VALUE",
        help="Containers with this label; repeatable, all must match.",
        rich_help_panel=_WHERE,
    ),
]
Image = Annotated[
    str | None,
    typer.Option("--image", help="Image of the sidecar; it has to be on the host."),
]
ImagePolicy = Annotated[
    str | None,
    typer.Option(
        "--image-policy",
        metavar="never|missing|push",
        help="When the image that was built here is pushed to a host (missing). Nothing is pulled.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; repeatable.")]
DebugDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Name addresses without a name from files of debug symbols of the same build in here.",
        show_default=False,
    ),
]
Title = Annotated[
    str, typer.Option(help="Title of the picture.", rich_help_panel=_PICTURE, show_default=False)
]
Subtitle = Annotated[
    str,
    typer.Option(help="Second line of the picture.", rich_help_panel=_PICTURE, show_default=False),
]
Width = Annotated[
    int,
    typer.Option(
        min=300, max=100_000, metavar="PX", help="Width of the SVG.", rich_help_panel=_PICTURE
    ),
]
MinWidth = Annotated[
    float,
    typer.Option(
        "--minwidth",
        min=0,
        metavar="PX",
        help="Leave frames out of the SVG that are narrower.",
        rich_help_panel=_PICTURE,
    ),
]
Inverted = Annotated[
    bool,
    typer.Option(
        "--inverted", help="Draw an icicle graph: callers above.", rich_help_panel=_PICTURE
    ),
]
Results = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Directory that holds the runs (./results).",
    ),
]
MaxArtifactSize = Annotated[
    str | None,
    typer.Option(
        "--max-artifact-size",
        metavar="SIZE",
        help="Largest file that is taken from a host: 500MB, 1GiB (256MiB).",
    ),
]
Weight = Annotated[
    str,
    typer.Option(
        metavar="samples|host",
        help="Whether a host with more samples counts for more, or all the same.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Run: its id, the start of it, its directory, or 'last'.",
        autocompletion=complete_run,
    ),
]


def check_weight(written: str) -> WeightBy:
    """Return what ``--weight`` means. Raises UsageError."""
    from remote_prof.profile.hottest import WEIGHTINGS

    weighting = next((each for each in WEIGHTINGS if each == written), None)
    if weighting is None:
        raise UsageError(f"--weight {written!r}: it is {' or '.join(WEIGHTINGS)}")
    return weighting
