"""Sampling and tracing by bpftrace, in the kernel, of all processes of a container at once.

``-p`` is never used: it samples the whole host before 0.24 and one thread after. A predicate
selects instead, the best that the host can evaluate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import GRACE_S, KILL_AFTER_S, bounded, locked_down
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.bpftrace_keys import Stacks
from remote_prof.parse.mappings import MOST_MAPPINGS
from remote_prof.profile.model import Profile
from remote_prof.records import Problem, Severity
from remote_prof.templates import render

_MAP_KEYS = 65536
_CAP_BPF_DOCKER = (23,)
_MEMLOCK_KERNEL = (5, 11)
# Since 0.22 BEGIN and END are programs of raw tracepoints that are run on request, which kernels do
# since 5.10; bpftrace ends without a word where they do not. What else the younger generation rests
# on is older: the hash of a stack is a loop (5.3), its variables are global data (5.2).
_YOUNG_KERNEL = (5, 10)
YOUNG, OLD = "bpftrace", "bpftrace-old"
"""The generations of bpftrace that an image may have, by the names of their programs."""

_OURS = "remote-prof.sidecar"  # the label of images that were built by the tool
# As bpftrace and the kernel's verifier put it: EPERM and EACCES, and what libbpf makes of them.
_DENIED = re.compile(r"not permitted|[Pp]ermission denied|EPERM|EACCES|CAP_[A-Z_]+|must be root")
_MOST_LIBRARIES = 16  # of allocators; each takes a moment to be looked into
_TRACEFS = "/sys/kernel/tracing"
_OWN_PID_MODES = ("", "private")  # as docker and podman tell of a pid namespace of its own


@dataclass(frozen=True, slots=True)
class Filter:
    """Which samples count: a predicate, or a process whose pid namespace makes one.

    ``kind`` says in words how; not ``complete`` means that processes which start later are missed.
    """

    kind: str
    predicate: str
    pid: int | None = None
    complete: bool = True

    def __str__(self) -> str:
        what = self.predicate or f"that of process {self.pid}"
        return f"{self.kind}: {what}"

    def environment(self) -> dict[str, str]:
        """Return what the sidecar's script reads."""
        return {"TARGET_FILTER": self.predicate, "TARGET_PID": str(self.pid or "")}


EVENTS: Mapping[str, Event] = {
    event.name: event
    for event in (
        Event("cpu", "on-CPU", "samples", sampled=True, of_cpu_time=True),
        Event("offcpu", "off-CPU", "us"),
        Event("wakeup", "wakeups", "us"),
        Event("page-faults", "page faults", "faults"),
        Event("malloc", "allocations", "bytes"),
        Event("syscalls", "system calls", "calls"),
        Event("lock", "waits for locks", "us"),
    )
}
_TRACEPOINTS = frozenset({"offcpu", "wakeup", "syscalls", "lock"})
# What stands between the name of a process and the stacks, see ``parse.bpftrace_extra``.
_EXTRA = {"syscalls": "syscall", "wakeup": "waker"}


