"""Processes of containers, as /proc of the host tells of them (see proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ID = re.compile(r"[0-9a-f]{64}")
_STATUS = re.compile(r"/proc/([0-9]{1,10})/status:(\w+):\s*(.*)")
_PATH = re.compile(r"/proc/([0-9]{1,10})/cgroup:[0-9]+:([^:]*):(.*)")
_PROGRAM = re.compile(r"/proc/([0-9]{1,10})/exe -> (/.*)")
_RUNTIME = re.compile(r"/proc/([0-9]{1,10})/maps:/lib(python|jvm|node)")
_OPENED = re.compile(r"==> /proc/([0-9]{1,10})/exe <==")
_NUMBER = re.compile(r"[0-9]{1,18}")
_LAST_NUMBER = re.compile(r"(?<![0-9])([0-9]{1,10})\s*\Z")
_UPTIME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ")
_TICKS_PER_S = 100  # USER_HZ: fixed by the kernel's ABI on all current architectures

# Whole names: node_exporter is no Node.js, and java-start.sh no Java.
_LANGUAGES = (
    (re.compile(r"python[0-9.]*(-dbg)?|pypy[0-9.]*|uwsgi.*|gunicorn.*"), "Python"),
    (re.compile(r"node(js)?[0-9.]*"), "Node.js"),
    (re.compile(r"java[0-9.]*"), "Java"),
    (re.compile(r"ruby[0-9.]*|puma.*"), "Ruby"),
    (re.compile(r"php.*"), "PHP"),
    (re.compile(r"perl[0-9.]*"), "Perl"),
    (re.compile(r"dotnet"), ".NET"),
    (re.compile(r"beam.*"), "Erlang"),
)
_GO = "go"
_RUNTIMES = {"python": "Python", "jvm": "Java", "node": "Node.js", _GO: "Go"}


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a container.

    ``pid`` is the host's, ``container_pid`` the one seen inside. ``cgroup`` is its path in the
    unified tree, ``cpuacct`` in the v1 controller's; empty where there is none.
    ``cpu_share`` is of one CPU, None where it was not measured. ``uid`` and ``gid`` are the
    effective ones, as the host has them. ``program`` is the path of what it runs, in its own file
    system, and ``runtime`` the interpreter or VM that it has loaded as a library (python, jvm,
    node), or go, if it was built by that: both empty where the login may not see them.
    """

    pid: int
    container_id: str
    container_pid: int
    parent_pid: int
    name: str
    arguments: str = ""
    cgroup: str = ""
    cpuacct: str = ""
    cpu_share: float | None = None
    uid: int | None = None
    gid: int | None = None
    program: str = ""
    runtime: str = ""

    @property
    def language(self) -> str:
        """What it runs, ``native`` where that is no interpreter and no VM that is known.

        The program itself tells it, and the libraries that it has loaded. Where they cannot be
        seen it is a guess from the name and the arguments.
        """
        if self.runtime:
            return _RUNTIMES[self.runtime]
        if self.program:
            names = [self.program.rpartition("/")[2]]
        else:
            names = [self.arguments.split(" ", 1)[0].rpartition("/")[2], self.name]
        for form, language in _LANGUAGES:
            if any(map(form.fullmatch, names)):
                return language
        return "native"


def parse_processes(sections: Mapping[str, list[str]]) -> tuple[Process, ...]:
    """Parse the facts script's sections, ordered by host pid."""
    owners = dict(_owners(sections.get("membership", [])))
    status: dict[int, dict[str, str]] = {}
    for line in sections.get("status", []):
        if found := _STATUS.match(line):
            status.setdefault(int(found[1]), {})[found[2]] = found[3]
    paths: dict[int, dict[str, str]] = {}
    for line in sections.get("paths", []):
        if found := _PATH.match(line):
            paths.setdefault(int(found[1]), {})["cpuacct" if found[2] else ""] = found[3]
    arguments = dict(_arguments(sections.get("arguments", [])))
    shares = _cpu_shares(sections)
    programs = dict(_found(_PROGRAM, sections.get("programs", [])))
    runtimes = dict.fromkeys(_built_by_go(sections.get("builds", [])), _GO)
    runtimes |= _found(_RUNTIME, sections.get("runtimes", []))
    return tuple(
        Process(
            pid=pid,
            container_id=owners[pid],
            container_pid=_last_number(fields.get("NSpid", ""), pid),
            parent_pid=_last_number(fields.get("PPid", ""), 0),
            name=fields.get("Name", ""),
            arguments=arguments.get(pid, ""),
            cgroup=paths.get(pid, {}).get("", ""),
            cpuacct=paths.get(pid, {}).get("cpuacct", ""),
            cpu_share=shares.get(pid),
            uid=_effective(fields.get("Uid", "")),
            gid=_effective(fields.get("Gid", "")),
            program=programs.get(pid, "").replace("\\ ", " ").removesuffix(" (deleted)"),
            runtime=runtimes.get(pid, ""),
        )
        for pid, fields in sorted(status.items())
        if pid in owners
    )


def _last_number(text: str, default: int) -> int:
    found = _LAST_NUMBER.search(text)
    return int(found[1]) if found else default


def _effective(text: str) -> int | None:
    # real, effective, saved, file system's
    numbers = text.split()
    return int(numbers[1]) if len(numbers) == 4 and _NUMBER.fullmatch(numbers[1]) else None


def _found(form: re.Pattern[str], lines: list[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if match := form.search(line):
            yield int(match[1]), match[2]


def _built_by_go(lines: list[str]) -> Iterator[int]:
    # below the name of each file what was found in it
    pid = 0
    for line in lines:
        if opened := _OPENED.fullmatch(line):
            pid = int(opened[1])
        elif line:
            yield pid


def _owners(lines: list[str]) -> Iterator[tuple[int, str]]:
    # "/proc/4242/cgroup:12:pids:/docker/<64 hex digits>"; nested engines: the outermost owns it
    for line in lines:
        pid = line.removeprefix("/proc/").partition("/")[0]
        if _NUMBER.fullmatch(pid) and (found := _ID.search(line)):
            yield int(pid), found.group()


def _arguments(lines: list[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        pid, _, text = line.strip().partition(" ")
        if _NUMBER.fullmatch(pid):
            yield int(pid), text.strip()


def _cpu_shares(sections: Mapping[str, list[str]]) -> dict[int, float]:
    before = dict(_cpu_ticks(sections.get("stat", [])))
    after = dict(_cpu_ticks(sections.get("stat+", [])))
    uptime = [
        float(found[1])
        for name in ("uptime", "uptime+")
        for line in sections.get(name, [])[:1]
        if (found := _UPTIME.match(line))
    ]
    if len(uptime) != 2 or uptime[1] <= uptime[0]:
        return {}
    window = (uptime[1] - uptime[0]) * _TICKS_PER_S
    return {pid: (ticks - before[pid]) / window for pid, ticks in after.items() if pid in before}


def _cpu_ticks(lines: list[str]) -> Iterator[tuple[int, int]]:
    # "4242 (name) S 1 ...": the name may hold spaces and brackets; utime and stime are the
    # 14th and 15th fields of the line
    for line in lines:
        head, _, rest = line.rpartition(")")
        numbers = [head.partition(" ")[0], *rest.split()[11:13]]
        if len(numbers) == 3 and all(map(_NUMBER.fullmatch, numbers)):
            yield int(numbers[0]), int(numbers[1]) + int(numbers[2])
