"""Names of Java for samplers in the kernel: JVMs are asked for a perf map before these begin.

A sampler reads the map when it first looks a name of the process up, and not again. So it has to be
there before, and what is compiled afterwards has no name. A sidecar of its own asks, for a JVM
answers its own user alone, in its own pid namespace; it stays until the others have ended, and then
takes the maps away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remote_prof.engines.base import Engine, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import GRACE_S, bounded, by_pid_inside
from remote_prof.host.facts import HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.records import Problem, Severity
from remote_prof.templates import render

_FLAG = "-XX:+PreserveFramePointer"
_ANSWER_S = 5
# Only if nobody tells it that the others have ended: after all that a launcher allows them.
_AT_MOST_S = 3 * GRACE_S


def perf_map_sidecar(
    engines: Sequence[Engine], request: ProfileRequest, facts: HostFacts, target: Target
) -> tuple[Sidecar, Problem] | None:
    """Return the sidecar that asks, and what is said of it; None where none is needed.

    That is where nobody looks names up by a map, Java's own profiler shows the JVMs, or none of
    them keeps frame pointers: then there are no stacks to be named.
    """
    by_map = any(engine.name in ("bpftrace", "perf") for engine in engines)
    shown = any(engine.language == "Java" for engine in engines)
    asked = _with_frame_pointers(target)
    if not by_map or shown or not asked or request.stacks == "kernel":
        return None
    uid, gid = asked[0].uid or 0, asked[0].gid or 0
    asked = [p for p in asked if (p.uid or 0, p.gid or 0) == (uid, gid)]
    script = render(
        "java/maps.sh.j2",
        pids=[process.container_pid for process in asked],
        answer_s=_ANSWER_S,
        timeout_s=round(request.duration_s) + _AT_MOST_S,
    )
    sidecar = bounded(
        request,
        facts,
        script=script,
        filter_text=by_pid_inside("JVM", "JVMs", asked),
        rights=() if uid else ("SYS_PTRACE",),
    )
    namespace = f"container:{target.container.container_id}"
    note = Problem(
        Severity.NOTE,
        "JVMs are asked for a perf map, by which their functions have names",
        f"{', '.join(f'{p.pid} {p.name}' for p in asked)}: started with {_FLAG}",
    )
    return replace(sidecar, pid_namespace=namespace, user=f"{uid}:{gid}"), note


def _with_frame_pointers(target: Target) -> list[Process]:
    return [p for p in target.processes if p.language == "Java" and _FLAG in p.arguments.split()]
