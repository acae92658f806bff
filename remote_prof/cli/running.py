"""What ``run`` does once it knows what is asked: begin, go on, or only look; and what it prints."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli.completion import remember_containers
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from remote_prof.cli import flag_sets
    from remote_prof.fleet.invocation import Outcome
    from remote_prof.host.target import TargetSpec
    from remote_prof.records import Host, Library
    from remote_prof.run.result import HostResult
    from remote_prof.settings import ResolvedSettings


def start(
    hosts: list[Host],
    spec: TargetSpec,
    settings: ResolvedSettings,
    *,
    shown: flag_sets.ViewFlags,
    script: str,
    library: tuple[Library, str] | None,
    missing_ok: bool,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    """Run on these hosts, and return the exit code."""
    from remote_prof.cli.invocation import make_jobs, results_directory
    from remote_prof.fleet.invocation import run_jobs
    from remote_prof.fleet.policy import Policy

    jobs = make_jobs(hosts, spec, settings, shown=shown, script=script, library=library)
    jobs = [replace(job, missing_ok=missing_ok) for job in jobs]
    with console.progress(jobs[0].request.duration_s) as watch:
        outcome = run_jobs(
            jobs,
            results=results_directory(hosts, settings),
            watch=watch,
            command=sys.argv,
            policy=Policy.of(settings.values),
            executor=settings.values.executor,
        )
    return finish(outcome, as_json=as_json, open_graph=open_graph, verbose=verbose)


def resume(
    name: str,
    settings: ResolvedSettings,
    flags: flag_sets.ConnectFlags,
    *,
    refused: bool,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    """Go on with a run; return the exit code. Raises UsageError where more is ``refused``."""
    from remote_prof.cli.resuming import resumed_jobs
    from remote_prof.fleet.invocation import resume_jobs, unfinished
    from remote_prof.fleet.policy import Policy
    from remote_prof.run.directory import RunDirectory

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
        values = settings.values
        outcome = resume_jobs(jobs, directory, watch, Policy.of(values), values.executor)
    return finish(outcome, as_json=as_json, open_graph=open_graph, verbose=verbose)


def finish(
    outcome: Outcome, *, as_json: bool, open_graph: bool = False, verbose: int = 0
) -> ExitCode:
    """Print what came of a run, and return its exit code."""
    from remote_prof.cli import summary
    from remote_prof.run.manifest import dump_manifest

    alone = len(outcome.manifest.request.hosts) == 1
    for result in outcome.results:
        if result.containers:
            remember_containers(result.record.name, result.containers)
        summary.show_problems(result, verbose=verbose, alone=alone)
        if not as_json and (alone or verbose):
            summary.show(_whole(result, outcome), outcome.directory, verbose=verbose)
    for problem in outcome.problems:
        console.problem(problem)
    if as_json:
        console.write(dump_manifest(outcome.manifest).decode())
    elif outcome.fleet is not None:
        from remote_prof.cli.fleet_summary import show_recap

        show_recap(outcome, outcome.fleet)
    if open_graph:
        summary.open_graph(outcome)
    return outcome.exit_code


def _whole(result: HostResult, outcome: Outcome) -> HostResult:
    """Return a result with its analysis, which is not kept where there are several."""
    from remote_prof.run.remake import load_analysis

    record, manifest = result.record, outcome.manifest
    if result.analysis is not None or not record.quality:
        return result
    request = manifest.request
    analysis = load_analysis(
        outcome.directory, manifest, record, keep_offsets=request.offsets, view=request.view
    )
    return replace(result, analysis=analysis)


def dry_run(
    hosts: list[Host],
    spec: TargetSpec,
    settings: ResolvedSettings,
    *,
    shown: flag_sets.ViewFlags,
    script: str,
    library: tuple[Library, str] | None,
    as_json: bool,
) -> int:
    """Print what would be run on these hosts, and return the exit code."""
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import make_jobs
    from remote_prof.run.prepare import open_and_prepare, refusal

    code = ExitCode.OK
    documents = []
    for job in make_jobs(hosts, spec, settings, shown=shown, script=script, library=library):
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
