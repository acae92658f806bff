"""austin's binary format, MOJO, made a profile: what austin 4 writes.

``MOJ``, the version, then events: a number that says which, and its data. Numbers (varints) have
6 bits in their first byte, beside a sign (0x40), and 7 in each that follows, as long as 0x80 is
set. Strings end with a NUL. Source: "The MOJO File Format" of austin's documentation, of versions 1
to 4.

A stack begins a sample, which ends with the next one. Frames and strings are told once, by a key,
and referred to from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from remote_prof.errors import ParseError
from remote_prof.parse.austin import austin_frame
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, within
from remote_prof.profile.model import IndexStack, Profile

_MAGIC = b"MOJ"
_VERSIONS = range(1, 5)
_LONGEST_NUMBER = 10  # bytes
_UNITS = {"memory": "bytes"}  # of the mode; all others measure time
# Strings that are known without being told.
_EMPTY, _UNKNOWN = 0, 1
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,16}")  # threads, from version 3 on


def recognises_mojo(head: bytes) -> bool:
    """Tell whether this is the beginning of a MOJO file."""
    return head.startswith(_MAGIC)


def parse_mojo(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a MOJO file: frames, units and weights are those of ``parse_austin``.

    A file that is cut off keeps its complete samples, and a note says so. Raises ParseError where
    it is none, or of a version that is not known.
    """
    if not recognises_mojo(data):
        raise ParseError("this is no MOJO file", evidence=f"it begins with {data[:8]!r}")
    scan = _Scan(data, keep_offsets=keep_offsets)
    try:
        scan.read()
    except IndexError:
        scan.notes.append("the file ends in the middle of a sample: that one is left out")
    return scan.profile()


@dataclass(slots=True)
class _Sample:
    roots: IndexStack
    frames: list[int] = field(default_factory=list)
    time_us: int | None = None
    memory_bytes: int | None = None


class _Scan:
    """What was read so far. Raises IndexError at the end of the data."""

    def __init__(self, data: bytes, *, keep_offsets: bool) -> None:
        self._data, self._at = data, len(_MAGIC)
        self._keep_offsets = keep_offsets
        self._folder = Folder()
        self._strings = {_EMPTY: "", _UNKNOWN: ""}
        self._frames: dict[tuple[int, int], int] = {}
        self._told: dict[str, str] = {}
        self._sample: _Sample | None = None
        self._pid = self._version = 0
        self._below_zero = 0
        self.notes: list[str] = []

    def read(self) -> None:
        version = self._number()
        if version not in _VERSIONS:
            raise ParseError(
                f"MOJO files of version {version} are not known",
                hint="mojo2austin, of PyPI's austin-python, makes text of it",
            )
        self._version = version
        reads = {
            1: self._metadata,
            2: self._stack,
            3: self._frame,
            4: self._invalid,
            5: self._reference,
            6: self._kernel,
            7: self._collector,
            8: self._idle,
            9: self._time,
            10: self._memory,
            11: self._text,
            12: self._number,  # a reference to a string: only what refers to it needs it
        }
        while self._at < len(self._data):
            start = self._at
            event = self._number()
            read = reads.get(event)
            if read is None:
                raise ParseError(
                    f"the MOJO file has an event {event}, which is not known",
                    evidence=f"at byte {start} of {len(self._data)}",
                )
            read()
        self._end()

    def _number(self) -> int:
        byte = self._data[self._at]
        start = self._at
        self._at += 1
        value, shift, below_zero = byte & 0x3F, 6, byte & 0x40
        while byte & 0x80:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if self._at - start > _LONGEST_NUMBER:
                raise ParseError("a number of the MOJO file is too long", evidence=f"byte {start}")
        return -value if below_zero else value

    def _string(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise IndexError
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end + 1
        return text

    def _metadata(self) -> None:
        key = self._string()
        self._told[key] = self._string()

    def _stack(self) -> None:
        self._end()
        self._pid = self._number()
        interpreter = self._number() if self._version > 2 else None
        thread = self._string()
        if interpreter is not None:
            thread = (
                f"{interpreter}:{int(thread, 16) if _HEXADECIMAL.fullmatch(thread) else thread}"
            )
        self._sample = _Sample(tuple(self._name(name) for name in (f"P{self._pid}", f"T{thread}")))

    def _name(self, name: str) -> int:
        frame = austin_frame(name, keep_offsets=self._keep_offsets)
        return self._folder.number(frame, name[:100])

    def _frame(self) -> None:
        key = self._number()
        file, function = (self._strings.get(self._number(), "") for _ in range(2))
        line = self._number()
        if self._version > 1:
            for _ in range(3):  # where it ends, and the columns
                self._number()
        self._frames[self._pid, key] = self._name(f"{file}:{function}:{line}")

    def _invalid(self) -> None:
        self._append(self._name(":INVALID:"))

    def _reference(self) -> None:
        key = self._number()
        number = self._frames.get((self._pid, key))
        self._append(self._name("::") if number is None else number)

    def _kernel(self) -> None:
        self._append(self._name(f"kernel:{self._string()}:0"))

    def _collector(self) -> None:
        self._append(self._name(":GC:"))

    def _idle(self) -> None:
        """Tell that the thread was idle: austin's text of full mode alone says so."""

    def _append(self, number: int) -> None:
        if self._sample is not None:
            self._sample.frames.append(number)
            within("frames in one stack", len(self._sample.frames), LONGEST_STACK, "one sample")

    def _time(self) -> None:
        number = self._number()
        if self._sample is not None:
            self._sample.time_us = number

    def _memory(self) -> None:
        number = self._number()
        if self._sample is not None:
            self._sample.memory_bytes = number

    def _text(self) -> None:
        key = self._number()
        self._strings[key] = self._string()

    def _end(self) -> None:
        """Count the sample that is complete."""
        sample, self._sample = self._sample, None
        if sample is None:
            return
        weight = sample.memory_bytes if self._told.get("mode") == "memory" else sample.time_us
        if weight is not None and weight < 0:
            self._below_zero += 1
        elif weight:
            self._folder.add((*sample.roots, *sample.frames), weight, "the sum")

    def profile(self) -> Profile:
        notes = self.notes
        if self._below_zero:
            notes = [f"{self._below_zero} samples with a weight below zero are left out", *notes]
        version = self._told.get("austin", "")
        return self._folder.profile(
            unit=_UNITS.get(self._told.get("mode", ""), "us"),
            tool=f"austin {version}" if version else "",
            notes=tuple(notes),
        )
