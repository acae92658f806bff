"""Connections: a command goes in, a result comes out. The only place with effects on hosts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from remote_prof.records import Host
from remote_prof.transport.base import Channel, Command, Connection, Result, SshOptions

if TYPE_CHECKING:
    from remote_prof.transport.ssh import Network

__all__ = ["Channel", "Command", "Connection", "Lines", "Result", "SshOptions", "connect"]


def connect(host: Host, options: SshOptions) -> Connection:
    """Return the (not yet open) connection that the host asks for, alone on its way."""
    return _connect(host, options, None)


class Lines:
    """Connections of one run: they share a thread, and the logins on jump hosts.

    A context manager: what is shared is closed at its end.
    """

    def __init__(self) -> None:
        self._network: Network | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._network is not None:
            self._network.close()

    def connect(self, host: Host, options: SshOptions) -> Connection:
        """Return the (not yet open) connection that the host asks for."""
        return _connect(host, options, self)

    @property
    def network(self) -> Network:
        """What connections by SSH share."""
        from remote_prof.transport.ssh import Network

        with self._lock:
            self._network = self._network or Network()
            return self._network


def _connect(host: Host, options: SshOptions, lines: Lines | None) -> Connection:
    if host.connection == "local":
        from remote_prof.transport.local import LocalConnection

        return LocalConnection(host)
    from remote_prof.transport.ssh import SshConnection

    return SshConnection(host, options, lines.network if lines else None)
