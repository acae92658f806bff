"""Any program of the sidecar's image: a script of the user's own, which says what it needs.

It says so in lines of its head::

    # remote-prof: format=folded unit=us
    # remote-prof: capabilities=SYS_PTRACE pid-namespace=target network=none
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from remote_prof.engines.base import HOST_NAMESPACE, NO_NETWORK, Event, ProfileRequest, Sidecar
from remote_prof.engines.sidecar import GRACE_S, KILL_AFTER_S, bounded
from remote_prof.errors import ParseError, UsageError
from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.parse import check_reader, read_profile
from remote_prof.parse.enclosed import enclosed
from remote_prof.profile.model import Profile
from remote_prof.records import Problem
from remote_prof.templates import render

LONGEST_BYTES = 64 << 10
_HEAD_LINES = 50
_DECLARES = re.compile(r"#+\s*remote-prof:(.*)")
_CAPABILITIES = re.compile(r"[A-Z][A-Z_]{2,30}(?:,[A-Z][A-Z_]{2,30})*|")
_UNIT = re.compile(r"[a-z][a-z-]{0,20}")
_FILES = {"pprof": "pb.gz", "jfr": "jfr", "cpuprofile": "cpuprofile"}
_DENIED = re.compile(r"not permitted|[Pp]ermission [Dd]enied|EPERM|EACCES")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a script says of itself; ``interpreter`` are the words of its first line."""

    interpreter: tuple[str, ...]
    format: str
    unit: str = ""
    capabilities: tuple[str, ...] = ()
    pid_namespace: str = "target"
    network: str = NO_NETWORK


def read_script(data: bytes, name: str) -> str:
    """Return the text of a script that declares what it needs. Raises UsageError."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is no text: {error}", hint="write it as UTF-8") from None
    if len(data) > LONGEST_BYTES or "\0" in text:
        raise UsageError(f"{name} is no script: it has {len(data)} bytes, at most {LONGEST_BYTES}")
    try:
        declared(text or "\n")
    except UsageError as error:
        raise UsageError(f"{name}: {error.what}", hint=error.hint) from None
    return text


def declared(text: str) -> Declared:
    """Read what a script declares in its first lines. Raises UsageError.

    Where there is none, as when a host is only looked at, nothing is asked for.
    """
    if not text:
        return Declared(("sh",), "folded")
    lines = text.splitlines()[:_HEAD_LINES]
    said: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DECLARES.match(line)
        for word in match[1].split() if match else ():
            key, _, value = word.partition("=")
            said[key] = _checked(key, value, number)
    if "format" not in said:
        raise UsageError(
            "it does not say what it prints",
            hint="put a line there such as: # remote-prof: format=folded",
        )
    first = lines[0] if lines else ""
    words = shlex.split(first.removeprefix("#!")) if first.startswith("#!") else []
    return Declared(
        interpreter=tuple(words) or ("sh",),
        format=said["format"],
        unit=said.get("unit", ""),
        capabilities=tuple(filter(None, said.get("capabilities", "").split(","))),
        pid_namespace=said.get("pid-namespace", "target"),
        network=said.get("network", NO_NETWORK),
    )


def _checked(key: str, value: str, number: int) -> str:
    able = {
        "unit": (_UNIT, "a word such as samples, us or bytes"),
        "capabilities": (_CAPABILITIES, "names such as SYS_PTRACE,SYS_ADMIN"),
        "pid-namespace": (re.compile("target|host"), "target or host"),
        "network": (re.compile("target|none"), "target or none"),
    }
    if key == "format":
        check_reader(value or "?")
        return value
    if key not in able:
        names = ", ".join(["format", *able])
        raise UsageError(f"line {number} declares {key!r}", hint=f"what can be declared: {names}")
    form, words = able[key]
    if not form.fullmatch(value):
        raise UsageError(f"line {number}: {key} is {value!r}", hint=f"it should be {words}")
    return value


class Script:
    """See the module."""

    name = "script"
    program = "what the script calls"
    pids_inside = True
    encloses = True
    purpose = "anything: a script of your own, with any program of the image (--script)"
    options = frozenset({"script"})
    language = ""
    vm_threads: re.Pattern[str] | None = None
    events: Mapping[str, Event] = {
        "script": Event("script", "what the script measured", "samples", sampled=True)
    }

    def describe(self, request: ProfileRequest) -> str:
        """Say how long it is told to sample, and what it prints."""
        return f"{request.duration_s:g} s by a script that prints {declared(request.script).format}"

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return nothing: what a script needs only its author knows."""
        del request, facts, target
        return []

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the one sidecar: with the rights that the script declares."""
        asked = declared(request.script)
        of_host = asked.pid_namespace == HOST_NAMESPACE
        pids = [p.pid if of_host else p.container_pid for p in target.processes]
        main = next((p for p in target.processes if p.pid == target.main_pid), target.processes[0])
        script = render(
            "script/sidecar.sh.j2",
            script=request.script,
            interpreter=asked.interpreter,
            main_pid=main.pid if of_host else main.container_pid,
            pids=" ".join(map(str, pids)),
            pid_inside=main.container_pid,
            file=f"script-{main.container_pid}.{_FILES.get(asked.format, 'txt')}",
            duration_s=f"{request.duration_s:g}",
            frequency_hz=request.frequency_hz,
            kill_after_s=KILL_AFTER_S,
            timeout_s=round(request.duration_s) + GRACE_S,
        )
        container = f"container:{target.container.container_id}"
        return (
            replace(
                bounded(
                    request,
                    facts,
                    script=script,
                    filter_text="what the script chooses",
                    rights=asked.capabilities,
                ),
                pid_namespace=HOST_NAMESPACE if of_host else container,
                network=container if asked.network == "target" else NO_NETWORK,
            ),
        )

    def denied(self, errors: str) -> bool:
        """Say whether something was not permitted."""
        return _DENIED.search(errors) is not None

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse what the script printed, by the format that it declares. Raises ParseError."""
        asked = declared(request.script)
        files = enclosed(raw)
        if not files:
            raise ParseError("what the script printed is missing in the raw profile")
        profile = read_profile(
            files[0].name,
            files[0].data,
            reader=check_reader(asked.format),
            keep_offsets=keep_offsets,
        )
        cut = () if b"\n@@ end " in raw else ("the output ends before the end of the run",)
        return replace(
            profile,
            unit=asked.unit or profile.unit,
            frequency_hz=None,
            tool=profile.tool or asked.interpreter[-1],
            notes=(*cut, *profile.notes),
        )
