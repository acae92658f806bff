"""Reading lines and blocks from a running command, whatever carries its bytes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from remote_prof.errors import HostError, LinkLostError
from remote_prof.transport.base import BEGIN, Result

# What a host sends is bounded, whatever it means by it.
_LONGEST_LINE_BYTES = 1 << 20
_LARGEST_OUTPUT_BYTES = 1 << 26
# Of what comes before a script begins, the end is kept: it may say why none did.
_PREAMBLE_BYTES = 1 << 16
_MARKER = BEGIN + b"\n"


class BufferedChannel(ABC):
    """A ``Channel`` over anything that can receive bytes; skips what a login shell prints first."""

    def __init__(self, *, preamble: bool = True) -> None:
        self._buffer = bytearray()
        self._begun = not preamble

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
            if len(self._buffer) > _LONGEST_LINE_BYTES:
                raise HostError(
                    f"the host sent a line of more than {_LONGEST_LINE_BYTES} bytes",
                    evidence=repr(bytes(self._buffer[:60])),
                )
            if not self._fill(deadline):
                return None
        return line

    def read_block(self, limit_bytes: int, timeout_s: float) -> bytes:
        """See ``Channel.read_block``."""
        if not self._buffer:
            try:
                came = self._fill(time.monotonic() + timeout_s)
            except EOFError:
                raise LinkLostError("what the host sent broke off") from None
            if not came:
                raise LinkLostError(f"the host sent nothing more for {timeout_s:.0f} s")
        data = bytes(self._buffer[:limit_bytes])
        del self._buffer[:limit_bytes]
        return data

    def finish(self, timeout_s: float) -> Result:
        """See ``Channel.finish``."""
        deadline = time.monotonic() + timeout_s
        try:
            while self._fill(deadline):
                if len(self._buffer) > _LARGEST_OUTPUT_BYTES:
                    raise HostError(f"a command printed more than {_LARGEST_OUTPUT_BYTES} bytes")
        except EOFError:
            code = self._exit_code(max(0.1, deadline - time.monotonic()))
            stderr = self._stderr()
            if not self._begun:
                # The script did not even start: what there is explains why.
                stderr = bytes(self._buffer) + stderr
                self._buffer.clear()
            return Result(code, bytes(self._buffer), stderr)
        raise HostError(f"a command did not end within {timeout_s:.0f} s")

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if not self._begun or end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _fill(self, deadline: float) -> bool:
        data = self._receive(max(0.0, deadline - time.monotonic()))
        if data is None:
            return False
        if not data:
            raise EOFError
        self._buffer += data
        if not self._begun:
            self._skip_preamble()
        return True

    def _skip_preamble(self) -> None:
        if (at := self._buffer.find(_MARKER)) >= 0:
            del self._buffer[: at + len(_MARKER)]
            self._begun = True
        elif len(self._buffer) > 2 * _PREAMBLE_BYTES:
            del self._buffer[:-_PREAMBLE_BYTES]


def run_to_end(channel: BufferedChannel, timeout_s: float) -> Result:
    """Let a command run to its end without more input; see ``Connection.run``."""
    try:
        channel.end_input()
        return channel.finish(timeout_s)
    finally:
        channel.close()
