"""The metadata of a chunk of JDK Flight Recorder: the types, and how their fields are written.

A table of strings, and a tree of elements with attributes; see ``parse.jfr_chunk``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from remote_prof.profile.limits import within

# A real recording has some 200 types, and 100 kB of metadata.
MOST_TYPES = 10_000
_MOST_METADATA_BYTES = 8 << 20


class DamagedError(ValueError):
    """The bytes are not what the format says."""


class Field(NamedTuple):
    """A field of a type, in the order in which they are written."""

    name: str
    type: int
    constant: bool
    array: bool


@dataclass(slots=True)
class Type:
    """What the metadata says of a type."""

    name: str
    fields: list[Field] = field(default_factory=list)


def read_number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number, and the place behind it."""
    byte = data[place]
    if byte < 0x80:
        return byte, place + 1
    number, shift = byte & 0x7F, 7
    while True:
        place += 1
        byte = data[place]
        if shift == 56:
            return number | byte << 56, place + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place + 1
        shift += 7


def read_types(data: bytes, place: int, end: int) -> dict[int, Type]:
    """Return the types that a metadata event describes, by number."""
    size, after = read_number(data, place)
    within("bytes of metadata", size, _MOST_METADATA_BYTES, "a chunk")
    end = min(end, place + size)
    for _ in range(4):  # its type, its time, how long it took, its number
        _, after = read_number(data, after)
    strings, after = _strings(data, after, end)
    types: dict[int, Type] = {}
    last = Type("")
    for name, given in _elements(data, after, end, strings):
        if name == "class":
            within("types", len(types) + 1, MOST_TYPES, "a chunk")
            last = types[_integer(given.get("id", ""))] = Type(given.get("name", ""))
        elif name == "field":
            last.fields.append(
                Field(
                    given.get("name", ""),
                    _integer(given.get("class", "")),
                    given.get("constantPool") == "true",
                    given.get("dimension", "0") != "0",
                )
            )
    return types


def _strings(data: bytes, place: int, end: int) -> tuple[list[str], int]:
    count, place = read_number(data, place)
    strings: list[str] = []
    for _ in range(count):
        way = data[place]
        place += 1
        text = ""
        if way in (3, 5):
            size, place = read_number(data, place)
            text = data[place : place + size].decode("utf-8" if way == 3 else "latin-1", "replace")
            place += size
        elif way == 4:
            size, place = read_number(data, place)
            signs = []
            for _ in range(min(size, end - place)):
                sign, place = read_number(data, place)
                signs.append(chr(sign & 0xFFFF))
            text = "".join(signs)
        if place > end or way > 5:
            raise DamagedError("its types have no names")
        strings.append(text)
    return strings, place


def _elements(
    data: bytes, place: int, end: int, strings: list[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the elements of the tree with what is said of each, those above first."""
    open_elements = 1
    while open_elements and place < end:
        number, place = read_number(data, place)
        name = strings[number]
        count, place = read_number(data, place)
        given: dict[str, str] = {}
        for _ in range(count):
            key, place = read_number(data, place)
            value, place = read_number(data, place)
            given[strings[key]] = strings[value]
            if place > end:
                raise DamagedError("its types are cut")
        children, place = read_number(data, place)
        open_elements += children - 1
        yield name, given


def _integer(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise DamagedError("a type has no number")
    return int(text)
