"""What an engine is asked, what it answers, and the contract that every engine keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from remote_prof.host.facts import HostFacts
from remote_prof.host.target import Target
from remote_prof.profile.model import Profile
from remote_prof.records import Library, Problem

HOST_NAMESPACE = "host"
NO_NETWORK = "none"
FILES = "/mnt"
"""Where a sidecar finds its ``files``."""


@dataclass(frozen=True, slots=True)
class Event:
    """What an engine can measure: its name, what it is called in a title, the unit of weights.

    ``sampled``: what counts is looked at so many times a second; else every event counts.
    ``of_cpu_time``: it is on each CPU, so that the CPU time tells how many samples to expect.
    ``seen_whole``: of that language a sampler in the kernel sees all of it, with all names.
    ``once``: it is taken at one moment (a dump): a run is over when it has it, and has no duration.
    """

    name: str
    title: str
    unit: str
    sampled: bool = False
    of_cpu_time: bool = False
    seen_whole: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """What is to be measured. ``stacks`` is user, kernel or both; ``event`` one of the engine's.

    ``duration_s`` is 0 for an event that is taken once.

    ``native``: frames of native code between those of an interpreter. ``call_graph`` is how stacks
    are unwound: fp, dwarf or lbr. ``script`` is the text of a script of the user's own.
    ``async_profiler`` is the library that samples JVMs in place of their own recorder, and
    ``library`` its content, packed: empty where only what it wrote is read.
    """

    duration_s: float
    frequency_hz: int
    stacks: str
    image: str
    privileged: bool = False
    event: str = "cpu"
    native: bool = False
    call_graph: str = "fp"
    script: str = ""
    async_profiler: Library | None = None
    library: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The one container that an engine adds to a host.

    ``pid_namespace`` is the host's, or that of a container (``container:ID``); ``network`` is none,
    or that of a container. ``user`` is who runs in it (``UID:GID``), root where it is empty.
    ``script`` is what ``sh -c`` runs in it; its standard output is the raw profile.
    ``environment`` is what a person may change when running it by hand. ``capabilities`` are all
    that it gets, unless ``privileged``. ``mounts`` are directories of the host, and
    where they are in the sidecar, for reading alone. ``files`` are texts by name, which it finds in
    ``FILES``: what is too long for a script. Limits are None where the host's kernel has
    none.
    ``filter_text`` says in words what is sampled, ``rung`` which rung of privileges was taken.
    """

    image: str
    script: str
    filter_text: str
    rung: str
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    privileged: bool = False
    security_options: tuple[str, ...] = ()
    host_user_namespace: bool = False
    unlimited_locked_memory: bool = False
    memory_limit_bytes: int | None = None
    cpu_limit: float | None = None
    pids_limit: int | None = None
    mounts: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    pid_namespace: str = HOST_NAMESPACE
    network: str = NO_NETWORK
    user: str = ""


class Engine(Protocol):
    """A profiler. Everything is pure: an engine never sees a connection.

    ``purpose`` says in one line what it is for. The first of the ``events`` is the usual one.
    ``options`` are the fields of a request that not all engines heed, and this one does.
    ``program`` is what the image has to have. ``pids_inside``: the pids of its profiles are those
    in the container. ``language`` is that of the processes that it is for (``Process.language``),
    empty where it is for any, and ``vm_threads`` matches the names of the threads that it does not
    see. ``encloses``: its sidecar's output holds files, see ``parse.enclosed``.
    """

    name: str
    program: str
    pids_inside: bool
    purpose: str
    events: Mapping[str, Event]
    options: frozenset[str]
    language: str
    vm_threads: re.Pattern[str] | None
    encloses: bool

    def describe(self, request: ProfileRequest) -> str:
        """Say in words what is asked for: how long, how often, of what."""

    def problems(
        self, request: ProfileRequest, facts: HostFacts, target: Target | None
    ) -> list[Problem]:
        """Return what speaks against running it there; without a target, what the host says."""

    def plan(
        self, request: ProfileRequest, facts: HostFacts, target: Target
    ) -> tuple[Sidecar, ...]:
        """Return the sidecars to try, the narrowest rights first: exact and deterministic."""

    def denied(self, errors: str) -> bool:
        """Say whether what a sidecar wrote to stderr means that its rights were too narrow."""

    def parse(self, raw: bytes, request: ProfileRequest, *, keep_offsets: bool = False) -> Profile:
        """Parse the sidecar's standard output, as the request made it. Raises ParseError."""
