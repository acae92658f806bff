"""What ``run`` does once it knows what is asked: begin, go on, or only look; and what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli.completion import remember_containers
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from remote_prof.cli import flag_sets
    from remote_prof.console.progress import Watcher
    from remote_prof.fleet.events import Events
    from remote_prof.fleet.invocation import Outcome
    from remote_prof.fleet.rounds import Rounds
    from remote_prof.host.target import TargetSpec
    from remote_prof.records import Host, Library
    from remote_prof.run.manifest import HostRecord
    from remote_prof.run.prepare import HostJob
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
    rounds: Rounds | None,
    events: str | None,
    as_json: bool,
    open_graph: bool,
    verbose: int,
) -> int:
    """Run on these hosts, once or in rounds, and return the exit code."""
    from remote_prof.cli.invocation import make_jobs, results_directory
    from remote_prof.fleet.invocation import run_jobs
    from remote_prof.fleet.policy import Policy

    def run() -> Outcome:
        made = make_jobs(hosts, spec, settings, shown=shown, script=script, library=library)
        jobs = [replace(job, missing_ok=missing_ok, several=spec.may_be_several) for job in made]
        with listening(jobs, events) as told:
            outcome = run_jobs(
                jobs,
                results=results_directory(hosts, settings),
                watch=told.stage,
                command=sys.argv,
                policy=Policy.of(settings.values),
                executor=settings.values.executor,
                ended=told.host,
                parted=told.targets,
            )
            told.over(outcome)
        return outcome

    if rounds is not None:
        from remote_prof.cli.rounds import work_off

        return work_off(rounds, run, as_json=as_json)
    return finish(run(), as_json=as_json, open_graph=open_graph, verbose=verbose)


def resume(
    name: str,
    settings: ResolvedSettings,
    flags: flag_sets.ConnectFlags,
    *,
    refused: bool,
    events: str | None,
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
    values = settings.values
    with listening(jobs, events) as told:
        outcome = resume_jobs(
            jobs,
            directory,
            told.stage,
            Policy.of(values),
            values.executor,
            told.host,
            told.targets,
        )
        told.over(outcome)
    return finish(outcome, as_json=as_json, open_graph=open_graph, verbose=verbose)


@dataclass(frozen=True, slots=True)
class Listener:
    """Is told what happens to hosts: it shows that, and writes it down where it is wanted."""

    shown: Watcher
    events: Events | None = None

    def stage(self, host: str, stage: str) -> None:
        """Hear that a host comes to a stage."""
        self.shown(host, stage)
        if self.events is not None:
            self.events.stage(host, stage)

    def host(self, record: HostRecord) -> None:
        """Hear what came of a host."""
        self.shown.ended(record.name, record.status, record.error)
        if self.events is not None:
            self.events.host(record)

    def targets(self, host: str, names: Sequence[str]) -> None:
        """Hear that a host has several targets."""
        self.shown.parted(len(names))
        if self.events is not None:
            self.events.targets(host, names)

    def over(self, outcome: Outcome) -> None:
        """Hear how it all ended."""
        if self.events is not None:
            self.events.ended(outcome.exit_code)


@contextmanager
def listening(jobs: Sequence[HostJob], events: str | None = None) -> Iterator[Listener]:
    """Give what hears of these jobs; ``events`` is a file for JSON lines. Raises UsageError."""
    from remote_prof.console.progress import progress

    first = jobs[0]
    with ExitStack() as stack:
        written = None
        if events is not None:
            from remote_prof.fleet.events import Events

            written = stack.enter_context(Events(Path(events)))
            written.begun(first.run_id, tuple(job.name for job in jobs))
        with progress(first.request.duration_s, len(jobs)) as shown:
            yield Listener(shown, written)
    if written is not None and written.problem is not None:
        console.problem(written.problem)


def finish(
    outcome: Outcome, *, as_json: bool, open_graph: bool = False, verbose: int = 0
) -> ExitCode:
    """Print what came of a run, and return its exit code."""
    from remote_prof.cli import summary
    from remote_prof.run.manifest import dump_manifest

    alone = outcome.fleet is None
    for result in outcome.results:
        if result.containers:
            remember_containers(result.record.host_name, result.containers)
        if alone:
            summary.show_problems(result, verbose=verbose)
        if not as_json and (alone or verbose):
            summary.show(_whole(result, outcome), outcome.directory, verbose=verbose)
    if not alone:
        from remote_prof.cli import fleet_summary

        fleet_summary.show_problems(outcome.results, verbose=verbose)
    for problem in outcome.problems:
        console.problem(problem)
    if as_json:
        console.write(dump_manifest(outcome.manifest).decode())
    elif outcome.fleet is not None:
        fleet_summary.show_recap(outcome, outcome.fleet)
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
    for made in make_jobs(hosts, spec, settings, shown=shown, script=script, library=library):
        for job, prepared in open_and_prepare(replace(made, several=spec.may_be_several)):
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
