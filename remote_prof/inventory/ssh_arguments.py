"""What arguments of ``ssh`` in variables say about the way to a host."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any

_TAKES_VALUE = ("-J", "-i", "-l", "-o", "-p")
_LETTERS = {"-J": "proxyjump", "-i": "identityfile", "-l": "user", "-p": "port"}
_FIELDS = {
    "proxyjump": "jump",
    "proxycommand": "jump",
    "identityfile": "identity_file",
    "user": "user",
    "port": "port",
}
# They make Ansible's many connections one; here there is one in any case.
_WITHOUT_EFFECT = frozenset({"-C", "compression", "controlmaster", "controlpath", "controlpersist"})


@dataclass(frozen=True, slots=True)
class SshArguments:
    """The way to a host, None where nothing is said; ``rest`` are arguments that are not read."""

    jump: str | None = None
    user: str | None = None
    port: str | None = None
    identity_file: str | None = None
    rest: tuple[str, ...] = ()


def parse_ssh_arguments(arguments: str) -> SshArguments:
    """Read arguments of ssh; as with ssh, the first of several counts.

    Understands ``-J``, ``-i``, ``-l``, ``-p``, the options that they stand for, and
    ``-o ProxyCommand="ssh -W %h:%p BASTION"``.
    """
    found = SshArguments()
    try:
        words = shlex.split(arguments)
    except ValueError:
        return SshArguments(rest=(arguments,))
    while words:
        word = words.pop(0)
        option, value = word[:2], word[2:]
        if option in _TAKES_VALUE and not value and words:
            value = words.pop(0)
            word += f" {value}"
        name = _LETTERS.get(option, word if option != "-o" else "")
        if option == "-o":
            name, _, value = value.partition("=") if "=" in value else value.partition(" ")
            name, value = name.strip().lower(), value.strip()
        if name not in _WITHOUT_EFFECT:
            found = _with(found, name, value, word)
    return found


def _with(found: SshArguments, name: str, value: str, word: str) -> SshArguments:
    field = _FIELDS.get(name)
    if name == "proxycommand":
        value = _forwarding_bastion(value)
    if field is None or not _is_valid(field, value):
        return replace(found, rest=(*found.rest, word))
    if getattr(found, field):
        return found
    given: dict[str, Any] = {field: value}
    return replace(found, **given)


def _is_valid(field: str, value: str) -> bool:
    if field == "port":
        return bool(re.fullmatch(r"[0-9]{1,5}", value)) and 1 <= int(value) <= 65535
    return bool(value) and value.isprintable() and not value.startswith("-")


def _forwarding_bastion(command: str) -> str:
    """Return the one bastion that a ProxyCommand forwards through; "" for any other command."""
    words = [word for word in command.split() if word != "-q"]
    if len(words) == 4 and words[:3] == ["ssh", "-W", "%h:%p"]:
        return words[3]
    if len(words) == 4 and [words[0], *words[2:]] == ["ssh", "-W", "%h:%p"]:
        return words[1]
    return ""
