"""known_hosts: which keys a host may show. The format is in sshd(8), "SSH_KNOWN_HOSTS"."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from remote_prof.errors import UsageError
from remote_prof.transport.ssh.grammar import matches_any

_MARKERS = {"@cert-authority": "authority", "@revoked": "revoked"}


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line: for which names, what the key is for, the key, and where it stands.

    ``role`` is ``key``, ``authority`` or ``revoked``; ``data`` is the key in its wire format.
    """

    names: str
    role: str
    kind: str
    data: bytes
    where: str

    def covers(self, name: str) -> bool:
        """Say whether the line is about a host; a hashed name is compared by its hash."""
        if not self.names.startswith("|"):
            return matches_any(name.lower(), self.names.lower())
        _, version, salt, digest = [*self.names.split("|"), "", "", ""][:4]
        try:
            expected = base64.b64decode(digest, validate=True)
            made = hmac.digest(base64.b64decode(salt, validate=True), name.encode(), "sha1")
        except binascii.Error:
            return False
        return version == "1" and hmac.compare_digest(made, expected)


class Verdict(Enum):
    """What known_hosts says of a key that a host shows."""

    KNOWN = "known"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the files say of one host: lines for its name with the port, and without it."""

    exact: tuple[KnownKey, ...] = ()
    without_port: tuple[KnownKey, ...] = ()

    def of(self, role: str) -> tuple[KnownKey, ...]:
        """Return the lines of a role."""
        return tuple(key for key in (*self.exact, *self.without_port) if key.role == role)

    @property
    def keys(self) -> tuple[KnownKey, ...]:
        """Return the keys that are known for exactly this name."""
        return tuple(key for key in self.exact if key.role == "key")

    def judge(self, data: bytes) -> Verdict:
        """Say what is known of a key.

        As in OpenSSH a key that is known for the name without the port will do, but a different
        one there does not count as a change.
        """
        if any(key.data == data for key in self.of("key")):
            return Verdict.KNOWN if not self.keys or self._is_exact(data) else Verdict.CHANGED
        return Verdict.CHANGED if self.keys else Verdict.UNKNOWN

    def _is_exact(self, data: bytes) -> bool:
        return any(key.data == data for key in self.keys)


def load_known_hosts(files: Iterable[str]) -> list[KnownKey]:
    """Read the files that are there. Raises UsageError for one that cannot be read."""
    found: list[KnownKey] = []
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"{name} cannot be read", evidence=str(error)) from error
        found += parse_known_hosts(text, name)
    return found


def parse_known_hosts(text: str, name: str) -> Iterator[KnownKey]:
    """Read the lines of a file; what is no key is skipped, as OpenSSH does."""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        role = "key"
        if words and words[0].startswith("@"):
            role = _MARKERS.get(words.pop(0), "")
        if not role or len(words) < 3 or words[0].startswith("#"):
            continue
        data = _key_data(words[1], words[2])
        if data is not None:
            yield KnownKey(words[0], role, words[1], data, f"{name}:{number}")


def trust(keys: Iterable[KnownKey], name: str, plain_name: str | None) -> Trust:
    """Return what is known of a host; ``plain_name`` is its name without the port, if it counts."""
    known = tuple(keys)
    exact = tuple(key for key in known if key.covers(name))
    plain = tuple(key for key in known if plain_name and key.covers(plain_name))
    return Trust(exact, tuple(key for key in plain if key not in exact))


def load_revoked_keys(name: str) -> list[KnownKey]:
    """Read ``RevokedHostKeys``: a key a line. Raises UsageError for anything else."""
    try:
        text = Path(name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the revoked host keys in {name} cannot be read",
            evidence=str(error),
            hint="RevokedHostKeys is read as a file with one key a line, not as a binary list",
        ) from error
    # As lines of known_hosts that are about every host.
    lines = [line if line.startswith("#") else f"@revoked * {line}" for line in text.split("\n")]
    return list(parse_known_hosts("\n".join(lines), name))


def remember(file: Path, name: str, kind: str, data: bytes) -> None:
    """Write an unknown host's key down, as OpenSSH does."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = file.read_bytes() if file.exists() else b""
    line = f"{name} {kind} {base64.b64encode(data).decode()}\n"
    with file.open("a", encoding="utf-8") as out:
        out.write(line if not before or before.endswith(b"\n") else f"\n{line}")


def fingerprint(data: bytes) -> str:
    """Return the fingerprint of a key as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(data).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _key_data(kind: str, text: str) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    wire = kind.encode()
    return data if data.startswith(len(wire).to_bytes(4, "big") + wire) else None
