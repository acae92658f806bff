"""What the kernel says of a sidecar at work: its rights, mounts, interfaces and namespaces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .model import LabHost
from .tool import our_containers

# capabilities(7) as include/uapi/linux/capability.h numbers them
CAPABILITIES = {
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "SYSLOG": 34,
    "PERFMON": 38,
    "BPF": 39,
}
FILTERED = "2"  # SECCOMP_MODE_FILTER
# The engine's own: made anew for each container, empty, gone with it.
OF_MEMORY = {"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"}
OF_THE_ENGINE = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo, see proc(5)."""

    at: str
    options: frozenset[str]
    kind: str


@dataclass(frozen=True)
class Rights:
    """What /proc said of the first process of a container."""

    pid: str
    status: dict[str, str]
    mounts: list[Mount]
    interfaces: set[str]
    namespaces: dict[str, str]

    def check(self, capabilities: Iterable[str]) -> None:
        """See that there are these capabilities and no others, and nothing of the host besides."""
        wanted = sum(1 << CAPABILITIES[name] for name in capabilities)
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            assert int(self.status[kind], 16) == wanted, kind
        assert (self.status["Seccomp"], self.status["NoNewPrivs"]) == (FILTERED, "1")
        assert self.interfaces == {"lo"}
        mounts = {m.at for m in self.mounts if m.at != "/" and m.kind not in OF_MEMORY}
        assert mounts <= OF_THE_ENGINE


def rights_of(host: LabHost, container: str = "") -> Rights:
    """Look at a container, or at the one sidecar that there is."""
    if not container:
        (container,) = our_containers(host)
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", container)
    spaces = ("net", "mnt", "pid", "ipc", "uts")
    return Rights(
        pid,
        read_status(pid),
        read_mounts(pid),
        read_interfaces(pid),
        {name: str(Path(f"/proc/{pid}/ns/{name}").readlink()) for name in spaces},
    )


def read_status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def read_mounts(pid: str) -> list[Mount]:
    found = []
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        own, _, shared = line.partition(" - ")
        fields = own.split()
        found.append(Mount(fields[4], frozenset(fields[5].split(",")), shared.split()[0]))
    return found


def read_interfaces(pid: str) -> set[str]:
    return set(re.findall(r"([\w.-]+):", Path(f"/proc/{pid}/net/dev").read_text()))
