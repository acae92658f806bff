"""A login on a host, through any number of jump hosts, and the commands on it."""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path

import paramiko

from remote_prof.errors import HostError, LinkLostError
from remote_prof.records import Host
from remote_prof.transport.base import BOOTSTRAP, Command, Result, SshOptions
from remote_prof.transport.channel import BufferedChannel, run_to_end
from remote_prof.transport.ssh.explain import explain
from remote_prof.transport.ssh.route import Hop, load_ssh_config, route

# What goes wrong is raised; else paramiko's threads would print their tracebacks as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_KEEPALIVE_S = 15
# How long the kernel keeps unanswered data before it gives a dead link up.
_TCP_USER_TIMEOUT_MS = 45_000


class SshChannel(BufferedChannel):
    """A command on a session channel, without a pseudo-terminal."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__()
        self._channel = channel

    def write(self, data: bytes) -> None:
        """See ``Channel.write``."""
        try:
            self._channel.sendall(data)
        except OSError as error:
            if self._channel.get_transport().is_active():
                raise HostError("a command ended before it had read its input") from error
            raise LinkLostError("the connection broke while data was sent") from error

    def end_input(self) -> None:
        """Close the command's standard input."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def close(self) -> None:
        """See ``Channel.close``."""
        self._channel.close()

    def _receive(self, timeout_s: float) -> bytes | None:
        self._channel.settimeout(max(timeout_s, 0.001))
        try:
            data = self._channel.recv(65536)
        except TimeoutError:
            return None
        if not data and not self._channel.eof_received:
            raise LinkLostError("the connection to the host broke")
        return data

    def _exit_code(self, timeout_s: float) -> int:
        if not self._channel.status_event.wait(timeout_s):
            raise HostError("a command closed its output and did not end")
        code = self._channel.recv_exit_status()
        if code < 0:
            raise LinkLostError("the connection broke before a command had ended")
        return code

    def _stderr(self) -> bytes:
        self._channel.settimeout(1.0)
        return self._channel.makefile_stderr("rb").read()


class SshConnection:
    """One login on one host, through any number of jump hosts."""

    def __init__(self, host: Host, options: SshOptions) -> None:
        self.host = host
        self.exchanges = 0
        self._options = options
        self._clients: list[paramiko.SSHClient] = []

    def open(self) -> None:
        """See ``Connection.open``."""
        self.close()
        via: paramiko.SSHClient | None = None
        for hop in route(self.host, load_ssh_config()):
            via = self._log_in(hop, via)

    def run(self, command: Command, timeout_s: float) -> Result:
        """See ``Connection.run``."""
        return run_to_end(self.stream(command), timeout_s)

    def stream(self, command: Command) -> SshChannel:
        """See ``Connection.stream``."""
        transport = self._clients[-1].get_transport() if self._clients else None
        if transport is None or not transport.is_active():
            raise LinkLostError(f"{self.host.name}: the connection is gone")
        self.exchanges += 1
        become = self.host.become
        try:
            session = transport.open_session(timeout=self._options.connect_timeout_s)
            session.exec_command(BOOTSTRAP)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise LinkLostError(
                f"{self.host.name}: no command could be started", evidence=str(error)
            ) from error
        channel = SshChannel(session)
        # Why a command ended before it had read its input is told by its result.
        with contextlib.suppress(HostError):
            channel.write(command.input(become))
        return channel

    def close(self) -> None:
        """See ``Connection.close``."""
        for client in reversed(self._clients):
            client.close()
        self._clients.clear()

    def _log_in(self, hop: Hop, via: paramiko.SSHClient | None) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        self._set_host_keys(client, hop)
        timeout_s = self._options.connect_timeout_s
        sock = self._socket(hop, via)
        try:
            # HostKeyAlias and ports: paramiko makes the known_hosts name of hostname and port,
            # so it is given the name alone where that is to be taken as it is.
            client.connect(
                hop.key_name,
                port=22 if hop.key_name != hop.address else hop.port,
                username=hop.user,
                key_filename=list(hop.identity_files),  # type: ignore[arg-type]  # the stubs know one name only
                look_for_keys=not hop.identity_files,
                sock=sock,
                timeout=timeout_s,
                banner_timeout=timeout_s,
                auth_timeout=timeout_s,
            )
        except Exception as error:
            client.close()
            sock.close()
            raise explain(error, hop, timeout_s) from error
        self._clients.append(client)
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(_KEEPALIVE_S)
        return client

    def _set_host_keys(self, client: paramiko.SSHClient, hop: Hop) -> None:
        checking = self._options.host_key_checking
        if checking == "no":
            client.set_missing_host_key_policy(_TakeAny())
            return
        files = [Path(name).expanduser() for name in hop.known_hosts_files]
        for file in files:
            if file.is_file():
                client.load_system_host_keys(str(file))
        if checking == "accept-new":
            client.set_missing_host_key_policy(_Remember(files[0]))
        else:
            client.set_missing_host_key_policy(paramiko.RejectPolicy())

    def _socket(
        self, hop: Hop, via: paramiko.SSHClient | None
    ) -> socket.socket | paramiko.Channel | paramiko.ProxyCommand:
        timeout_s = self._options.connect_timeout_s
        try:
            if via is not None:
                transport = via.get_transport()
                assert transport is not None
                return transport.open_channel(
                    "direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=timeout_s
                )
            if hop.proxy_command:
                return paramiko.ProxyCommand(hop.proxy_command)
            sock = socket.create_connection((hop.address, hop.port), timeout_s)
        except (OSError, paramiko.SSHException) as error:
            raise explain(error, hop, timeout_s) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
        return sock


class _Remember(paramiko.MissingHostKeyPolicy):
    """``accept-new``: write an unknown host's key down, as OpenSSH does."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        del client
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._file.read_bytes() if self._file.exists() else b""
        with self._file.open("a", encoding="utf-8") as out:
            if before and not before.endswith(b"\n"):
                out.write("\n")
            out.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


class _TakeAny(paramiko.MissingHostKeyPolicy):
    """``no``: the user does not want to know who answers."""

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        del client, hostname, key
