"""The binary format of JDK Flight Recorder, version 2: chunks, types, constants, events.

A recording is chunks, one after the other, each complete by itself. A chunk has a header of 68
bytes (numbers in network order), then events: the size, the number of the type, the fields. Numbers
are LEB128 in at most nine bytes, of which the ninth has eight bits. Type 0 is the metadata: a table
of strings, and a tree of elements that describe every other type by its fields. Type 1 is a
checkpoint: constants by type, to which fields refer by number. A string begins with a byte that
tells how it is written. Sources: ``jdk.jfr.internal.consumer`` and ``src/hotspot/share/jfr`` of
OpenJDK, files of
JDK 11 to 25 and of async-profiler.

Constants and events are found first and read when they are asked for, each once: so time is linear
in the size, and what nobody asks for takes no memory.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from remote_prof.parse.jfr_types import (
    MOST_TYPES,
    DamagedError,
    Field,
    read_number,
    read_types,
)
from remote_prof.profile.limits import MOST_NAMES, within

MAGIC = b"FLR\0"
_HEADER = struct.Struct(">4sHHQQQQQQQI")
_COMPRESSED = 1  # the lowest bit of the last number
_METADATA, _CHECKPOINT = 0, 1
# A real recording has types of at most some 30 fields.
_MOST_FIELDS = 1_000
_DEEPEST = 16
_LONGEST_TEXT = 4096  # bytes that are kept of it
_STRING = "java.lang.String"
_KINDS = {
    "boolean": "byte",
    "byte": "byte",
    "char": "number",
    "short": "number",
    "int": "number",
    "long": "number",
    "float": "float",
    "double": "double",
    _STRING: "text",
}
_WIDTHS = {"byte": 1, "float": 4, "double": 8}

Value = int | str | list["Record"] | None


class Op(NamedTuple):
    """How one value is read: its kind; of what type a constant, or an array's elements, are."""

    kind: str  # byte, number, float, double, text, constant, array
    type: int = 0
    element: Layout | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the fields of a type follow each other; ``places`` are the indexes of fields by name."""

    ops: tuple[Op, ...]
    places: Mapping[str, int]


class Record(NamedTuple):
    """The values of an event, a constant, or an element of an array."""

    layout: Layout
    values: list[Value]


class Chunk:
    """One chunk. Raises DamagedError, or IndexError where it is cut."""

    def __init__(self, data: bytes, start: int, end: int, ticks_per_second: int) -> None:
        self._data = data
        self._end = end
        self.ticks_per_second = ticks_per_second
        self.whole = True
        self._places = self._events(start + _HEADER.size)
        if _METADATA not in self._places:
            raise DamagedError("it does not describe its types")
        self._types = read_types(data, self._places[_METADATA][-1], end)
        self._numbers = {kind.name: number for number, kind in self._types.items()}
        self._layouts: dict[int, Layout] = {}
        self._constants: dict[int, dict[int, int]] = {}
        self._records: dict[int, Record | None] = {}
        self._texts: dict[int, str] = {}
        self._count = 0
        for place in self._places.get(_CHECKPOINT, ()):
            self._checkpoint(place)

    def _events(self, place: int) -> dict[int, array[int]]:
        """Return the places of events by type."""
        places: dict[int, array[int]] = {}
        data = self._data
        while place < self._end:
            try:
                size, after = read_number(data, place)
                number, after = read_number(data, after)
            except IndexError:
                size = 0
            if not after - place <= size <= self._end - place:
                self.whole = False
                break
            if number not in places:
                within("types of events", len(places), MOST_TYPES, "a chunk")
                places[number] = array("Q")
            places[number].append(place)
            place += size
        return places

    def number(self, name: str) -> int | None:
        """Return the number of a type."""
        return self._numbers.get(name)

    def count(self, name: str) -> int:
        """Return how many events of a type there are."""
        return len(self._places.get(self._numbers.get(name, -1), ()))

    def events(self, name: str) -> Iterator[Record]:
        """Give the events of a type, in the order of the file."""
        number = self._numbers.get(name, -1)
        for place in self._places.get(number, ()):
            size, after = read_number(self._data, place)
            _, after = read_number(self._data, after)
            # An event ends where it says: else each could be read as far as the last one.
            yield self._read(self._layout(number), after, place + size)[0]

    def get(self, record: Record, name: str) -> Value | Record:
        """Return a field of a record, what it refers to where it refers to a constant."""
        place = record.layout.places.get(name)
        if place is None:
            return None
        op, value = record.layout.ops[place], record.values[place]
        if op.kind == "constant" and isinstance(value, int):
            return self.constant(op.type, value)
        return value

    def reference(self, record: Record, name: str) -> int:
        """Return the number of the constant that a field refers to, 0 for none."""
        value = record.values[record.layout.places[name]] if name in record.layout.places else 0
        return value if isinstance(value, int) else 0

    def constant(self, number: int, reference: int) -> Value | Record:
        """Return a constant, None where there is none."""
        place = self._constants.get(number, {}).get(reference)
        if place is None:
            return None
        record = self._records.get(place)
        if record is None:
            record, _ = self._read(self._layout(number), place, self._end)
            # Many may refer to one that is long: what is wanted again is kept.
            self._records[place] = record if place in self._records else None
        kind = self._types.get(number)
        return record.values[0] if kind and kind.name == _STRING else record

    def text(self, record: Value | Record, *names: str) -> str:
        """Return the text that a way of fields leads to, nothing where it leads nowhere."""
        found: Value | Record = record
        for name in names:
            if not isinstance(found, Record):
                break
            found = self.get(found, name)
        # A symbol is a constant with a string in it.
        if isinstance(found, Record):
            found = self.get(found, "string")
        return found if isinstance(found, str) else ""

    def _checkpoint(self, place: int) -> None:
        """Note where the constants of a checkpoint are."""
        data, read = self._data, read_number
        size, after = read(data, place)
        end = place + size
        for _ in range(4):  # its type, its time, how long it took, where the one before is
            _, after = read(data, after)
        after += 1  # what it is for
        pools, after = read(data, after)
        for _ in range(pools):
            number, after = read(data, after)
            constants, after = read(data, after)
            self._count += constants
            within("constants in one chunk", self._count, 2 * MOST_NAMES, "the recording")
            layout = self._layout(number)
            known = self._constants.setdefault(number, {})
            for _ in range(constants):
                reference, after = read(data, after)
                known[reference] = after
                after = self._skip(layout, after, end)
            if after > end:
                raise DamagedError("constants are longer than their checkpoint")

    def _skip(self, layout: Layout, place: int, end: int) -> int:
        """Return the place behind the values of a layout."""
        data = self._data
        for op in layout.ops:
            if op.kind in ("number", "constant"):
                ninth = place + 8
                while place < ninth and data[place] > 0x7F:
                    place += 1
                place += 1
            elif op.kind == "text":
                place = self._text(place, end)[1]
            elif op.kind == "array":
                count, place = self._array(op, place, end)
                for _ in range(count):
                    place = self._skip(op.element or _NOTHING, place, end)
                    if place > end:
                        raise DamagedError("an array is longer than what it is in")
            else:
                place += _WIDTHS[op.kind]
        if place > end:
            raise DamagedError("a value is longer than what it is in")
        return place

    def _read(self, layout: Layout, place: int, end: int) -> tuple[Record, int]:
        """Return the values of a layout, and the place behind them."""
        data = self._data
        values: list[Value] = []
        for op in layout.ops:
            if op.kind in ("number", "constant"):
                number, place = read_number(data, place)
                values.append(number)
            elif op.kind == "text":
                text, place = self._text(place, end)
                values.append(text)
            elif op.kind == "array":
                count, place = self._array(op, place, end)
                elements = []
                for _ in range(count):
                    element, place = self._read(op.element or _NOTHING, place, end)
                    elements.append(element)
                values.append(elements)
            else:
                values.append(data[place])
                place += _WIDTHS[op.kind]
            if place > end:
                raise DamagedError("a value is longer than what it is in")
        return Record(layout, values), place

    def _array(self, op: Op, place: int, end: int) -> tuple[int, int]:
        count, place = read_number(self._data, place)
        if not op.element or not op.element.ops:
            return 0, place  # elements that take no room could be any number
        if count > end - place:
            raise DamagedError("an array is longer than what it is in")
        return count, place

    def _text(self, place: int, end: int, *, constant: bool = True) -> tuple[str, int]:
        data = self._data
        way = data[place]
        place += 1
        if way < 2:  # nothing, or an empty one
            return "", place
        number, place = read_number(data, place)
        if way == 2:
            return (self._constant_text(number) if constant else ""), place
        if way > 5 or number > end - place:
            raise DamagedError("a string is longer than what it is in")
        if way == 4:
            signs: list[str] = []
            for _ in range(number):
                sign, place = read_number(data, place)
                if len(signs) < _LONGEST_TEXT:
                    signs.append(chr(sign & 0xFFFF))
            # Pairs of surrogates are one sign.
            packed = "".join(signs).encode("utf-16-le", "surrogatepass")
            return packed.decode("utf-16-le", "replace"), place
        written = data[place : place + min(number, _LONGEST_TEXT)]
        return written.decode("utf-8" if way == 3 else "latin-1", "replace"), place + number

    def _constant_text(self, reference: int) -> str:
        place = self._constants.get(self._numbers.get(_STRING, -1), {}).get(reference)
        # One that refers to another one could go on for ever.
        if place is None:
            return ""
        if place not in self._texts:
            self._texts[place] = self._text(place, self._end, constant=False)[0]
        return self._texts[place]

    def _layout(self, number: int, depth: int = 0) -> Layout:
        known = self._layouts.get(number)
        if known is not None:
            return known
        if number not in self._types:
            raise DamagedError(f"it does not describe type {number}")
        if depth > _DEEPEST:
            raise DamagedError("a type is in itself")
        kind = self._types[number]
        ops: list[Op] = []
        places: dict[str, int] = {}
        if kind.name in _KINDS:
            ops.append(Op(_KINDS[kind.name]))
        for each in kind.fields:
            places[each.name] = len(ops)
            ops += self._ops(each, depth)
            if len(ops) > _MOST_FIELDS:
                raise DamagedError("a type has too many fields")
        made = self._layouts[number] = Layout(tuple(ops), places)
        return made

    def _ops(self, each: Field, depth: int) -> tuple[Op, ...]:
        if each.constant:
            op = Op("constant", each.type)
            return (Op("array", element=Layout((op,), {})),) if each.array else (op,)
        inner = self._layout(each.type, depth + 1)
        return (Op("array", element=inner),) if each.array else inner.ops


_NOTHING = Layout((), {})


def chunks(data: bytes) -> Iterator[Chunk | DamagedError]:
    """Give the chunks of a recording, and for one that cannot be read why."""
    start = 0
    while start < len(data):
        if data[start : start + len(MAGIC)] != MAGIC or len(data) - start < _HEADER.size:
            yield DamagedError("there is no chunk where one should begin")
            return
        _, major, _, size, _, _, _, _, _, ticks, state = _HEADER.unpack_from(data, start)
        if major != 2:
            yield DamagedError(f"version {major} of the format is not known")
            return
        # One that is still being written has no size.
        end = start + size if size else len(data)
        cut = not _HEADER.size <= end - start <= len(data) - start
        end = len(data) if cut else end
        if not state & _COMPRESSED:
            yield DamagedError("numbers are not compressed")
        else:
            try:
                chunk = Chunk(data, start, end, ticks)
                chunk.whole = chunk.whole and not cut
                yield chunk
            except (DamagedError, IndexError) as error:
                yield DamagedError(str(error) if isinstance(error, DamagedError) else "it is cut")
        start = end
