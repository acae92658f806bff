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
from remote_prof.transport.ssh.network import Network
from remote_prof.transport.ssh.route import Hop, route
from remote_prof.transport.ssh.session import Session, SshChannel

_CLOSE_S = 3.0

# What goes wrong is raised; nothing is printed besides.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())


class SshConnection:
    """One login on one host, through any number of jump hosts.

    ``network`` is shared with other connections, and none is one of its own.
    """

    def __init__(self, host: Host, options: SshOptions, network: Network | None = None) -> None:
        self.host = host
        self.exchanges = 0
        self._options = options
        self._own = Network() if network is None else None
        self._network = network or self._own or Network()
        self._login: Login | None = None
        # Over which jump host the last login went.
        self._via: Login | None = None

    def open(self) -> None:
        """See ``Connection.open``."""
        self.close()
        hops = route(self.host, load_ssh_config())
        try:
            self._network.loop.run(self._open(hops))
        except BaseException:
            self.close()
            raise

    def run(self, command: Command, timeout_s: float) -> Result:
        """See ``Connection.run``."""
        return run_to_end(self.stream(command), timeout_s)

    def stream(self, command: Command) -> SshChannel:
        """See ``Connection.stream``."""
        if self._login is None:
            raise LinkLostError(f"{self.host.name}: the connection is gone")
        self.exchanges += 1
        loop = self._network.loop
        try:
            channel, session = loop.run(self._start(self._login.connection))
        except (asyncssh.Error, OSError) as error:
            raise LinkLostError(
                f"{self.host.name}: no command could be started",
                evidence=str(error) or "no answer in time",
            ) from error
        running = SshChannel(loop, channel, session)
        # Why a command ended before it had read its input is told by its result.
        with contextlib.suppress(HostError):
            running.write(command.input(self.host.become))
        return running

    def close(self) -> None:
        """See ``Connection.close``."""
        login, self._login = self._login, None
        try:
            if login is not None:
                with contextlib.suppress(LinkLostError):
                    self._network.loop.run(login.close(), _CLOSE_S)
        finally:
            if self._own is not None:
                self._own.close()

    async def _open(self, hops: list[Hop]) -> None:
        *way, last = hops
        broken, self._via = self._via, None
        self._via = await self._network.jump(tuple(way), self._options, broken)
        self._login = await log_in(last, self._via, self._options)

    async def _start(
        self, connection: asyncssh.SSHClientConnection
    ) -> tuple[asyncssh.SSHClientChannel[bytes], Session]:
        async with asyncio.timeout(self._options.connect_timeout_s):
            channel, session = await connection.create_session(
                Session, BOOTSTRAP, encoding=None, request_pty=False, env=None, send_env=None
            )
        assert isinstance(session, Session)
        return channel, session
