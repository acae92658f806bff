"""Python by austin: time, CPU time and memory of the interpreters of a container.

The second choice after py-spy: it knows memory, and sees what a thread does without stopping it, so
that now and then a stack is torn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import (
    GRACE_S,
    KILL_AFTER_S,
    bounded,
    by_pid_inside,
    no_python,
    topmost,
)
from remote_prof.errors import ParseError
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse.enclosed import enclosed
from remote_prof.parse.mojo import parse_mojo
from remote_prof.profile.model import Profile
from remote_prof.profile.summary import merge
from remote_prof.records import Problem
from remote_prof.templates import render

_RIGHTS = ("SYS_PTRACE",)
_DENIED = re.compile(r"[Pp]ermission|not permitted|privileges")
_OPTIONS = {"cpu": ("--cpu",), "wall": (), "memory": ("--memory",)}


class Austin:
    """See the module."""

    name = program = "austin"
    pids_inside = True
    encloses = True
    purpose = "Python: time and memory by functions, files and threads, without stopping it"
    options: frozenset[str] = frozenset()
    language = "Python"
    vm_threads: re.Pattern[str] | None = None
    events: Mapping[str, Event] = {
        event.name: event
        for event in (
            Event("cpu", "busy threads", "us", sampled=True),
            Event("wall", "threads, waiting ones too", "us", sampled=True),
            Event("memory", "memory taken", "bytes", sampled=True),
        )
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long and how often the threads are looked at."""
        return f"{request.duration_s:g} s at {request.frequency_hz} Hz"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against austin there."""
        del facts, request
        return no_python(target)

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: it needs one right, and no wider one would help."""
        chosen = topmost(target, self.language)
        options = [*_OPTIONS[request.event]]
        options += ["--children"] if target.scope == "container" else []
        script = render(
            "austin/sidecar.sh.j2",
            pids=[process.container_pid for process in chosen],
            interval_us=max(1, round(1e6 / request.frequency_hz)),
            duration_s=f"{request.duration_s:g}",
            options=" ".join(options),
            kill_after_s=KILL_AFTER_S,
            timeout_s=round(request.duration_s) + GRACE_S,
        )
        sidecar = bounded(
            request,
            facts,
            script=script,
            filter_text=by_pid_inside("interpreter", "interpreters", chosen),
            rights=_RIGHTS,
        )
        container = f"container:{target.container.container_id}"
        return (replace(sidecar, pid_namespace=container),)

    def denied(self, errors: str) -> bool:
        """Say whether austin was not let at the process."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse the files that the sidecar printed. Raises ParseError."""
        files = enclosed(raw)
        if not files:
            raise ParseError("austin's files are missing in the raw profile")
        # Processes stand in them: no root is put below.
        whole = merge(parse_mojo(file.data, keep_offsets=keep_offsets) for file in files)
        cut = () if b"\n@@ end " in raw else ("the output ends before the end of the run",)
        unit = self.events[request.event].unit
        return replace(whole, unit=unit, frequency_hz=None, notes=(*cut, *whole.notes))
