"""One file a profiler: what it needs, what it runs, what its output means. All pure."""

from remote_prof.engines.base import Engine, Event, ProfileRequest, Sidecar
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.engines.pyspy import PySpy

__all__ = ["ENGINES", "Engine", "Event", "ProfileRequest", "Sidecar"]

ENGINES: tuple[Engine, ...] = (Bpftrace(), PySpy())
