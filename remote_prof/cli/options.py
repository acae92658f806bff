"""Options that several commands share, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

from remote_prof.cli.completion import complete_container, complete_host, complete_run

_SSH = "How to connect"
_WHERE = "Where"

Inventory = Annotated[
    str | None,
    typer.Option(
        "--inventory",
        "-i",
        metavar="FILE|HOST,",
        help="Inventory file, or a list of hosts that ends in a comma.",
        rich_help_panel=_WHERE,
    ),
]
HostPattern = Annotated[
    str,
    typer.Option(
        "--host",
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
        help="Container: name, start of its id, or compose-project/service.",
        rich_help_panel=_WHERE,
        autocompletion=complete_container,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="KEY=VALUE",
        help="Container with this label; repeatable, all must match.",
        rich_help_panel=_WHERE,
    ),
]
Connection = Annotated[
    str | None,
    typer.Option(
        "--connection",
        "-c",
        metavar="ssh|local",
        help="ssh, or local for the engine of this machine.",
        rich_help_panel=_SSH,
    ),
]
User = Annotated[
    str | None,
    typer.Option("--user", "-u", help="Log in as this user.", rich_help_panel=_SSH),
]
Port = Annotated[
    int | None,
    typer.Option("--port", "-p", help="Port of the SSH server.", rich_help_panel=_SSH),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity", metavar="FILE", help="Private key to log in with.", rich_help_panel=_SSH
    ),
]
ConnectTimeout = Annotated[
    str | None,
    typer.Option(
        "--connect-timeout",
        metavar="TIME",
        help="How long to wait for a host to answer (10s).",
        rich_help_panel=_SSH,
    ),
]
HostKeyChecking = Annotated[
    str | None,
    typer.Option(
        "--host-key-checking",
        metavar="yes|accept-new|no",
        help="yes: known host keys only. accept-new: take and remember unknown ones (yes).",
        rich_help_panel=_SSH,
    ),
]
AskBecomePass = Annotated[
    bool,
    typer.Option(
        "--ask-become-pass",
        "-K",
        help="Ask for the sudo password, where the login may not use the engine itself.",
        rich_help_panel=_SSH,
    ),
]
Image = Annotated[
    str | None,
    typer.Option("--image", help="Image of the sidecar; it has to be on the host."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; repeatable.")]
Offsets = Annotated[
    bool,
    typer.Option("--offsets", help="Keep offsets into functions; they split one into many frames."),
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
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Run: its id, the start of it, its directory, or 'last'.",
        autocompletion=complete_run,
    ),
]
