"""One invocation of ``run``: its directory, its jobs one after the other, its manifest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remote_prof import __version__
from remote_prof.errors import ExitCode
from remote_prof.run.directory import RunDirectory
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.job import HostResult, Watch, run_job
from remote_prof.run.manifest import MANIFEST_VERSION, Manifest, Status
from remote_prof.run.prepare import HostJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    directory: RunDirectory
    manifest: Manifest
    results: tuple[HostResult, ...]
    exit_code: ExitCode


def run_jobs(
    jobs: Sequence[HostJob], *, results: Path, watch: Watch, command: Sequence[str]
) -> Outcome:
    """Run jobs, write the manifest as it grows, and say how it all ended.

    Raises RemoteProfError where the results cannot be written. A user who leaves at once is noted
    like any other end of a job; the hosts then clean themselves.
    """
    directory = RunDirectory.create(results, jobs[0].run_id)
    interrupt = Interrupt()
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
    # There before anything else: what a killed run left can be found and reported.
    directory.write_manifest(manifest)
    done: list[HostResult] = []
    with interrupt.heard():
        for job in jobs:
            done.append(run_job(replace(job, directory=directory.path), interrupt, watch))
            manifest = replace(
                manifest, finished_at=_now(), hosts=tuple(result.record for result in done)
            )
            directory.write_manifest(manifest)
            if interrupt.requested:
                break
    code = exit_code(done, interrupted=interrupt.requested)
    return Outcome(directory, manifest, tuple(done), code)


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
