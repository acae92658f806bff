"""Hosts that are scripts: which commands may come, in which order, and what is answered.

A command that was not expected fails the test at once, one that was expected and did not come
fails it at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from remote_prof.errors import LinkLostError, RemoteProfError, UnreachableError
from remote_prof.records import Host
from remote_prof.transport import Channel, Command, Result, SshOptions
from remote_prof.transport.base import BEGIN
from remote_prof.transport.channel import BufferedChannel

LINK_BREAKS = -1  # in place of an exit code: the link breaks after the output
Answer = bytes | Result | RemoteProfError


@dataclass
class Script:
    """The hosts of a test by name: what each expects, as (name of a command, answer)."""

    hosts: Mapping[str, Sequence[tuple[str, Answer]]] = field(default_factory=dict)
    unreachable: Sequence[str] = ()
    connected: list[Host] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    rest: dict[str, list[tuple[str, Answer]]] = field(default_factory=dict)

    def connect(self, host: Host, options: SshOptions) -> ScriptedConnection:
        """Stand for ``remote_prof.transport.connect``."""
        assert options.connect_timeout_s > 0
        assert host.name in self.hosts or host.name in self.unreachable, f"{host.name} is connected"
        self.connected.append(host)
        self.rest.setdefault(host.name, list(self.hosts.get(host.name, ())))
        return ScriptedConnection(host, self)

    def assert_used(self) -> None:
        """Fail when something that was expected did not come."""
        assert not self.hosts.keys() - self.rest.keys(), "a host was not connected to"
        assert not any(self.rest.values()), f"these commands did not come: {self.rest}"


class ScriptedConnection:
    """One host of a script."""

    def __init__(self, host: Host, script: Script) -> None:
        self.host = host
        self.exchanges = 0
        self._script = script
        self._open = False

    def open(self) -> None:
        if self.host.name in self._script.unreachable:
            raise UnreachableError(f"{self.host.name} does not answer", hint="is it on?")
        self._open = True

    def run(self, command: Command, timeout_s: float) -> Result:
        assert timeout_s > 0
        answer = self._answer(command)
        return Result(0, answer, b"") if isinstance(answer, bytes) else answer

    def stream(self, command: Command) -> Channel:
        answer = self._answer(command)
        if isinstance(answer, bytes):
            answer = Result(0, answer, b"")
        return _Channel(answer, self._script.written)

    def close(self) -> None:
        self._open = False

    def _answer(self, command: Command) -> bytes | Result:
        assert self._open, f"{command.name} over a connection that is not open"
        self.exchanges += 1
        rest = self._script.rest[self.host.name]
        assert rest, f"{command.name} was not expected"
        name, answer = rest.pop(0)
        assert command.name == name
        if isinstance(answer, RemoteProfError):
            raise answer
        return answer


class _Channel(BufferedChannel):
    def __init__(self, result: Result, written: list[bytes]) -> None:
        super().__init__()
        self._pieces = [BEGIN + b"\n" + result.stdout]
        self._result = result
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def end_input(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _receive(self, timeout_s: float) -> bytes | None:
        del timeout_s
        if not self._pieces and self._result.exit_code == LINK_BREAKS:
            raise LinkLostError("the connection broke")
        return self._pieces.pop(0) if self._pieces else b""

    def _exit_code(self, timeout_s: float) -> int:
        del timeout_s
        return self._result.exit_code

    def _stderr(self) -> bytes:
        return self._result.stderr


def launched(
    profile: bytes, *, exit_code: int = 0, errors: bytes = b"", cpu_us: int = 404_040
) -> bytes:
    """What a launcher and its follower print for a run of 10 s."""
    sampled = [
        f"@@progress sampled 1100 {1_000_000 + cpu_us} 1100".encode(),
        *_artifact("profile.txt", profile),
    ]
    if b"@@ sampling" in profile:
        middle = [b"@@progress sampling 100 1000000 100", *sampled]
    else:
        middle = [b"@@progress ended 1100 ", *_artifact("profile.txt", profile)]
    lines = [
        b"@@progress starting",
        *middle,
        f"@@progress done {exit_code}".encode(),
        *_artifact("sidecar.err", errors),
        *_artifact("launcher.log", b""),
        b"@@sent",
        b"@@clean",
    ]
    return b"\n".join(lines) + b"\n"


def _artifact(name: str, data: bytes) -> list[bytes]:
    checksum = hashlib.sha256(data).hexdigest()
    return [f"@@artifact {name} plain {len(data)} sha256 {checksum} 0".encode(), data]
