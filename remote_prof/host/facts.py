"""Facts of a host, and the pure function that makes them of the facts script's output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from remote_prof.host.containers import Container, parse_containers, parse_json
from remote_prof.host.processes import Process, parse_processes

WORK_NEEDED_BYTES = 32 << 20
"""Room for a profile, its compressed copy and the logs."""

# Of x86, of hybrid x86, and of ARM.
_COUNTERS = re.compile(r".*/(cpu|cpu_core|armv[^/]*)")
_NUMBER = re.compile(r"[0-9]{1,18}")
_SIGNED = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the host holds."""

    image_id: str
    digests: tuple[str, ...]
    architecture: str
    layers: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The container engine. ``access``: how the login may use it.

    ``direct`` or, by a way to other rights (sudo, doas, su), ``sudo``; ``sudo-password`` where that
    wants a password or refuses, ``sudo-terminal`` where it wants a terminal; else ``denied``.
    ``error`` is what it said when it did not answer. Limits are what its kernel supports.
    """

    name: str
    path: str
    access: str
    error: str = ""
    version: str = ""
    security_options: tuple[str, ...] = ()
    memory_limit: bool = False
    cpu_limit: bool = False
    pids_limit: bool = False

    @property
    def answers(self) -> bool:
        """Whether the engine can be used by this login, perhaps by way of sudo."""
        return self.access in ("direct", "sudo", "doas")

    @property
    def missing(self) -> tuple[str, str]:
        """What stands between the login and the engine: (sudo, password), (sudo, terminal)."""
        way, _, missing = self.access.partition("-")
        return way, missing

    @property
    def version_tuple(self) -> tuple[int, ...]:
        """Leading numbers of the version: (26, 1, 5)."""
        return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", self.version)[:3])


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What one exchange tells about a host.

    ``cgroup`` is v2, hybrid or v1; ``cgroup_root`` where its unified tree is mounted (empty on
    v1). ``work_parents`` maps directories that are writable to their free bytes, in the order
    in which they are taken. ``clock_s`` is the host's Unix time.
    ``counters``: the CPU counts cycles; ``branch_records``: it keeps the last branches.
    ``tracefs`` is where the kernel's tracepoints can be seen, empty where nowhere.
    ``engines_sought`` are the names or paths that an engine was looked for by. ``sidecar`` is the
    image that this version of the tool would push, where it is there.
    """

    kernel: str
    architecture: str
    os_name: str
    login: str
    uid: int
    groups: tuple[str, ...]
    clock_s: int
    btf: bool
    lockdown: str
    selinux_enforcing: bool
    sysctls: Mapping[str, int]
    cgroup: str
    cgroup_root: str
    work_parents: Mapping[str, int]
    engine: EngineFacts | None
    compose: str = ""  # "v2 2.26.1", "v1", "standalone 2.30", or empty
    image: Image | None = None
    engines_sought: tuple[str, ...] = ()
    tracefs: str = ""
    counters: bool = False
    branch_records: bool = False
    sidecar: Image | None = None

    @property
    def work_parent(self) -> str | None:
        """The first writable directory with room for a run's files; None where there is none."""
        return next(
            (path for path, free in self.work_parents.items() if free >= WORK_NEEDED_BYTES), None
        )


@dataclass(frozen=True, slots=True)
class HostState:
    """Facts, containers and their processes, as one exchange found them.

    ``become``: the engine answers only to the rights of the host's ``Become``.
    """

    facts: HostFacts
    become: bool = False
    containers: tuple[Container, ...] = ()
    processes: tuple[Process, ...] = ()
    cgroup_ids: Mapping[str, int] = field(default_factory=dict)


def parse_facts(output: bytes, *, become: bool = False) -> HostState:
    """Parse what the facts script printed. Pure; a section that is missing leaves its default."""
    sections = _sections(output.decode("utf-8", "replace"))
    # On one line, as "uname -srm" prints it, or on one each.
    kernel = [*" ".join(sections.get("kernel", [])).split(), "", "", ""]
    login = _get(sections, "login", 3)
    cgroup, _, root = _get(sections, "cgroup", 1)[0].partition(" ")
    cgroup_ids = {
        path.removeprefix(root): inode for path, inode in _inodes(sections.get("cgroupids", []))
    }
    facts = HostFacts(
        kernel=kernel[1],
        architecture=kernel[2],
        os_name=_get(sections, "os", 1)[0].strip('"'),
        login=login[1],
        uid=_int(login[0], -1),
        groups=tuple(login[2].split()),
        clock_s=_int(_get(sections, "clock", 1)[0], 0),
        btf=_get(sections, "btf", 1)[0] == "yes",
        lockdown=_lockdown(_get(sections, "lockdown", 1)[0]),
        selinux_enforcing=_get(sections, "selinux", 1)[0] == "1",
        counters=any(_COUNTERS.fullmatch(path) for path in sections.get("counters", [])),
        branch_records=any(path.endswith("/branches") for path in sections.get("counters", [])),
        sysctls=dict(_sysctls(sections.get("sysctl", []))),
        cgroup=cgroup,
        cgroup_root=root,
        tracefs=_tracefs(sections.get("tracefs", [])),
        engines_sought=tuple(sections.get("sought", [])),
        work_parents=dict(_space(sections.get("space", []))),
        engine=_engine(sections),
        compose=_get(sections, "compose", 1)[0],
        image=_image("".join(_documents(sections.get("image", []))[:1])),
        sidecar=_image("".join(_documents(sections.get("sidecar", []))[:1])),
    )
    return HostState(
        facts=facts,
        become=become or (facts.engine is not None and facts.engine.access in ("sudo", "doas")),
        containers=parse_containers(sections.get("containers", [])),
        processes=parse_processes(sections),
        cgroup_ids=cgroup_ids,
    )


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line.startswith("@@"):
            name = line[2:]
            if name in sections:  # a section that comes twice, as the CPU times do
                name += "+"
            # A third one is none of ours: its lines go nowhere.
            current = [] if name in sections else sections.setdefault(name, [])
        elif line:
            current.append(line)
    return sections


