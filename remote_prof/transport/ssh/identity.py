"""The keys that are offered to a host: of the agent, and in files, with their certificates."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.public_key import CERT_TYPE_USER, SSHOpenSSHCertificate

from remote_prof.transport.ssh.route import Hop

_AGENT_TIMEOUT_S = 5.0
_MAGIC = b"openssh-key-v1\0"


@dataclass(slots=True)
class Notes:
    """What turned up about keys during a login, for whoever has to say why it failed."""

    offered: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    wrong_passphrase: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Identity:
    """A key pair to offer, and how it is called in messages."""

    name: str
    pair: asyncssh.SSHKeyPair


class FileKeyPair(asyncssh.SSHKeyPair):
    """A private key in a file, read when a host wants its signature and not before.

    So an encrypted key is only asked for where it would be accepted.
    """

    _key_type = "file"

    def __init__(
        self, path: str, public: asyncssh.SSHKey, passphrase: str | None, notes: Notes
    ) -> None:
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            path,
            # The key derivation of an encrypted key takes long on purpose.
            use_executor=True,
        )
        self._path = path
        self._passphrase = passphrase
        self._notes = notes

    def sign(self, data: bytes) -> bytes:
        """Sign; raises ValueError where the key cannot be had, and notes why."""
        try:
            key = asyncssh.import_private_key(Path(self._path).read_bytes(), self._passphrase)
        except OSError as error:
            raise ValueError(str(error)) from error
        except ValueError:
            _note_locked(self._path, self._passphrase, self._notes)
            raise
        return key.sign(data, self.sig_algorithm)


async def gather_identities(
    hop: Hop, notes: Notes, agents: contextlib.AsyncExitStack
) -> list[Identity]:
    """Return the keys to offer, in OpenSSH's order.

    First what the flags or the inventory name; then certificates that are named; then what the
    agent holds, first the keys that ssh_config names; then the other files of ssh_config. The
    agent is asked for signatures until ``agents`` is closed.
    """
    if "publickey" not in hop.methods:
        return []
    held = await _agent_keys(hop, notes, agents)
    named = _file_keys(hop.named_keys, hop, held, notes, needed=True)
    configured = _file_keys(hop.identity_files, hop, held, notes, needed=False)
    wanted = {identity.pair.public_data for identity in (*named, *configured)}
    certificates = _certificates(hop, held, (*named, *configured), notes)
    in_agent = [item for item in configured if isinstance(item.pair, asyncssh.SSHAgentKeyPair)]
    others = [item for item in held if item.pair.public_data not in wanted]
    ordered = [
        *named,
        *certificates,
        *in_agent,
        *([] if hop.identities_only else others),
        *(item for item in configured if item not in in_agent),
    ]
    return list({item.pair.public_data: item for item in reversed(ordered)}.values())[::-1]


async def _agent_keys(hop: Hop, notes: Notes, agents: contextlib.AsyncExitStack) -> list[Identity]:
    if hop.agent is None:
        return []
    client = await agents.enter_async_context(asyncssh.SSHAgentClient(hop.agent))
    try:
        async with asyncio.timeout(_AGENT_TIMEOUT_S):
            pairs = await client.get_keys()
    except (OSError, ValueError) as error:
        notes.unusable.append(f"the agent at {hop.agent}: {str(error) or 'no answer'}")
        return []
    return [
        Identity(f"{pair.get_comment(errors='replace') or 'a key'} (agent)", pair) for pair in pairs
    ]


def _file_keys(
    paths: Iterable[str], hop: Hop, held: list[Identity], notes: Notes, *, needed: bool
) -> list[Identity]:
    found: list[Identity] = []
    for path in paths:
        try:
            public = _public_key(path, hop.key_passphrase, notes)
        except FileNotFoundError as error:
            if needed:
                notes.unusable.append(f"{path}: {error.strerror}")
            continue
        except (OSError, ValueError) as error:
            notes.unusable.append(f"{path}: {error}")
            continue
        if public is None:
            continue
        pair = _pair(path, public, hop, held, notes)
        found.append(Identity(path, pair))
        if not hop.certificate_files:
            beside = f"{path}-cert.pub"
            with contextlib.suppress(FileNotFoundError):
                found += _certified(beside, [Identity(path, pair)], notes)
    return found


def _pair(
    path: str, public: asyncssh.SSHKey, hop: Hop, held: list[Identity], notes: Notes
) -> asyncssh.SSHKeyPair:
    """Return the agent's key where it holds this one: it may be encrypted here."""
    for identity in held:
        if identity.pair.public_data == public.public_data:
            return copy.copy(identity.pair)
    return FileKeyPair(path, public, hop.key_passphrase, notes)


def _certificates(
    hop: Hop, held: list[Identity], keys: Iterable[Identity], notes: Notes
) -> list[Identity]:
    found: list[Identity] = []
    for path in hop.certificate_files:
        try:
            found += _certified(path, [*held, *keys], notes)
        except FileNotFoundError:
            notes.unusable.append(f"{path}: there is no such file")
    return found


def _certified(path: str, keys: Iterable[Identity], notes: Notes) -> list[Identity]:
    """Return the certificate in a file with the key that it belongs to."""
    try:
        certificate = asyncssh.read_certificate(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        notes.unusable.append(f"{path}: {error}")
        return []
    for identity in keys:
        if identity.pair.key_public_data == certificate.key.public_data:
            pair = copy.copy(identity.pair)
            pair.set_certificate(certificate)
            return [Identity(f"{path}{_state(certificate)}", pair)]
    notes.unusable.append(f"{path}: there is no private key for this certificate")
    return []


def _state(certificate: asyncssh.SSHCertificate) -> str:
    """Say what is wrong with a certificate: the host only says no."""
    assert isinstance(certificate, SSHOpenSSHCertificate)
    try:
        certificate.validate(CERT_TYPE_USER, None)
    except ValueError as error:
        return f" ({error})"
    return ""


def _public_key(path: str, passphrase: str | None, notes: Notes) -> asyncssh.SSHKey | None:
    """Return the public half of a key in a file, which needs no passphrase in most formats."""
    data = Path(path).read_bytes()
    if (blob := _public_half(data)) is not None:
        return asyncssh.import_public_key(blob)
    try:
        return asyncssh.import_private_key(data).convert_to_public()
    except asyncssh.KeyImportError as error:
        if b"ENCRYPTED" not in data:
            raise ValueError(f"it is no private key that can be read ({error})") from error
    beside = Path(f"{path}.pub")
    if beside.is_file():
        return asyncssh.read_public_key(beside)
    try:
        return asyncssh.import_private_key(data, passphrase).convert_to_public()
    except ValueError:
        _note_locked(path, passphrase, notes)
        return None


def _note_locked(path: str, passphrase: str | None, notes: Notes) -> None:
    (notes.locked if passphrase is None else notes.wrong_passphrase).append(path)


def _public_half(data: bytes) -> bytes | None:
    """Return the public key in the head of OpenSSH's own format (PROTOCOL.key), as a line."""
    lines = data.strip().splitlines()
    if not lines or lines[0].strip() != b"-----BEGIN OPENSSH PRIVATE KEY-----":
        return None
    try:
        body = base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        return None
    if not body.startswith(_MAGIC):
        return None
    rest = body[len(_MAGIC) :]
    for _ in range(3):  # cipher, key derivation, its options
        rest = rest[4 + int.from_bytes(rest[:4], "big") :]
    rest = rest[4:]  # how many keys: always one
    blob = rest[4 : 4 + int.from_bytes(rest[:4], "big")]
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    return kind + b" " + base64.b64encode(blob) if kind else None
