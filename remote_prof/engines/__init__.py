"""One file a profiler: what it needs, what it runs, what its output means. All pure."""

from remote_prof.engines.base import HOST_NAMESPACE, Engine, Event, ProfileRequest, Sidecar
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.engines.java import Java
from remote_prof.engines.pyspy import PySpy

__all__ = ["ENGINES", "HOST_NAMESPACE", "Engine", "Event", "ProfileRequest", "Sidecar"]

ENGINES: tuple[Engine, ...] = (Bpftrace(), PySpy(), Java())
