"""The way to a host: what ssh_config says of it, and the jump hosts in front of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from remote_prof.errors import UsageError
from remote_prof.records import Host
from remote_prof.transport.ssh.config import Found, SshConfig
from remote_prof.transport.ssh.grammar import Jump, parse_jumps
from remote_prof.transport.ssh.tokens import (
    expand_path,
    expand_percent,
    expand_tilde,
    local_user,
    make_tokens,
)

_DEFAULT_IDENTITIES = tuple(
    f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "dsa")
)
_USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_METHODS = ("publickey", "keyboard-interactive", "password")
_SWITCHES = {
    "publickey": "pubkeyauthentication",
    "keyboard-interactive": "kbdinteractiveauthentication",
    "password": "passwordauthentication",
}
ALGORITHMS = ("kexalgorithms", "ciphers", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms")


@dataclass(frozen=True, slots=True)
class Hop:
    """One login on the way: where to, as whom, with which keys.

    ``named_keys`` come from the flags or the inventory, ``identity_files`` from ssh_config;
    ``agent`` is the path of a socket. ``algorithms`` are as ssh_config has them, by keyword.
    """

    name: str
    address: str
    port: int = 22
    user: str = ""
    key_alias: str | None = None
    named_keys: tuple[str, ...] = ()
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    known_hosts_files: tuple[str, ...] = ()
    revoked_keys_file: str | None = None
    proxy_command: str | None = None
    methods: tuple[str, ...] = _METHODS
    password: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)
    algorithms: Mapping[str, str] = field(default_factory=dict, hash=False)
    bind_address: str | None = None
    family: str = "any"
    keepalive_s: int = 0


def route(host: Host, config: SshConfig) -> list[Hop]:
    """Return the logins on the way to a host: jump hosts in OpenSSH's order, the host last.

    Raises UsageError for jumps that cannot be read or lead in a circle.
    """
    found = config.lookup(host.address, host.user, host.port, host.jump)
    hops = [_hop(host, found)]
    seen = {(host.address, host.port)}
    jumps = _jumps(found, host)
    while jumps:
        jump = jumps.pop()
        if (jump.address, jump.port) in seen:
            raise UsageError(f"ProxyJump of {host.name} leads in a circle at {jump.address}")
        seen.add((jump.address, jump.port))
        via = Host(
            jump.address,
            jump.address,
            jump.port,
            jump.user,
            known_hosts_files=host.known_hosts_files,
            key_passphrase=host.key_passphrase,
            # The rest of a chain is the way to its last host; only the first goes by its own.
            jump=None if not jumps else "none",
        )
        found = config.lookup(via.address, via.user, via.port, via.jump)
        hops.insert(0, _hop(via, found))
        jumps = jumps or _jumps(found, host)
    return hops


def known_hosts_name(hop: Hop) -> str:
    """Return the name under which known_hosts lists a hop."""
    if hop.key_alias is not None:
        return hop.key_alias
    return hop.address if hop.port == 22 else f"[{hop.address}]:{hop.port}"


def _jumps(found: Found, host: Host) -> list[Jump]:
    try:
        return list(parse_jumps(found.one("proxyjump") or "none"))
    except ValueError as error:
        raise UsageError(
            f"the jump hosts of {host.name} cannot be read",
            evidence=repr(str(error)),
            hint="it is [user@]host[:port], several with commas between them, or none",
        ) from error


def _hop(host: Host, found: Found) -> Hop:
    user = found.one("user") or local_user()
    port = int(found.one("port") or 22)
    alias = found.one("hostkeyalias")
    key_name = alias or host.address
    jump = found.one("proxyjump") or ""
    tokens = make_tokens(host.address, found.address, port, user, key_name, jump)
    identities = found.all("identityfile")
    if not identities and not host.identity_files:
        identities = _DEFAULT_IDENTITIES
    interval_s = int(found.one("serveraliveinterval") or 0)
    return Hop(
        name=host.name,
        address=found.address,
        port=port,
        user=user,
        key_alias=alias,
        named_keys=tuple(expand_tilde(name) for name in host.identity_files),
        identity_files=_paths(identities, tokens),
        certificate_files=_paths(found.all("certificatefile"), tokens),
        identities_only=found.one("identitiesonly") == "yes",
        agent=_agent(found.one("identityagent"), tokens),
        known_hosts_files=(
            *(expand_tilde(name) for name in host.known_hosts_files),
            *_paths(found.all("userknownhostsfile") or _USER_KNOWN_HOSTS, tokens),
            *_paths(found.all("globalknownhostsfile") or _GLOBAL_KNOWN_HOSTS, tokens),
        ),
        revoked_keys_file=next(iter(_paths(found.all("revokedhostkeys"), tokens)), None),
        proxy_command=_proxy_command(found.one("proxycommand"), tokens),
        methods=_methods(found),
        password=host.password,
        key_passphrase=host.key_passphrase,
        algorithms={name: value for name in ALGORITHMS if (value := found.one(name))},
        bind_address=found.one("bindaddress"),
        family=found.one("addressfamily") or "any",
        keepalive_s=interval_s,
    )


def _paths(names: tuple[str, ...], tokens: Mapping[str, str]) -> tuple[str, ...]:
    if len(names) == 1 and names[0].lower() == "none":
        return ()
    return tuple(expand_path(name, tokens) for name in names)


def _proxy_command(written: str | None, tokens: Mapping[str, str]) -> str | None:
    if written is None or written.lower() == "none":
        return None
    return expand_percent(written, tokens)


def _agent(written: str | None, tokens: Mapping[str, str]) -> str | None:
    """Return the socket of the agent: ``IdentityAgent`` is a path, a variable or ``none``."""
    if written is not None and written.lower() == "none":
        return None
    if written is None or written == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if written.startswith("$") and not written.startswith("${"):
        return os.environ.get(written[1:]) or None
    return expand_path(written, tokens)


def _methods(found: Found) -> tuple[str, ...]:
    preferred = found.one("preferredauthentications")
    order = _METHODS if preferred is None else tuple(preferred.split(","))
    return tuple(name for name in order if name in _METHODS and found.one(_SWITCHES[name]) != "no")
