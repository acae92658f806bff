"""What is said about a run on a host: pure functions of what was observed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from remote_prof.engines import HOST_NAMESPACE, Event
from remote_prof.errors import (
    HostError,
    InterruptedRunError,
    NoSamplesError,
    PreflightError,
    RemoteProfError,
)
from remote_prof.host.containers import LABEL
from remote_prof.records import Host, Problem, Severity
from remote_prof.run.follow import Observed
from remote_prof.run.manifest import SidecarRecord, TargetRecord
from remote_prof.run.plan import KEEP_S, LaunchPlan

_KILLED = 137  # by SIGKILL
_NO_PROGRAM = 127  # as a shell says it, and so do the scripts of sidecars
_WHO_KILLS = "by somebody, or by the kernel for want of memory"


def host_problems(seen: Observed, plan: LaunchPlan, host: Host) -> list[Problem]:
    """Return what the host had to say while the run went on, and what is left on it."""
    return [
        Problem(Severity.WARNING, what, evidence, fix)
        for what, evidence, fix in (*_while_it_ran(seen), *_left(seen, plan, host))
    ]


def _while_it_ran(seen: Observed) -> Iterator[tuple[str, str, str]]:
    kept = "what was sampled until then is kept"
    if seen.target_gone:
        yield "the target ended while it was sampled", kept, ""
    if seen.late:
        yield "the sidecar did not end by itself and was stopped at its deadline", "", ""
    if seen.disk_full:
        yield "the disk of the host became full", kept, "make room there, or choose another place"
    if seen.cut:
        yield (
            "the profile was cut on the host: it became too large",
            kept,
            "allow more with --max-artifact-size, or sample less (--duration, --frequency)",
        )
    if seen.failure and seen.clean:
        yield seen.failure, kept, ""


def sidecar_problems(seen: Observed, sidecar: SidecarRecord, last_error: str) -> list[Problem]:
    """Return what is to be said of a sidecar that ended badly, after it had printed samples."""
    if sidecar.exit_code in (0, None) or seen.late:
        return []
    alone = sidecar.profile == "profile.txt"
    which = "the sidecar" if alone else f"the sidecar of {sidecar.engine}"
    what = f"{which} ended with exit code {sidecar.exit_code}"
    if sidecar.exit_code == _KILLED:
        what = f"{which} was killed while it sampled"
        if seen.target_gone and sidecar.pid_namespace != HOST_NAMESPACE:
            last_error = "it ended with the target, in whose pid namespace it was"
        last_error = last_error or _WHO_KILLS
    return [Problem(Severity.WARNING, what, last_error)]


def stacks_unread(lines: Sequence[str]) -> list[Problem]:
    """Return what is to be said of stacks that were counted and could not be read."""
    if not lines:
        return []
    return [
        Problem(
            Severity.WARNING,
            "bpftrace could not read stacks that it had counted: their frames are missing",
            f"{len(lines)} times: {lines[0][:300]}",
            "profile again; versions before 0.20 lose them now and then on busy hosts",
        )
    ]


def _left(seen: Observed, plan: LaunchPlan, host: Host) -> Iterator[tuple[str, str, str]]:
    look = f"on the host: {look_command(plan, host)}"
    clean = f"remote-prof clean {plan.run_id}"
    for what in dict.fromkeys(seen.left):
        kind, _, name = what.partition(" ")
        evidence = "it could not be removed"
        if seen.stuck:
            evidence += f"; the host goes on trying for {KEEP_S // 60} minutes"
        yield f"a {kind} is left on the host: {name}", evidence, f"{clean}; {look}"
    if not seen.clean and not seen.left:
        evidence = seen.failure or "the connection ended before that was confirmed"
        yield "it is not known whether the host is clean", evidence, f"{clean}; {look}"


def look_command(plan: LaunchPlan, host: Host) -> str:
    """Return the command that shows what is on a host of a run."""
    engine = shlex.quote(plan.engine_path.rpartition("/")[2])
    method = host.become.method if host.become else "sudo"
    prefix = f"{method} " if plan.become else ""
    return f"{prefix}{engine} ps -a --filter label={LABEL}={plan.run_id}"


def left_at_once(host: Host, plan: LaunchPlan | None) -> InterruptedRunError:
    """Return the error for a user who did not wait; ``plan`` is what may be on the host."""
    if plan is None:
        return InterruptedRunError(
            f"{host.name}: interrupted", evidence="nothing of the run is on the host"
        )
    return InterruptedRunError(
        f"{host.name}: interrupted before the host was clean",
        evidence="the host ends the run by itself, and removes it and what was sampled"
        f" {KEEP_S // 60} minutes later",
        hint=f"get it with: remote-prof fetch {plan.run_id}; or remove it:"
        f" remote-prof clean {plan.run_id}; or look: {look_command(plan, host)}",
    )


def nothing_sampled_yet(host: str) -> InterruptedRunError:
    """Return the error for a user who did not wait for the sampling."""
    return InterruptedRunError(
        f"{host}: interrupted before anything was sampled",
        evidence="the sidecar had just begun, or the target was idle",
    )


def time_is_over(
    host: str, limit_s: float | None, error: RemoteProfError | None
) -> RemoteProfError:
    """Return the error for a job whose time was over; ``error`` is what that ended it with."""
    return HostError(
        f"{host}: it was not done within {limit_s or 0:.0f} s",
        evidence=error.evidence if error else "what was sampled until then is kept",
        hint=(f"{error.hint}; " if error and error.hint else "")
        + "allow more with --timeout and --deadline, or sample for less (--duration)",
    )


def engine_hung(host: str, plan: LaunchPlan) -> RemoteProfError:
    """Return the error for an engine that neither ended the sidecar nor passed its output on."""
    return RemoteProfError(
        f"{host}: the engine does not answer: what was sampled cannot be had",
        evidence="it hung while the sidecar ran, and heard no signal for a minute",
        hint=f"see to it on the host (systemctl status docker), then: remote-prof clean"
        f" {plan.run_id}",
    )


def still_held(error: RemoteProfError, plan: LaunchPlan) -> RemoteProfError:
    """Return an error with the way to what the host still holds."""
    fetch = f"then: remote-prof fetch {plan.run_id}"
    evidence = (
        f"{error.evidence}; " if error.evidence else ""
    ) + f"the host keeps what was sampled for {KEEP_S // 60} minutes"
    hint = f"{error.hint}; {fetch}" if error.hint else fetch.removeprefix("then: ")
    return type(error)(error.what, evidence=evidence, hint=hint)


def sidecar_failed(
    host: str, sidecar: SidecarRecord, seen: Observed, last_error: str
) -> RemoteProfError:
    """Return the error for a sidecar that printed no sample."""
    inside, exit_code = sidecar.pid_namespace != HOST_NAMESPACE, sidecar.exit_code
    if seen.target_gone and inside and exit_code == _KILLED:
        return RemoteProfError(
            f"{host}: the target ended, and with it the sidecar in its pid namespace",
            evidence=f"exit code {exit_code}; what was sampled until then is lost",
            hint="sample for a shorter time (--duration), or with --engine bpftrace: it keeps it",
        )
    killed = exit_code == _KILLED
    what = "ended before it sampled anything"
    if seen.began_at_s is not None:
        what = f"{'was killed' if killed else 'ended'} before it printed a sample"
    if exit_code == _NO_PROGRAM:
        return RemoteProfError(
            f"{host}: the image {sidecar.image} lacks the profiler",
            evidence=last_error,
            hint="name one that has it with --image; docs/engines.md says how to make it",
        )
    said = last_error or (_WHO_KILLS if killed else "it printed nothing")
    return RemoteProfError(
        f"{host}: the sidecar {what}",
        evidence=f"exit code {exit_code}: {said}",
        hint=f"see {sidecar.errors} in the run's directory, or ask: remote-prof doctor",
    )


def in_part(error: RemoteProfError, sidecar: SidecarRecord) -> Problem:
    """Return what is noted where one of several profilers failed and others did not."""
    what = f"{sidecar.engine} gave nothing: {error.what}"
    return Problem(Severity.WARNING, what, error.evidence, error.hint)


def refused_rights(rung: str, last_error: str) -> Problem:
    """Return what is noted where a rung of the ladder was too low: the next one is tried."""
    return Problem(
        Severity.WARNING,
        f"the kernel refuses the sidecar with {rung}: wider rights are tried",
        last_error,
    )


def all_rights_refused(host: str, sidecar: SidecarRecord, last_error: str) -> PreflightError:
    """Return the error for a kernel that refuses the last rung, too."""
    hint = "as a last resort: --privileged; or use another engine"
    if sidecar.rung == "privileged":
        hint = "see dmesg and the security modules of that host, or use another engine"
    return PreflightError(
        f"{host}: the kernel refuses the sidecar also with {sidecar.rung or 'no rights'}",
        evidence=last_error or "it printed nothing",
        hint=hint,
    )


def gone(host: str, plan: LaunchPlan) -> RemoteProfError:
    """Return the error for a run of which the host has nothing more."""
    return RemoteProfError(
        f"{host}: the run is gone from the host",
        evidence=f"there is no {plan.directory}: it was removed, or the host was started anew",
        hint="profile it again",
    )


def no_samples(
    host: str, target: TargetRecord, seen: Observed, cpu_time_s: float | None, event: Event
) -> NoSamplesError:
    """Return the error for a sampling that caught nothing."""
    sampled_s = seen.sampled_s
    if seen.target_gone:
        return NoSamplesError(
            f"{target.container} on {host} ended before it was sampled",
            evidence="its main process is gone",
            hint=f"see why it ended, with docker logs {target.container}; profile it while it runs",
        )
    used = "its CPU use is not known"
    if cpu_time_s is not None:
        used = f"it used {cpu_time_s:.2f} s of CPU time in {sampled_s:.1f} s"
    if event.once:
        return NoSamplesError(
            f"{target.container} on {host}: nothing is in it ({event.title})",
            evidence="the profiler gave an answer that is empty",
            hint="see what it said in profile.txt in the run's directory",
        )
    if not event.of_cpu_time:
        return NoSamplesError(
            f"{target.container} on {host}: nothing to count ({event.title}) in {sampled_s:.1f} s",
            evidence="a wait counts when it ends" if event.unit == "us" else used,
            hint="profile it while it has work to do, or for longer (--duration 60)",
        )
    return NoSamplesError(
        f"{target.container} on {host} was not on a CPU when it was sampled",
        evidence=used,
        hint="profile it while it has work to do, or for longer (--duration 60)",
    )
