"""Java by JDK Flight Recorder, which every HotSpot JVM has in it: jattach asks for a recording.

Where the user gives async-profiler's library, that is loaded instead, and sees more. What is taken
once, a dump of the threads or a histogram of the heap, the JVM itself writes as text.

It works in the target's own pid namespace, as the target's user: the JVM answers nobody else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from remote_prof.engines import async_profiler
from remote_prof.engines.base import Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import (
    DUMP_S,
    GRACE_S,
    bounded,
    by_pid_inside,
    most_dump_blocks,
    none_runs,
    running,
)
from remote_prof.host.facts import HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.parse.async_profiler import parse_async_profiler
from remote_prof.parse.enclosed import parse_enclosed
from remote_prof.parse.java_heap import parse_java_heap
from remote_prof.parse.java_threads import parse_java_threads
from remote_prof.parse.jfr import parse_jfr
from remote_prof.profile.model import FrameKind, Profile
from remote_prof.records import Problem, Severity
from remote_prof.templates import render

_DENIED = re.compile(r"Could not start attach|[Pp]ermission denied|not permitted")
_TOOL = re.compile(rb"# ((?:async-profiler|jattach) [^\n]{1,200})\n")
_NS_PER_US = 1000
_SLOWEST_TICK_HZ = 100  # CONFIG_HZ is 100 to 1000
_ANSWER_S = 30  # the first command loads the recorder: 1 to 5 s on a busy host
_HELLO_S = 10  # before a dump, for which nothing has to be loaded
_ALLOCATIONS = 300  # samples a second, as in the JDK's own "profile"
_THRESHOLD_US = 100
_MOST_MIB = 40  # of a recording, which is what the reader takes


class _Dump(NamedTuple):
    """What a JVM is asked for, what its answer has in it, what the file is called, who reads it."""

    command: str
    mark: str
    file: str
    parse: Callable[..., Profile]


_DUMPS = {
    "dump": _Dump("Thread.print", "Full thread dump", "threads", parse_java_threads),
    "heap": _Dump("GC.class_histogram", "#instances", "heap", parse_java_heap),
}


class Java:
    """See the module."""

    name = "java"
    program = "jattach"
    pids_inside = True
    encloses = True
    purpose = "Java: methods and threads of the JVMs in the container, allocations, locks, heap"
    options = frozenset({"async_profiler"})
    language = "Java"
    vm_threads: re.Pattern[str] | None = re.compile(
        r"GC Thread|G1 |ZWorker|XWorker|Shenandoah|C[12] Compiler|VM (Thread|Periodic|Operation)"
        r"|Signal Dispatch|Service Thread|Monitor Deflati|Attach Listener|JFR |Common-Cleaner"
    )
    events: Mapping[str, Event] = {
        event.name: event
        for event in (
            Event("cpu", "threads that run Java code", "samples", sampled=True),
            Event("alloc", "bytes of new objects", "bytes"),
            Event("lock", "waiting for locks", "us"),
            Event("wall", "threads, whatever they do", "samples", sampled=True),
            Event("dump", "all threads at one moment", "threads", once=True),
            Event("heap", "live objects on the heap", "bytes", once=True),
        )
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long is recorded, and how often the threads are looked at."""
        event = self.events[request.event]
        if event.once:
            return "taken once"
        by = "async-profiler" if request.async_profiler else ""
        if event.sampled:
            rate = f"{_seconds(request)} s at {_frequency_hz(request)} Hz"
            return f"{rate}, by {by}" if by else rate
        return f"{_seconds(request)} s of {by or 'JDK Flight Recorder'}"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against recording there."""
        against = _of_the_library(request, facts)
        if target is None or against:
            return against
        found = running(target, self.language)
        if not found:
            return [
                none_runs(
                    target,
                    "JVM",
                    "profile it with --engine bpftrace, as programs of GraalVM's native-image are",
                )
            ]
        users = sorted({_user(process) for process in found})
        if len(users) > 1:
            return [
                Problem(
                    Severity.ERROR,
                    f"the JVMs in {target.name} run as several users",
                    f"their uids and gids on the host: {', '.join(users)}",
                    "a JVM answers its own user alone: profile one at a time, with --pid",
                )
            ]
        return []

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: who is the target's user needs no right, but for root.

        Root has fewer rights in the sidecar than in the target, and so may not look at it.
        """
        found = running(target, self.language)
        inside = [process.container_pid for process in found]
        once = self.events[request.event].once
        if once:
            script = _dump_script(request, inside)
        elif request.async_profiler:
            script = async_profiler.loading_script(request, inside, _seconds(request))
        else:
            script = _recording_script(request, inside)
        user = _user(found[0]) if found else "0:0"
        sidecar = bounded(
            request,
            facts,
            script=script,
            filter_text=by_pid_inside("JVM", "JVMs", found),
            rights=("SYS_PTRACE",) if user.startswith("0:") else (),
        )
        container = f"container:{target.container.container_id}"
        files = async_profiler.packed_files(request) if request.async_profiler else {}
        return (replace(sidecar, pid_namespace=container, user=user, files=files),)

    def denied(self, errors: str) -> bool:
        """Say whether jattach was not let at the process."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse the recordings that the sidecar printed. Raises ParseError."""
        if request.event in _DUMPS:
            read = partial(_DUMPS[request.event].parse, keep_offsets=keep_offsets)
        elif request.async_profiler:
            read = partial(parse_async_profiler, keep_offsets=keep_offsets)
        else:
            read = partial(parse_jfr, keep_offsets=keep_offsets, event=request.event)
        profile = parse_enclosed(raw, read)
        event = self.events[request.event]
        if request.async_profiler:
            profile = _in_our_terms(profile, request.event)
        tool = _TOOL.match(raw)
        by = tool[1].decode("utf-8", "replace").strip() if tool else ""
        # Timers of CPU time go off at the kernel's tick: of more than the slowest nobody knows.
        late = "timer)" in by and request.frequency_hz > _SLOWEST_TICK_HZ
        cut = () if b"\n@@ end " in raw else ("the output ends before the end of the run",)
        return replace(
            profile,
            unit=event.unit,
            frequency_hz=_frequency_hz(request) if event.sampled and not late else None,
            tool=by,
            notes=(*cut, *profile.notes),
        )


