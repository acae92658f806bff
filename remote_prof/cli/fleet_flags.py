"""Options of what a run may do to a fleet at once, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, TypeVar

import typer

from remote_prof.cli.flag_sets import with_options

_R = TypeVar("_R")
_FLEET = "Many hosts"


@dataclass(frozen=True, slots=True)
class FleetFlags:
    """What the command line says of how hosts take turns; each is a setting, None leaves it so.

    Each field is an option of every command that ``spreads``.
    """

    forks: Annotated[
        int | None,
        typer.Option(
            "--forks",
            "-f",
            metavar="N",
            help="How many hosts are at work at the same time (25).",
            rich_help_panel=_FLEET,
        ),
    ] = None
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="threads|dask://HOST:PORT",
            help="What works hosts off: this machine, or a Dask cluster near them (threads).",
            rich_help_panel=_FLEET,
        ),
    ] = None
    serial: Annotated[
        str | None,
        typer.Option(
            metavar="N|N%|LIST",
            help="Batches of so many hosts: 10, 30%, or 1,10,30%; each is over before the next.",
            rich_help_panel=_FLEET,
        ),
    ] = None
    order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="inventory, reverse_inventory, sorted, reverse_sorted or shuffle (inventory).",
            rich_help_panel=_FLEET,
        ),
    ] = None
    max_fail_percentage: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="Begin no more hosts when more than this part of a batch has failed.",
            rich_help_panel=_FLEET,
        ),
    ] = None
    any_errors_fatal: Annotated[
        bool,
        typer.Option(
            "--any-errors-fatal",
            help="Begin no more hosts when one has failed.",
            rich_help_panel=_FLEET,
        ),
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long one host may take, from the login to the clean-up.",
            rich_help_panel=_FLEET,
        ),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="How long all hosts may take together.", rich_help_panel=_FLEET
        ),
    ] = None
    connect_rate: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many hosts may begin in a second, for a bastion's sake.",
            rich_help_panel=_FLEET,
        ),
    ] = None
    retries: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How often a host that cannot be reached is tried again (0).",
            rich_help_panel=_FLEET,
        ),
    ] = None

    sidecars_per_host: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many sidecars are on a host at the same time, for several targets (4).",
            rich_help_panel=_FLEET,
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """Return them by the names of the settings."""
        return asdict(self) | {"any_errors_fatal": self.any_errors_fatal or None}


def spreads(command: Callable[..., _R]) -> Callable[..., _R]:
    """Give a command the options of ``FleetFlags``; it takes them as one, ``fleet``."""
    return with_options(command, FleetFlags, "fleet")
