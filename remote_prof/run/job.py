"""One target on one host, from the login to the clean-up: ``HostJob`` in, ``HostResult`` out."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from remote_prof.engines import Sidecar
from remote_prof.errors import (
    InterruptedRunError,
    LinkLostError,
    NoSamplesError,
    RemoteProfError,
    UnreachableError,
)
from remote_prof.host.containers import Container
from remote_prof.host.target import Target
from remote_prof.records import Problem, Severity
from remote_prof.run.directory import RunDirectory
from remote_prof.run.follow import Follower, Observed
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.manifest import Artifact, HostRecord, SidecarRecord, Status, TargetRecord
from remote_prof.run.plan import KEEP_S, LABEL, LaunchPlan
from remote_prof.run.prepare import HostJob, Prepared, prepare, refusal
from remote_prof.run.report import (
    RAW_PROFILE,
    Analysis,
    analyse,
    build_report,
    find_engine,
    profile_request,
    write_formats,
)
from remote_prof.templates import preload
from remote_prof.transport import connect

Watch = Callable[[str, str], None]  # told a host's name and the stage that it comes to


@dataclass(slots=True)
class HostResult:
    """What came of a job. ``error`` is what ended it, None where it went to its end.

    ``containers`` are those that the host had.
    """

    record: HostRecord
    analysis: Analysis | None = None
    error: RemoteProfError | None = None
    containers: tuple[Container, ...] = ()


@dataclass(slots=True)
class _Clock:
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings_s[name] = round(time.monotonic() - begun, 3)


def run_job(job: HostJob, interrupt: Interrupt, watch: Watch) -> HostResult:
    """Profile one target on one host. Never raises a RemoteProfError: it is in the result."""
    return _Run(job, interrupt, watch).result()


class _Run:
    def __init__(self, job: HostJob, interrupt: Interrupt, watch: Watch) -> None:
        assert job.directory is not None
        self._job = job
        self._interrupt = interrupt
        self._watch = watch
        self._directory = RunDirectory(job.directory)
        self._clock = _Clock()
        self._artifacts: list[Artifact] = []
        self._prepared: Prepared | None = None
        self._observed = Observed()
        self._analysis: Analysis | None = None
        self._problems: list[Problem] = []
        self._deployed = False
        self._connection = connect(job.host, job.ssh)

    def result(self) -> HostResult:
        error: RemoteProfError | None = None
        try:
            self._run()
        except RemoteProfError as raised:
            error = raised
        except KeyboardInterrupt:
            error = self._left_at_once()
        finally:
            self._connection.close()
        status = self._status(error)
        text = error.what if error else ""
        containers = self._prepared.state.containers if self._prepared else ()
        return HostResult(self._record(status, text), self._analysis, error, containers)

    def _run(self) -> None:
        name = self._job.host.name
        # While the host answers there is time for what the plan will need.
        threading.Thread(target=preload, daemon=True).start()
        self._watch(name, "connecting")
        with self._clock.stage("connect"):
            self._connection.open()
        self._watch(name, "reading facts")
        with self._clock.stage("facts"):
            prepared = self._prepared = prepare(self._job, self._connection)
        self._problems += prepared.problems
        if prepared.plan is None or prepared.target is None:
            raise refusal(prepared)
        where = self._directory.host_directory(name, prepared.target.name)
        facts = json.dumps(dataclasses.asdict(prepared.state.facts), indent=2, default=sorted)
        self._keep(where / "facts.json", facts.encode() + b"\n")
        with self._clock.stage("launch and sample"), self._interrupt.deferred():
            self._follow(prepared.plan, where)
        with self._clock.stage("render"):
            self._finish(prepared.target, where)

    def _follow(self, plan: LaunchPlan, where: Path) -> None:
        follower = Follower(
            self._connection,
            plan,
            self._interrupt,
            watch=lambda stage: self._watch(self._job.host.name, stage),
            keep=lambda file, data: self._keep(where / file, data),
        )
        self._observed = follower.observed
        self._deployed = True
        try:
            follower.run()
        except LinkLostError:
            # The profile may have arrived before; then it is shown, and the rest said.
            if RAW_PROFILE not in self._observed.files:
                raise
        finally:
            self._time_stages()

    def _keep(self, path: Path, data: bytes) -> None:
        artifact = self._directory.write(path, data, raw=True)
        # After a broken link everything is sent again.
        if artifact not in self._artifacts:
            self._artifacts.append(artifact)

    def _time_stages(self) -> None:
        seen, times = self._observed, self._clock.timings_s
        if seen.sampling_at and seen.sampled_at:
            times["sample"] = round(seen.sampled_at - seen.sampling_at, 3)

    def _finish(self, target: Target, where: Path) -> None:
        seen = self._observed
        raw = seen.files.get(RAW_PROFILE, b"")
        self._tell_about_host()
        if not raw.strip() or seen.sampling_at is None:
            raise self._sidecar_failed()
        request = self._job.request
        self._analysis = analyse(
            find_engine(request.engine),
            raw,
            profile_request(request),
            cpu_time_s=self._cpu_time_s(),
            keep_offsets=request.offsets,
        )
        if not self._analysis.quality.got:
            failed = seen.exit_code not in (0, None)
            raise self._sidecar_failed() if failed else self._no_samples(target)
        self._problems += self._analysis.hints
        report = build_report(
            self._analysis, request, self._record(Status.OK, ""), self._job.run_id
        )
        self._artifacts += write_formats(self._directory, where, report, request.formats)

    def _tell_about_host(self) -> None:
        seen = self._observed
        if seen.target_gone:
            self._warn(
                "the target ended while it was sampled", "what was sampled until then is kept"
            )
        if seen.late:
            self._warn("the sidecar did not end by itself and was stopped at its deadline")
        for what in seen.left:
            kind, _, name = what.partition(" ")
            remove = f"rm -rf {name}" if kind == "directory" else f"{self._engine()} rm -f {name}"
            if name == "unknown":
                remove = self._look()
            self._warn(
                f"a {kind} is left on the host: {name}",
                "it could not be removed",
                f"on the host: {remove}",
            )
        if not seen.clean and not seen.left:
            self._warn(
                "it is not known whether the host is clean",
                seen.failure or "the connection ended before that was confirmed",
                f"on the host: {self._look()}",
            )
        elif seen.failure:
            self._warn(seen.failure, "what was sampled until then is kept")
        if seen.exit_code not in (0, None) and seen.sampling_at is not None:
            self._warn(f"the sidecar ended with exit code {seen.exit_code}", self._last_error())

    def _left_at_once(self) -> InterruptedRunError:
        plan = self._prepared.plan if self._prepared else None
        if plan is None or not self._deployed or self._observed.clean:
            return InterruptedRunError(
                f"{self._job.host.name}: interrupted", evidence="nothing of the run is on the host"
            )
        return InterruptedRunError(
            f"{self._job.host.name}: interrupted before the host was clean",
            evidence="the host ends the run by itself, and removes it and what was sampled"
            f" {KEEP_S // 60} minutes later",
            hint=f"on the host: {self._look()}",
        )

    def _engine(self) -> str:
        """Return the words that call the engine on the host."""
        state = self._prepared.state if self._prepared else None
        engine = state.facts.engine.name if state and state.facts.engine else "docker"
        return f"sudo {engine}" if state and state.become else engine

    def _look(self) -> str:
        return f"{self._engine()} ps -a --filter label={LABEL}={self._job.run_id}"

    def _sidecar_failed(self) -> RemoteProfError:
        code = self._observed.exit_code
        return RemoteProfError(
            f"{self._job.host.name}: the sidecar ended before it sampled anything",
            evidence=f"exit code {code}: {self._last_error() or 'it printed nothing'}",
            hint="see sidecar.err in the run's directory, or ask: remote-prof doctor",
        )

    def _no_samples(self, target: Target) -> NoSamplesError:
        if self._observed.target_gone:
            return NoSamplesError(
                f"{target.name} on {self._job.host.name} ended before it was sampled",
                evidence=f"its main process, pid {target.main_pid}, is gone",
                hint=f"see why it ended, with docker logs {target.name}; profile it while it runs",
            )
        cpu_s = self._cpu_time_s()
        sampled = self._clock.timings_s.get("sample")
        used = "its CPU use is not known"
        if cpu_s is not None:
            used = f"it used {cpu_s:.2f} s of CPU time" + (
                f" in {sampled:.1f} s" if sampled else ""
            )
        return NoSamplesError(
            f"{target.name} on {self._job.host.name} was not on a CPU when it was sampled",
            evidence=used,
            hint="profile it while it has work to do, or for longer (--duration 60)",
        )

    def _last_error(self) -> str:
        text = self._observed.files.get("sidecar.err", b"").decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if "RLIMIT_MEMLOCK" not in line]
        return told[-1][:300] if told else ""

    def _warn(self, what: str, evidence: str = "", fix: str = "") -> None:
        self._problems.append(Problem(Severity.WARNING, what, evidence, fix))

    def _cpu_time_s(self) -> float | None:
        seen = self._observed
        before, after = seen.cpu_before, seen.cpu_after
        if before is None or after is None or after.at_s <= before.at_s:
            return None
        window_s = after.at_s - before.at_s
        # The readings are taken a little late and early: they tell the rate.
        rate = max(0.0, after.used_s - before.used_s) / window_s
        early = self._interrupt.requested or seen.target_gone or seen.late
        return rate * (window_s if early else self._job.request.duration_s)

    def _status(self, error: RemoteProfError | None) -> Status:
        if isinstance(error, UnreachableError):
            return Status.UNREACHABLE
        if isinstance(error, NoSamplesError):
            return Status.NO_SAMPLES
        if isinstance(error, InterruptedRunError):
            return Status.INTERRUPTED
        if error is not None:
            return Status.FAILED
        return Status.INTERRUPTED if self._interrupt.requested else Status.OK

    def _record(self, status: Status, error: str) -> HostRecord:
        host, prepared, seen = self._job.host, self._prepared, self._observed
        facts = prepared.state.facts if prepared else None
        plan = prepared.plan if prepared else None
        target = prepared.target if prepared else None
        engine = facts.engine if facts else None
        first = self._artifacts[0].path if self._artifacts else ""
        return HostRecord(
            name=host.name,
            address=host.address,
            status=status,
            directory=first.rpartition("/")[0],
            error=error,
            kernel=facts.kernel if facts else "",
            engine=f"{engine.name} {engine.version}".strip() if engine else "",
            target=_target_record(target, plan.sidecar) if target and plan else None,
            sidecar=self._sidecar_record(plan) if plan else None,
            cpu_time_s=self._cpu_time_s(),
            quality=self._analysis.quality if self._analysis else None,
            problems=tuple(self._problems),
            artifacts=tuple(self._artifacts),
            timings_s=dict(self._clock.timings_s),
            round_trips=self._connection.exchanges,
            left_behind=tuple(seen.left),
        )

    def _sidecar_record(self, plan: LaunchPlan) -> SidecarRecord:
        assert self._prepared is not None
        image = self._prepared.state.facts.image
        return SidecarRecord(
            image=plan.sidecar.image,
            image_id=image.image_id if image else "",
            image_digests=image.digests if image else (),
            rung=plan.sidecar.rung,
            capabilities=plan.sidecar.capabilities,
            runner=plan.runner,
            exit_code=self._observed.exit_code,
            tool=self._analysis.profile.tool if self._analysis else "",
        )


def _target_record(target: Target, sidecar: Sidecar) -> TargetRecord:
    main = next((p for p in target.processes if p.language != "native"), None)
    return TargetRecord(
        container=target.container.name,
        container_id=target.container.container_id,
        image=target.container.image_name,
        image_id=target.container.image_id,
        scope=target.scope,
        language=main.language if main else "native",
        pids=tuple(process.pid for process in target.processes),
        container_pids=tuple(process.container_pid for process in target.processes),
        filter=sidecar.filter_text,
    )
