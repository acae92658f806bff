"""What is answered during a login: which host key will do, which keys and passwords are offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from remote_prof.transport.ssh.identity import Identity, Notes
from remote_prof.transport.ssh.known_hosts import KnownKey, Trust, Verdict, remember
from remote_prof.transport.ssh.route import Hop, known_hosts_name


@dataclass(slots=True)
class Attempt:
    """What happened during a login, for whoever has to say why it failed."""

    notes: Notes = field(default_factory=Notes)
    known: Trust = field(default_factory=Trust)
    greeted: bool = False
    tries: int = 1
    shown: KnownKey | None = None
    verdict: Verdict | None = None
    foreign_authority: bool = False
    password_wanted: bool = False
    password_given: bool = False
    unanswered: list[str] = field(default_factory=list)
    proxy_said: str = ""


class Client(asyncssh.SSHClient):
    """Answers asyncssh's questions for one login, and notes what was asked."""

    def __init__(
        self, hop: Hop, checking: str, identities: list[Identity], attempt: Attempt
    ) -> None:
        self._hop = hop
        self._checking = checking
        self._identities = list(identities)
        self._attempt = attempt
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Know the connection."""
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """Note whether an SSH server was there at all."""
        del exc
        assert self._connection is not None
        self._attempt.greeted = self._connection.get_extra_info("server_version") is not None

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Decide on a host's key."""
        del host, addr, port
        kind, data = key.get_algorithm(), key.public_data
        name = known_hosts_name(self._hop)
        verdict = self._attempt.known.judge(data)
        self._attempt.shown = KnownKey(name, "key", kind, data, "")
        self._attempt.verdict = verdict
        if verdict is Verdict.UNKNOWN and self._checking == "accept-new":
            for file in self._hop.known_hosts_files[:1]:
                remember(Path(file), name, kind, data)
            return True
        return verdict is Verdict.KNOWN or self._checking == "no"

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Decide on the authority that signed a host's certificate."""
        del host, addr, port
        data = key.public_data
        known = any(authority.data == data for authority in self._attempt.known.of("authority"))
        self._attempt.foreign_authority = not known
        return known

    def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """Offer the next key."""
        if not self._identities:
            return None
        identity = self._identities.pop(0)
        self._attempt.notes.offered.append(identity.name)
        return identity.pair

    def password_auth_requested(self) -> str | None:
        """Give the password, once: a second time it counts as another mistake."""
        self._attempt.password_wanted = True
        # As in OpenSSH, whoever stands in for a host does not get its password.
        if self._attempt.password_given or self._attempt.verdict is Verdict.CHANGED:
            return None
        self._attempt.password_given = self._hop.password is not None
        return self._hop.password

    def kbdint_auth_requested(self) -> str | None:
        """Take part in a dialogue if there is something to answer with."""
        self._attempt.password_wanted = True
        return None if self._hop.password is None or self._attempt.password_given else ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        """Answer the question for the password, and no other."""
        del name, instructions, lang
        if not prompts:
            return []
        (prompt, _), *more = prompts
        if more or "passw" not in prompt.lower():
            self._attempt.unanswered += [prompt.strip() for prompt, _ in prompts]
            return None
        password = self.password_auth_requested()
        return None if password is None else [password]
