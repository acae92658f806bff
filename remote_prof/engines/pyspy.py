"""Python by py-spy: what the interpreters of a container run, with files and threads.

It works in the target's own pid namespace. In the host's, thread ids do not match, so that every
sleeping thread counts as busy, and native frames cannot be had.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import (
    DUMP_S,
    GRACE_S,
    KILL_AFTER_S,
    bounded,
    by_pid_inside,
    most_dump_blocks,
    no_python,
    topmost,
)
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse.pyspy import parse_pyspy
from remote_prof.parse.pyspy_dump import parse_pyspy_dump
from remote_prof.profile.model import Profile
from remote_prof.records import Problem
from remote_prof.templates import render

_RIGHTS = ("SYS_PTRACE",)
_DENIED = re.compile(r"Permission [Dd]enied|not permitted")
_OPTIONS = {"cpu": ("--threads",), "wall": ("--threads", "--idle"), "gil": ("--threads", "--gil")}
_MOST_PIDS = 4096


class PySpy:
    """See the module."""

    name = "pyspy"
    program = "py-spy"
    pids_inside = True
    encloses = False
    purpose = "Python: functions, files and threads of the interpreters in the container"
    options = frozenset({"native"})
    language = "Python"
    vm_threads: re.Pattern[str] | None = None
    events: Mapping[str, Event] = {
        event.name: event
        for event in (
            Event("cpu", "busy threads", "samples", sampled=True),
            Event("wall", "threads, waiting ones too", "samples", sampled=True),
            Event("gil", "threads that hold the GIL", "samples", sampled=True),
            Event("dump", "all threads at one moment", "threads", once=True),
        )
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long and how often the threads are looked at."""
        native = ", native frames too" if request.native else ""
        if self.events[request.event].once:
            return f"taken once{native}"
        return f"{_seconds(request)} s at {request.frequency_hz} Hz{native}"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against py-spy there."""
        del facts, request
        return no_python(target)

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: it needs one right, and no wider one would help."""
        whole = target.scope == "container"
        chosen = topmost(target, self.language)
        once = self.events[request.event].once
        options = [*_OPTIONS.get(request.event, ())]
        options += ["--subprocesses"] if whole else []
        options += ["--native"] if request.native else []
        script = render(
            "pyspy/dump.sh.j2" if once else "pyspy/sidecar.sh.j2",
            pids=[process.container_pid for process in chosen],
            whole=whole,
            duration_s=_seconds(request),
            frequency_hz=request.frequency_hz,
            options=" ".join(options),
            kill_after_s=KILL_AFTER_S,
            timeout_s=_seconds(request) + GRACE_S,
            dump_s=DUMP_S,
            most_blocks=most_dump_blocks(len(chosen)),
        )
        sidecar = bounded(
            request,
            facts,
            script=script,
            filter_text=by_pid_inside("interpreter", "interpreters", chosen),
            rights=_RIGHTS,
        )
        return (
            replace(
                sidecar,
                pid_namespace=f"container:{target.container.container_id}",
                # py-spy has a thread for each process below an interpreter.
                pids_limit=sidecar.pids_limit and _pids_limit(target),
                # It stops the target at each look: a limit of CPU time could keep it stopped.
                cpu_limit=None,
            ),
        )

    def denied(self, errors: str) -> bool:
        """Say whether py-spy was not let at the process."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse what the sidecar printed. Raises ParseError."""
        if self.events[request.event].once:
            return parse_pyspy_dump(raw, keep_offsets=keep_offsets)
        profile = parse_pyspy(raw, keep_offsets=keep_offsets)
        # Threads that wait, or hold a lock, are no CPU time.
        return replace(
            profile, frequency_hz=request.frequency_hz if request.event == "cpu" else None
        )


def _pids_limit(target: Target) -> int:
    return min(_MOST_PIDS, 64 + 8 * len(target.processes))


def _seconds(request: ProfileRequest) -> int:
    """Return the duration as py-spy takes it: in whole seconds."""
    return max(1, math.ceil(request.duration_s))
