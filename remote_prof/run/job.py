"""One target on one host, from the login to the clean-up: ``HostJob`` in, ``HostResult`` out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from remote_prof.errors import (
    InterruptedRunError,
    LinkLostError,
    MissingTargetError,
    RemoteProfError,
)
from remote_prof.host.containers import Container
from remote_prof.parse.enclosed import enclosed
from remote_prof.records import Problem, Severity
from remote_prof.run import tell
from remote_prof.run.directory import RunDirectory
from remote_prof.run.follow import Follower, Observed
from remote_prof.run.image_push import Pusher, push_command, tenths
from remote_prof.run.interrupt import Stop, TimeLimit
from remote_prof.run.launch import Launch, find_launch, write_launch
from remote_prof.run.link import Link
from remote_prof.run.manifest import Artifact, HostRecord, Manifest, Status
from remote_prof.run.outputs import Outputs
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.prepare import HostJob, Prepared, prepare, refusal
from remote_prof.run.receive import ARTIFACT, Receiver
from remote_prof.run.record import (
    cpu_time_s,
    draft_record,
    first_record,
    status_of,
    with_exit_codes,
)
from remote_prof.run.report import (
    Analysis,
    analyse,
    build_report,
    find_engine,
    find_event,
    has_ended,
    has_sampled,
    profile_request,
    write_formats,
)
from remote_prof.run.result import OVER, STOPPING, TIME_OVER, Clock, HostResult, Watch
from remote_prof.transport import Lines


def run_job(job: HostJob, manifest: Manifest, stop: Stop, watch: Watch, lines: Lines) -> HostResult:
    """Profile one target on one host. Never raises a RemoteProfError: it is in the result.

    ``manifest`` is that of the run, for its reports; ``lines`` are those of its connections.

    Where an earlier process put the run on the host already, it is gone on with.
    """
    return _Run(job, manifest, stop, watch, lines).result()


class _Run:
    def __init__(
        self, job: HostJob, manifest: Manifest, stop: Stop, watch: Watch, lines: Lines
    ) -> None:
        assert job.directory is not None
        self._job = job
        self._manifest = manifest
        self._stop = TimeLimit(stop, job.time_limit_s)
        self._watch = watch
        self._directory = RunDirectory(job.directory)
        self._clock = Clock()
        self._artifacts: list[Artifact] = []
        self._record = first_record(job)
        self._containers: tuple[Container, ...] = ()
        self._parts: tuple[HostJob, ...] = ()
        # What is, or may be, on the host; and where that is noted here.
        self._plan: LaunchPlan | None = None
        self._where: Path | None = None
        self._observed = Observed()
        self._outputs = Outputs()
        self._analysis: Analysis | None = None
        self._problems: list[Problem] = []
        self._stopped = False
        self._connection = lines.connect(job.host, job.ssh.within(job.time_limit_s))
        self._link = Link(self._connection, self._stage, self._stop.check)

    def result(self) -> HostResult:
        error: RemoteProfError | None = None
        try:
            self._run()
        except RemoteProfError as raised:
            error = raised
        except (KeyboardInterrupt, RuntimeError) as raised_here:
            # An interrupt that comes while threading takes a lock surfaces as an error of that
            # lock, which is no longer held.
            if isinstance(raised_here, RuntimeError) and not self._stop.requested:
                raise
            error = tell.left_at_once(self._job.host, self._plan if self._holds() else None)
        finally:
            self._connection.close()
        held = self._plan if self._holds() else None
        if held and error and not isinstance(error, InterruptedRunError):
            error = tell.still_held(error, held)
        if self._stop.is_over and (isinstance(error, InterruptedRunError) or self._stopped):
            error = tell.time_is_over(self._job.name, self._stop.limit_s, error)
        record = self._final_record(error)
        if record.status is Status.SKIPPED:
            # That it has no such container was to be expected, and is told by its status.
            problems = tuple(p for p in record.problems if p.severity is not Severity.ERROR)
            record, error = replace(record, problems=problems), None
        self._stage(OVER)
        settled = None if held else self._where
        return HostResult(record, self._analysis, error, self._containers, settled, self._parts)

    def _holds(self) -> bool:
        """Whether the host may hold something of the run."""
        return self._plan is not None and not self._observed.over

    def _run(self) -> None:
        self._stage("connecting")
        found = find_launch(self._directory, self._job)
        with self._clock.stage("connect"):
            self._connection.open()
        self._link.heard()
        if found is None:
            self._may_begin()
            prepared = self._read()
            self._parts = prepared.parts
            if self._parts:
                # Else each of them would have to.
                self._push(prepared)
                return
            where = self._prepare(prepared)
            self._push(prepared)
            self._may_begin()
            with self._clock.stage("launch and sample"):
                plan = self._launch(prepared, where)
        else:
            where, launch = found
            plan, self._record = launch.plan, launch.record
            self._problems += launch.record.problems
            self._artifacts += launch.record.artifacts
            # What an earlier launcher of the same run had sent.
            for artifact in launch.record.artifacts:
                path = self._directory.path / artifact.path
                if ARTIFACT.fullmatch(path.name):
                    self._outputs.files[path.name] = path
            with self._clock.stage("launch and sample"):
                self._follow(plan, where, deploy=False)
        with self._clock.stage("render"):
            self._finish(plan, where)

    def _may_begin(self) -> None:
        """Go no further where the run is to end: in a thread of its own no signal says so."""
        if self._stop.requested:
            raise KeyboardInterrupt

    def _launch(self, prepared: Prepared, where: Path) -> LaunchPlan:
        """Launch with the narrowest rights that the kernel does not refuse."""
        for plan, wider in zip_longest(prepared.plans, prepared.plans[1:]):
            record = replace(
                draft_record(self._record, prepared, plan),
                problems=tuple(self._problems),
                artifacts=tuple(self._artifacts),
            )
            self._record = record
            write_launch(self._directory, where, Launch(self._job, plan, record))
            self._follow(plan, where, deploy=True)
            if wider is None or not self._refused(wider):
                break
            self._take_back(wider, where)
        return plan

    def _refused(self, wider: LaunchPlan) -> bool:
        """Say whether the kernel refused the sidecars that a plan would replace."""
        again = {service.engine for service in wider.services}
        return (
            self._observed.clean
            and not self._stop.requested
            and all(self._outputs.denied(s) for s in self._record.sidecars if s.engine in again)
        )

    def _take_back(self, wider: LaunchPlan, where: Path) -> None:
        """Forget the files of sidecars that sampled nothing: others take their place."""
        again = {service.engine for service in wider.services}
        names = {"launcher.log"}
        for sidecar in self._record.sidecars:
            if sidecar.engine in again:
                rung = sidecar.rung
                self._problems.append(tell.refused_rights(rung, self._outputs.last_error(sidecar)))
                names |= {sidecar.profile, sidecar.errors}
        for name in names:
            path = self._outputs.files.pop(name, where / name)
            path.unlink(missing_ok=True)
        paths = {f"{a.path}" for a in self._artifacts if a.path.rpartition("/")[2] in names}
        self._artifacts = [a for a in self._artifacts if a.path not in paths]

    def _prepare(self, prepared: Prepared) -> Path:
        self._problems += prepared.problems
        self._record = draft_record(self._record, prepared, prepared.plan)
        if prepared.plan is None or prepared.target is None:
            raise refusal(prepared)
        where = self._directory.fresh_directory(self._job.host.name, prepared.target.name)
        facts = json.dumps(dataclasses.asdict(prepared.state.facts), indent=2, default=sorted)
        path = where / "facts.json"
        self._artifacts.append(self._directory.write(path, facts.encode() + b"\n", raw=True))
        return where

    def _push(self, prepared: Prepared) -> None:
        """Have the image that was built here on the host before anything else is put there."""
        if prepared.push is None:
            return
        with self._clock.stage("push image"):
            Pusher(
                self._link,
                prepared.push,
                push_command(prepared.push, prepared.state, self._job.query.work_parent),
                watch=self._stage,
                count=tenths(self._stage),
            ).run()

    def _read(self) -> Prepared:
        self._stage("reading facts")
        with self._clock.stage("facts"):
            # Nothing is changed by it, so it can be done again.
            while True:
                try:
                    prepared = prepare(self._job, self._connection)
                    break
                except LinkLostError as error:
                    self._link.reconnect(error)
        self._containers = prepared.state.containers
        return prepared

    def _stage(self, stage: str) -> None:
        if stage == STOPPING and self._stop.is_over:
            stage = TIME_OVER
        self._watch(self._job.name, stage)

    def _follow(self, plan: LaunchPlan, where: Path, *, deploy: bool) -> None:
        follower = Follower(
            self._link,
            plan,
            self._stop,
            Receiver(where, self._job.max_artifact_bytes),
            watch=self._stage,
            keep=self._keep,
        )
        self._observed = follower.observed
        self._plan, self._where = plan, where
        try:
            with self._stop.deferred():
                follower.run(deploy=deploy)
        except LinkLostError:
            # The profile may have arrived before; then it is shown, and the rest said.
            if not self._observed.fetched:
                raise
        finally:
            self._stopped = follower.stopping
            self._outputs.files |= self._observed.files
            self._record = with_exit_codes(self._record, plan, self._observed)
            if sampled_s := self._observed.sampled_s:
                self._clock.timings_s["sample"] = round(sampled_s, 3)

    def _keep(self, name: str, path: Path) -> None:
        del name
        artifact = self._directory.note(path)
        # After a broken link everything is named again.
        if artifact not in self._artifacts:
            self._artifacts.append(artifact)

    def _finish(self, plan: LaunchPlan, where: Path) -> None:
        request = self._job.request
        raws = self._raws(plan, where)
        for name, raw in raws.items():
            for file in enclosed(raw) if find_engine(name).encloses else ():
                artifact = self._directory.write(where / file.name, file.data, raw=True)
                self._artifacts.append(artifact)
        self._analysis = analyse(
            raws,
            profile_request(request),
            cpu_time_s=self._cpu_time_s(),
            keep_offsets=request.offsets,
            view=request.view,
            host=self._record,
        )
        if not self._analysis.quality.got:
            raise self._no_samples(raws)
        for sidecar in self._record.sidecars:
            if sidecar.engine in raws:
                last_error = self._outputs.last_error(sidecar)
                self._problems += tell.sidecar_problems(self._observed, sidecar, last_error)
                self._problems += tell.stacks_unread(self._outputs.unread_stacks(sidecar))
        self._problems += self._analysis.hints
        record = self._final_record(None)
        report = build_report(self._analysis, self._manifest, record)
        self._artifacts += write_formats(self._directory, where, report, request.formats)

    def _raws(self, plan: LaunchPlan, where: Path) -> dict[str, bytes]:
        """Return what the sidecars printed, by engine. Raises RemoteProfError where none sampled.

        That some of several did not is noted, like all that the host had to say.
        """
        seen, name = self._observed, self._job.name
        sidecars = self._record.sidecars
        if seen.gone and not seen.fetched:
            self._take_what_is_here(where)
            if not any(sidecar.profile in self._outputs.files for sidecar in sidecars):
                raise tell.gone(name, plan)
        self._problems += tell.host_problems(seen, plan, self._job.host)
        raws, failures = {}, []
        for sidecar in sidecars:
            raw = self._outputs.raw(sidecar)
            if raw.strip() and (has_sampled(raw) or seen.gone):
                raws[sidecar.engine] = raw
            else:
                failures.append((sidecar, self._outputs.failure(name, sidecar, self._observed)))
        if seen.engine_hung and not any(map(has_ended, raws.values())):
            raise tell.engine_hung(name, plan)
        if not raws:
            interrupted = self._stop.requested
            raise tell.nothing_sampled_yet(name) if interrupted else failures[0][1]
        self._problems += [tell.in_part(error, sidecar) for sidecar, error in failures]
        return raws

    def _no_samples(self, raws: Mapping[str, bytes]) -> RemoteProfError:
        name, request = self._job.name, self._job.request
        if self._stop.requested:
            return tell.nothing_sampled_yet(name)
        for sidecar in self._record.sidecars:
            if sidecar.engine in raws and sidecar.exit_code not in (0, None):
                return self._outputs.failure(name, sidecar, self._observed)
        assert self._record.target is not None
        return tell.no_samples(
            self._job.host.name,
            self._record.target,
            self._observed,
            self._cpu_time_s(),
            find_event(request.engine, request.event),
        )

    def _take_what_is_here(self, where: Path) -> None:
        """Find what an earlier process had fetched whole before the host was cleaned."""
        Receiver(where, self._job.max_artifact_bytes).discard_parts()
        for path in sorted(where.iterdir()):
            if ARTIFACT.fullmatch(path.name) and path.is_file():
                self._outputs.files[path.name] = path
                self._keep(path.name, path)

    def _cpu_time_s(self) -> float | None:
        return cpu_time_s(
            self._observed,
            self._job.request.duration_s,
            interrupted=self._stop.requested,
        )

    def _status(self, error: RemoteProfError | None) -> Status:
        if self._job.missing_ok and isinstance(error, MissingTargetError):
            return Status.SKIPPED
        by_user = self._stop.requested and not self._stop.is_over
        return status_of(error, interrupted=by_user)

    def _final_record(self, error: RemoteProfError | None) -> HostRecord:
        tools = self._analysis.tools if self._analysis else {}
        first = self._artifacts[0].path if self._artifacts else ""
        return replace(
            self._record,
            status=self._status(error),
            directory=first.rpartition("/")[0],
            error=error.what if error else "",
            sidecars=tuple(
                replace(sidecar, tool=tools.get(sidecar.engine, ""))
                for sidecar in self._record.sidecars
            ),
            cpu_time_s=self._cpu_time_s(),
            quality=self._analysis.quality if self._analysis else None,
            problems=tuple(self._problems),
            # A file that somebody has removed in the meantime is not listed.
            artifacts=tuple(a for a in self._artifacts if (self._directory.path / a.path).exists()),
            timings_s=dict(self._clock.timings_s),
            round_trips=self._connection.exchanges,
            left_behind=tuple(dict.fromkeys(self._observed.left)),
        )
