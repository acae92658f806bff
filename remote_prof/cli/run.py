"""``remote-prof run``: the main job."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import options
from remote_prof.cli.completion import remember_containers
from remote_prof.errors import ExitCode

if TYPE_CHECKING:
    from remote_prof.host.target import TargetSpec
    from remote_prof.records import Host
    from remote_prof.settings import ResolvedSettings

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof run --host localhost -c local --container api

$ remote-prof run --host prod-3 --container api

$ remote-prof run -H prod-3 -C shop/web -d 30 -F 199 --stacks user

$ remote-prof run -H prod-3 -C api --process worker

$ remote-prof run -H prod-3 -C api --dry-run

$ remote-prof run -H prod-3 -C api --json | jq .hosts[0].quality

Ctrl-C ends the sampling early and keeps what was sampled; a second Ctrl-C leaves at once, and \
the host cleans itself.
"""

_WHAT = "What to sample"
_RESULT = "What comes out"


def run(
    host: options.HostPattern,
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
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            "-d",
            metavar="TIME",
            help="How long to sample: 30, 30s, 2m (10s).",
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
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="folded, svg, speedscope; repeatable (all).",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    offsets: options.Offsets = False,
    as_json: options.AsJson = False,
    open_graph: Annotated[
        bool, typer.Option("--open", help="Open the flame graph.", rich_help_panel=_RESULT)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read the host, print the plan, and change nothing."),
    ] = False,
    connection: options.Connection = None,
    user: options.User = None,
    port: options.Port = None,
    identity: options.Identity = None,
    connect_timeout: options.ConnectTimeout = None,
    host_key_checking: options.HostKeyChecking = None,
    ask_become_pass: options.AskBecomePass = False,
    verbose: options.Verbose = 0,
) -> int:
    """Profile a container and draw its flame graph.

    Samples the on-CPU stacks of every process in the container, also of those that start in the
    meantime, and leaves the host as it was.
    """
    from remote_prof.cli.invocation import (
        ConnectFlags,
        resolve_settings,
        select_hosts,
        target_spec,
    )

    flags = ConnectFlags(
        connection, user, port, identity, connect_timeout, host_key_checking, ask_become_pass
    )
    settings = resolve_settings(
        flags.settings()
        | {
            "inventory": inventory,
            "image": image,
            "duration": duration,
            "frequency": frequency,
            "stacks": stacks,
            "scope": scope,
            "runner": runner,
            "results": output,
            "formats": tuple(formats) if formats else None,
            "privileged": privileged or None,
        }
    )
    spec = target_spec(
        container=container,
        labels=label,
        scope=settings.values.scope,
        pid=pid,
        container_pid=container_pid,
        process=process,
    )
    hosts = select_hosts(host, settings.values, flags)
    if dry_run:
        return _dry_run(hosts, spec, settings, offsets=offsets, as_json=as_json)
    return _run(
        hosts,
        spec,
        settings,
        offsets=offsets,
        as_json=as_json,
        open_graph=open_graph,
        verbose=verbose,
    )


def _run(
    hosts: list[Host],
    spec: TargetSpec,
    settings: ResolvedSettings,
    *,
    offsets: bool,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import make_jobs, results_directory
    from remote_prof.run.invocation import run_jobs
    from remote_prof.run.manifest import dump_manifest

    jobs = make_jobs(hosts, spec, settings, offsets=offsets)
    with console.progress(settings.values.duration_s) as watch:
        outcome = run_jobs(
            jobs, results=results_directory(hosts, settings), watch=watch, command=sys.argv
        )
    for result in outcome.results:
        if result.containers:
            remember_containers(result.record.name, result.containers)
        summary.show_problems(result, verbose=verbose)
        if not as_json:
            summary.show(result, outcome.directory, verbose=verbose)
    if as_json:
        console.write(dump_manifest(outcome.manifest).decode())
    if open_graph:
        summary.open_graph(outcome)
    return outcome.exit_code


def _dry_run(
    hosts: list[Host],
    spec: TargetSpec,
    settings: ResolvedSettings,
    *,
    offsets: bool,
    as_json: bool,
) -> int:
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import make_jobs
    from remote_prof.run.prepare import open_and_prepare, refusal

    code = ExitCode.OK
    documents = []
    for job in make_jobs(hosts, spec, settings, offsets=offsets):
        prepared = open_and_prepare(job)
        remember_containers(job.host.name, prepared.state.containers)
        for problem in prepared.problems:
            console.problem(problem)
        if prepared.plan is None:
            code = refusal(prepared).exit_code
        else:
            documents.append(summary.plan_document(job, prepared))
            if not as_json:
                summary.show_plan(job, prepared)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    return code
