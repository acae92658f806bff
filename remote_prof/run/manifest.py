"""``run.json``: what was asked, what was found, what came of it. ``--json`` prints it.

The dataclasses are the schema: ``docs/run.schema.json`` is generated from them. A field is added
freely; one that is renamed or removed raises ``MANIFEST_VERSION``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from remote_prof.errors import UsageError
from remote_prof.profile.model import Quality
from remote_prof.profile.view import View
from remote_prof.records import Library, Problem

MANIFEST_VERSION = 2


class Status(StrEnum):
    """What became of one host."""

    OK = "ok"
    FAILED = "failed"
    NO_SAMPLES = "no-samples"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"  # it has no such container, and that may be
    INTERRUPTED = "interrupted"  # ended early by the user; what was sampled is there

    @property
    def has_ended(self) -> bool:
        """Whether nothing more would come of a host by trying again."""
        return self not in (Status.FAILED, Status.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the run: its path below the run's directory, and what is in it.

    ``raw`` files are as the host made them and are never written again.
    """

    path: str
    size_bytes: int
    sha256: str
    raw: bool


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What was asked for; together with the raw files it makes every report again."""

    hosts: tuple[str, ...]
    target: str
    scope: str
    engine: str
    duration_s: float
    frequency_hz: int
    stacks: Literal["user", "kernel", "both"]
    image: str
    privileged: bool
    runner: str
    formats: tuple[str, ...]
    event: str = "cpu"
    native: bool = False
    call_graph: str = "fp"
    script: str = ""
    async_profiler: Library | None = None
    offsets: bool = False
    view: View = field(default_factory=View)


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """The container that was profiled, and how its samples were told from others."""

    container: str
    container_id: str
    image: str
    image_id: str
    scope: str
    language: str
    pids: tuple[int, ...]
    container_pids: tuple[int, ...]
    filter: str
    process_names: tuple[str, ...] = ()  # of ``pids``, in their order

    @property
    def names_by_pid(self) -> dict[int, str]:
        """The names of the processes."""
        return dict(zip(self.pids, self.process_names, strict=False))


@dataclass(frozen=True, slots=True)
class SidecarRecord:
    """A container that was added to the host for the time of the run.

    ``engine`` is the profiler in it, ``profile`` the name of the file with what it printed, and
    ``errors`` that with what it said.
    """

    engine: str
    image: str
    image_id: str
    image_digests: tuple[str, ...]
    rung: str
    capabilities: tuple[str, ...]
    runner: str
    exit_code: int | None
    tool: str
    pid_namespace: str = "host"
    profile: str = "profile.txt"
    errors: str = "sidecar.err"


@dataclass(frozen=True, slots=True)
class HostRecord:
    """One host of a run. What is None was not reached.

    ``timings_s`` are seconds by stage; ``round_trips`` counts the commands that were sent.
    ``cpu_time_s`` is what the target used while it was sampled. ``left_behind`` names what could
    not be removed from the host. ``tries`` counts how often it was connected to from the beginning.
    ``groups`` are those of the inventory that the host is in. Where ``targets``, the number of them
    that the host has in the run, is more than one, each has a record of its own: its ``name`` is
    ``HOST/CONTAINER``, and ``host`` that of the inventory.
    """

    name: str
    address: str
    status: Status
    directory: str = ""
    error: str = ""
    kernel: str = ""
    engine: str = ""
    target: TargetRecord | None = None
    sidecars: tuple[SidecarRecord, ...] = ()
    cpu_time_s: float | None = None
    quality: Quality | None = None
    problems: tuple[Problem, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    round_trips: int = 0
    left_behind: tuple[str, ...] = ()
    tries: int = 1
    groups: tuple[str, ...] = ()
    host: str = ""
    targets: int = 1

    @property
    def host_name(self) -> str:
        """The name of the host in the inventory."""
        return self.host or self.name


@dataclass(frozen=True, slots=True)
class Manifest:
    """One run. Times are UTC, ISO 8601. ``fleet`` are the files of all its hosts together."""

    version: int
    run_id: str
    remote_prof_version: str
    command: tuple[str, ...]
    started_at: str
    finished_at: str
    request: RequestRecord
    hosts: tuple[HostRecord, ...]
    fleet: tuple[Artifact, ...] = ()

    @property
    def noun(self) -> str:
        """What each record is of: a host, or, where any has several, a target."""
        return "target" if any(record.targets > 1 for record in self.hosts) else "host"

    @property
    def not_begun(self) -> tuple[str, ...]:
        """The hosts of which nothing is known."""
        begun = {record.host_name for record in self.hosts}
        return tuple(name for name in self.request.hosts if name not in begun)

    @property
    def targets_to_go(self) -> dict[str, int]:
        """How many targets are to be tried (again), by host; hosts that have ended are not there.

        Of a host that was not reached nobody knows how many it has: it counts as one.
        """
        ended = Counter(record.host_name for record in self.hosts if record.status.has_ended)
        targets = {record.host_name: record.targets for record in self.hosts}
        left = {name: targets.get(name, 1) - ended[name] for name in self.request.hosts}
        return {name: number for name, number in left.items() if number > 0}


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the JSON document."""
    return (json.dumps(dataclasses.asdict(manifest), indent=2) + "\n").encode()


def parse_manifest(data: bytes, source: Path) -> Manifest:
    """Parse a JSON document. Raises UsageError when it is not a manifest of this version.

    The document may be somebody else's: paths in it are taken only by ``RunDirectory.inside``.
    """
    from pydantic import TypeAdapter

    try:
        document = json.loads(data, parse_float=_finite, parse_constant=_finite)
        version = document.get("version")
        if version == 1:
            document, version = _from_version_1(document), MANIFEST_VERSION
        if version != MANIFEST_VERSION:
            raise UsageError(
                f"{source} is of version {version}, not {MANIFEST_VERSION}",
                hint="use the remote-prof that made it",
            )
        # The text of a document is read more strictly than the document itself.
        return TypeAdapter(Manifest).validate_json(json.dumps(document))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{source} is not the manifest of a run", evidence=str(error).split("\n", 1)[0]
        ) from error


def _from_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as it is written now: then a host had one sidecar, or none."""
    hosts = []
    for host in document["hosts"]:
        sidecar = host.pop("sidecar", None)
        own = {"engine": document["request"]["engine"]}
        hosts.append(host | {"sidecars": [sidecar | own] if sidecar else []})
    return document | {"version": MANIFEST_VERSION, "hosts": hosts}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of the document."""
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest).json_schema()
