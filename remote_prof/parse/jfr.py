"""A recording of JDK Flight Recorder, made a profile: ``.jfr`` files of JDK 11 to 25.

What an event is counted with is its weight: samples, bytes, or microseconds of waiting. The format
is told in ``remote_prof.parse.jfr_chunk``. async-profiler writes the same events.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from remote_prof.errors import ParseError
from remote_prof.parse.jfr_chunk import MAGIC, Chunk, Record, Value, chunks
from remote_prof.parse.jfr_types import DamagedError
from remote_prof.parse.packed import unpack
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, within
from remote_prof.profile.model import (
    TRUNCATED_CALLERS,
    UNKNOWN,
    Frame,
    FrameKind,
    IndexStack,
    Profile,
)

# Memory: some 20 bytes for each byte at worst. A minute of a busy JVM has 1 to 10 MB.
MOST_BYTES = 64 << 20
_MOST_NAMED_BYTES = 128 << 20  # of all names together
_MOST_TOLD = 3  # kinds of damage
_HINT = "is the file complete? `jfr summary FILE` of a JDK says what it holds"

# Events by what they measure; of several ways to measure it the first that is there is read.
_WAYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "cpu": (("jdk.CPUTimeSample",), ("jdk.ExecutionSample",)),
    "alloc": (
        ("jdk.ObjectAllocationSample",),
        ("jdk.ObjectAllocationInNewTLAB", "jdk.ObjectAllocationOutsideTLAB"),
    ),
    "lock": (("jdk.JavaMonitorEnter", "jdk.ThreadPark"),),
}
_UNITS = {"cpu": "samples", "alloc": "bytes", "lock": "us"}
_SIZES = {
    "jdk.ObjectAllocationSample": "weight",
    "jdk.ObjectAllocationInNewTLAB": "tlabSize",
    "jdk.ObjectAllocationOutsideTLAB": "allocationSize",
}
_SINCE_THE_LAST = "jdk.ObjectAllocationSample"
_LOST = "jdk.CPUTimeSamplesLost"
# What a thread that waits for a lock of java.util.concurrent is parked at.
_LOCKS = re.compile(
    r"java/util/concurrent/(?:locks/(?:Reentrant(?:ReadWrite)?Lock\$|StampedLock)|Semaphore\$).*"
)
_KINDS = {
    "Interpreted": FrameKind.INTERPRETED,
    "JIT compiled": FrameKind.JIT,
    "Inlined": FrameKind.INLINED,
    "Native": FrameKind.USER,
    "C++": FrameKind.USER,
    "Kernel": FrameKind.KERNEL,
}
# Names of hidden classes end in an address or a number, which differ from run to run.
_LAMBDA = "$$Lambda"
_ADDRESS = re.compile(r"[/+.]0x[0-9a-f]{8,16}$")
_PERIOD = re.compile(r"([0-9]{1,9}) ?ms")


def recognises_jfr(head: bytes) -> bool:
    """Tell whether this is the beginning of a recording."""
    return head.startswith(MAGIC)


def parse_jfr(data: bytes, *, keep_offsets: bool = False, event: str | None = None) -> Profile:
    """Parse a recording, compressed by gzip or not.

    ``event`` is what is read: ``cpu`` (samples), ``alloc`` (bytes) or ``lock`` (us); where it is
    not said, the first of these that the recording has. The root is the thread. A frame is
    ``package.Class.method``, its module the Java module, its kind how it ran at that moment. With
    ``keep_offsets`` lines are kept: ``Class.method:12``.

    A chunk that is damaged is left out, of one that is cut what is whole is read, and a note says
    so. Raises ParseError for what is no recording, and for more than ``remote_prof.profile.limits``
    allows. Any bytes end in one of these, in linear time.
    """
    content, notes = unpack(data, MOST_BYTES)
    within("bytes", len(content), MOST_BYTES, "the recording")
    if not recognises_jfr(content):
        raise ParseError("this is no recording of JDK Flight Recorder", hint=_HINT)
    profile = _Reader(keep_offsets=keep_offsets).profile(content, event)
    return replace(profile, notes=(*notes, *profile.notes))


class _Reader:
    """Reads one recording, chunk by chunk: constants are of one chunk, frames of all."""

    def __init__(self, *, keep_offsets: bool) -> None:
        self._keep_lines = keep_offsets
        self._folder = Folder()
        self._damage: Counter[str] = Counter()
        self._lost = 0
        self._frequencies: set[int] = set()
        self._named_bytes = 0
        # By thread: JFR tells with a first sample what the thread has allocated since it began.
        self._seen: set[int] = set()
        self._first: list[tuple[tuple[int, ...], int]] = []
        self._later: list[int] = []

    def profile(self, data: bytes, event: str | None) -> Profile:
        """Return what the recording holds of an event."""
        read = list(self._chunks(data))
        if not read:
            why = "; ".join(islice(self._damage, _MOST_TOLD)) or "it has no chunk"
            raise ParseError("the recording cannot be read", evidence=why, hint=_HINT)
        event = event or next((name for name in _WAYS if _names(name, read)), "cpu")
        names = _names(event, read)
        for chunk in read:
            try:
                self._chunk(chunk, names)
            except (DamagedError, IndexError) as error:
                self._damage[str(error) if isinstance(error, DamagedError) else "it is cut"] += 1
        self._add_first()
        return self._folder.profile(
            unit=_UNITS[event],
            frequency_hz=self._frequencies.pop() if len(self._frequencies) == 1 else None,
            lost=self._lost,
            notes=tuple(
                f"a part of the recording is damaged: {why}"
                for why in islice(self._damage, _MOST_TOLD)
            ),
        )

    def _chunks(self, data: bytes) -> Iterator[Chunk]:
        for chunk in chunks(data):
            if isinstance(chunk, DamagedError):
                self._damage[str(chunk)] += 1
                continue
            if not chunk.whole:
                self._damage["its end is missing"] += 1
            yield chunk

    def _chunk(self, chunk: Chunk, names: Sequence[str]) -> None:
        stacks = _Stacks(chunk, self._frame, self._number, keep_lines=self._keep_lines)
        threads: dict[int, int] = {}
        for name in names:
            self._frequencies.update(_frequency(chunk, name))
            # A stack can be long and its samples many: it is put together once.
            sums: Counter[tuple[int, int]] = Counter()
            try:
                self._sum(chunk, name, sums, threads, stacks)
            finally:  # what stands before the damage counts
                for (thread, reference), weight in sums.items():
                    self._folder.add((threads[thread], *stacks[reference]), weight, name)
        if "jdk.CPUTimeSample" in names:
            self._lost += sum(
                _whole(chunk.get(each, "lostSamples")) for each in chunk.events(_LOST)
            )

    def _sum(
        self,
        chunk: Chunk,
        name: str,
        sums: Counter[tuple[int, int]],
        threads: dict[int, int],
        stacks: _Stacks,
    ) -> None:
        for record in chunk.events(name):
            weight = _weight(chunk, name, record)
            if not weight:
                continue
            field = "sampledThread" if "sampledThread" in record.layout.places else "eventThread"
            thread = chunk.reference(record, field)
            if thread not in threads:
                threads[thread] = self._thread(chunk, chunk.get(record, field))
            reference = chunk.reference(record, "stackTrace")
            stack = stacks[reference]  # read now: damage ends it here
            if name == _SINCE_THE_LAST:
                if thread not in self._seen:
                    self._seen.add(thread)
                    self._first.append(((threads[thread], *stack), weight))
                    continue
                self._later.append(weight)
            sums[thread, reference] += weight

    def _add_first(self) -> None:
        usual = round(statistics.median(self._later)) if self._later else None
        for stack, weight in self._first:
            self._folder.add(stack, min(weight, usual or weight), _SINCE_THE_LAST)

    def _thread(self, chunk: Chunk, found: Value | Record) -> int:
        name = chunk.text(found, "javaName") or chunk.text(found, "osName")
        return self._number(Frame(name or "[unknown thread]", FrameKind.PROCESS))

    def _frame(self, chunk: Chunk, record: Record) -> int:
        method = chunk.get(record, "method")
        kind = _KINDS.get(chunk.text(record, "type", "description"), FrameKind.USER)
        of = _class_name(chunk.text(method, "type", "name"))
        name = ".".join(filter(None, (of, chunk.text(method, "name"))))
        module = chunk.text(method, "type", "package", "module", "name") or None
        line = _whole(chunk.get(record, "lineNumber"))
        if not name:
            return self._number(Frame(UNKNOWN, FrameKind.UNRESOLVED))
        if self._keep_lines and 0 < line < 1 << 31:
            name = f"{name}:{line}"
        return self._number(Frame(name, kind, module))

    def _number(self, frame: Frame) -> int:
        self._named_bytes += len(frame.name)
        within("characters in names", self._named_bytes, _MOST_NAMED_BYTES, "the recording")
        return self._folder.number(frame, frame.name[:100])


class _Stacks(dict[int, IndexStack]):
    """Stacks of one chunk by the numbers of their constants, root first: each is read once."""

    def __init__(
        self,
        chunk: Chunk,
        frame: Callable[[Chunk, Record], int],
        number: Callable[[Frame], int],
        *,
        keep_lines: bool,
    ) -> None:
        super().__init__()
        self._chunk = chunk
        self._type = chunk.number("jdk.types.StackTrace") or -1
        self._frame = frame
        self._number = number
        self._key = ("method", "type", "lineNumber") if keep_lines else ("method", "type")
        self._frames: dict[tuple[int, ...], int] = {}

    def __missing__(self, reference: int) -> IndexStack:
        found = self._chunk.constant(self._type, reference)
        frames = self._chunk.get(found, "frames") if isinstance(found, Record) else None
        stack: IndexStack = ()
        if isinstance(found, Record) and isinstance(frames, list):
            within("frames in one stack", len(frames), LONGEST_STACK, "a stack")
            stack = tuple(map(self._numbered, reversed(frames)))
            if self._chunk.get(found, "truncated"):
                cut = Frame(TRUNCATED_CALLERS, FrameKind.TRUNCATED)
                stack = (self._number(cut), *stack)
        # What was counted and could not be told is told so.
        self[reference] = stack or (self._number(Frame(UNKNOWN, FrameKind.UNRESOLVED)),)
        return self[reference]

    def _numbered(self, record: Record) -> int:
        key = tuple(self._chunk.reference(record, each) for each in self._key)
        number = self._frames.get(key)
        if number is None:
            number = self._frames[key] = self._frame(self._chunk, record)
        return number


def _names(event: str, read: Sequence[Chunk]) -> tuple[str, ...]:
    """Return the events that measure something, of the first way that the chunks have."""
    for names in _WAYS[event]:
        if any(chunk.count(name) for chunk in read for name in names):
            return names
    return ()


def _weight(chunk: Chunk, name: str, record: Record) -> int:
    """Return what an event counts: once, so many bytes, or so many microseconds."""
    if name in _SIZES:
        return _whole(chunk.get(record, _SIZES[name]))
    if name not in _WAYS["lock"][0]:
        return 1
    parked = chunk.get(record, "parkedClass")
    if name == "jdk.ThreadPark" and not _LOCKS.fullmatch(chunk.text(parked, "name")):
        return 0
    return round(_whole(chunk.get(record, "duration")) * 1e6 / max(1, chunk.ticks_per_second))


def _frequency(chunk: Chunk, name: str) -> Iterator[int]:
    """Give how often a second is sampled, where the recording tells it."""
    if name == "jdk.CPUTimeSample":
        for record in islice(chunk.events(name), 1):
            if period := _whole(chunk.get(record, "samplingPeriod")):
                yield round(chunk.ticks_per_second / period)
    elif name == "jdk.ExecutionSample":
        for record in chunk.events("jdk.ActiveSetting"):
            if chunk.get(record, "id") == chunk.number(name):
                found = _PERIOD.fullmatch(chunk.text(record, "value"))
                if chunk.text(record, "name") == "period" and found and int(found[1]):
                    yield round(1000 / int(found[1]))


def _class_name(written: str) -> str:
    """Return the name of a class without what differs from run to run."""
    name, is_lambda, _ = written.partition(_LAMBDA)
    return (name + is_lambda if is_lambda else _ADDRESS.sub("", name)).replace("/", ".")


def _whole(value: Value | Record) -> int:
    """Return a number that counts; what is negative, or none at all, counts for nothing."""
    return value if isinstance(value, int) and value < 1 << 63 else 0
