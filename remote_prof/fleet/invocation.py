"""One invocation of ``run``: its directory, its jobs, its manifest, and how it all ended."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof import __version__
from remote_prof.errors import ExitCode, RemoteProfError, UsageError
from remote_prof.fleet.answer import Fleet
from remote_prof.fleet.files import add_missing, write_fleet
from remote_prof.fleet.parcel import refuse_secrets
from remote_prof.fleet.places import Local, Place
from remote_prof.fleet.policy import Policy
from remote_prof.fleet.shift import Shift
from remote_prof.records import Problem, Severity
from remote_prof.run.directory import RunDirectory, writable
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.launch import find_launch, forget_launch, write_jobs
from remote_prof.run.manifest import MANIFEST_VERSION, Manifest, Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import Ended, HostResult, Watch

RETRY = "hosts.retry"
THREADS = "threads"

if TYPE_CHECKING:
    from remote_prof.fleet.cluster import Cluster

# Of the time, at most that part goes into writing run.json while hosts are at work: it grows with
# each, and is written whole.
_WRITING_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run.

    ``stopped`` says why hosts were not begun, where it was not the user. Of several hosts
    ``fleet`` has what they say together, and ``results`` have no analyses.
    """

    directory: RunDirectory
    manifest: Manifest
    results: tuple[HostResult, ...]
    exit_code: ExitCode
    stopped: str = ""
    fleet: Fleet | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def not_begun(self) -> tuple[str, ...]:
        """The hosts of which the run has nothing to say."""
        known = {host.name for host in self.manifest.hosts}
        return tuple(name for name in self.manifest.request.hosts if name not in known)


