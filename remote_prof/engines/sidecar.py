"""What all sidecars have in common: bounds, and nothing that they do not need."""

from __future__ import annotations

from remote_prof.engines.base import ProfileRequest, Sidecar
from remote_prof.host.facts import HostFacts

# bpftrace itself needs 100 MB; 65536 stacks of 127 frames in the kernel's map come on top.
_MEMORY_LIMIT_BYTES = 1 << 30
_CPU_LIMIT = 1.0
_PIDS_LIMIT = 64
# From the end of the sampling on, inside: old versions look names up slowly (13 ms a stack).
GRACE_S = 60
KILL_AFTER_S = 20


def bounded(request: ProfileRequest, facts: HostFacts, *, script: str, filter_text: str) -> Sidecar:
    """Return a sidecar without any rights, within the limits that the host can set."""
    engine = facts.engine
    assert engine is not None
    options = ["no-new-privileges"]
    if facts.selinux_enforcing:
        options.append("label=disable")
    return Sidecar(
        image=request.image,
        script=script,
        filter_text=filter_text,
        rung="",
        privileged=request.privileged,
        security_options=tuple(options),
        host_user_namespace="name=userns" in engine.security_options,
        memory_limit_bytes=_MEMORY_LIMIT_BYTES if engine.memory_limit else None,
        cpu_limit=_CPU_LIMIT if engine.cpu_limit else None,
        pids_limit=_PIDS_LIMIT if engine.pids_limit else None,
    )
