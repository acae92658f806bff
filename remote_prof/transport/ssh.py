"""SSH by paramiko: known host keys only, one connection a host, bytes as they come.

Everything that differs from OpenSSH's behaviour by default is set here: paramiko's client accepts
no unknown key unless told to, ``ProxyJump`` chains are walked in OpenSSH's order, and names are
looked up in ``ssh_config`` first.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import paramiko

from remote_prof.errors import HostError, LinkLostError, UnreachableError, UsageError
from remote_prof.records import Host
from remote_prof.transport.base import BOOTSTRAP, Command, Result, SshOptions
from remote_prof.transport.channel import BufferedChannel

# What goes wrong is raised; else paramiko's threads would print their tracebacks as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_KEEPALIVE_S = 15
# How long the kernel keeps unanswered data before it gives a dead link up.
_TCP_USER_TIMEOUT_MS = 45_000
# As ssh_config(5) has it: [user@]host[:port] or ssh://[user@]host[:port], IPv6 in brackets.
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\s:@\[\]/]+))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One login on the way: where to, as whom, with which keys."""

    name: str
    address: str
    port: int
    user: str
    key_name: str  # the name in known_hosts
    identity_files: tuple[str, ...]
    known_hosts_files: tuple[str, ...]
    proxy_command: str | None


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
        channel = self.stream(command)
        try:
            channel.end_input()
            return channel.finish(timeout_s)
        finally:
            channel.close()

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
            client.set_missing_host_key_policy(paramiko.WarningPolicy())
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
        with self._file.open("a", encoding="utf-8") as out:
            out.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


def load_ssh_config() -> paramiko.SSHConfig:
    """Return the user's and the machine's ssh_config, the user's first: its values win."""
    config = paramiko.SSHConfig()
    for path in (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")):
        if path.is_file():
            try:
                with path.open(encoding="utf-8") as text:
                    config.parse(text)
            except (paramiko.ConfigParseError, UnicodeDecodeError) as error:
                raise UsageError(f"{path} cannot be read: {error}") from error
    return config


def route(host: Host, config: paramiko.SSHConfig) -> list[Hop]:
    """Return the logins on the way to a host: jump hosts in OpenSSH's order, the host last.

    Raises UsageError for a ``ProxyJump`` that leads in a circle.
    """
    last = _hop(host, config)
    hops = [last]
    seen = {host.address}
    jumps = _jumps(host.address, config)
    while jumps:
        jump = _jump(jumps.pop(), host)
        address = jump.address
        if address in seen:
            raise UsageError(f"ProxyJump of {host.name} leads in a circle at {address}")
        seen.add(address)
        hops.insert(0, _hop(jump, config))
        # Only the first host of a chain can have jumps of its own.
        jumps = jumps or _jumps(address, config)
    return hops


def _jumps(name: str, config: paramiko.SSHConfig) -> list[str]:
    value = config.lookup(name).get("proxyjump", "none")
    return [] if value.lower() == "none" else [part.strip() for part in value.split(",")]


def _jump(text: str, host: Host) -> Host:
    found = _JUMP.fullmatch(text)
    if found is None:
        raise UsageError(
            f"ProxyJump of {host.name} cannot be read",
            evidence=repr(text),
            hint="in ssh_config it is [user@]host[:port], several with commas between them",
        )
    address = found["bracketed"] or found["plain"]
    port = int(found["port"]) if found["port"] else None
    return Host(address, address, port, found["user"])


def _hop(host: Host, config: paramiko.SSHConfig) -> Hop:
    found = config.lookup(host.address)
    address = str(found.get("hostname", host.address))
    identities = host.identity_files or tuple(found.get("identityfile", ()))
    files = tuple(str(found.get("userknownhostsfile", "")).split()) or ("~/.ssh/known_hosts",)
    proxy = found.get("proxycommand")
    return Hop(
        name=host.name,
        address=address,
        port=host.port or int(found.get("port", 22)),
        user=host.user or str(found.get("user", "")) or getpass.getuser(),
        key_name=str(found.get("hostkeyalias", address)),
        identity_files=tuple(str(Path(name).expanduser()) for name in identities),
        known_hosts_files=(*host.known_hosts_files, *files, "/etc/ssh/ssh_known_hosts"),
        proxy_command=None if proxy in (None, "none") else str(proxy),
    )


def explain(error: Exception, hop: Hop, timeout_s: float) -> Exception:
    """Turn what a login raised into one sentence with cause, evidence and next step.

    Anything that is not known to be the link's, the host's or the login's comes back as it is.
    """
    where = f"{hop.name} ({hop.address}:{hop.port})"
    try_ssh = f"try: ssh -p {hop.port} {hop.user}@{hop.address} true"
    text = " ".join(str(error).split())
    if isinstance(error, paramiko.BadHostKeyException):
        return UnreachableError(
            f"{where} shows another host key than the known one: it may be another machine",
            evidence=f"got {_fingerprint(error.key)}, known is {_fingerprint(error.expected_key)}",
            hint=f"if the host was installed anew: ssh-keygen -R '{known_hosts_name(hop)}',"
            " and check the new key with its owner",
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in text:
        return UnreachableError(
            f"the host key of {where} is not known",
            evidence=f"looked for {known_hosts_name(hop)} in {', '.join(hop.known_hosts_files)}",
            hint=f"log in once with: ssh -p {hop.port} {hop.user}@{hop.address},"
            " or use --host-key-checking accept-new",
        )
    if isinstance(error, paramiko.AuthenticationException | paramiko.PasswordRequiredException):
        keys = ", ".join(hop.identity_files) or "the keys in ~/.ssh and the agent"
        return UnreachableError(
            f"{where} refuses the login of {hop.user}",
            evidence=f"{text}; offered: {keys}",
            hint=f"choose with --user and --identity, or load the key into the agent; {try_ssh}",
        )
    return _explain_link(error, where, text, timeout_s, try_ssh)


def _explain_link(
    error: Exception, where: str, text: str, timeout_s: float, try_ssh: str
) -> Exception:
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"the name of {where} does not resolve",
            evidence=text,
            hint="set ansible_host in the inventory, or HostName in ~/.ssh/config",
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{where} refuses the connection",
            evidence=text,
            hint="is sshd running there, and is the port right (--port, ansible_port)?",
        )
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{where} does not answer within {timeout_s:g} s",
            evidence=text,
            hint=f"a firewall, a wrong address, or a slow link (--connect-timeout); {try_ssh}",
        )
    if isinstance(error, paramiko.SSHException | EOFError | OSError):
        return UnreachableError(f"no SSH session with {where}", evidence=text, hint=try_ssh)
    return error


def known_hosts_name(hop: Hop) -> str:
    """Return the name under which known_hosts lists a hop."""
    plain = hop.port == 22 or hop.key_name != hop.address
    return hop.key_name if plain else f"[{hop.key_name}]:{hop.port}"


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
