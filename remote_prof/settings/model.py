"""What settings there are, and what is known of each once it is resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from remote_prof.records import Problem

ENVIRONMENT_PREFIX = "REMOTE_PROF_"

SECRET_VARIABLES: Mapping[str, str] = {
    "connection": "REMOTE_PROF_CONNECTION_PASSWORD",
    "key-passphrase": "REMOTE_PROF_KEY_PASSPHRASE",
    "become": "REMOTE_PROF_BECOME_PASSWORD",
}
"""Kind of a secret to the variable that may hold it; they are handed on to no process."""

OTHER_VARIABLES = (*SECRET_VARIABLES.values(), "REMOTE_PROF_COMPLETE", "REMOTE_PROF_LAB_*")
"""Environment variables that are no settings: secrets, completion, and the test laboratory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run needs to know besides its target; the defaults are those of the program."""

    inventory: tuple[str, ...] = ()
    image: str = "quay.io/iovisor/bpftrace:v0.23.2"
    image_policy: Literal["never", "missing", "push"] = "missing"
    duration_s: float = 10.0
    frequency_hz: int = 99
    engine: Literal[
        "auto", "bpftrace", "perf", "pyspy", "austin", "node", "java", "gopprof", "script"
    ] = "auto"
    event: str = ""  # the engine's usual one
    native: bool = False
    call_graph: Literal["fp", "dwarf", "lbr"] = "fp"
    stacks: Literal["user", "kernel", "both"] = "both"
    scope: Literal["container", "process"] = "container"
    runner: Literal["auto", "compose", "engine"] = "auto"
    results: Path = Path("results")
    formats: tuple[str, ...] = ("folded", "svg", "html", "speedscope")
    connect_timeout_s: float = 10.0
    host_key_checking: Literal["yes", "accept-new", "no"] = "yes"
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    privileged: bool = False
    keyring: bool = False
    max_artifact_bytes: int = 256 << 20
    forks: int = 25
    executor: str = "threads"
    serial: tuple[str, ...] = ()
    max_fail_percentage: float | None = None
    any_errors_fatal: bool = False
    timeout_s: float | None = None
    deadline_s: float | None = None
    connect_rate: float | None = None
    retries: int = 0
    sidecars_per_host: int = 4
    order: Literal["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"] = (
        "inventory"
    )


_UNIT = re.compile(r"_(s|hz)\Z")
NAMES: Mapping[str, str] = {
    _UNIT.sub("", field.name).replace("_bytes", "_size"): field.name for field in fields(Settings)
}
"""Name in files, flags and ``REMOTE_PROF_<NAME>`` to field: ``duration`` sets ``duration_s``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as ``remote-prof config`` shows it.

    ``source`` is ``default``, ``<file>:<line>``, ``environment REMOTE_PROF_IMAGE`` or
    ``flag --image``.
    """

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """The settings that hold, where each of them came from, and what looked odd on the way."""

    values: Settings
    settings: tuple[Setting, ...]
    files: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    def setting(self, name: str) -> Setting:
        """Give one setting by its name, such as ``duration``."""
        return next(setting for setting in self.settings if setting.name == name)
