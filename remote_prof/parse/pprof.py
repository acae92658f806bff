"""pprof's own format, made a profile: what Go serves, and many other profilers write.

Format: see ``remote_prof.profile.pprof``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from remote_prof.errors import ParseError
from remote_prof.parse.packed import unpack
from remote_prof.parse.symbols import with_go
from remote_prof.profile.folded import parse_frame, printable
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, MOST_LINES, MOST_NAMES, Budget, within
from remote_prof.profile.model import UNKNOWN, UNKNOWN_KERNEL, Frame, FrameKind, IndexStack, Profile
from remote_prof.profile.pprof import COMM, MARKS, PID, messages

# Bytes that an empty message takes in the file, and in memory: 2 and 16. So the limit of a file is
# what keeps memory within some 2 GB; a real profile of a million stacks has some 100 MB.
MOST_BYTES = 128 << 20
_MOST_MESSAGE_BYTES = 1 << 20  # a stack of 10,000 frames has some 50 kB
_RECOGNISED = re.compile(
    rb"[\x0a\x12\x1a\x22\x2a\x32\x38\x40\x48\x50\x5a\x60\x68\x70\x7a]"
    rb"[^\x1b]{0,255}?[\x00-\x08\x0e-\x1a]",
    re.DOTALL,
)
_UNITS = {
    "nanoseconds": "ns",
    "microseconds": "us",
    "milliseconds": "ms",
    "seconds": "s",
    "bytes": "bytes",
}
_NS = {
    "nanoseconds": 1,
    "microseconds": 1_000,
    "milliseconds": 1_000_000,
    "seconds": 1_000_000_000,
}
_LONGEST_UNIT = 50  # characters
_KERNEL_FILES = ("[kernel", "[guest.kernel", "vmlinux")
_JIT_FILES = ("/tmp/perf-", "//anon", "[anon")  # noqa: S108  the names of mappings, as perf has them
_BUILD_ID = re.compile(r"(?:[0-9a-f]{2}){4,32}")
_HINT = "is the file complete, and is it what pprof reads?"


def recognises_pprof(head: bytes) -> bool:
    """Tell whether this may be the beginning of a ``profile.proto``.

    That is the tag of any of its fields, whichever its writer begins with, and soon a byte that no
    text has.
    """
    return _RECOGNISED.match(head) is not None


def parse_pprof(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a ``profile.proto``, compressed by gzip or not.

    Of several values the default one is read, else the last, as ``go tool pprof`` does. Where that
    is CPU time that is counted in samples too, and the file tells the time between two of them, the
    samples are read: they are whole numbers, with a frequency. Values of zero count for nothing;
    negative ones (of a comparison) are left out, and a note tells their number.

    Inlined functions become INLINED frames. The labels ``comm`` and ``pid`` become the PROCESS at
    the root; other labels are not read. What kind a frame has is told by its mapping, and for
    frames without a name as in ``remote_prof.profile.folded``. Frames that the file wants dropped
    (``drop_frames``) are kept.

    Raises ParseError for what is no such file, refers to what is not in it, or is more than
    ``remote_prof.profile.limits`` allows. Any bytes end in one of these, in linear time.
    """
    from google.protobuf.message import DecodeError

    del keep_offsets  # the format has none
    content, notes = unpack(data, MOST_BYTES)
    within("bytes", len(content), MOST_BYTES, "the profile")
    try:
        profile = _Reader(content).profile()
    except DecodeError as error:
        raise ParseError(
            "this is no profile.proto", evidence=str(error) or f"{len(data)} bytes", hint=_HINT
        ) from error
    return replace(profile, notes=(*notes, *profile.notes))


class _Value(NamedTuple):
    """Which value of each sample is read: its place, what it is, how often it was taken."""

    place: int
    unit: str
    frequency_hz: int | None = None


