"""The grammar of ssh_config: lines to keywords and words, patterns, jump hosts.

As ssh_config(5) has it and OpenSSH 9 reads it, including what the manual does not say.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

_SPACE = " \t\r\n\f"
_KEYWORD = re.compile(
    r'(?P<keyword>[^ \t\r"=#][^ \t\r"=]*)[ \t\r]*=?[ \t\r]*(?P<rest>.*)', re.DOTALL
)
_ESCAPABLE = "'\"\\"
# [user@]host[:port] or ssh://[user@]host[:port], IPv6 in brackets.
_JUMP = re.compile(
    r"(?:(?i:ssh)://)?(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\s:@\[\]/]+))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line with something in it: the keyword in small letters, its words, and where it stands.

    ``rest`` is what follows the keyword, as it was written. ``included`` are the files that an
    ``Include`` names, in order.
    """

    keyword: str
    words: tuple[str, ...]
    rest: str
    where: str
    included: tuple[tuple[Line, ...], ...] = ()


def parse_line(text: str, where: str) -> Line | None:
    """Read one line; None if there is nothing on it. Raises ValueError with what is wrong."""
    text = text.strip(_SPACE)
    if not text or text.startswith("#"):
        return None
    found = _KEYWORD.fullmatch(text)
    if found is None:
        raise ValueError("there is no keyword")
    if not found["rest"]:
        raise ValueError(f"{found['keyword']} has no value")
    return Line(found["keyword"].lower(), split_words(found["rest"]), found["rest"], where)


def split_words(text: str) -> tuple[str, ...]:
    """Split at spaces; quotes hold together, a backslash escapes quotes, and # begins a comment.

    Raises ValueError for a quote that is not closed.
    """
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text[at] == "#":
            break
        else:
            word, at = _word(text, at)
            words.append(word)
    return tuple(words)


def _word(text: str, at: int) -> tuple[str, int]:
    word: list[str] = []
    quote = ""
    while at < len(text) and (quote or text[at] not in " \t"):
        char, after = text[at], text[at + 1 : at + 2]
        if char == "\\" and after and (after in _ESCAPABLE or (not quote and after == " ")):
            word.append(after)
            at += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        else:
            word.append(char)
        at += 1
    if quote:
        raise ValueError(f"a quote {quote} is not closed")
    return "".join(word), at


def matches(text: str, pattern: str) -> bool:
    """Say whether a pattern with ``*`` and ``?`` covers the whole text."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def matches_any(text: str, patterns: str) -> bool:
    """Say whether a list of patterns with commas covers a text; ``!`` before one forbids."""
    found = False
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if matches(text, pattern[1:]):
                return False
        elif matches(text, pattern):
            found = True
    return found


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump host as it is written down; None where something is left to ssh_config."""

    address: str
    port: int | None = None
    user: str | None = None


def parse_jumps(text: str) -> tuple[Jump, ...]:
    """Read ``ProxyJump``; ``none`` gives none. Raises ValueError with the part that is wrong."""
    text = text.strip()
    if text.lower() == "none":
        return ()
    jumps = []
    for part in text.split(","):
        found = _JUMP.fullmatch(part.strip())
        port = int(found["port"]) if found and found["port"] else None
        if found is None or (port is not None and not 0 < port < 65536):
            raise ValueError(part.strip())
        jumps.append(Jump(found["bracketed"] or found["plain"], port, found["user"]))
    return tuple(jumps)
