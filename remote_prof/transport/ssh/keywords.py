"""The keywords of ssh_config that are read, and the values that each may have.

All others are skipped, known to OpenSSH or not: a list of them would be wrong with its next
release, and ``ssh -G`` tells what it does not know.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping

from remote_prof.transport.ssh.grammar import Line, parse_jumps

Values = tuple[str, ...]
_TIME = re.compile(r"(?:([0-9]+)([smhdwSMHDW]?))+")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BOOLEAN = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


def read_value(line: Line) -> tuple[str, Values] | None:
    """Give the name and the values of a line; None if its keyword is not read.

    Raises ValueError with what is wrong.
    """
    name = _ALIASES.get(line.keyword, line.keyword)
    reader = _READERS.get(name)
    if reader is None:
        return None
    if not line.words or not line.words[0]:
        raise ValueError(f"{line.keyword} has no value")
    return name, reader(line)


def check_line(line: Line) -> None:
    """Raise ValueError for a line that no host could go by."""
    if line.keyword == "host" and "" in line.words:
        raise ValueError("Host has an empty pattern")
    if line.keyword not in ("host", "match", "include"):
        read_value(line)


def _one(line: Line) -> str:
    if len(line.words) > 1:
        raise ValueError(f"{line.keyword} has more than one value")
    return line.words[0]


def _text(line: Line) -> Values:
    return (_one(line),)


def _names(line: Line) -> Values:
    if "" in line.words:
        raise ValueError(f"{line.keyword} has an empty value")
    return line.words


def _port(line: Line) -> Values:
    word = _one(line)
    try:
        port = (
            int(word) if word.isascii() and word.isdecimal() else socket.getservbyname(word, "tcp")
        )
    except OSError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError(f"{word!r} is no port")
    return (str(port),)


def _seconds(line: Line) -> Values:
    word = _one(line)
    if word == "none":
        return ("0",)
    if not _TIME.fullmatch(word):
        raise ValueError(f"{word!r} is no time")
    parts = re.findall(r"([0-9]+)([a-zA-Z]?)", word)
    return (str(sum(int(number) * _SECONDS[unit.lower()] for number, unit in parts)),)


def _choice(choices: Mapping[str, str]) -> Callable[[Line], Values]:
    def read(line: Line) -> Values:
        word = _one(line)
        if word.lower() not in choices:
            raise ValueError(f"{line.keyword} is one of {', '.join(choices)}, not {word!r}")
        return (choices[word.lower()],)

    return read


def _command(line: Line) -> Values:
    return (line.rest.lstrip(" \t="),)


def _jumps(line: Line) -> Values:
    text = line.rest.lstrip(" \t=").partition("#")[0].rstrip()
    try:
        parse_jumps(text)
    except ValueError as error:
        raise ValueError(f"ProxyJump cannot be read: {str(error)!r}") from error
    return (text,)


_READERS: Mapping[str, Callable[[Line], Values]] = {
    "addressfamily": _choice({"any": "any", "inet": "inet", "inet6": "inet6"}),
    "bindaddress": _text,
    "certificatefile": _text,
    "ciphers": _text,
    "globalknownhostsfile": _names,
    "hostkeyalgorithms": _text,
    "hostkeyalias": _text,
    "hostname": _text,
    "identitiesonly": _choice(_BOOLEAN),
    "identityagent": _text,
    "identityfile": _text,
    "kbdinteractiveauthentication": _choice(_BOOLEAN),
    "kexalgorithms": _text,
    "macs": _text,
    "passwordauthentication": _choice(_BOOLEAN),
    "port": _port,
    "preferredauthentications": _text,
    "proxycommand": _command,
    "proxyjump": _jumps,
    "pubkeyacceptedalgorithms": _text,
    "pubkeyauthentication": _choice({**_BOOLEAN, "unbound": "yes", "host-bound": "yes"}),
    "revokedhostkeys": _text,
    "serveraliveinterval": _seconds,
    "user": _text,
    "userknownhostsfile": _names,
}
_ALIASES: Mapping[str, str] = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "identityfile2": "identityfile",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
}
ACCUMULATING = frozenset({"identityfile", "certificatefile"})
"""What a later line adds to; of all others the first value counts."""
