"""``remote-prof clean``: what earlier runs left on hosts."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import complete_run
from remote_prof.errors import ExitCode, RemoteProfError, UnreachableError, UsageError

if TYPE_CHECKING:
    from remote_prof.records import Host
    from remote_prof.run.clean import Remnant
    from remote_prof.run.directory import RunDirectory
    from remote_prof.settings import ResolvedSettings

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof clean --host prod-3 --dry-run

$ remote-prof clean --host 'web:&prod'

$ remote-prof clean last

A run that is still at work, or being fetched, is left alone unless it is named.
"""


@flag_sets.connects
def clean(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="This run alone, also if it is still at work; on its own hosts.",
            autocompletion=complete_run,
        ),
    ] = None,
    host: options.AnyHostPattern = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is there, and remove nothing.")
    ] = False,
    inventory: options.Inventory = None,
    output: options.Results = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """Remove what earlier runs left on hosts, and nothing else.

    Finds containers by their label, launchers by their pid files, and directories by their names
    and what is in them.
    """
    from remote_prof.cli.invocation import facts_query, resolve_settings, ssh_options
    from remote_prof.run.clean import open_and_clean
    from remote_prof.run.launch import forget_held

    settings = resolve_settings(flags.settings() | {"inventory": inventory, "results": output})
    hosts, run_id, directory = _choose(run, host, settings, flags)
    code = ExitCode.OK
    rows: list[tuple[str, ...]] = []
    documents: list[dict[str, object]] = []
    for chosen in hosts:
        try:
            found = open_and_clean(
                chosen,
                ssh_options(chosen, settings),
                facts_query(chosen, settings),
                run_id=run_id,
                remove=not dry_run,
            )
        except RemoteProfError as error:
            console.error(error)
            unreachable = isinstance(error, UnreachableError)
            code = code or (ExitCode.UNREACHABLE if unreachable else ExitCode.ERROR)
            continue
        if any(remnant.removed is False for remnant in found):
            code = ExitCode.ERROR
        elif directory is not None and not dry_run:
            forget_held(directory, chosen)
        rows += [_row(chosen, remnant) for remnant in found]
        documents += [{"host": chosen.name} | dataclasses.asdict(r) for r in found]
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    elif rows:
        console.table(("host", "run", "what", "state", ""), rows)
        if run_id is None and any(d["state"] in ("running", "fetching") for d in documents):
            console.note("a run that is still at work ends when it is named: remote-prof clean RUN")
    elif code == ExitCode.OK:
        console.line(f"nothing of a run is on {', '.join(h.name for h in hosts)}")
    return code


def _choose(
    run: str | None, pattern: str | None, settings: ResolvedSettings, flags: flag_sets.ConnectFlags
) -> tuple[list[Host], str | None, RunDirectory | None]:
    """Return the hosts, the id of the only run that counts, and its directory if it is here."""
    from remote_prof.cli.invocation import select_hosts
    from remote_prof.cli.resuming import resumed_jobs
    from remote_prof.run.clean import is_run_id
    from remote_prof.run.directory import RunDirectory

    if run is None:
        if pattern is None:
            raise UsageError(
                "there is nothing to look at", hint="name hosts (--host web), or a run"
            )
        return select_hosts(pattern, settings.values, flags), None, None
    here = (settings.values.results / run).is_dir()
    if pattern is not None and is_run_id(run) and not here:
        return select_hosts(pattern, settings.values, flags), run, None
    directory = RunDirectory.find(run, settings.values.results)
    hosts = (
        [job.host for job in resumed_jobs(directory, settings, flags)]
        if pattern is None
        else select_hosts(pattern, settings.values, flags)
    )
    return hosts, directory.path.name, directory


def _row(host: Host, remnant: Remnant) -> tuple[str, ...]:
    from remote_prof.run.clean import STATES

    done = {True: "removed", False: "could not be removed", None: ""}[remnant.removed]
    name = remnant.name if remnant.kind == "directory" else remnant.name[:12]
    what = f"{remnant.kind} {name}"
    return (host.name, remnant.run_id, what, STATES[remnant.state], done)
