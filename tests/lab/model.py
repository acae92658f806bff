"""What a lab is made of: the spec of a host, a running host, and the lab as a whole."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIDECAR_IMAGE = "quay.io/iovisor/bpftrace:v0.23.2"
"""The name under which each host holds the sidecar of its own generation."""

TARGET_IMAGE = "lab/target:latest"
LANGUAGES_IMAGE = "lab/languages:latest"
SANE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_LOGIN = "ops"

SUITES: Mapping[str, str] = {"bookworm": "debian12", "trixie": "debian13"}
"""Debian suites a host can be made of, and the inventory group of each."""

BPFTRACE: Mapping[str, str] = {"0.17": "bookworm", "0.23": "trixie"}
"""Sidecar generations, and the suite that packages each."""

COMPOSE: Mapping[str, tuple[str, ...]] = {"bookworm": ("v1", "none"), "trixie": ("v2", "none")}

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "suite": tuple(SUITES),
    "compose": ("v1", "v2", "none"),
    "cgroup": ("machine", "v2"),
    "bpftrace": tuple(BPFTRACE),
    "runtime": ("auto", "plain", "wrapped"),
}


class LabError(Exception):
    """The lab cannot be had, or a host of it does not work. The text says which and why."""


@dataclass(frozen=True)
class HostSpec:
    """What a host is to be like.

    ``runtime`` is ``auto`` (a wrapper of runc only where the machine lacks CAP_SYS_RESOURCE),
    ``plain`` or ``wrapped``.
    """

    name: str
    suite: str = "trixie"
    compose: str = "v2"
    cgroup: str = "machine"
    bpftrace: str = "0.23"
    runtime: str = "auto"

    @classmethod
    def parse(cls, text: str) -> HostSpec:
        """Read ``name=prod-1,suite=bookworm,compose=v1,cgroup=machine,bpftrace=0.17``.

        Only the name is required; the rest follows from the suite (trixie by default).
        Raises LabError for an unknown key or value.
        """
        given: dict[str, str] = {}
        for part in text.split(","):
            key, equals, value = part.strip().partition("=")
            if not equals:
                key, value = "name", key
            if key in given or key not in {"name", *_CHOICES}:
                raise LabError(f"host spec {text!r}: unknown or repeated key {key!r}")
            if key in _CHOICES and value not in _CHOICES[key]:
                raise LabError(f"host spec {text!r}: {key} is one of {', '.join(_CHOICES[key])}")
            given[key] = value
        name = given.get("name", "")
        if not name or not name.replace("-", "").isalnum() or not name.isascii():
            raise LabError(f"host spec {text!r}: a host needs a name of letters, digits and -")
        return cls._completed(text, given)

    @classmethod
    def _completed(cls, text: str, given: dict[str, str]) -> HostSpec:
        suite = given.setdefault("suite", "trixie")
        given.setdefault("compose", COMPOSE[suite][0])
        given.setdefault("bpftrace", next(v for v, of in BPFTRACE.items() if of == suite))
        if given["compose"] not in COMPOSE[suite]:
            raise LabError(f"host spec {text!r}: {suite} has compose {COMPOSE[suite][0]} or none")
        return cls(**given)


DEFAULT_HOSTS: tuple[HostSpec, ...] = (
    HostSpec("prod-1", "bookworm", "v1", "machine", "0.17"),
    HostSpec("prod-2", "trixie", "v2", "machine", "0.23"),
    HostSpec("prod-3", "trixie", "v2", "v2", "0.23"),
)


@dataclass(frozen=True)
class Login:
    """A user of a host: what it may do, and the port on which it is let in."""

    user: str
    port: int
    docker: bool = False
    sudo: str = "none"
    sftp: bool = True
    shell: str = "/bin/bash"


@dataclass(frozen=True)
class Process:
    """A process that was noted: its id, and its start time in clock ticks since boot."""

    role: str
    pid: int
    start: int


@dataclass(frozen=True)
class LabHost:
    """A running host. ``address`` is in 127/8; ``port`` is for every login but ``nosftp``.

    ``password`` is that of every user who has one.

    ``jump_port`` leads to the same machine, but with the network of the real one, so that it
    serves as a bastion towards the other hosts of the lab.
    """

    name: str
    address: str
    port: int
    nosftp_port: int
    jump_port: int
    spec: HostSpec
    docker_version: str
    cgroup_version: str
    runtime: str
    password: str
    key: Path
    known_hosts: Path
    anchor: Process
    logins: Mapping[str, Login] = field(default_factory=dict)

    def exec(
        self,
        argv: Sequence[str],
        input: bytes | None = None,  # noqa: A002 -- as subprocess.run names it
        check: bool = True,
        timeout: float | None = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program as root inside the host, by a back door that is not ssh.

        Raises CalledProcessError when it fails and check is true.
        """
        return subprocess.run(
            [*enter(self.anchor.pid), *argv],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=check,
            timeout=timeout,
            env={"PATH": SANE_PATH, "HOME": "/root"},
        )

    def docker(self, *args: str) -> str:
        """Run docker inside the host and give its stdout, stripped."""
        return self.exec(["docker", *args]).stdout.decode().strip()

    def ssh_argv(self, user: str = DEFAULT_LOGIN, *options: str) -> list[str]:
        """Give the ssh command line for a login, host key checked; append the remote command."""
        return [
            "ssh",
            *("-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "IdentitiesOnly=yes"),
            *("-i", str(self.key), "-p", str(self.logins[user].port), *options),
            f"{user}@{self.address}",
        ]


@dataclass(frozen=True)
class Lab:
    """A running lab: its directory, and its hosts by name."""

    dir: Path
    hosts: Mapping[str, LabHost]

    @property
    def inventory(self) -> Path:
        """The inventory to give to the tool."""
        return self.dir / "inventory.yml"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all hosts, in the format of ssh."""
        return self.dir / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """A file for ``ssh -F``."""
        return self.dir / "ssh_config"

    @property
    def key(self) -> Path:
        """The private key that opens every login."""
        return self.dir / "id_ed25519"

    @classmethod
    def load(cls, directory: Path | str) -> Lab:
        """Read the description that ``up`` wrote. Raises LabError when there is none."""
        path = Path(directory) / "lab.json"
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            raise LabError(f"no lab is up in {directory}") from None
        hosts = {name: _host_from(item) for name, item in data["hosts"].items()}
        return cls(Path(directory), hosts)

    def dump(self) -> str:
        """Give the text of lab.json."""
        hosts = {name: dataclasses.asdict(host) for name, host in self.hosts.items()}
        return json.dumps({"version": 1, "hosts": hosts}, indent=2, default=str) + "\n"


def enter(pid: int, *, network: bool = True) -> list[str]:
    """Give the words that run a program in the mount, UTS and network namespaces of a process."""
    return ["nsenter", "-t", str(pid), "-m", "-u", *(["-n"] if network else []), "--"]


def default_dir() -> Path:
    """Give the directory of the lab where none is named."""
    named = os.environ.get("REMOTE_PROF_LAB_DIR")
    return Path(named) if named else cache_dir() / "lab" / "default"


def cache_dir() -> Path:
    """Give the directory that holds labs and what was built for them."""
    return Path.home() / ".cache" / "remote-prof"


def _host_from(item: dict[str, Any]) -> LabHost:
    made = {
        **item,
        "spec": HostSpec(**item["spec"]),
        "anchor": Process(**item["anchor"]),
        "key": Path(item["key"]),
        "known_hosts": Path(item["known_hosts"]),
        "logins": {user: Login(**login) for user, login in item["logins"].items()},
    }
    return LabHost(**made)