def _get(sections: Mapping[str, list[str]], name: str, lines: int) -> list[str]:
    found = sections.get(name, [])[:lines]
    return found + [""] * (lines - len(found))


def _int(text: str, default: int) -> int:
    return int(text) if _SIGNED.fullmatch(text) else default


def _inodes(lines: list[str]) -> Iterator[tuple[str, int]]:
    # " 4026531836 /proc/self/ns/pid", as "ls -di" prints
    for line in lines:
        inode, _, path = line.strip().partition(" ")
        if _NUMBER.fullmatch(inode):
            yield path, int(inode)


def _sysctls(lines: list[str]) -> Iterator[tuple[str, int]]:
    # "/proc/sys/kernel/perf_event_paranoid:2", as "grep -H" prints, or "perf_event_paranoid=2"
    for line in lines:
        name, _, value = line.rpartition("/")[2].replace(":", "=").partition("=")
        yield name, _int(value, 0)


def _space(lines: list[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        free_kib, _, parent = line.partition(" ")
        if _NUMBER.fullmatch(free_kib):
            yield parent, int(free_kib) * 1024


def _lockdown(line: str) -> str:
    # "none [integrity] confidentiality": the brackets mark what is in force
    found = re.search(r"\[(\w+)\]", line)
    return found.group(1) if found else ""


def _tracefs(lines: list[str]) -> str:
    # It may be mounted at several places; this one is tracefs's own, since Linux 4.1.
    plain = [line for line in lines if re.fullmatch(r"/[A-Za-z0-9/_.-]+", line)]
    return min(plain, key=lambda path: path != "/sys/kernel/tracing", default="")


def _engine(sections: Mapping[str, list[str]]) -> EngineFacts | None:
    path = _get(sections, "engine", 1)[0]
    if not path:
        return None
    verdict, *said = _get(sections, "access", 1) + sections.get("access", [])[1:]
    status, _, access = verdict.partition(" ")
    name = path.rpartition("/")[2]
    if status != "0":
        access = access if "-" in access else "denied"
        return EngineFacts(name, path, access, error=_complaint(said))
    info = _mapping(parse_json("".join(_documents(sections.get("info", [])))))
    return (
        _podman(name, path, access, info) if "host" in info else _docker(name, path, access, info)
    )


def _complaint(said: list[str]) -> str:
    """Pick what an engine complains of among the notices that some print before."""
    told = (line.strip() for line in said if "denied" in line or "annot connect" in line)
    return next(told, said[-1].strip() if said else "")


def _documents(lines: list[str]) -> list[str]:
    # Some engines print a notice first: podman's that it is no docker, or of an old setting.
    return [line for line in lines if line.startswith(("{", "["))]


def _docker(name: str, path: str, access: str, info: Mapping[str, Any]) -> EngineFacts:
    return EngineFacts(
        name,
        path,
        access,
        version=_text(info.get("ServerVersion")),
        security_options=_texts(info.get("SecurityOptions")),
        memory_limit=bool(info.get("MemoryLimit")),
        cpu_limit=bool(info.get("CpuCfsQuota")),
        pids_limit=bool(info.get("PidsLimit")),
    )


def _podman(name: str, path: str, access: str, info: Mapping[str, Any]) -> EngineFacts:
    host = _mapping(info["host"])
    controllers = _texts(host.get("cgroupControllers"))
    options = ["name=rootless"] if _mapping(host.get("security")).get("rootless") else []
    return EngineFacts(
        name,
        path,
        access,
        version=_text(_mapping(info.get("version")).get("Version")),
        security_options=tuple(options),
        memory_limit="memory" in controllers,
        cpu_limit="cpu" in controllers,
        pids_limit="pids" in controllers,
    )


def _image(line: str) -> Image | None:
    found = parse_json(line)
    if not isinstance(found, list) or len(found) not in (3, 5):
        return None
    layers, labels = found[3:] if len(found) == 5 else ((), {})
    told = {key: _text(value) for key, value in _mapping(labels).items()}
    return Image(_text(found[0]), _texts(found[1]), _text(found[2]), _texts(layers), told)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(x for x in value if isinstance(x, str)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