class _Reader:
    """Reads one file. Every reference in it is checked."""

    def __init__(self, data: bytes) -> None:
        self._messages = messages()
        self._document = self._messages.Profile.FromString(data)
        within("strings", len(self._document.string_table), MOST_LINES, "the profile")
        self._strings: dict[int, str] = {}
        self._folder = Folder()
        self._negative = 0

    def profile(self) -> Profile:
        """Return what the file holds."""
        if not self._document.sample_type or b"" not in self._document.string_table[:1]:
            raise ParseError(
                "this is no profile.proto",
                evidence="it does not say what its values are",
                hint=_HINT,
            )
        value = self._value()
        locations = self._locations()
        frames = list(locations.values())
        for (root, places), weight in self._weights(value.place, locations).items():
            parts = map(frames.__getitem__, reversed(places))
            self._folder.add((*root, *chain.from_iterable(parts)), weight, "a sample")
        note = f"{self._negative} samples with negative values were left out"
        profile = self._folder.profile(
            unit=value.unit,
            frequency_hz=value.frequency_hz,
            notes=(note,) if self._negative else (),
            build_ids=self._build_ids(),
        )
        return with_go(profile)

    def _build_ids(self) -> dict[str, str]:
        """Return those that are numbers in hexadecimal: other linkers have other names."""
        found = {}
        for mapping in self._all("Mapping", self._document.mapping):
            build_id = self._text(mapping.build_id).lower()
            if _BUILD_ID.fullmatch(build_id):
                found[_kind(self._text(mapping.filename))[1] or ""] = build_id
        found.pop("", None)
        return found

    def _value(self) -> _Value:
        types = [self._value_type(each) for each in self._document.sample_type]
        preferred = self._text(self._document.default_sample_type)
        names = [name for name, _ in types]
        place = names.index(preferred) if preferred and preferred in names else len(names) - 1
        name, unit = types[place]
        period_ns = 0
        if types[place] == self._value_type(self._document.period_type):
            period_ns = max(self._document.period, 0) * _NS.get(unit, 0)
        if ("samples", "count") in types and period_ns:
            frequency_hz = round(1e9 / period_ns) or None
            return _Value(types.index(("samples", "count")), "samples", frequency_hz)
        # It stands in titles and tables, so it has to be a word.
        said = printable(name if unit == "count" else _UNITS.get(unit, unit))
        return _Value(place, said[:_LONGEST_UNIT] or "samples")

    def _value_type(self, data: bytes) -> tuple[str, str]:
        made = self._message("ValueType", data)
        return self._text(made.type), self._text(made.unit)

    def _weights(
        self, place: int, locations: Mapping[int, IndexStack]
    ) -> Counter[tuple[IndexStack, IndexStack]]:
        """Return weights by the process at the root and the places of locations, leaf first."""
        within("samples", len(self._document.sample), MOST_LINES, "the profile")
        place_of = {number: place for place, number in enumerate(locations)}
        frames = [len(part) for part in locations.values()]
        weights: Counter[tuple[IndexStack, IndexStack]] = Counter()
        budget = Budget()
        for data in self._document.sample:
            sample = self._message("Sample", data)
            weight = _at(sample.value, place)
            if weight <= 0:
                self._negative += weight < 0
                continue
            within("frames in one stack", len(sample.location_id), LONGEST_STACK, "a sample")
            try:
                places = tuple(map(place_of.__getitem__, sample.location_id))
            except KeyError as error:
                raise _missing("location", error) from None
            stack = self._process(sample.label) if sample.label else (), places
            if stack not in weights:
                budget.stack(sum(map(frames.__getitem__, places)), "a sample")
            weights[stack] += weight
        return weights

    def _process(self, labels: Iterable[Any]) -> IndexStack:
        comm, pid = "", None
        for label in labels:
            key = self._text(label.key)
            if key == COMM:
                comm = self._text(label.str)
            elif key == PID:
                pid = label.num or None
        if not comm and pid is None:
            return ()
        frame = Frame(comm or f"pid {pid}", FrameKind.PROCESS, pid=pid)
        return (self._folder.number(frame, "the labels of a sample"),)

    def _locations(self) -> dict[int, IndexStack]:
        """Return the frames of each location, root first: those inlined are at the end."""
        files = {
            mapping.id: self._text(mapping.filename)
            for mapping in self._all("Mapping", self._document.mapping)
        }
        names = {
            function.id: self._text(function.name) or self._text(function.system_name)
            for function in self._all("Function", self._document.function)
        }
        names[0] = ""  # an address without a name
        files[0] = ""
        frames = _Frames(self._folder)
        locations: dict[int, IndexStack] = {}
        for location in self._all("Location", self._document.location):
            try:
                file = files[location.mapping_id]
                called = [names[line.function_id] for line in location.line] or [""]
            except KeyError as error:
                raise _missing("mapping or function", error) from None
            locations[location.id] = (
                frames[called[-1], file, False],
                *(frames[name, file, True] for name in reversed(called[:-1])),
            )
        return locations

    def _all(self, kind: str, parts: Any) -> Iterable[Any]:
        within(f"{kind.lower()}s", len(parts), MOST_NAMES, "the profile")
        return (self._message(kind, data) for data in parts)

    def _message(self, kind: str, data: bytes) -> Any:
        within(f"bytes in one {kind.lower()}", len(data), _MOST_MESSAGE_BYTES, "the profile")
        return getattr(self._messages, kind).FromString(data)

    def _text(self, number: int) -> str:
        known = self._strings.get(number)
        if known is None:
            if not 0 <= number < len(self._document.string_table):
                raise _missing("string", number)
            written: bytes = self._document.string_table[number]
            known = self._strings[number] = written.decode("utf-8", "replace")
        return known


class _Frames(dict[tuple[str, str, bool], int]):
    """Numbers of frames by function, mapping, and whether it is inlined: each is made once."""

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, key: tuple[str, str, bool]) -> int:
        name, file, inlined = key
        kind, module = _kind(file)
        frame = _frame(name, FrameKind.INLINED if inlined else kind, module)
        number = self[key] = self._folder.number(frame, repr(name[:100]))
        return number


def _kind(file: str) -> tuple[FrameKind, str | None]:
    """Return what a mapping's name tells of its frames, and their module."""
    for kind, mark in MARKS.items():
        if file == mark:
            return kind, None
        if file.startswith(mark + " "):
            return kind, file[len(mark) + 1 :]
    if file.rpartition("/")[2].startswith(_KERNEL_FILES):
        return FrameKind.KERNEL, file
    if file.startswith(_JIT_FILES):
        return FrameKind.JIT, file
    return FrameKind.USER, file or None


def _frame(name: str, kind: FrameKind, module: str | None) -> Frame:
    if kind is FrameKind.KERNEL and (name in ("", UNKNOWN_KERNEL) or name.startswith("0x")):
        return Frame(name or UNKNOWN_KERNEL, FrameKind.UNRESOLVED, UNKNOWN_KERNEL)
    if not name:
        file = module.rpartition("/")[2].strip("[]") if module else ""
        return Frame(f"[{file}]" if file else UNKNOWN, FrameKind.UNRESOLVED, module)
    if kind is FrameKind.USER:
        return parse_frame(name)._replace(module=module)
    return Frame(name, kind, module)


def _at(values: Sequence[int], place: int) -> int:
    if place >= len(values):
        raise ParseError(
            "a sample has fewer values than the profile says",
            evidence=f"it has {len(values)}, and value {place + 1} is wanted",
            hint=_HINT,
        )
    return values[place]


def _missing(kind: str, number: object) -> ParseError:
    return ParseError(f"the profile has no {kind} {number}, which it refers to", hint=_HINT)
