"""pprof's own format, gzip'd: for ``go tool pprof``, and whatever else reads ``profile.pb.gz``.

Format: see ``remote_prof.profile.pprof``.
"""

from __future__ import annotations

import gzip
from typing import Any

from remote_prof.profile.folded import printable
from remote_prof.profile.model import (
    UNKNOWN,
    UNKNOWN_KERNEL,
    Frame,
    FrameKind,
    IndexStack,
    Profile,
    is_kernel,
)
from remote_prof.profile.pprof import COMM, MARKS, PID, messages
from remote_prof.render.report import Report
from remote_prof.render.speedscope import in_order

_GREATEST = 2**63 - 1  # of an int64
# Types and units of values, by the profile's unit. What is not here is a count of what its name is.
_VALUES = {
    "ns": ("time", "nanoseconds"),
    "us": ("time", "microseconds"),
    "ms": ("time", "milliseconds"),
    "s": ("time", "seconds"),
    "bytes": ("space", "bytes"),
}


def render_pprof(report: Report) -> bytes:
    """Write one sample for each stack, sorted.

    The values are the weights; samples of a known frequency have CPU time as their second value,
    which is what pprof shows first. The process at a stack's root becomes the labels ``comm`` and
    ``pid``. Title, facts and notes are comments. Modules are mappings, with a mark before those of
    the kernel and of code made at run time. Inlined frames share the location of what they are
    inlined into. Offsets into functions have no place in the format; they only keep locations
    apart. Weights beyond 64 bits are cut to that.
    """
    writer = _Writer(report.profile)
    writer.samples()
    writer.describe(report)
    # The time of writing would make equal reports differ.
    return gzip.compress(writer.document(), mtime=0)


