"""Go by its own ``net/http/pprof``, asked over the container's network: nothing is published.

The sidecar is in the target's pid and network namespace, so that it can tell whose a port is, and
asks none but those of Go programs of the target.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import GRACE_S, bounded, none_runs
from remote_prof.errors import ParseError
from remote_prof.host.facts import HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.parse.enclosed import parse_enclosed
from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.model import Profile
from remote_prof.records import Problem
from remote_prof.templates import load_text, render

# As the client says it: what a server says stands behind other words.
_DENIED = re.compile(r"^process [0-9]+: Permission denied to see", re.MULTILINE)
_TOOL = re.compile(rb"^# (net/http/pprof[^\n]{0,200})\n")
_OPEN_S = 60  # at most, before the sampling: 2 s for each port that does not answer
# After INT, also a user's: the client waits 20 s for the answers.
_KILL_AFTER_S = 40
_FREQUENCY_HZ = 100  # Go's own
_UNITS = {
    "cpu": "samples",
    "heap": "bytes",
    "allocs": "bytes",
    "goroutine": "goroutine",
    "mutex": "ns",
    "block": "ns",
}
_NS_PER_US = 1000


class GoPprof:
    """See the module."""

    name = "gopprof"
    program = "python3"
    pids_inside = True
    encloses = True
    purpose = "Go: its own profiles by net/http/pprof: memory, goroutines, waits, CPU time"
    options: frozenset[str] = frozenset()
    language = "Go"
    vm_threads: re.Pattern[str] | None = None
    events: Mapping[str, Event] = {
        event.name: event
        for event in (
            Event("cpu", "on-CPU, by Go itself", "samples", sampled=True, seen_whole=True),
            Event("heap", "memory in use", "bytes", once=True),
            Event("allocs", "memory allocated", "bytes"),
            Event("goroutine", "goroutines that there are", "goroutines", once=True),
            Event("mutex", "waiting that holders of locks caused", "us"),
            Event("block", "waiting for channels and locks", "us"),
        )
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long is sampled, and how often; or that it is done at once."""
        if self.events[request.event].once:
            return "taken once"
        often = f" at {_FREQUENCY_HZ} Hz, Go's own" if request.event == "cpu" else ""
        return f"{_seconds(request)} s{often}"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against it there. Whether Go serves profiles, its ports alone tell."""
        del facts, request
        if target is None or _candidates(target):
            return []
        return [
            none_runs(
                target,
                "Go program",
                "what runs there has other events: remote-prof engines; or name the process:"
                " --process, --pid",
            )
        ]

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the sidecars to try: the target's own user, then root that may look at any."""
        chosen = _candidates(target)
        inside = [process.container_pid for process in chosen]
        duration_s = _seconds(request)
        script = render(
            "gopprof/sidecar.sh.j2",
            client=load_text("gopprof/client.py"),
            event=request.event,
            duration_s=duration_s,
            pids=inside,
            kill_after_s=_KILL_AFTER_S,
            timeout_s=duration_s + _OPEN_S + GRACE_S,
        )
        container = f"container:{target.container.container_id}"
        numbers = ", ".join(map(str, inside))
        sidecar = replace(
            bounded(
                request,
                facts,
                script=script,
                filter_text=f"Go programs that serve profiles, of these pids inside: {numbers}",
            ),
            pid_namespace=container,
            network=container,
        )
        if request.privileged:
            return (replace(sidecar, rung="privileged"),)
        return tuple(
            replace(sidecar, user=user, capabilities=rights, rung="+".join(rights))
            for user, rights in _rungs(chosen)
        )

    def denied(self, errors: str) -> bool:
        """Say whether the kernel did not show whose the ports are."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse the profiles that the sidecar printed. Raises ParseError."""
        wanted = _UNITS[request.event]

        def read(data: bytes) -> Profile:
            profile = parse_pprof(data, keep_offsets=keep_offsets)
            if profile.weights and profile.unit != wanted:
                raise ParseError(
                    f"it is no profile of {request.event}",
                    evidence=f"it counts {profile.unit}, and not {wanted}",
                )
            return profile

        profile = parse_enclosed(raw, read)
        weights = profile.weights
        if wanted == "ns":
            scaled = {stack: round(weight / _NS_PER_US) for stack, weight in weights.items()}
            weights = {stack: weight for stack, weight in scaled.items() if weight}
        tool = _TOOL.match(raw)
        cut = () if b"\n@@ end " in raw else ("the output ends before the end of the run",)
        return replace(
            profile,
            weights=weights,
            unit=self.events[request.event].unit,
            frequency_hz=_FREQUENCY_HZ if request.event == "cpu" else None,
            tool=tool[1].decode("utf-8", "replace").strip() if tool else "",
            notes=(*cut, *profile.notes),
            # Go has the tables to walk a stack to its first function, without frame pointers.
            whole_stacks=True,
        )


def _candidates(target: Target) -> list[Process]:
    """Return the processes that may be Go: who names one knows better than its name does."""
    if target.scope != "container":
        return list(target.processes)
    # A program can be built without the id that tells it; its own file tells the sidecar more.
    return [process for process in target.processes if process.language in ("native", "Go")]


def _rungs(chosen: list[Process]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return who the sidecar may be, and with which rights, the narrowest first.

    Whose a socket is the kernel shows to the process's own user, without any right. What root
    runs, and a program that has rights by its file, takes one (SYS_PTRACE). For processes of
    several users root needs a second one: the list of a process's files is its user's.
    """
    users = {(process.uid, process.gid) for process in chosen}
    if None in {uid for uid, _ in users} or len({uid for uid, _ in users}) > 1:
        return (("0:0", ("SYS_PTRACE", "DAC_READ_SEARCH")),)
    as_root = ("0:0", ("SYS_PTRACE",))
    uid, gid = min(users)
    return (as_root,) if uid == 0 else ((f"{uid}:{gid}", ()), as_root)


def _seconds(request: ProfileRequest) -> int:
    """Return the duration as Go takes it: in whole seconds."""
    return max(1, math.ceil(request.duration_s))
