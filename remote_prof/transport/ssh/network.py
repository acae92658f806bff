"""What connections have in common: the thread that serves them, and the jump hosts on their way.

A bastion is logged in once, whatever number of hosts is behind it: each takes a channel of its own
through that login. OpenSSH bounds logins (``MaxStartups``), and the sessions of one of them
(``MaxSessions``), but not what is forwarded through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from remote_prof.errors import LinkLostError
from remote_prof.transport.base import SshOptions
from remote_prof.transport.ssh.login import Login, log_in
from remote_prof.transport.ssh.loop import LoopThread
from remote_prof.transport.ssh.route import Hop

_CLOSE_S = 3.0

Way = tuple[Hop, ...]


class Network:
    """Holds the logins on jump hosts, until it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._opened: dict[Way, asyncio.Task[Login]] = {}
        self._logins: list[Login] = []

    @property
    def loop(self) -> LoopThread:
        """The thread that serves all connections."""
        with self._lock:
            if self._thread is None:
                self._thread = LoopThread()
            return self._thread

    async def jump(self, way: Way, options: SshOptions, instead_of: Login | None) -> Login | None:
        """Return the login on the last jump host of a way; None where there is none.

        ``instead_of`` is one over which a link broke: it may be dead, and nobody has noticed yet.
        Raises UnreachableError.
        """
        if not way:
            return None
        task = self._opened.get(way)
        if task is None or not _serves(task, instead_of):
            task = asyncio.ensure_future(self._log_in(way, options, instead_of))
            self._opened[way] = task
        # Whoever asked first may give up: others wait for the same.
        return await asyncio.shield(task)

    async def _log_in(self, way: Way, options: SshOptions, instead_of: Login | None) -> Login:
        *before, last = way
        via = await self.jump(tuple(before), options, instead_of.via if instead_of else None)
        login = await log_in(last, via, options)
        self._logins.append(login)
        return login

    def close(self) -> None:
        """End all logins on jump hosts, and the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            # An interrupt can come between the taking of a lock and the noting of that, and
            # the loop then waits for ever: we do not.
            with contextlib.suppress(LinkLostError):
                thread.run(self._close(), _CLOSE_S)
        finally:
            self._opened.clear()
            self._logins.clear()
            thread.stop()

    async def _close(self) -> None:
        while self._logins:
            await self._logins.pop().close()


def _serves(task: asyncio.Task[Login], instead_of: Login | None) -> bool:
    if not task.done():
        return True
    if task.cancelled() or task.exception() is not None:
        return False
    login = task.result()
    return login is not instead_of and not login.connection.is_closed()
