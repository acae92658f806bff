"""Reading lines and blocks from a running command, whatever carries its bytes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from remote_prof.errors import HostError
from remote_prof.transport.base import BEGIN, Result


class BufferedChannel(ABC):
    """A ``Channel`` over anything that can receive bytes; skips what a login shell prints first."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False

    @abstractmethod
    def _receive(self, timeout_s: float) -> bytes | None:
        """Return some bytes, ``b""`` at the end, None if none came in time."""

    @abstractmethod
    def _exit_code(self, timeout_s: float) -> int:
        """Wait for the exit code. Raises HostError when it does not come."""

    @abstractmethod
    def _stderr(self) -> bytes:
        """Return what was written to standard error."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write to the command's standard input."""

    @abstractmethod
    def end_input(self) -> None:
        """Close the command's standard input."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the command."""

    def read_line(self, timeout_s: float) -> bytes | None:
        """See ``Channel.read_line``."""
        deadline = time.monotonic() + timeout_s
        while (line := self._take_line()) is None:
            if not self._fill(deadline):
                return None
        return line

    def read_exactly(self, size_bytes: int, timeout_s: float) -> bytes:
        """See ``Channel.read_exactly``; the timeout is for the silence between two pieces."""
        while len(self._buffer) < size_bytes:
            if not self._fill(time.monotonic() + timeout_s):
                raise HostError(
                    f"the host sent {len(self._buffer)} of {size_bytes} bytes, then nothing for"
                    f" {timeout_s:.0f} s"
                )
        data = bytes(self._buffer[:size_bytes])
        del self._buffer[:size_bytes]
        return data

    def finish(self, timeout_s: float) -> Result:
        """See ``Channel.finish``."""
        deadline = time.monotonic() + timeout_s
        try:
            while self._fill(deadline):
                pass
        except EOFError:
            code = self._exit_code(max(0.1, deadline - time.monotonic()))
            stderr = self._stderr()
            self._skip_preamble()
            if not self._begun:
                # The script did not even start: what there is explains why.
                stderr = bytes(self._buffer) + stderr
                self._buffer.clear()
            return Result(code, bytes(self._buffer), stderr)
        raise HostError(f"a command did not end within {timeout_s:.0f} s")

    def _take_line(self) -> bytes | None:
        self._skip_preamble()
        end = self._buffer.find(b"\n")
        if not self._begun or end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _skip_preamble(self) -> None:
        marker = BEGIN + b"\n"
        if not self._begun and (at := self._buffer.find(marker)) >= 0:
            del self._buffer[: at + len(marker)]
            self._begun = True

    def _fill(self, deadline: float) -> bool:
        data = self._receive(max(0.0, deadline - time.monotonic()))
        if data is None:
            return False
        if not data:
            raise EOFError
        self._buffer += data
        return True


def run_to_end(channel: BufferedChannel, timeout_s: float) -> Result:
    """Let a command run to its end without more input; see ``Connection.run``."""
    try:
        channel.end_input()
        return channel.finish(timeout_s)
    finally:
        channel.close()
