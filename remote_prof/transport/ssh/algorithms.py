"""Lists of algorithms: what ssh_config asks for, of what there is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_default_kex_algs, get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_default_certificate_algs,
    get_default_public_key_algs,
    get_public_key_algs,
)

from remote_prof.errors import UsageError
from remote_prof.transport.ssh.grammar import matches
from remote_prof.transport.ssh.known_hosts import Trust
from remote_prof.transport.ssh.route import Hop

_RSA = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
# AES-GCM is one call into OpenSSL a packet, on processors that know AES the fastest by far.
_FAST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


def choose(written: str | None, possible: Sequence[str], default: Sequence[str]) -> list[str]:
    """Apply a list of ssh_config(5), with ``+``, ``-`` or ``^`` before it, to the defaults.

    Names that are not known here are left out.
    """
    if not written:
        return list(default)
    prefix = written[0] if written[0] in "+-^" else ""
    patterns = written.removeprefix(prefix).split(",")
    if prefix == "-":
        return [name for name in default if not any(matches(name, each) for each in patterns)]
    named = [name for pattern in patterns for name in possible if matches(name, pattern)]
    parts = {"": named, "+": [*default, *named], "^": [*named, *default]}
    return list(dict.fromkeys(parts[prefix]))


def transport_algorithms(hop: Hop) -> dict[str, list[str]]:
    """Return what asyncssh is to negotiate for a hop, by its name of the argument.

    Raises UsageError when ssh_config leaves nothing that is known here.
    """
    ciphers = _names(get_default_encryption_algs())
    ordered = [*(name for name in _FAST if name in ciphers), *ciphers]
    return {
        "kex_algs": _some(
            hop, "kexalgorithms", _names(get_kex_algs()), _names(get_default_kex_algs())
        ),
        "encryption_algs": _some(
            hop, "ciphers", _names(get_encryption_algs()), list(dict.fromkeys(ordered))
        ),
        "mac_algs": _some(hop, "macs", _names(get_mac_algs()), _names(get_default_mac_algs())),
        "signature_algs": _some(
            hop,
            "pubkeyacceptedalgorithms",
            _names(get_public_key_algs()),
            _names(get_default_public_key_algs()),
        ),
    }


def host_key_algorithms(hop: Hop, known: Trust) -> list[str]:
    """Return the host key algorithms, first those for which a key or an authority is known.

    As in OpenSSH: a host with several keys shows the one that can be checked.
    """
    default = [*_names(get_default_public_key_algs()), "ssh-rsa"]
    default = [name for name in default if name != "ssh-rsa"]
    possible = _names(get_public_key_algs())
    certificates: list[str] = []
    if known.of("authority"):
        certificates = _names(get_default_certificate_algs())
        possible = [*_names(get_certificate_algs()), *possible]
    chosen = _some(hop, "hostkeyalgorithms", possible, [*certificates, *default])
    kinds = {key.kind for key in known.of("key")}
    mine = {name for name in chosen if _kind(name) in kinds}
    is_certificate = [name for name in chosen if "-cert-" in name]
    rest = [name for name in chosen if name not in is_certificate]
    return [
        *is_certificate,
        *(name for name in rest if name in mine),
        *(name for name in rest if name not in mine),
    ]


def _kind(name: str) -> str:
    return "ssh-rsa" if name in _RSA else name


def _some(hop: Hop, keyword: str, possible: Sequence[str], default: Sequence[str]) -> list[str]:
    found = choose(hop.algorithms.get(keyword), possible, default)
    if not found:
        raise UsageError(
            f"ssh_config leaves no {keyword} for {hop.name} that is known here",
            evidence=hop.algorithms.get(keyword, ""),
            hint=f"known are {', '.join(possible)}",
        )
    return found


def _names(found: Iterable[bytes]) -> list[str]:
    return [name.decode("ascii") for name in found]
