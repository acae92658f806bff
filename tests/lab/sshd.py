"""A real sshd inside a lab host, with a configuration of the test's own, and keys for it."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from . import processes
from .model import SANE_PATH, LabHost, Process, enter

_CONFIG = """\
ListenAddress {address}:{port}
HostKey /run/lab/ssh_host_ed25519_key
HostKey /run/lab/ssh_host_ecdsa_key
AuthorizedKeysFile /run/lab/authorized_keys
PermitRootLogin no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
LogLevel VERBOSE
"""


class Sshd:
    """Listens at a free port of the host's address, in the network of the real machine.

    ``options`` are lines of sshd_config(5), put first: the first value counts. ``files`` are put
    beside the configuration; ``DIR`` in an option is their directory. Use it as a context manager.
    """

    def __init__(self, host: LabHost, place: Path, *options: str, **files: bytes) -> None:
        self.host = host
        self.address = host.address
        with socket.create_server((host.address, 0)) as free:
            self.port: int = free.getsockname()[1]
        self._dir = f"/run/lab/sshd-{secrets.token_hex(4)}"
        self._place = place
        self._log = place / f"sshd-{self.port}.log"
        self._options = options
        self._files = files

    def __enter__(self) -> Self:
        text = _CONFIG.format(address=self.address, port=self.port)
        text = "\n".join([*self._options, text]).replace("DIR", self._dir)
        self.host.exec(["mkdir", "-p", self._dir])
        for name, data in {**self._files, "config": text.encode()}.items():
            path = f"{self._dir}/{name}"
            self.host.exec(["sh", "-c", 'umask 022; cat > "$1"', "sh", path], input=data)
        argv = [*enter(self.host.anchor.pid, network=False), "/usr/sbin/sshd", "-D", "-e"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, "-f", f"{self._dir}/config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": SANE_PATH},
                start_new_session=True,
            )
        self._noted = processes.note("sshd", self._process.pid, self._place / "sshd.jsonl")
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        members = [self._noted, *self._sessions()]
        processes.stop(members, 5)
        self._process.wait(10)
        self.host.exec(["rm", "-rf", self._dir])

    def log(self) -> str:
        """Give what it has logged so far."""
        return self._log.read_text(errors="replace")

    def known_hosts(self, *, kinds: Sequence[str] = ("ssh-ed25519", "ecdsa-sha2-nistp256")) -> str:
        """Give the lines of known_hosts for it."""
        found = []
        for line in self.host.known_hosts.read_text().splitlines():
            name, kind, data = line.split()[:3]
            if name == f"[{self.host.address}]:{self.host.port}" and kind in kinds:
                found.append(f"[{self.address}]:{self.port} {kind} {data}\n")
        return "".join(found)

    def cut(self) -> None:
        """Cut every connection that it has."""
        processes.stop(self._sessions(), 5)

    def _sessions(self) -> list[Process]:
        """Give the processes that serve connections: children of the one that listens."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            pids = [int(word) for word in path.read_text().split()]
        except OSError:
            return []
        return [Process("session", pid, processes.start_time(pid) or 0) for pid in pids]

    def _wait(self) -> None:
        deadline = time.monotonic() + 15
        while self._process.poll() is None and time.monotonic() < deadline:
            if "Server listening" in self.log():
                return
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        raise AssertionError(f"sshd did not come up: {self.log()}")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "") -> Path:
    """Make a key pair; ``form`` PEM is the older format."""
    how = ["-m", form] if form else []
    argv = [
        "ssh-keygen",
        "-q",
        "-t",
        kind,
        *how,
        "-N",
        passphrase,
        "-C",
        path.name,
        "-f",
        str(path),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def sign(authority: Path, public: Path, principal: str, *words: str) -> Path:
    """Have an authority make a certificate beside a public key; ``-h`` makes it a host's."""
    argv = ["ssh-keygen", "-q", "-s", str(authority), "-I", "lab", "-n", principal, *words]
    subprocess.run([*argv, str(public)], check=True, capture_output=True)
    return public.with_name(public.name.removesuffix(".pub") + "-cert.pub")


def public(key: Path) -> str:
    """Give the public half of a key as a line."""
    return key.with_name(f"{key.name}.pub").read_text()
