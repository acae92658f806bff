"""One file a profiler: what it needs, what it runs, what its output means. All pure."""

from remote_prof.engines.austin import Austin
from remote_prof.engines.auto import AUTO, Choice, Engines
from remote_prof.engines.base import HOST_NAMESPACE, Engine, Event, ProfileRequest, Sidecar
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.engines.gopprof import GoPprof
from remote_prof.engines.java import Java
from remote_prof.engines.node import Node
from remote_prof.engines.perf import Perf
from remote_prof.engines.pyspy import PySpy
from remote_prof.engines.script import Script

__all__ = [
    "AUTO",
    "ENGINES",
    "HOST_NAMESPACE",
    "KNOWN",
    "Choice",
    "Engine",
    "Event",
    "ProfileRequest",
    "Sidecar",
]

ENGINES: tuple[Engine, ...] = (
    Bpftrace(),
    Perf(),
    PySpy(),
    Austin(),
    Node(),
    Java(),
    GoPprof(),
    Script(),
)
KNOWN = Engines(ENGINES)
