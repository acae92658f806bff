"""perf: any program, above all those without frame pointers, whose stacks it unwinds by DWARF.

The sidecar is in the host's pid namespace. To find the target's files, perf enters the target's
mount namespace, for which it needs SYS_CHROOT: without it names come from the sidecar's own files,
and are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import GRACE_S, KILL_AFTER_S, bounded, locked_down
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse.mappings import MOST_MAPPINGS
from remote_prof.parse.perf import parse_perf
from remote_prof.profile.model import Profile
from remote_prof.records import Problem, Severity
from remote_prof.templates import render

_RIGHTS = ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT")
_KERNEL_NAMES = "SYSLOG"
_DENIED = re.compile(r"not permitted|[Pp]ermission denied|No permission|EPERM|EACCES")
# Of each sample's stack so much is copied: perf's default, 1 MB a second and CPU at 99 Hz.
_CALL_GRAPHS = {"fp": "fp", "dwarf": "dwarf,8192", "lbr": "lbr"}
_BY = {"fp": "frame pointers", "dwarf": "DWARF", "lbr": "last branch records"}
_SIDES = {"user": "--user-callchains", "kernel": "--kernel-callchains", "both": ""}
_HARDWARE = frozenset({"cycles", "instructions", "cache-misses", "branch-misses"})


class Perf:
    """See the module."""

    name = program = "perf"
    pids_inside = False
    encloses = False
    purpose = "any program: stacks without frame pointers, hardware and software events"
    options = frozenset({"stacks", "call_graph"})
    language = ""
    vm_threads: re.Pattern[str] | None = None
    events: Mapping[str, Event] = {
        event.name: event
        for event in (
            Event("cpu", "on-CPU", "samples", sampled=True, of_cpu_time=True),
            Event("cycles", "CPU cycles", "cycles", sampled=True),
            Event("instructions", "instructions", "instructions", sampled=True),
            Event("cache-misses", "cache misses", "misses", sampled=True),
            Event("branch-misses", "branches mispredicted", "misses", sampled=True),
            Event("page-faults", "page faults", "faults"),
            Event("major-faults", "page faults from disk", "faults"),
            Event("context-switches", "context switches", "switches"),
            Event("cpu-migrations", "moves to another CPU", "moves"),
        )
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long, how often, which stacks, and how they are unwound."""
        event = self.events[request.event]
        rate = f"at {request.frequency_hz} Hz" if event.sampled else f"of {event.title}"
        how = _BY[request.call_graph]
        return f"{request.duration_s:g} s {rate}, {request.stacks} stacks by {how}"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against perf there."""
        del target
        found = locked_down(facts, "perf") if not request.privileged else []
        if request.event in _HARDWARE and not facts.counters:
            found.append(
                Problem(
                    Severity.ERROR,
                    f"the host has no hardware counters, which --event {request.event} needs",
                    "/sys/bus/event_source/devices has no CPU's; virtual machines often hide them",
                    "use --event cpu: it goes by the clock there",
                )
            )
        if request.call_graph == "lbr" and not facts.branch_records:
            found.append(
                Problem(
                    Severity.ERROR,
                    "the host's CPU shows no last branch records, which --call-graph lbr needs",
                    "/sys/bus/event_source/devices/cpu*/caps/branches is not there",
                    "use --call-graph dwarf",
                )
            )
        return found

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: with less, names are missing or wrong."""
        pids = [process.pid for process in target.processes]
        event = self.events[request.event]
        script = render(
            "perf/sidecar.sh.j2",
            event="cycles" if event.of_cpu_time else event.name,
            each=int(event.of_cpu_time),
            # What the kernel itself counts is taken each time: sampled, its periods do not add up.
            # Samples come one by one, so that names are looked up while the target is there.
            rate=f"-F {request.frequency_hz} --no-buffering" if event.sampled else "-c 1",
            call_graph=_CALL_GRAPHS[request.call_graph],
            options=_SIDES[request.stacks],
            pids=pids,
            duration_s=f"{request.duration_s:g}",
            most_mappings=MOST_MAPPINGS,
            kill_after_s=KILL_AFTER_S,
            timeout_s=round(request.duration_s) + GRACE_S,
        )
        rights = _RIGHTS if request.stacks == "user" else (*_RIGHTS, _KERNEL_NAMES)
        numbers = ", ".join(map(str, pids))
        return (
            bounded(
                request,
                facts,
                script=script,
                filter_text=f"by the pids of now, and what they start: {numbers}",
                rights=rights,
            ),
        )

    def denied(self, errors: str) -> bool:
        """Say whether the kernel refused the event."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse what the sidecar printed. Raises ParseError."""
        event = self.events[request.event]
        return replace(
            parse_perf(raw, keep_offsets=keep_offsets),
            unit=event.unit,
            frequency_hz=request.frequency_hz if event.of_cpu_time else None,
        )
