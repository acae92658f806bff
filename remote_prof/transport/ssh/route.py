"""The way to a host: what ssh_config says of it, and the jump hosts in front of it."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path

import paramiko

from remote_prof.errors import UsageError
from remote_prof.records import Host

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


def known_hosts_name(hop: Hop) -> str:
    """Return the name under which known_hosts lists a hop."""
    plain = hop.port == 22 or hop.key_name != hop.address
    return hop.key_name if plain else f"[{hop.key_name}]:{hop.port}"