class Bpftrace:
    """See the module."""

    name = program = "bpftrace"
    pids_inside = False
    encloses = False
    purpose = "any program: CPU time, waits, allocations, system calls, sampled in the kernel"
    events = EVENTS
    options = frozenset({"stacks"})
    language = ""
    vm_threads: re.Pattern[str] | None = None

    def describe(self, request: ProfileRequest) -> str:
        """Say how long, how often, and which stacks."""
        event = EVENTS[request.event]
        rate = f"at {request.frequency_hz} Hz" if event.sampled else f"of {event.title}"
        return f"{request.duration_s:g} s {rate}, {request.stacks} stacks"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against bpftrace there."""
        found = locked_down(facts, "BPF") if not request.privileged else []
        if request.event in _TRACEPOINTS and not facts.tracefs:
            found.append(
                Problem(
                    Severity.ERROR,
                    f"the host shows no tracepoints, which --event {request.event} needs",
                    "neither tracefs nor debugfs is in /proc/mounts",
                    "mount it, as root of the host: mount -t tracefs nodev /sys/kernel/tracing",
                )
            )
        if request.event == "malloc" and request.stacks == "kernel":
            found.append(
                Problem(
                    Severity.ERROR,
                    "no allocation of --event malloc is made in the kernel",
                    "--stacks kernel was asked for",
                    "leave --stacks away: the stacks of the user's side are taken",
                )
            )
        if kernel_version(facts.kernel) < (4, 9):
            found.append(
                Problem(
                    Severity.ERROR,
                    f"kernel {facts.kernel} is too old for sampling with bpftrace",
                    "BPF programs on perf events came with Linux 4.9",
                    "use perf on that host",
                )
            )
        if generations(facts)[0] == OLD and _has_young_alone(facts):
            found.append(
                Problem(
                    Severity.WARNING,
                    f"kernel {facts.kernel} is likely to refuse the bpftrace of the image",
                    "before Linux 5.10 it takes an older one, and this image has none",
                    "remote-prof image build --old-bpftrace makes one that has both",
                )
            )
        if target is not None and not choose_filter(facts, target).complete:
            found.append(
                Problem(
                    Severity.WARNING,
                    "processes that start during the run may not be sampled",
                    f"the best filter that the host can evaluate is {choose_filter(facts, target)}",
                    "start them before the run, or profile again when they run",
                )
            )
        return found

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the sidecars for a host and a target, the narrowest rights first."""
        chosen = choose_filter(facts, target)
        sidecar = replace(
            bounded(
                request, facts, script=_script(request, facts, target), filter_text=str(chosen)
            ),
            environment=chosen.environment(),
            unlimited_locked_memory=kernel_version(facts.kernel) < _MEMLOCK_KERNEL,
            mounts=((facts.tracefs, _TRACEFS),) if request.event in _TRACEPOINTS else (),
        )
        return tuple(
            replace(sidecar, rung=rung, capabilities=capabilities)
            for rung, capabilities in rungs(request, facts)
        )

    def denied(self, errors: str) -> bool:
        """Say whether the kernel refused the program, or something that it needs."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse what the sidecar printed. Raises ParseError."""
        return parse_bpftrace(
            raw,
            keep_offsets=keep_offsets,
            frequency_hz=request.frequency_hz if EVENTS[request.event].sampled else None,
            stacks=Stacks("user" if request.event == "malloc" else request.stacks),
        )


def choose_filter(facts: HostFacts, target: Target) -> Filter:
    """Return the best predicate that the host can evaluate.

    The id of the control group (unified hierarchy), else the pid namespace by BTF, else the pids
    that there are now.
    """
    pids = " || ".join(f"pid == {process.pid}" for process in target.processes)
    ids = " || ".join(f"cgroup == {number}" for number in target.cgroup_ids)
    if target.scope == "process":
        # A pid may be another process's by the time that it is looked at.
        return Filter("by pid", f"({pids}) && ({ids})" if ids else pids)
    # A container that makes control groups of its own can make another one during the run.
    nested = len(target.cgroup_ids) > 1
    own_namespace = target.container.pid_mode in _OWN_PID_MODES
    if target.cgroup_ids and not (nested and facts.btf and own_namespace):
        return Filter("by control group", ids, complete=not nested)
    # With the host's pid namespace, or another container's, it would select too much.
    if facts.btf and own_namespace:
        return Filter("by pid namespace", "", pid=target.container.pid)
    return Filter("by the pids of now", pids, complete=False)


