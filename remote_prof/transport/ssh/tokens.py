"""``%h``, ``~`` and ``${NAME}`` in the values of ssh_config."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from remote_prof.errors import UsageError


def local_user() -> str:
    """Return the name of whoever runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def expand_percent(text: str, tokens: Mapping[str, str]) -> str:
    """Put the values of tokens in. Raises UsageError for one that does not exist there."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            known = " ".join(f"%{name}" for name in sorted(tokens))
            raise UsageError(
                f"ssh_config: {text!r} holds {found[0]}, which means nothing there",
                hint=f"known are %% {known}",
            )
        return tokens[found[1]]

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


def expand_environment(text: str) -> str:
    """Put variables in. Raises UsageError for one that is not set."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise UsageError(f"ssh_config: {text!r} names {found[1]}, which is not set")
        return os.environ[found[1]]

    return re.sub(r"\$\{([A-Za-z0-9_]+)\}", value, text)


def expand_tilde(text: str) -> str:
    """Put the home directory in the place of ``~`` or ``~name``."""
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text


def make_tokens(
    host: str, address: str, port: int, user: str, alias: str, jump: str
) -> dict[str, str]:
    """Return the tokens of ssh_config(5) for one login."""
    name = socket.gethostname()
    return {
        "C": hashlib.sha1(
            f"{name}{address}{port}{user}{jump}".encode(), usedforsecurity=False
        ).hexdigest(),
        "d": expand_tilde("~"),
        "h": address,
        "i": str(os.getuid()),
        "j": jump,
        "k": alias,
        "L": name.partition(".")[0],
        "l": name,
        "n": host,
        "p": str(port),
        "r": user,
        "u": local_user(),
    }


def expand_path(text: str, tokens: Mapping[str, str]) -> str:
    """Expand everything that a file's name may hold, in OpenSSH's order."""
    return expand_environment(expand_percent(expand_tilde(text), tokens))
