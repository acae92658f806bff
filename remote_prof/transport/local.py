"""This machine as a host: the same scripts, run by a child process instead of over SSH."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from remote_prof.errors import HostError
from remote_prof.records import Host
from remote_prof.settings import SECRET_VARIABLES
from remote_prof.transport.base import BOOTSTRAP, Command, Result
from remote_prof.transport.channel import BufferedChannel, run_to_end


class LocalChannel(BufferedChannel):
    """A child process."""

    def __init__(
        self,
        argv: list[str],
        data: bytes,
        *,
        preamble: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(preamble=preamble)
        # A file, not a pipe: nobody reads standard error while the command runs.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        try:
            # A process group of its own: Ctrl-C in the terminal is for us to handle.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environ,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise HostError(f"{argv[0]} cannot be run here", evidence=str(error)) from error
        # Where it ends before it has read everything, its exit code and output say why.
        with contextlib.suppress(HostError):
            self.write(data)

    def write(self, data: bytes) -> None:
        """See ``Channel.write``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise HostError("a command ended before it had read its input") from error

    def end_input(self) -> None:
        """Close the command's standard input."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """See ``Channel.close``."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._errors.close()
        try:
            # What it has started for good is in a session of its own.
            self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _receive(self, timeout_s: float) -> bytes | None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        ready, _, _ = select.select([fd], [], [], timeout_s)
        return os.read(fd, 65536) if ready else None

    def _exit_code(self, timeout_s: float) -> int:
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise HostError("a command closed its output and did not end") from error

    def _stderr(self) -> bytes:
        self._errors.seek(0)
        return self._errors.read()


def run_program(argv: Sequence[str], timeout_s: float) -> Result:
    """Run a program of this machine to its end, with nothing on its standard input.

    Our own secrets are not in its environment. Raises HostError where it cannot be started, or does
    not end in time.
    """
    secrets = frozenset(SECRET_VARIABLES.values())
    environ = {name: value for name, value in os.environ.items() if name not in secrets}
    return run_to_end(LocalChannel(list(argv), b"", preamble=False, environ=environ), timeout_s)


class LocalConnection:
    """``connection: local``: no SSH, no login; the engine of this machine."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.exchanges = 0

    def open(self) -> None:
        """Nothing to open."""

    def run(self, command: Command, timeout_s: float) -> Result:
        """See ``Connection.run``."""
        return run_to_end(self.stream(command), timeout_s)

    def stream(self, command: Command) -> LocalChannel:
        """See ``Connection.stream``."""
        self.exchanges += 1
        become = self.host.become
        return LocalChannel(shlex.split(BOOTSTRAP), command.input(become))

    def close(self) -> None:
        """Nothing to close."""


class ProxyProcess:
    """The ``ProxyCommand`` of ssh_config: a program that carries a connection on its stdio."""

    def __init__(self, command: str, end: socket.socket) -> None:
        self.said = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        # As OpenSSH runs it: by the user's shell, which makes way for it.
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            self._process = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=end.fileno(),
                stdout=end.fileno(),
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError:
            self._errors.close()
            raise

    def close(self) -> None:
        """End it, with whatever it has started; ``said`` is its last line of errors then."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        self.said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self._errors.close()
