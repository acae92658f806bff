"""``remote-prof run``: the main job."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import complete_run, remember_containers
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from remote_prof.host.target import TargetSpec
    from remote_prof.records import Host
    from remote_prof.run.invocation import Outcome
    from remote_prof.settings import ResolvedSettings

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof run --host localhost -c local --container api

$ remote-prof run --host prod-3 --container api

$ remote-prof run -H prod-3 -C shop/web -d 30 -F 199 --stacks user

$ remote-prof run -H prod-3 -C api --event offcpu

$ remote-prof run -H prod-3 -C api --engine pyspy

$ remote-prof run -H prod-3 -C api --event dump

$ remote-prof run -H prod-3 -C api --process worker

$ remote-prof run -H prod-3 -C api --dry-run

$ remote-prof run -H prod-3 -C api --json | jq .hosts[0].quality

$ remote-prof run --resume last

Ctrl-C ends the sampling early and keeps what was sampled; a second Ctrl-C leaves at once, and \
the host cleans itself.
"""

_WHAT = "What to sample"
_RESULT = "What comes out"


@flag_sets.connects
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
    verbose: options.Verbose = 0,
    *,
    shown: flag_sets.ViewFlags,
    flags: flag_sets.ConnectFlags,
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
    )
    if resume is not None:
        target = (host, container, label, pid, container_pid, process)
        asked = (
            *target,
            engine,
            event,
            duration,
            frequency,
            stacks,
            native or None,
            call_graph,
            script,
        )
        return _resume(
            resume,
            settings,
            flags,
            refused=dry_run
            or any(word is not None for word in (*asked, scope, image, image_policy, runner)),
            as_json=as_json,
            open_graph=open_graph,
            verbose=verbose,
        )
    asked_for = {
        "duration": duration,
        "frequency": frequency,
        "stacks": stacks,
        "native": native or None,
        "call_graph": call_graph,
        "script": script,
    }
    check_request(settings.values, asked_for)
    text = _script(script)
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
    hosts = select_hosts(host, settings.values, flags)
    if dry_run:
        return _dry_run(hosts, spec, settings, shown=shown, script=text, as_json=as_json)
    return _run(
        hosts,
        spec,
        settings,
        shown=shown,
        script=text,
        as_json=as_json,
        open_graph=open_graph,
        verbose=verbose,
    )


def _script(name: str | None) -> str:
    from remote_prof.cli.files import read_input
    from remote_prof.engines.script import read_script

    return read_script(read_input(name), name) if name is not None else ""


def _run(
    hosts: list[Host],
    spec: TargetSpec,
    settings: ResolvedSettings,
    *,
    shown: flag_sets.ViewFlags,
    script: str,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    from remote_prof.cli.invocation import make_jobs, results_directory
    from remote_prof.run.invocation import run_jobs

    jobs = make_jobs(hosts, spec, settings, shown=shown, script=script)
    with console.progress(jobs[0].request.duration_s) as watch:
        outcome = run_jobs(
            jobs, results=results_directory(hosts, settings), watch=watch, command=sys.argv
        )
    return finish(outcome, as_json=as_json, open_graph=open_graph, verbose=verbose)


def _resume(
    name: str,
    settings: ResolvedSettings,
    flags: flag_sets.ConnectFlags,
    *,
    refused: bool,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    from remote_prof.cli.invocation import resumed_jobs
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.invocation import resume_jobs, unfinished

    if refused:
        raise UsageError(
            "--resume goes on with what was asked then",
            hint="leave away what says which target, and how; or begin a run anew, without it",
        )
    directory = RunDirectory.find(name, settings.values.results)
    jobs = unfinished(resumed_jobs(directory, settings, flags), directory)
    if not jobs:
        console.note(f"run {directory.path.name} is finished: every host has a result")
        return ExitCode.OK
    with console.progress(jobs[0].request.duration_s) as watch:
        outcome = resume_jobs(jobs, directory, watch)
    return finish(outcome, as_json=as_json, open_graph=open_graph, verbose=verbose)


def finish(
    outcome: Outcome, *, as_json: bool, open_graph: bool = False, verbose: int = 0
) -> ExitCode:
    """Print what came of a run, and return its exit code."""
    from remote_prof.cli import summary
    from remote_prof.run.manifest import dump_manifest

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
    shown: flag_sets.ViewFlags,
    script: str,
    as_json: bool,
) -> int:
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import make_jobs
    from remote_prof.run.prepare import open_and_prepare, refusal

    code = ExitCode.OK
    documents = []
    for job in make_jobs(hosts, spec, settings, shown=shown, script=script):
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
