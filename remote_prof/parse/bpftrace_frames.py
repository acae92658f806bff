"""One line of a stack that bpftrace printed, made a frame.

Forms, all leaf first (bpftrace's resolve_usym, resolve_ksym and get_stack):

- default: spaces, then ``name+offset``, or ``0x7f8b535fd1f5`` where there is no name
- ``perf``: a TAB, ``address name+offset (module)``, or ``address 0x... ([unknown])``
- ``raw``: the address in hexadecimal, without ``0x`` and without indentation
"""

from __future__ import annotations

import re
from enum import Enum

from remote_prof.parse.demangle import readable
from remote_prof.parse.symbols import is_kernel_address, nameless, user_kind
from remote_prof.profile.model import UNKNOWN, UNKNOWN_KERNEL, Frame, FrameKind


class Side(Enum):
    """Which stack a line stands in."""

    KERNEL = "kernel"
    USER = "user"
    EITHER = "either"  # the only stack of a key: addresses have to tell


_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]+")
_PREFIXED_ADDRESS = re.compile(r"0x[0-9a-f]+|0")  # a null pointer is printed without prefix
_MODULE = re.compile(r"\+\d+ \(")


def parse_frame(line: bytes, side: Side, *, keep_offsets: bool = False) -> Frame:
    """Make a frame of one line, without its line break. Any bytes make one.

    Offsets go, and with them what tells nameless addresses apart: those become ``[unknown]``,
    ``[module]`` or ``[kernel]``. With ``keep_offsets`` both stay (``0x...`` is the name then).
    """
    text = line.decode("utf-8", "replace")
    address, symbol, module = _split(text)
    name, offset = split_offset(symbol)
    bare = _bare_address(text, symbol)
    if bare is not None or name in ("", UNKNOWN):
        return _nameless(bare or address, module, side, keep_offsets=keep_offsets)
    kernel = side is Side.KERNEL or (side is Side.EITHER and is_kernel_address(address))
    name = readable(name)
    kind = FrameKind.KERNEL if kernel else user_kind(name)
    return Frame(name, kind, module, offset if keep_offsets else None)


def _split(text: str) -> tuple[str, str, str | None]:
    """Split a line into address (may be empty), symbol with its offset, and module."""
    if not text.startswith("\t"):
        return "", text.strip(" "), None
    address, _, rest = text[1:].partition(" ")
    if not rest.endswith(")"):
        return address, rest, None
    # Names and paths may both hold " (": the offset stands between them. A nameless address
    # has no offset, and no blanks either.
    cut = -1
    for match in _MODULE.finditer(rest):
        cut = match.end() - 2
    if cut < 0:
        cut = rest.find(" (")
    if cut < 0:
        return address, rest, None
    module = rest[cut + 2 : -1]
    return address, rest[:cut], module if module not in ("", UNKNOWN) else None


def split_offset(symbol: str) -> tuple[str, int | None]:
    """Split ``name+12`` into name and offset in bytes; other plus signs belong to the name."""
    name, plus, digits = symbol.rpartition("+")
    if plus and digits.isascii() and is_offset(digits.encode()):
        return name, int(digits)
    return symbol, None


def is_offset(digits: bytes) -> bool:
    """Tell whether this is a number of at most 64 bits or so (longer ones are slow to convert)."""
    return digits.isdigit() and len(digits) <= 20


def _bare_address(text: str, symbol: str) -> str | None:
    # Only the raw form prints addresses without 0x, and it alone does not indent.
    pattern = _PREFIXED_ADDRESS if text.startswith((" ", "\t")) else _ADDRESS
    return symbol.removeprefix("0x") if pattern.fullmatch(symbol) else None


def _nameless(address: str, module: str | None, side: Side, *, keep_offsets: bool) -> Frame:
    if side is Side.KERNEL or (side is Side.EITHER and is_kernel_address(address)):
        module = UNKNOWN_KERNEL
    return nameless(address, module, keep_offsets=keep_offsets)
