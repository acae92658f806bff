"""What ``run.json`` says of one host: pure functions of what was read and observed."""

from __future__ import annotations

from dataclasses import replace

from remote_prof.errors import (
    InterruptedRunError,
    NoSamplesError,
    RemoteProfError,
    UnreachableError,
)
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.run.follow import Observed
from remote_prof.run.manifest import HostRecord, SidecarRecord, Status, TargetRecord
from remote_prof.run.plan import LaunchPlan, Service
from remote_prof.run.prepare import HostJob, Prepared


def first_record(job: HostJob) -> HostRecord:
    """Return the record of a job of which nothing is known yet."""
    host = job.host
    return HostRecord(
        job.name,
        host.address,
        Status.FAILED,
        tries=job.tries,
        groups=host.groups,
        host=host.name if job.part else "",
        targets=job.targets,
    )


def draft_record(record: HostRecord, prepared: Prepared, plan: LaunchPlan | None) -> HostRecord:
    """Return the record with what was read of the host, and what will be put there."""
    facts, target = prepared.state.facts, prepared.target
    engine = facts.engine
    record = replace(
        record,
        kernel=facts.kernel,
        engine=f"{engine.name} {engine.version}".strip() if engine else "",
    )
    if plan is None or target is None:
        return record
    sidecars = {sidecar.engine: sidecar for sidecar in record.sidecars} | {
        service.engine: _sidecar_record(service, plan.runner, facts) for service in plan.services
    }
    return replace(
        record,
        target=record.target or _target_record(target, plan),
        sidecars=tuple(sidecars.values()),
    )


def _sidecar_record(service: Service, runner: str, facts: HostFacts) -> SidecarRecord:
    image, sidecar = facts.image, service.sidecar
    return SidecarRecord(
        engine=service.engine,
        image=sidecar.image,
        image_id=image.image_id if image else "",
        image_digests=image.digests if image else (),
        rung=sidecar.rung,
        capabilities=sidecar.capabilities,
        runner=runner,
        exit_code=None,
        tool="",
        pid_namespace=sidecar.pid_namespace,
        profile=service.profile,
        errors=service.errors,
    )


def with_exit_codes(record: HostRecord, plan: LaunchPlan, seen: Observed) -> HostRecord:
    """Return the record with how the sidecars of a plan ended."""
    # A launcher of one sidecar tells its code alone.
    only = seen.exit_code if len(plan.services) == 1 else None
    codes = {s.engine: seen.exit_codes.get(s.engine, only) for s in plan.services}
    return replace(
        record,
        sidecars=tuple(
            replace(sidecar, exit_code=codes.get(sidecar.engine, sidecar.exit_code))
            for sidecar in record.sidecars
        ),
    )


def _target_record(target: Target, plan: LaunchPlan) -> TargetRecord:
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
        filter=filter_text(plan),
        process_names=tuple(process.name for process in target.processes),
    )


def filter_text(plan: LaunchPlan) -> str:
    """Say in words what is sampled; of several sidecars, by each of them."""
    if len(plan.services) == 1:
        return plan.services[0].sidecar.filter_text
    return "; ".join(f"{s.engine}: {s.sidecar.filter_text}" for s in plan.services)


def status_of(error: RemoteProfError | None, *, interrupted: bool) -> Status:
    """Return how a job ended; ``error`` is what ended it."""
    if isinstance(error, UnreachableError):
        return Status.UNREACHABLE
    if isinstance(error, NoSamplesError):
        return Status.NO_SAMPLES
    if isinstance(error, InterruptedRunError):
        return Status.INTERRUPTED
    if error is not None:
        return Status.FAILED
    return Status.INTERRUPTED if interrupted else Status.OK


def cpu_time_s(seen: Observed, duration_s: float, *, interrupted: bool) -> float | None:
    """Return the CPU time that the target used while it was sampled; None where nobody can tell.

    ``duration_s`` is how long it was to be sampled; what is taken once (0) has no such time.
    """
    before, after = seen.cpu_before, seen.cpu_after
    if before is None or after is None or after.at_s <= before.at_s or not duration_s:
        return None
    window_s = after.at_s - before.at_s
    # The readings are taken a little late and early: they tell the rate.
    rate = max(0.0, after.used_s - before.used_s) / window_s
    early = interrupted or seen.target_gone or seen.late or 0 < seen.sampled_s < duration_s - 0.5
    return rate * (window_s if early else duration_s)
