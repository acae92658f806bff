"""What all sidecars have in common: bounds, and nothing that they do not need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remote_prof.engines.base import ProfileRequest, Sidecar
from remote_prof.host.facts import HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.records import Problem, Severity

# bpftrace itself needs 100 MB; 65536 stacks of 127 frames in the kernel's map come on top.
_MEMORY_LIMIT_BYTES = 1 << 30
_CPU_LIMIT = 1.0
_PIDS_LIMIT = 64
# From the end of the sampling on, inside: old versions look names up slowly (13 ms a stack).
GRACE_S = 60
MOST_SHOWN = 8
KILL_AFTER_S = 20
# For a process to answer with a dump: with all else less than a launcher waits for a sidecar.
DUMP_S = 45
# Of all dumps together, in memory: 10,000 threads of 50 frames are 30 MiB.
_MOST_DUMPED_BYTES = 48 << 20


def bounded(
    request: ProfileRequest,
    facts: HostFacts,
    *,
    script: str,
    filter_text: str,
    rights: tuple[str, ...] = (),
) -> Sidecar:
    """Return a sidecar with no other rights, within the limits that the host can set."""
    engine = facts.engine
    assert engine is not None
    options = ["no-new-privileges"]
    if facts.selinux_enforcing:
        options.append("label=disable")
    return Sidecar(
        image=request.image,
        script=script,
        filter_text=filter_text,
        rung="privileged" if request.privileged else "+".join(rights),
        capabilities=() if request.privileged else rights,
        privileged=request.privileged,
        security_options=tuple(options),
        host_user_namespace="name=userns" in engine.security_options,
        memory_limit_bytes=_MEMORY_LIMIT_BYTES if engine.memory_limit else None,
        cpu_limit=_CPU_LIMIT if engine.cpu_limit else None,
        pids_limit=_PIDS_LIMIT if engine.pids_limit else None,
    )


def most_dump_blocks(processes: int) -> int:
    """Return how large the dump of each of so many processes may be, in blocks of 512 bytes."""
    return max(1, _MOST_DUMPED_BYTES // 512 // max(1, processes))


def by_pid_inside(what: str, several: str, processes: Sequence[Process]) -> str:
    """Say which processes are profiled: ``the JVMs 7, 9, by pid inside``."""
    numbers = ", ".join(str(process.container_pid) for process in processes)
    return f"the {what if len(processes) == 1 else several} {numbers}, by pid inside"


def running(target: Target, language: str) -> list[Process]:
    """Return the processes of a language; who names a process knows better than its name does."""
    if target.scope != "container":
        return list(target.processes)
    return [process for process in target.processes if process.language == language]


def topmost(target: Target, language: str) -> list[Process]:
    """Return the processes of a language that no other one has started, by way of whatever.

    What is one may be guessed from its name; who names a process knows better.
    """
    if target.scope != "container":
        return list(target.processes)
    by_pid = {process.pid: process for process in target.processes}
    own = {p.pid for p in target.processes if p.language == language}

    def ancestors(process: Process) -> Iterator[int]:
        seen: set[int] = set()
        parent = by_pid.get(process.parent_pid)
        while parent is not None and parent.pid not in seen:
            seen.add(parent.pid)
            yield parent.pid
            parent = by_pid.get(parent.parent_pid)

    return [by_pid[pid] for pid in sorted(own) if own.isdisjoint(ancestors(by_pid[pid]))]


def locked_down(facts: HostFacts, tool: str) -> list[Problem]:
    """Return that the kernel lets nobody sample it, where that is so."""
    if facts.lockdown != "confidentiality":
        return []
    return [
        Problem(
            Severity.ERROR,
            f"the kernel is locked down: it lets nobody read its memory by {tool}",
            "/sys/kernel/security/lockdown says [confidentiality]",
            "use a language's own profiler; the lockdown ends only with a reboot",
        )
    ]


def no_python(target: Target | None) -> list[Problem]:
    """Return that no interpreter runs in a target, where that is so."""
    if target is None or topmost(target, "Python"):
        return []
    fix = "profile it with --engine bpftrace; or name the interpreter: --process, --pid"
    return [none_runs(target, "Python", fix)]


def none_runs(target: Target, what: str, fix: str) -> Problem:
    """Return what is said where a target has none of the processes that an engine is for."""
    names = sorted({process.name for process in target.processes})
    shown = ", ".join(names[:MOST_SHOWN]) + ("..." if len(names) > MOST_SHOWN else "")
    return Problem(
        Severity.ERROR, f"no {what} runs in {target.name}", f"its processes: {shown}", fix
    )
