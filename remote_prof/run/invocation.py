"""One invocation of ``run``: its directory, its jobs, side by side, its manifest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from remote_prof import __version__
from remote_prof.errors import ExitCode, RemoteProfError
from remote_prof.run.directory import RunDirectory, writable
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.job import run_job
from remote_prof.run.launch import find_launch, write_jobs
from remote_prof.run.manifest import MANIFEST_VERSION, HostRecord, Manifest, Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import HostResult, Watch
from remote_prof.settings import Settings

FORKS = Settings().forks

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    directory: RunDirectory
    manifest: Manifest
    results: tuple[HostResult, ...]
    exit_code: ExitCode


def run_jobs(
    jobs: Sequence[HostJob],
    *,
    results: Path,
    watch: Watch,
    command: Sequence[str],
    forks: int = FORKS,
) -> Outcome:
    """Run jobs, write the manifest as it grows, and say how it all ended.

    So many are at work at the same time.

    Raises RemoteProfError where the results cannot be written. A user who leaves at once is noted
    like any other end of a job; the hosts then clean themselves.
    """
    directory = RunDirectory.create(results, jobs[0].run_id)
    manifest = Manifest(
        version=MANIFEST_VERSION,
        run_id=jobs[0].run_id,
        remote_prof_version=__version__,
        command=tuple(command),
        started_at=_now(),
        finished_at="",
        request=jobs[0].request,
        hosts=(),
    )
    # There before anything else: what a killed run left can be found and gone on with.
    with writable(results):
        directory.write_manifest(manifest)
        write_jobs(directory, jobs)
    return _work_off(jobs, directory, manifest, watch, forks)


def resume_jobs(
    jobs: Sequence[HostJob], directory: RunDirectory, watch: Watch, forks: int = FORKS
) -> Outcome:
    """Go on with jobs of an earlier run: what is on a host is followed, the rest is begun.

    Raises RemoteProfError where the results cannot be written, UsageError where another process
    is at work on the run.
    """
    return _work_off(jobs, directory, directory.load_manifest(), watch, forks)


def unfinished(jobs: Sequence[HostJob], directory: RunDirectory) -> list[HostJob]:
    """Return the jobs of a run that have no result yet, or of which a host may hold something."""
    done = {
        record.name
        for record in directory.load_manifest().hosts
        if record.status in (Status.OK, Status.NO_SAMPLES, Status.INTERRUPTED)
    }
    return [job for job in jobs if job.host.name not in done or is_held(job, directory)]


def is_held(job: HostJob, directory: RunDirectory) -> bool:
    """Say whether a host may hold something of a job."""
    return find_launch(directory, job.host) is not None


def _work_off(
    jobs: Sequence[HostJob], directory: RunDirectory, manifest: Manifest, watch: Watch, forks: int
) -> Outcome:
    interrupt = Interrupt()
    done: list[HostResult] = []
    base = manifest
    # As they were named, whichever is ready first.
    places = {name: place for place, name in enumerate(manifest.request.hosts)}

    def run(job: HostJob) -> HostResult:
        return run_job(replace(job, directory=directory.path), base, interrupt, watch)

    def take(result: HostResult) -> None:
        nonlocal manifest
        done.append(result)
        hosts = sorted(_with(manifest.hosts, result.record), key=lambda host: places[host.name])
        manifest = replace(manifest, finished_at=_now(), hosts=tuple(hosts))
        try:
            directory.write_manifest(manifest)
        except RemoteProfError as error:
            # What a job has to say comes first.
            result.error = result.error or error

    with directory.locked(), interrupt.heard():
        if min(forks, len(jobs)) > 1:
            _side_by_side(jobs, run, take, interrupt, forks)
        else:
            for job in jobs:
                take(run(job))
                if interrupt.requested:
                    break
    done.sort(key=lambda result: places[result.record.name])
    code = exit_code(done, interrupted=interrupt.requested)
    return Outcome(directory, manifest, tuple(done), code)


def _side_by_side(
    jobs: Sequence[HostJob],
    run: Callable[[HostJob], HostResult],
    take: Callable[[HostResult], None],
    interrupt: Interrupt,
    forks: int,
) -> None:
    """Run jobs in threads. An interrupt lets no more begin, and ends what is sampled.

    At a second one each says at once what it knows of its host.
    """

    def begin(job: HostJob) -> HostResult | None:
        return None if interrupt.requested else run(job)

    pool = ThreadPoolExecutor(forks, thread_name_prefix="host")
    waiting = {pool.submit(begin, job) for job in jobs}
    try:
        with interrupt.left_to_threads():
            while waiting:
                done, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
                for future in done:
                    if result := future.result():
                        take(result)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with(records: Sequence[HostRecord], new: HostRecord) -> tuple[HostRecord, ...]:
    """Return the records with one more, in place of an earlier one of that host."""
    names = [record.name for record in records]
    if new.name not in names:
        return (*records, new)
    return tuple(new if record.name == new.name else record for record in records)


def exit_code(results: Sequence[HostResult], *, interrupted: bool) -> ExitCode:
    """Return what a shell is told: a lone host's own error, else the worst that is common."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if len(results) == 1:
        error = results[0].error
        return error.exit_code if error else ExitCode.OK
    statuses = {result.record.status for result in results}
    if Status.FAILED in statuses:
        return ExitCode.SOME_FAILED
    if Status.UNREACHABLE in statuses:
        return ExitCode.UNREACHABLE
    return ExitCode.NO_SAMPLES if Status.NO_SAMPLES in statuses else ExitCode.OK


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
