"""Connections: a command goes in, a result comes out. The only place with effects on hosts."""

from __future__ import annotations

from remote_prof.records import Host
from remote_prof.transport.base import Channel, Command, Connection, Result, SshOptions

__all__ = ["Channel", "Command", "Connection", "Result", "SshOptions", "connect"]


def connect(host: Host, options: SshOptions) -> Connection:
    """Return the (not yet open) connection that the host asks for."""
    if host.connection == "local":
        from remote_prof.transport.local import LocalConnection

        return LocalConnection(host)
    from remote_prof.transport.ssh import SshConnection

    return SshConnection(host, options)