class _Writer:
    """Collects the tables of one file: strings, functions, mappings, locations."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._messages = messages()
        self._document = self._messages.Profile()
        self._strings = {"": 0}
        self._functions: dict[str, int] = {}
        self._mappings: dict[str, int] = {}
        self._locations: dict[IndexStack, int] = {}
        self._inlined = frozenset(
            number for number, frame in enumerate(profile.frames) if frame.kind is FrameKind.INLINED
        )
        self._period_ns = self._period()

    def _period(self) -> int:
        """Return the CPU time that one sample stands for; 0 where weights are no such samples."""
        profile = self._profile
        if profile.unit != "samples" or not profile.frequency_hz:
            return 0
        period_ns = round(1e9 / profile.frequency_hz)
        return period_ns if profile.total * period_ns <= _GREATEST else 0

    def samples(self) -> None:
        """Write what was sampled, and what its values are."""
        unit = self._profile.unit
        self._values(*_VALUES.get(unit, (unit, "count")))
        if self._period_ns:
            self._values("cpu", "nanoseconds")
            self._document.period_type = self._value_type("cpu", "nanoseconds")
            self._document.period = self._period_ns
        lone = _Numbers(self)
        labels: dict[int, list[Any]] = {}
        for stack in in_order(self._profile):
            # A stack of nothing but its process keeps that as a frame: pprof shows no other.
            root = stack[0] if len(stack) > 1 else -1
            if root not in labels:
                labels[root] = self._labels(root)
            frames = stack[1:] if labels[root] else stack
            if self._inlined.isdisjoint(frames):
                numbers = list(map(lone.__getitem__, frames))
            else:
                numbers = [self.location(part) for part in self._physical(frames)]
            numbers.reverse()
            weight = min(self._profile.weights[stack], _GREATEST)
            values = [weight, weight * self._period_ns] if self._period_ns else [weight]
            sample = self._messages.Sample(location_id=numbers, value=values, label=labels[root])
            self._document.sample.append(sample.SerializeToString())

    def describe(self, report: Report) -> None:
        """Write what a reader has to know of the profile as comments."""
        facts = [f"{name}: {value}" for name, value in report.facts.items()]
        lost = [f"lost: {report.profile.lost}"] if report.profile.lost else []
        lines = [report.title, report.subtitle, *facts, *lost, *report.profile.notes]
        self._document.comment.extend(self.string(line) for line in lines if line)

    def document(self) -> bytes:
        """Return the file, not compressed."""
        # The first mapping is taken for the program's own file.
        for file in sorted(self._mappings, key=lambda name: name.startswith("[")):
            # Names are resolved: pprof is not to look for them in files of this machine.
            mapping = self._messages.Mapping(
                id=self._mappings[file], filename=self.string(file), has_functions=True
            )
            if build_id := self._profile.build_ids.get(file):
                mapping.build_id = self.string(build_id)
            self._document.mapping.append(mapping.SerializeToString())
        self._document.string_table.extend(text.encode() for text in self._strings)
        written: bytes = self._document.SerializeToString()
        return written

    def string(self, text: str) -> int:
        """Return the number of a string. pprof prints it as it is, so it must drive no terminal."""
        return self._strings.setdefault(printable(text), len(self._strings))

    def location(self, part: IndexStack) -> int:
        """Return the number of a location: a frame, and what is inlined into it, root first."""
        known = self._locations.get(part)
        if known is not None:
            return known
        number = self._locations[part] = len(self._locations) + 1
        frames = [self._profile.frames[index] for index in part]
        line = self._messages.Line
        location = self._messages.Location(
            id=number,
            mapping_id=self._mapping(_file(frames[0])),
            line=[line(function_id=self._function(frame)) for frame in reversed(frames)],
        )
        self._document.location.append(location.SerializeToString())
        return number

    def _physical(self, frames: IndexStack) -> list[IndexStack]:
        """Cut a stack before each frame that is not inlined into the one before it."""
        parts: list[list[int]] = []
        for index in frames:
            if index in self._inlined and parts:
                parts[-1].append(index)
            else:
                parts.append([index])
        return [tuple(part) for part in parts]

    def _function(self, frame: Frame) -> int:
        name = frame.name or UNKNOWN
        number = self._functions.get(name)
        if number is None:
            number = self._functions[name] = len(self._functions) + 1
            # Without a system's name beside it, pprof shows the name as it is, arguments included.
            function = self._messages.Function(id=number, name=self.string(name))
            self._document.function.append(function.SerializeToString())
        return number

    def _mapping(self, file: str) -> int:
        if not file:
            return 0
        number = self._mappings.get(file)
        if number is None:
            number = self._mappings[file] = len(self._mappings) + 1
        return number

    def _labels(self, index: int) -> list[Any]:
        """Return the labels for a process at the root, none where another frame is there."""
        frame = self._profile.frames[index] if index >= 0 else None
        if frame is None or frame.kind is not FrameKind.PROCESS or not frame.name:
            return []
        make = self._messages.Label
        labels = [make(key=self.string(COMM), str=self.string(frame.name))]
        if frame.pid is not None:
            labels.append(make(key=self.string(PID), num=min(frame.pid, _GREATEST)))
        return labels

    def _values(self, kind: str, unit: str) -> None:
        self._document.sample_type.append(self._value_type(kind, unit))

    def _value_type(self, kind: str, unit: str) -> bytes:
        made = self._messages.ValueType(type=self.string(kind), unit=self.string(unit))
        written: bytes = made.SerializeToString()
        return written


class _Numbers(dict[int, int]):
    """Numbers of the locations of frames with nothing inlined, each made when it is first seen."""

    def __init__(self, writer: _Writer) -> None:
        super().__init__()
        self._writer = writer

    def __missing__(self, index: int) -> int:
        number = self[index] = self._writer.location((index,))
        return number


def _file(frame: Frame) -> str:
    """Return the name of the mapping that a frame's code is in: a mark, a module, or both."""
    module = frame.module or ""
    mark = MARKS[FrameKind.KERNEL] if is_kernel(frame) else MARKS.get(frame.kind, "")
    if module in (mark, UNKNOWN_KERNEL):
        return mark
    return f"{mark} {module}".strip()
