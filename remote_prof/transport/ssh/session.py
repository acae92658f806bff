"""A command on a host: bytes come in by the loop's thread, and are taken by the caller's."""

from __future__ import annotations

import asyncio
import signal
import threading

import asyncssh

from remote_prof.errors import HostError, LinkLostError
from remote_prof.transport.channel import BufferedChannel
from remote_prof.transport.ssh.loop import LoopThread

# So much is kept for a slow reader before the host is told to wait.
_HIGH_WATER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 18
_STDERR_BYTES = 1 << 16


class Session(asyncssh.SSHClientSession[bytes]):
    """What has come from a command; ``change`` guards what the two threads share."""

    def __init__(self) -> None:
        self.change = threading.Condition()
        self.chunks: list[bytes] = []
        self.size_bytes = 0
        self.paused = False
        self.ended = False
        self.closed = False
        self.lost: Exception | None = None
        self.exit_code: int | None = None
        self.stderr = bytearray()
        self.writable = asyncio.Event()
        self.writable.set()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Know the channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep what came; of standard error only the last of it."""
        with self.change:
            if datatype == asyncssh.EXTENDED_DATA_STDERR:
                self.stderr += data
                del self.stderr[:-_STDERR_BYTES]
                return
            self.chunks.append(data)
            self.size_bytes += len(data)
            if self.size_bytes > _HIGH_WATER_BYTES and not self.paused:
                assert self._channel is not None
                self.paused = True
                self._channel.pause_reading()
            self.change.notify_all()

    def eof_received(self) -> bool:
        """Keep our own direction open."""
        with self.change:
            self.ended = True
            self.change.notify_all()
        return True

    def exit_status_received(self, status: int) -> None:
        """Note the exit code."""
        self._exit(status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """Note the end by a signal, as a shell does."""
        del core_dumped, msg, lang
        self._exit(_signal_code(signal))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a command that is over from a link that broke."""
        with self.change:
            self.closed = True
            if exc is None and (self.exit_code is not None or self.ended):
                self.ended = True
            else:
                self.lost = exc or ConnectionError("the host closed the connection")
            self.change.notify_all()
        self.writable.set()

    def pause_writing(self) -> None:
        """Have whoever writes wait."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Let go on."""
        self.writable.set()

    def _exit(self, code: int) -> None:
        with self.change:
            self.exit_code = code
            self.change.notify_all()


class SshChannel(BufferedChannel):
    """A command on a session channel, without a pseudo-terminal."""

    def __init__(
        self, loop: LoopThread, channel: asyncssh.SSHClientChannel[bytes], session: Session
    ) -> None:
        super().__init__()
        self._loop = loop
        self._channel = channel
        self._session = session

    def write(self, data: bytes) -> None:
        """See ``Channel.write``."""
        for at in range(0, len(data), _PIECE_BYTES):
            try:
                self._loop.run(self._put(data[at : at + _PIECE_BYTES]))
            except OSError as error:
                if self._session.lost is not None:
                    raise LinkLostError(
                        "the connection broke while data was sent", evidence=str(self._session.lost)
                    ) from error
                raise HostError("a command ended before it had read its input") from error

    def end_input(self) -> None:
        """Close the command's standard input."""
        self._loop.call(self._channel.write_eof)

    def close(self) -> None:
        """See ``Channel.close``."""
        self._loop.call(self._channel.abort)

    async def _put(self, data: bytes) -> None:
        await self._session.writable.wait()
        self._channel.write(data)

    def _receive(self, timeout_s: float) -> bytes | None:
        session = self._session
        with session.change:
            session.change.wait_for(
                lambda: session.chunks or session.ended or session.lost, max(timeout_s, 0.0)
            )
            data = b"".join(session.chunks)
            session.chunks.clear()
            session.size_bytes = 0
            if session.paused:
                session.paused = False
                self._loop.call(self._channel.resume_reading)
                return data
            if data:
                return data
            if session.lost is not None:
                raise LinkLostError("the connection to the host broke", evidence=str(session.lost))
            return b"" if session.ended else None

    def _exit_code(self, timeout_s: float) -> int:
        session = self._session
        with session.change:
            session.change.wait_for(
                lambda: session.exit_code is not None or session.closed, timeout_s
            )
            if session.exit_code is not None:
                return session.exit_code
            if session.closed:
                raise LinkLostError("the connection broke before a command had ended")
        raise HostError("a command closed its output and did not end")

    def _stderr(self) -> bytes:
        with self._session.change:
            return bytes(self._session.stderr)


def _signal_code(name: str) -> int:
    try:
        return 128 + signal.Signals[f"SIG{name}"].value
    except KeyError:
        return 128
