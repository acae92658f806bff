"""A connection to a host, through any number of jump hosts, and the commands on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import asyncssh

from remote_prof.errors import HostError, LinkLostError
from remote_prof.records import Host
from remote_prof.transport.base import BOOTSTRAP, Command, Result, SshOptions
from remote_prof.transport.channel import run_to_end
from remote_prof.transport.ssh.config import load_ssh_config
from remote_prof.transport.ssh.login import Login, log_in
from remote_prof.transport.ssh.loop import LoopThread
from remote_prof.transport.ssh.route import Hop, route
from remote_prof.transport.ssh.session import Session, SshChannel

_CLOSE_S = 3.0

# What goes wrong is raised; nothing is printed besides.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())


class SshConnection:
    """One login on one host, through any number of jump hosts."""

    def __init__(self, host: Host, options: SshOptions) -> None:
        self.host = host
        self.exchanges = 0
        self._options = options
        self._loop: LoopThread | None = None
        self._logins: list[Login] = []

    def open(self) -> None:
        """See ``Connection.open``."""
        self.close()
        hops = route(self.host, load_ssh_config())
        self._loop = LoopThread()
        try:
            self._loop.run(self._open(hops))
        except BaseException:
            self.close()
            raise

    def run(self, command: Command, timeout_s: float) -> Result:
        """See ``Connection.run``."""
        return run_to_end(self.stream(command), timeout_s)

    def stream(self, command: Command) -> SshChannel:
        """See ``Connection.stream``."""
        if self._loop is None or not self._logins:
            raise LinkLostError(f"{self.host.name}: the connection is gone")
        self.exchanges += 1
        try:
            channel, session = self._loop.run(self._start(self._logins[-1].connection))
        except (asyncssh.Error, OSError) as error:
            raise LinkLostError(
                f"{self.host.name}: no command could be started",
                evidence=str(error) or "no answer in time",
            ) from error
        running = SshChannel(self._loop, channel, session)
        # Why a command ended before it had read its input is told by its result.
        with contextlib.suppress(HostError):
            running.write(command.input(self.host.become))
        return running

    def close(self) -> None:
        """See ``Connection.close``."""
        loop, self._loop = self._loop, None
        if loop is not None:
            try:
                # An interrupt can come between the taking of a lock and the noting of that, and
                # the loop then waits for ever: we do not.
                with contextlib.suppress(LinkLostError):
                    loop.run(self._close(), _CLOSE_S)
            finally:
                self._logins.clear()
                loop.stop()

    async def _open(self, hops: list[Hop]) -> None:
        for hop in hops:
            via = self._logins[-1] if self._logins else None
            self._logins.append(await log_in(hop, via, self._options))

    async def _start(
        self, connection: asyncssh.SSHClientConnection
    ) -> tuple[asyncssh.SSHClientChannel[bytes], Session]:
        async with asyncio.timeout(self._options.connect_timeout_s):
            channel, session = await connection.create_session(
                Session, BOOTSTRAP, encoding=None, request_pty=False, env=None, send_env=None
            )
        assert isinstance(session, Session)
        return channel, session

    async def _close(self) -> None:
        while self._logins:
            await self._logins.pop().close()
