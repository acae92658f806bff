"""Shared frozen records: what the parts hand to each other. All of them pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """An ``error`` stops a run before anything is changed; a ``warning`` does not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a preflight check, a run or a profile's quality has to say.

    One line each: what is wrong, what was seen, what to do.
    """

    severity: Severity
    what: str
    evidence: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Library:
    """A profiler's library that the user gives, to be loaded into the target.

    ``sha256`` is of its content; ``architecture`` is what it was built for, as the kernel says it.
    """

    path: str
    size_bytes: int
    sha256: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Become:
    """How to get the rights to use the engine where the login has none.

    ``always``: the inventory or the flags ask for it; otherwise it is the last resort. ``method``
    is sudo, su or doas.
    """

    always: bool = False
    method: str = "sudo"
    user: str = "root"
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine, as the inventory and the flags describe it.

    ``address`` is what is connected to (or looked up in ssh_config), ``port`` and ``user`` are
    None where ssh_config or the defaults decide. ``connection`` is ``ssh`` or ``local``.
    ``jump`` is what ``ProxyJump`` would say, ``none`` for no jump; None leaves it to ssh_config.
    ``vars`` are the merged variables of the host and its groups.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    connection: str = "ssh"
    identity_files: tuple[str, ...] = ()
    known_hosts_files: tuple[str, ...] = ()
    jump: str | None = None
    password: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)
    become: Become | None = None
    groups: tuple[str, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
