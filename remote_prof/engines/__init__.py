"""One file a profiler: what it needs, what it runs, what its output means. All pure."""

from remote_prof.engines.base import Engine, ProfileRequest, Sidecar
from remote_prof.engines.bpftrace import Bpftrace

__all__ = ["ENGINES", "Engine", "ProfileRequest", "Sidecar"]

ENGINES: tuple[Engine, ...] = (Bpftrace(),)
