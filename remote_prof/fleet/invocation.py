"""One invocation of ``run``: its directory, its jobs, its manifest, and how it all ended."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
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
from remote_prof.run.launch import find_launches, forget_launch, write_jobs
from remote_prof.run.manifest import MANIFEST_VERSION, HostRecord, Manifest, Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import Ended, HostResult, Parted, Watch

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
        """The hosts, and targets of hosts, of which the run has nothing to say."""
        begun = Counter(record.host_name for record in self.manifest.hosts)
        targets = {record.host_name: record.targets for record in self.manifest.hosts}
        left = {name: (targets[name] - number, targets[name]) for name, number in begun.items()}
        in_part = (f"{n} of {of} targets of {name}" for name, (n, of) in left.items() if n)
        return (*self.manifest.not_begun, *in_part)


def run_jobs(
    jobs: Sequence[HostJob],
    *,
    results: Path,
    watch: Watch,
    command: Sequence[str],
    policy: Policy = Policy(),  # noqa: B008  it is frozen
    executor: str = THREADS,
    ended: Ended = lambda _: None,
    parted: Parted = lambda _, __: None,
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
    try:
        return _work_off(jobs, directory, manifest, watch, policy, executor, ended, parted)
    except UsageError:
        # What was asked for cannot be: nothing has begun.
        directory.discard()
        raise


def resume_jobs(
    jobs: Sequence[HostJob],
    directory: RunDirectory,
    watch: Watch,
    policy: Policy = Policy(),  # noqa: B008  it is frozen
    executor: str = THREADS,
    ended: Ended = lambda _: None,
    parted: Parted = lambda _, __: None,
) -> Outcome:
    """Go on with jobs of an earlier run: what is on a host is followed, the rest is begun.

    Raises RemoteProfError where the results cannot be written, UsageError where another process
    is at work on the run.
    """
    manifest = directory.load_manifest()
    return _work_off(jobs, directory, manifest, watch, policy, executor, ended, parted)


def unfinished(jobs: Sequence[HostJob], directory: RunDirectory) -> list[HostJob]:
    """Return the jobs of a run that have no result yet, or of which a host may hold something."""
    records: dict[str, list[HostRecord]] = {}
    for record in directory.load_manifest().hosts:
        records.setdefault(record.host_name, []).append(record)
    found = []
    for job in jobs:
        held, own = held_jobs(job, directory), records.get(job.host.name, [])
        parts = [each for each in held if each.part]
        found += parts
        done = {each.name for each in parts} | {r.name for r in own if r.status.has_ended}
        targets = max([1, *(part.targets for part in parts), *(r.targets for r in own)])
        # One that has several finds out anew which they are.
        if len(parts) < len(held) or len(done) < targets:
            found.append(job)
    return found


def held_jobs(job: HostJob, directory: RunDirectory) -> list[HostJob]:
    """Return the job, or those of its parts, of which its host may hold something."""
    launched = [launch.job for _, launch in find_launches(directory, job.host)]
    return [
        replace(job, target=each.target, part=each.part, targets=each.targets, several=False)
        if each.part
        else job
        for each in launched
    ]


def _work_off(
    jobs: Sequence[HostJob],
    directory: RunDirectory,
    manifest: Manifest,
    watch: Watch,
    policy: Policy,
    executor: str,
    ended: Ended,
    parted: Parted,
) -> Outcome:
    if executor != THREADS:
        for job in jobs:
            refuse_secrets(job.host)
    interrupt = Interrupt()
    ledger = _Ledger(directory, manifest, jobs, ended, parted)
    forks = policy.forks if any(job.several for job in jobs) else min(policy.forks, len(jobs))
    place: Place
    if executor == THREADS:
        place = Local(directory, manifest, interrupt, watch, forks)
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
    code = exit_code(results, interrupted=interrupt.requested, alone=ledger.fleet is None)
    if stopped and code is ExitCode.OK:
        code = ExitCode.SOME_FAILED
    manifest, problems = _answer(directory, ledger.manifest, ledger.fleet)
    return Outcome(directory, manifest, results, code, stopped, ledger.fleet, problems)


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
    again = [*manifest.targets_to_go] if len(manifest.request.hosts) > 1 else []
    path = directory.path / RETRY
    if again:
        with suppress(RemoteProfError):  # where nothing can be written, that is said already
            directory.write(path, "".join(f"{name}\n" for name in again).encode(), raw=False)
    else:
        path.unlink(missing_ok=True)


class _Ledger:
    """The results that have come, and the manifest that tells them.

    Of more than one target ``fleet`` is what they say together.
    """

    def __init__(
        self,
        directory: RunDirectory,
        manifest: Manifest,
        jobs: Sequence[HostJob],
        ended: Ended,
        parted: Parted,
    ) -> None:
        self.manifest = manifest
        several = len(manifest.request.hosts) > 1 or any(job.part for job in jobs)
        self.fleet = Fleet() if several else None
        self._directory = directory
        self._ended = ended
        self._parted = parted
        # Of an earlier process, those that have a result, or are gone on with by themselves.
        self._known = {job.name for job in jobs if job.part}
        self._known |= {record.name for record in manifest.hosts if record.status.has_ended}
        # As they were named, whichever is ready first.
        self._places = {name: place for place, name in enumerate(manifest.request.hosts)}
        self._results: list[HostResult] = []
        self._unwritten: list[HostResult] = []
        self._not_before = 0.0

    def take(self, result: HostResult) -> Sequence[HostJob]:
        """Note a result; sooner or later it is written. Profiles of several targets are added up.

        Returns the parts of a job that are still to be done.
        """
        if result.parts:
            return self._part(result)
        if self.fleet is not None and result.analysis is not None:
            self.fleet.add(result.record.name, result.analysis)
            result.analysis = None
        self._ended(result.record)
        self._results.append(result)
        self._unwritten.append(result)
        if time.monotonic() >= self._not_before:
            self.write()
        return ()

    def _part(self, result: HostResult) -> Sequence[HostJob]:
        host = result.record.name
        self.fleet = self.fleet or Fleet()
        # What was said of the host as a whole, when it was not reached, is over.
        hosts = tuple(record for record in self.manifest.hosts if record.name != host)
        self.manifest = replace(self.manifest, hosts=hosts)
        parts = [part for part in result.parts if part.name not in self._known]
        self._parted(host, [part.name for part in parts])
        return parts

    def write(self) -> None:
        """Write ``run.json``, and forget what was launched where that is told in it."""
        if not self._unwritten:
            return
        begun = time.monotonic()
        news = {result.record.name: result.record for result in self._unwritten}
        records = [record for record in self.manifest.hosts if record.name not in news]
        hosts = sorted((*records, *news.values()), key=self._place)
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
        return tuple(sorted(self._results, key=lambda each: self._place(each.record)))

    def _place(self, record: HostRecord) -> tuple[int, str]:
        return self._places[record.host_name], record.name


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