def rungs(request: ProfileRequest, facts: HostFacts) -> list[tuple[str, tuple[str, ...]]]:
    """Return the ladder of privileges for a host, the narrowest first: names, and capabilities.

    Docker knows CAP_BPF and CAP_PERFMON, and lets seccomp pass what they allow, since 23.0; the
    kernel since 5.8. It lets CAP_SYS_ADMIN alone trace functions of programs, as malloc needs it;
    and so does the older bpftrace before 5.10, which begins and ends by probes on its own program.
    CAP_SYSLOG is what shows the kernel's function names.
    """
    if request.privileged:
        return [("privileged", ())]
    engine = facts.engine
    assert engine is not None
    fine = (
        engine.name != "podman"
        and engine.version_tuple >= _CAP_BPF_DOCKER
        and kernel_version(facts.kernel) >= _YOUNG_KERNEL
        and request.event != "malloc"
    )
    names: tuple[str, ...] = ("SYS_PTRACE",)
    if _kernel_names(request):
        names += ("SYSLOG",)
    ladder = [("BPF", "PERFMON", *names)] if fine else []
    ladder.append(("SYS_ADMIN", *names))
    return [("+".join(rung), rung) for rung in ladder]


def generations(facts: HostFacts) -> tuple[str, str]:
    """Return the programs that are tried where an image has both: the one that suits first.

    The younger one wherever it can work: it looks names up faster. By the number alone: what
    a distribution has put into an older kernel (Red Hat's 4.18) is not known, and there the older
    one works, too. Where the first is refused, the sidecar's script tries the other.
    """
    young_first = kernel_version(facts.kernel) >= _YOUNG_KERNEL
    return (YOUNG, OLD) if young_first else (OLD, YOUNG)


def _has_young_alone(facts: HostFacts) -> bool:
    labels = facts.image.labels if facts.image else {}
    return _OURS in labels and f"{_OURS}.{OLD}" not in labels


def kernel_version(release: str) -> tuple[int, ...]:
    """Return the leading numbers of ``uname -r``: ``6.1.0-18-amd64`` is (6, 1)."""
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", release)[:2])


def _one_process(target: Target) -> bool:
    return target.scope == "process" and len(target.processes) == 1


def _kernel_names(request: ProfileRequest) -> bool:
    return request.stacks != "user" and request.event != "malloc"


def _script(request: ProfileRequest, facts: HostFacts, target: Target) -> str:
    stacks = {"user": ("ustack",), "kernel": ("kstack",), "both": ("kstack", "ustack")}
    keys = stacks[request.stacks]
    event = EVENTS[request.event]
    values: dict[str, object] = {
        "event": event.name,
        "frequency_hz": request.frequency_hz,
        "stacks": ", ".join(keys),
        "waits": _waits(event.name, keys),
        "print_ns": round(_print_interval_s(request.duration_s) * 1e9),
        "duration_ns": round(request.duration_s * 1e9),
    }
    return render(
        "bpftrace/sidecar.sh.j2",
        program=render("bpftrace/stacks.bt.j2", **values),
        allocation=render("bpftrace/events/malloc.bt.j2", **values),
        generations=generations(facts),
        event=event.name,
        unit=event.unit,
        extra=_EXTRA.get(event.name, ""),
        map_keys=_MAP_KEYS,
        one_process=_one_process(target),
        pids=[process.pid for process in target.processes],
        others=target.others,
        main_pid=target.main_pid,
        most_libraries=_MOST_LIBRARIES,
        kernel_names=_kernel_names(request),
        most_mappings=MOST_MAPPINGS,
        kill_after_s=KILL_AFTER_S,
        timeout_s=round(request.duration_s) + GRACE_S,
        duration_cs=round(request.duration_s * 100),
    )


def _waits(event: str, keys: tuple[str, ...]) -> list[str]:
    """Return the names of the maps that tell of a wait as long as it lasts."""
    if event == "lock":
        return ["since"]
    if event == "malloc":
        return ["depth"]
    if event == "wakeup":
        return ["since", "pid", "comm"]
    if event == "offcpu":
        kept = {"kstack": "kernel", "ustack": "user"}
        return ["since", "pid", "comm", *(kept[key] for key in keys)]
    return []


def _print_interval_s(duration_s: float) -> float:
    """Return 2 s for a short run, up to 10 s for a long one."""
    return min(10.0, max(2.0, duration_s / 10))
