"""Host names as inventories write them: a port after a colon, and ranges such as ``web[01:20]``."""

from __future__ import annotations

import ipaddress
import itertools
import re
import string
from collections.abc import Callable, Iterator, Sequence

LOCALHOSTS = ("127.0.0.1", "localhost", "::1")
"""Names that mean this machine even where no inventory mentions them."""

MAX_EXPANDED = 100_000
"""Hosts that one name with ranges may stand for; more is a typing mistake or an attack."""

_RANGE = r"\[(?:[0-9a-zA-Z]*):(?:[0-9a-zA-Z]+)(?::[0-9]+)?\]"
_LABEL = rf"(?!-)(?:[\w-]|{_RANGE})+(?<![-_])"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_BRACKETED_PORT = re.compile(r"\[(?P<host>.+)\]:(?P<port>[0-9]+)\Z")
_PORT = re.compile(r"(?P<host>(?:[^:\[\]]|\[[^\]]*\])*):(?P<port>[0-9]+)\Z")
_ANY_RANGE = re.compile(r"\[([^\[\]:]*):([^\[\]:]*)(?::([^\[\]]*))?\]")


def split_port(name: str) -> tuple[str, int | None]:
    """Split ``host:22`` or ``[2001:db8::1]:22``; the port is None where none is written.

    A bare IPv6 address has no port. What does not look like an address is handed back whole.
    """
    match = _BRACKETED_PORT.match(name) or _PORT.match(name)
    if match is None or not _is_host(match["host"]):
        return name, None
    return match["host"], int(match["port"])


def is_address(text: str) -> bool:
    """Whether this is one host name or address, perhaps with ranges or a port.

    Decides if the colons in a pattern separate patterns or belong to an address.
    """
    return _is_host(split_port(text)[0])


def expand_ranges(name: str) -> list[str]:
    """List the hosts that a name stands for: ``db[a:c]``, ``web[01:10:3]``; ends are included.

    Raises ValueError with a sentence where a range is not one.
    """
    parts: list[Sequence[str]] = []
    total = 1
    rest = 0
    for match in _ANY_RANGE.finditer(name):
        parts.append((name[rest : match.start()],))
        count, members = _range_members(match[0], match[1], match[2], match[3])
        total *= count
        if total > MAX_EXPANDED:
            raise ValueError(f"{name!r} stands for more than {MAX_EXPANDED} hosts")
        parts.append(tuple(members))
        rest = match.end()
    parts.append((name[rest:],))
    return ["".join(pieces) for pieces in itertools.product(*parts)]


def _is_host(text: str) -> bool:
    if _HOSTNAME.match(text):
        return True
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _range_members(text: str, begin: str, end: str, step: str | None) -> tuple[int, Iterator[str]]:
    begin = begin or "0"
    stride = _number(text, "1" if step is None else step)
    if not stride:
        raise ValueError(f"the range {text} has a step of 0")
    name_of: Callable[[int], str]
    if begin in string.ascii_letters and end and end in string.ascii_letters:
        first, last = string.ascii_letters.index(begin), string.ascii_letters.index(end)
        name_of = string.ascii_letters.__getitem__
    else:
        first, last = _number(text, begin), _number(text, end)
        width = len(begin) if begin.startswith("0") and len(begin) > 1 else 0
        if width and len(end) != width:
            raise ValueError(f"the two ends of the range {text} are not written equally long")
        name_of = _zero_filled(width)
    numbers = range(first, last + 1, stride)
    if not numbers:
        raise ValueError(f"the range {text} ends before it begins")
    return len(numbers), (name_of(number) for number in numbers)


def _zero_filled(width: int) -> Callable[[int], str]:
    return lambda number: str(number).zfill(width)


def _number(text: str, digits: str) -> int:
    # Nine digits are far more than MAX_EXPANDED allows, and keep int() from being fed megabytes.
    if not re.fullmatch(r"[0-9]{1,9}", digits):
        raise ValueError(
            f"the range {text} should be written [begin:end] or [begin:end:step], "
            "in numbers or single letters"
        )
    return int(digits)