def run_jobs(
    jobs: Sequence[HostJob],
    *,
    results: Path,
    watch: Watch,
    command: Sequence[str],
    policy: Policy = Policy(),  # noqa: B008  it is frozen
    executor: str = THREADS,
    ended: Ended = lambda _: None,
) -> Outcome:
    """Run jobs, write the manifest as it grows, and say how it all ended.

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
    return _work_off(jobs, directory, manifest, watch, policy, executor, ended)


def resume_jobs(
    jobs: Sequence[HostJob],
    directory: RunDirectory,
    watch: Watch,
    policy: Policy = Policy(),  # noqa: B008  it is frozen
    executor: str = THREADS,
    ended: Ended = lambda _: None,
) -> Outcome:
    """Go on with jobs of an earlier run: what is on a host is followed, the rest is begun.

    Raises RemoteProfError where the results cannot be written, UsageError where another process
    is at work on the run.
    """
    return _work_off(jobs, directory, directory.load_manifest(), watch, policy, executor, ended)


def unfinished(jobs: Sequence[HostJob], directory: RunDirectory) -> list[HostJob]:
    """Return the jobs of a run that have no result yet, or of which a host may hold something."""
    done = {record.name for record in directory.load_manifest().hosts if record.status.has_ended}
    return [job for job in jobs if job.host.name not in done or is_held(job, directory)]


def is_held(job: HostJob, directory: RunDirectory) -> bool:
    """Say whether a host may hold something of a job."""
    return find_launch(directory, job.host) is not None


def _work_off(
    jobs: Sequence[HostJob],
    directory: RunDirectory,
    manifest: Manifest,
    watch: Watch,
    policy: Policy,
    executor: str,
    ended: Ended,
) -> Outcome:
    if executor != THREADS:
        for job in jobs:
            refuse_secrets(job.host)
    interrupt = Interrupt()
    alone = len(manifest.request.hosts) == 1
    fleet = None if alone else Fleet()
    ledger = _Ledger(directory, manifest, fleet, ended)
    place: Place
    if executor == THREADS:
        place = Local(directory, manifest, interrupt, watch, min(policy.forks, len(jobs)))
    else:
        place = _cluster(executor)(executor, directory, manifest, interrupt, watch)

    with directory.locked(), interrupt.heard():
        try:
            with place:
                stopped = Shift(policy, place, interrupt, ledger.take, watch).run(jobs)
        finally:
            ledger.write()
        _note_retries(directory, ledger.manifest)
    results = ledger.in_order()
    code = exit_code(results, interrupted=interrupt.requested, alone=alone)
    if stopped and code is ExitCode.OK:
        code = ExitCode.SOME_FAILED
    manifest, problems = _answer(directory, ledger.manifest, fleet)
    return Outcome(directory, manifest, results, code, stopped, fleet, problems)


def _cluster(address: str) -> type[Cluster]:
    try:
        from remote_prof.fleet.cluster import Cluster
    except ImportError as error:
        raise UsageError(
            f"Dask is not installed: --executor {address} needs it",
            evidence=str(error),
            hint="pip install 'remote-prof[dask]'",
        ) from None
    return Cluster


def _answer(
    directory: RunDirectory, manifest: Manifest, fleet: Fleet | None
) -> tuple[Manifest, tuple[Problem, ...]]:
    """Write what several hosts say together. That this fails takes nothing from them."""
    if fleet is None:
        return manifest, ()
    request = manifest.request
    try:
        # Of a run that is gone on with, there is more than was seen now.
        add_missing(fleet, directory, manifest, keep_offsets=request.offsets, view=request.view)
        return write_fleet(directory, manifest, fleet, request.formats), ()
    except RemoteProfError as error:
        what = f"the files of all hosts together could not be made: {error.what}"
        hint = error.hint or f"try again: remote-prof fleet {manifest.run_id}"
        return manifest, (Problem(Severity.WARNING, what, error.evidence, hint),)


def _note_retries(directory: RunDirectory, manifest: Manifest) -> None:
    """Name the hosts that one would try again in a file that ``--limit @FILE`` takes."""
    names = manifest.request.hosts
    ended = {host.name for host in manifest.hosts if host.status.has_ended}
    again = [name for name in names if name not in ended] if len(names) > 1 else []
    path = directory.path / RETRY
    if again:
        with suppress(RemoteProfError):  # where nothing can be written, that is said already
            directory.write(path, "".join(f"{name}\n" for name in again).encode(), raw=False)
    else:
        path.unlink(missing_ok=True)


class _Ledger:
    """The results that have come, and the manifest that tells them."""

    def __init__(
        self, directory: RunDirectory, manifest: Manifest, fleet: Fleet | None, ended: Ended
    ) -> None:
        self.manifest = manifest
        self._directory = directory
        self._fleet = fleet
        self._ended = ended
        # As they were named, whichever is ready first.
        self._places = {name: place for place, name in enumerate(manifest.request.hosts)}
        self._results: list[HostResult] = []
        self._unwritten: list[HostResult] = []
        self._not_before = 0.0

    def take(self, result: HostResult) -> None:
        """Note a result; sooner or later it is written. Profiles of several hosts are added up."""
        if self._fleet is not None and result.analysis is not None:
            self._fleet.add(result.record.name, result.analysis)
            result.analysis = None
        self._ended(result.record)
        self._results.append(result)
        self._unwritten.append(result)
        if time.monotonic() >= self._not_before:
            self.write()

    def write(self) -> None:
        """Write ``run.json``, and forget what was launched where that is told in it."""
        if not self._unwritten:
            return
        begun = time.monotonic()
        news = {result.record.name: result.record for result in self._unwritten}
        records = [record for record in self.manifest.hosts if record.name not in news]
        hosts = sorted((*records, *news.values()), key=lambda host: self._places[host.name])
        self.manifest = replace(self.manifest, finished_at=_now(), hosts=tuple(hosts))
        try:
            self._directory.write_manifest(self.manifest)
        except RemoteProfError as error:
            # What a job has to say comes first.
            for result in self._unwritten:
                result.error = result.error or error
        else:
            for result in self._unwritten:
                if result.settled is not None:
                    forget_launch(result.settled)
        self._unwritten = []
        now = time.monotonic()
        self._not_before = now + (now - begun) / _WRITING_SHARE

    def in_order(self) -> tuple[HostResult, ...]:
        """Return the results as the hosts were named."""
        return tuple(sorted(self._results, key=lambda each: self._places[each.record.name]))


def exit_code(results: Sequence[HostResult], *, interrupted: bool, alone: bool) -> ExitCode:
    """Return what a shell is told: a lone host's own error, else the worst that is common."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if alone and results:
        error = results[0].error
        if error is not None:
            return error.exit_code
    statuses = {result.record.status for result in results}
    if Status.FAILED in statuses:
        return ExitCode.SOME_FAILED
    if Status.UNREACHABLE in statuses:
        return ExitCode.UNREACHABLE
    # Where every host was skipped there is nothing to show either.
    empty = Status.NO_SAMPLES in statuses or statuses == {Status.SKIPPED}
    return ExitCode.NO_SAMPLES if empty else ExitCode.OK


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