def _of_the_library(request: ProfileRequest, facts: HostFacts) -> list[Problem]:
    """Return what speaks against the library that the user gives, or against giving none."""
    library = request.async_profiler
    if library is None:
        if request.event != "wall":
            return []
        return [
            Problem(
                Severity.ERROR,
                "JDK Flight Recorder cannot sample threads that wait",
                "--event wall of Java is async-profiler's",
                "give it: --async-profiler DIR",
            )
        ]
    if library.architecture == facts.architecture:
        return []
    return [
        Problem(
            Severity.ERROR,
            f"async-profiler's library is for {library.architecture}",
            f"{library.path}; the host is {facts.architecture}",
            f"give a release for {facts.architecture}",
        )
    ]


def _in_our_terms(profile: Profile, event: str) -> Profile:
    """Return what async-profiler wrote, as all our profiles say it."""
    if event == "lock":
        scaled = {stack: round(n / _NS_PER_US) for stack, n in profile.weights.items()}
        return replace(profile, weights={stack: n for stack, n in scaled.items() if n})
    if event == "wall":
        # Who waits does so in the C library, which seldom has symbols: its caller says what for.
        frames = (f._replace(kind=FrameKind.USER) if f.module else f for f in profile.frames)
        return replace(profile, frames=tuple(frames))
    return profile


def _recording_script(request: ProfileRequest, inside: list[int]) -> str:
    duration_s = _seconds(request)
    return render(
        "java/sidecar.sh.j2",
        pids=inside,
        event=request.event,
        duration_s=duration_s,
        period_ms=_period_ms(request),
        allocations=_ALLOCATIONS,
        threshold_us=_THRESHOLD_US,
        most_mib=_MOST_MIB,
        answer_s=_ANSWER_S,
        recording_s=duration_s + GRACE_S,
    )


def _dump_script(request: ProfileRequest, inside: list[int]) -> str:
    dump = _DUMPS[request.event]
    return render(
        "java/dump.sh.j2",
        pids=inside,
        command=dump.command,
        mark=dump.mark,
        file=dump.file,
        answer_s=_HELLO_S,
        dump_s=DUMP_S,
        most_blocks=most_dump_blocks(len(inside)),
    )


def _user(process: Process) -> str:
    """Return who a JVM runs as, root where nobody knows."""
    return f"{process.uid or 0}:{process.gid or 0}"


def _period_ms(request: ProfileRequest) -> int:
    """Return the time between two looks: whole milliseconds, as JFR takes it."""
    return max(1, round(1000 / request.frequency_hz))


def _frequency_hz(request: ProfileRequest) -> int:
    if request.async_profiler:
        return request.frequency_hz
    return round(1000 / _period_ms(request))


def _seconds(request: ProfileRequest) -> int:
    return max(1, math.ceil(request.duration_s))
