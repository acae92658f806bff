"""Node.js by V8's own CPU profile, which the inspector of each process hands out.

The sidecar is in the target's pid and network namespace, as its user, and has no right besides: so
it can signal the process, which opens the inspector, and reach it on the loopback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import (
    GRACE_S,
    MOST_SHOWN,
    bounded,
    by_pid_inside,
    none_runs,
    running,
)
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse.cpuprofile import parse_cpuprofile
from remote_prof.parse.enclosed import parse_enclosed
from remote_prof.profile.model import Profile
from remote_prof.records import Problem, Severity
from remote_prof.templates import load_text, render

_OPEN_S = 30  # at most, before the sampling: an inspector takes some 0.1 s to open
# After INT, also a user's: the client may wait 40 s for the profiles, then closes the inspectors.
_KILL_AFTER_S = 75
_TOOL = re.compile(rb"# (node [^\n]{1,200})\n")


class Node:
    """See the module."""

    name = "node"
    program = "python3"
    pids_inside = True
    encloses = True
    purpose = "Node: functions and files of its main threads, by V8's own CPU profile"
    options: frozenset[str] = frozenset()
    language = "Node.js"
    vm_threads: re.Pattern[str] | None = re.compile(
        r"libuv-worker|V8Worker|node-V8|DelayedTaskSche|SignalInspector|WorkerThread"
    )
    events: Mapping[str, Event] = {
        "cpu": Event("cpu", "busy main threads", "samples", sampled=True)
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long and how often the main threads are looked at."""
        return f"{request.duration_s:g} s at {request.frequency_hz} Hz, main threads"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against it there."""
        del request, facts
        if target is None:
            return []
        chosen = running(target, self.language)
        if not chosen:
            return [
                none_runs(
                    target,
                    "Node.js",
                    "profile it with --engine bpftrace; or name the process: --process, --pid",
                )
            ]
        if any(process.uid is None or process.gid is None for process in chosen):
            return [
                Problem(
                    Severity.ERROR,
                    "it is not known as which user Node.js runs, and no other may signal it",
                    "the host tells no Uid and Gid of it in /proc/PID/status",
                    "profile it with --engine bpftrace, or log in as one who may read them",
                )
            ]
        users = {f"{process.uid}:{process.gid}" for process in chosen}
        if len(users) > 1:
            return [
                Problem(
                    Severity.ERROR,
                    "the Node.js processes run as different users, and a sidecar is one of them",
                    "their users and groups: " + ", ".join(sorted(users)[:MOST_SHOWN]),
                    "name one process: --process, --pid",
                )
            ]
        return []

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: it needs no capability, and none would help."""
        chosen = running(target, self.language)
        script = render(
            "node/sidecar.sh.j2",
            client=load_text("node/client.py"),
            pids=[process.container_pid for process in chosen],
            duration_s=f"{request.duration_s:g}",
            frequency_hz=request.frequency_hz,
            kill_after_s=_KILL_AFTER_S,
            timeout_s=round(request.duration_s) + _OPEN_S + GRACE_S,
        )
        sidecar = bounded(
            request,
            facts,
            script=script,
            filter_text=by_pid_inside("process", "processes", chosen),
        )
        container = f"container:{target.container.container_id}"
        user = f"{chosen[0].uid}:{chosen[0].gid}"
        return (replace(sidecar, pid_namespace=container, network=container, user=user),)

    def denied(self, errors: str) -> bool:
        """Say that wider rights would not help: there are none to be had."""
        del errors
        return False

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse what the sidecar printed. Raises ParseError."""
        profile = parse_enclosed(
            raw, lambda data: parse_cpuprofile(data, keep_offsets=keep_offsets)
        )
        # From microseconds to samples that were taken evenly.
        scale = request.frequency_hz / 1e6 if profile.unit == "us" else 1
        weights = {stack: round(weight * scale) for stack, weight in profile.weights.items()}
        tool = _TOOL.match(raw)
        return replace(
            profile,
            weights={stack: weight for stack, weight in weights.items() if weight},
            unit="samples",
            frequency_hz=request.frequency_hz,
            tool=tool[1].decode("utf-8", "replace").strip() if tool else "",
        )
