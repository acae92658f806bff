"""One login: the way there, the host's key, and who we are."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import socket
from dataclasses import dataclass

import asyncssh

from remote_prof.errors import RemoteProfError
from remote_prof.transport.base import SshOptions
from remote_prof.transport.local import ProxyProcess
from remote_prof.transport.ssh.algorithms import host_key_algorithms, transport_algorithms
from remote_prof.transport.ssh.client import Attempt, Client
from remote_prof.transport.ssh.explain import explain
from remote_prof.transport.ssh.identity import Identity, gather_identities
from remote_prof.transport.ssh.known_hosts import (
    KnownKey,
    Trust,
    load_known_hosts,
    load_revoked_keys,
    trust,
)
from remote_prof.transport.ssh.route import Hop, known_hosts_name

_KEEPALIVE_S = 15
# A link over which nothing comes for so long is lost.
_SILENCE_S = 45
_TRIES = 5
_FIRST_PAUSE_S = 0.3
_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass(slots=True)
class Login:
    """A connection that is logged in; the process that carries it, if one does; the jump host."""

    connection: asyncssh.SSHClientConnection
    proxy: ProxyProcess | None = None
    via: Login | None = None

    async def close(self) -> None:
        """End it; what does not end by itself is cut."""
        self.connection.close()
        try:
            async with asyncio.timeout(1.0):
                await self.connection.wait_closed()
        except TimeoutError:
            self.connection.abort()
        if self.proxy is not None:
            self.proxy.close()


async def log_in(hop: Hop, via: Login | None, options: SshOptions) -> Login:
    """Log in on one host of a route.

    A server that hangs up before its first word does so because too many log in at once
    (MaxStartups): it is tried again a few times. Raises UnreachableError.
    """
    known = _known(hop)
    deadline = asyncio.get_running_loop().time() + 2 * options.connect_timeout_s
    pause_s = _FIRST_PAUSE_S
    for number in range(1, _TRIES + 1):
        attempt = Attempt(known=known, tries=number)
        try:
            return await _try(hop, via, options, attempt)
        except RemoteProfError:
            raise
        except Exception as error:
            pause_s *= 2
            # Many hosts behind one bastion would otherwise come back all at once.
            wait_s = pause_s * random.uniform(0.5, 1.5)  # noqa: S311  no secret
            late = asyncio.get_running_loop().time() + wait_s > deadline
            if not _hung_up(error, attempt, hop) or number == _TRIES or late:
                raise explain(error, hop, attempt, options.connect_timeout_s) from error
            await asyncio.sleep(wait_s)
    raise AssertionError


def _hung_up(error: Exception, attempt: Attempt, hop: Hop) -> bool:
    lost = isinstance(error, asyncssh.ConnectionLost | ConnectionResetError | BrokenPipeError)
    return lost and not attempt.greeted and hop.proxy_command is None


def _known(hop: Hop) -> Trust:
    keys = load_known_hosts(hop.known_hosts_files)
    if hop.revoked_keys_file is not None:
        keys += load_revoked_keys(hop.revoked_keys_file)
    plain = hop.address if hop.key_alias is None and hop.port != 22 else None
    return trust(keys, known_hosts_name(hop), plain)


async def _try(hop: Hop, via: Login | None, options: SshOptions, attempt: Attempt) -> Login:
    async with contextlib.AsyncExitStack() as agents:
        identities = await gather_identities(hop, attempt.notes, agents)
        return await _connect(hop, via, options, attempt, identities)


async def _connect(
    hop: Hop, via: Login | None, options: SshOptions, attempt: Attempt, identities: list[Identity]
) -> Login:
    sock: socket.socket | None = None
    proxy: ProxyProcess | None = None
    if via is None and hop.proxy_command is not None:
        sock, other = socket.socketpair()
        sock.setblocking(False)
        with other:
            proxy = ProxyProcess(hop.proxy_command, other)
    elif via is None:
        sock = await _dial(hop, options.connect_timeout_s)
    client = Client(hop, options.host_key_checking, identities, attempt)
    try:
        # As long for the exchange of keys as for the login itself.
        async with asyncio.timeout(2 * options.connect_timeout_s):
            return Login(await _shake_hands(hop, sock, via, client, attempt), proxy, via)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if proxy is not None:
            proxy.close()
            attempt.proxy_said = proxy.said
        if isinstance(error, TimeoutError):
            raise TimeoutError("connected, then nothing: timed out") from error
        raise


async def _shake_hands(
    hop: Hop, sock: socket.socket | None, via: Login | None, client: Client, attempt: Attempt
) -> asyncssh.SSHClientConnection:
    interval_s = min(hop.keepalive_s or _KEEPALIVE_S, _KEEPALIVE_S)
    return await asyncssh.connect(
        hop.address,
        hop.port,
        sock=sock,
        tunnel=None if via is None else via.connection,
        config=None,
        client_factory=lambda: client,
        username=hop.user,
        host_key_alias=hop.key_alias,
        # No key is known to asyncssh: our client is asked about each.
        known_hosts=([], [], _public_keys(attempt.known.of("revoked"))),
        server_host_key_algs=host_key_algorithms(hop, attempt.known),
        preferred_auth=list(hop.methods),
        client_keys=None,
        agent_path=None,
        gss_host=None,
        x509_trusted_certs=None,
        compression_algs=None,
        keepalive_interval=interval_s,
        # asyncssh gives up one interval after the last one of these.
        keepalive_count_max=max(1, _SILENCE_S // interval_s - 1),
        **transport_algorithms(hop),
    )


def _public_keys(keys: tuple[KnownKey, ...]) -> list[asyncssh.SSHKey]:
    found = []
    for key in keys:
        # A kind that is not known here cannot be shown to us either.
        with contextlib.suppress(asyncssh.KeyImportError):
            line = f"{key.kind} {base64.b64encode(key.data).decode()}"
            found.append(asyncssh.import_public_key(line))
    return found


async def _dial(hop: Hop, timeout_s: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(
                hop.address, hop.port, family=_FAMILIES[hop.family], type=socket.SOCK_STREAM
            )
            for number, (family, kind, protocol, _, address) in enumerate(found, 1):
                sock = socket.socket(family, kind, protocol)
                try:
                    _prepare(sock, hop)
                    await loop.sock_connect(sock, address)
                except OSError as error:
                    sock.close()
                    if number == len(found) and error.errno:
                        # asyncio puts words of its own in the place of the system's.
                        raise OSError(error.errno, os.strerror(error.errno)) from error
                except BaseException:
                    sock.close()
                    raise
                else:
                    return sock
    except TimeoutError as error:
        raise TimeoutError("timed out") from error
    raise OSError(f"{hop.address} has no address")


def _prepare(sock: socket.socket, hop: Hop) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # How long the kernel keeps unanswered data before it gives a dead link up.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_S * 1000)
    if hop.bind_address is not None:
        sock.bind((hop.bind_address, 0))
