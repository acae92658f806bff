"""``remote-prof run``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof.cli import flag_sets, fleet_flags, options, running
from remote_prof.cli.completion import complete_run
from remote_prof.errors import UsageError

if TYPE_CHECKING:
    from remote_prof.records import Library

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof run --host localhost -c local --container api

$ remote-prof run --host prod-3 --container api

$ remote-prof run -H prod-3 -C shop/web -d 30 -F 199 --stacks user

$ remote-prof run -H prod-3 -C api --event offcpu

$ remote-prof run -H prod-3 -C api --engine pyspy

$ remote-prof run -H prod-3 -C api --event dump

$ remote-prof run -H prod-3 -C api --process worker

$ remote-prof run -H prod-3 -C 'api-*'

$ remote-prof run -H prod-3 -C api --dry-run

$ remote-prof run -H prod-3 -C api --json | jq .hosts[0].quality

$ remote-prof run --resume last

Ctrl-C ends the sampling early and keeps what was sampled; a second Ctrl-C leaves at once, and \
the host cleans itself.
"""

_WHAT = "What to sample"
_RESULT = "What comes out"
_ROUNDS = "Rounds"


@flag_sets.connects
@fleet_flags.spreads
@flag_sets.shows
def run(
    host: options.AnyHostPattern = None,
    container: options.Container = None,
    label: options.Labels = None,
    inventory: options.Inventory = None,
    scope: Annotated[
        str | None,
        typer.Option(
            metavar="container|process",
            help="Every process of the container, or its main process alone (container).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    pid: Annotated[
        int | None, typer.Option(help="One process, by its pid on the host.", rich_help_panel=_WHAT)
    ] = None,
    container_pid: Annotated[
        int | None,
        typer.Option(help="One process, by its pid inside the container.", rich_help_panel=_WHAT),
    ] = None,
    process: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The processes of this name.", rich_help_panel=_WHAT),
    ] = None,
    engine: options.Engine = None,
    event: Annotated[
        str | None,
        typer.Option(
            "--event",
            "-e",
            metavar="EVENT",
            help="What to measure: cpu, offcpu, malloc, wall, ...; see remote-prof engines (cpu).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A profiler of your own: a script that declares what it prints, or -.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    async_profiler: Annotated[
        str | None,
        typer.Option(
            "--async-profiler",
            metavar="DIR",
            help="Sample JVMs by the async-profiler that is unpacked there.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    native: Annotated[
        bool,
        typer.Option(
            "--native", help="Native code between Python's functions, too.", rich_help_panel=_WHAT
        ),
    ] = False,
    call_graph: Annotated[
        str | None,
        typer.Option(
            "--call-graph",
            metavar="HOW",
            help="How perf unwinds stacks: fp, dwarf or lbr (default: fp).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            "-d",
            metavar="TIME",
            help="How long to sample: 30, 30s, 2m (10s); a dump takes none.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    frequency: Annotated[
        int | None,
        typer.Option(
            "--frequency",
            "-F",
            metavar="HZ",
            help="Samples a second on each CPU (99).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    stacks: Annotated[
        str | None,
        typer.Option(
            metavar="user|kernel|both", help="Which stacks (both).", rich_help_panel=_WHAT
        ),
    ] = None,
    image: options.Image = None,
    image_policy: options.ImagePolicy = None,
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="auto|compose|engine",
            help="What starts the sidecar; auto takes compose where the host has it (auto).",
        ),
    ] = None,
    privileged: Annotated[
        bool,
        typer.Option("--privileged", help="Run the sidecar privileged, where nothing less works."),
    ] = False,
    output: options.Results = None,
    max_artifact_size: options.MaxArtifactSize = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"{options.FORMATS}; repeatable (folded, svg, html, speedscope).",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    as_json: options.AsJson = False,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write what happens, as it happens, as JSON lines.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    open_graph: Annotated[
        bool, typer.Option("--open", help="Open the flame graph.", rich_help_panel=_RESULT)
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with an earlier run: follow, fetch, clean, begin the rest.",
            autocompletion=complete_run,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read the host, print the plan, and change nothing."),
    ] = False,
    missing_ok: Annotated[
        bool,
        typer.Option(
            "--missing-ok", help="A host without that container is skipped, and has not failed."
        ),
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Run again and again, that often.", rich_help_panel=_ROUNDS
        ),
    ] = None,
    times: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many rounds.", rich_help_panel=_ROUNDS),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM", help="Begin no round after that time.", rich_help_panel=_ROUNDS
        ),
    ] = None,
    verbose: options.Verbose = 0,
    *,
    shown: flag_sets.ViewFlags,
    flags: flag_sets.ConnectFlags,
    fleet: fleet_flags.FleetFlags,
) -> int:
    """Profile a container and draw its flame graph.

    Samples the on-CPU stacks of every process in the container, also of those that start in the
    meantime, and leaves the host as it was.
    """
    from remote_prof.cli.invocation import (
        check_request,
        resolve_settings,
        select_hosts,
        target_spec,
    )
    from remote_prof.cli.rounds import read_rounds
    from remote_prof.fleet.policy import ordered

    settings = resolve_settings(
        flags.settings()
        | {
            "inventory": inventory,
            "image": image,
            "image_policy": image_policy,
            "duration": duration,
            "frequency": frequency,
            "engine": engine or ("script" if script is not None else None),
            "event": event,
            "native": native or None,
            "call_graph": call_graph,
            "stacks": stacks,
            "scope": scope,
            "runner": runner,
            "results": output,
            "formats": tuple(formats) if formats else None,
            "privileged": privileged or None,
            "max_artifact_size": max_artifact_size,
        }
        | fleet.settings()
    )
    options_given = {
        "duration": duration,
        "frequency": frequency,
        "stacks": stacks,
        "native": native or None,
        "call_graph": call_graph,
        "script": script,
        "async_profiler": async_profiler,
    }
    if resume is not None:
        target = (host, container, label, pid, container_pid, process, scope)
        others = (*target, engine, event, image, image_policy, runner, *options_given.values())
        others = (*others, every, times, until)
        return running.resume(
            resume,
            settings,
            flags,
            events=events,
            refused=dry_run or missing_ok or any(word is not None for word in others),
            as_json=as_json,
            open_graph=open_graph,
            verbose=verbose,
        )
    check_request(settings.values, options_given)
    text = _script(script)
    library = _library(async_profiler)
    if host is None:
        raise UsageError("Missing option '--host' / '-H'.", hint="remote-prof run --help")
    spec = target_spec(
        container=container,
        labels=label,
        scope=settings.values.scope,
        pid=pid,
        container_pid=container_pid,
        process=process,
    )
    hosts = ordered(select_hosts(host, settings.values, flags), settings.values.order)
    if dry_run:
        return running.dry_run(
            hosts, spec, settings, shown=shown, script=text, library=library, as_json=as_json
        )
    return running.start(
        hosts,
        spec,
        settings,
        shown=shown,
        script=text,
        library=library,
        missing_ok=missing_ok,
        rounds=read_rounds(every, times, until),
        events=events,
        as_json=as_json,
        open_graph=open_graph,
        verbose=verbose,
    )


def _script(name: str | None) -> str:
    from remote_prof.cli.files import read_input
    from remote_prof.engines.script import read_script

    return read_script(read_input(name), name) if name is not None else ""


def _library(name: str | None) -> tuple[Library, str] | None:
    from remote_prof.cli.files import read_input
    from remote_prof.engines.async_profiler import PLACES, read_library

    if name is None:
        return None
    paths = [Path(name), *(Path(name) / place for place in PLACES)]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UsageError(
            f"there is no async-profiler in {name}",
            evidence=f"it has neither {' nor '.join(PLACES)}",
            hint="unpack a release for the hosts' architecture, and give its directory",
        )
    return read_library(read_input(str(found)), str(found))
