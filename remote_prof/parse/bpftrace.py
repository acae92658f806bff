"""bpftrace's text output, made a profile: versions 0.17 to 0.23 and, as far as known, later ones.

A map entry with stacks in its key is printed as::

    @name[1234, api-worker,
            kernel_leaf+1
    ,
            leaf+2
            main+3
    ]: 17

that is, scalar keys joined by ``, ``, and each stack on lines of its own, leaf first (0.17 indents
by four, 0.23 by eight). A stack that is empty still has its line break in 0.23 (``@[`` next line
``, ``), and has not in 0.17 (``@[, ``). Maps whose names start with ``stacks`` are our own: their
keys are the pid, the comm, then the stacks, and the same key may come many times (print and
clear); all add up. ``@samples`` is our running count of all samples. Warnings may stand on stdout
between entries (``Map full; can't update element``: one for each lost sample).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace_keys import KeyReader, Stacks
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import MOST_LINES, Budget, within
from remote_prof.profile.model import Profile

MAX_DEPTH = 127  # bpftrace's default for ustack and kstack, and its maximum

_OWN_MAPS = b"stacks"
_START_MARK = b"@@ sampling"
_END_MARK = b"@@ end"
_MAP_FULL = b"WARNING: Map full; can't update element"
_RLIMIT = b"RLIMIT_MEMLOCK"  # printed by every unprivileged run, and harmless (0.17: as an ERROR)
_MAX_NOTES = 20
_LONGEST_NOTE = 300  # bytes
_SHOWN = 1 << 16  # bytes at both ends, where a reason is looked for in what is not ours

_NAME = re.compile(rb"\w*")
_SCALAR = re.compile(rb"(\w*):(?: (\d{1,20})\n)?")
_CLOSING = re.compile(rb"\n, [^\n]*\]: ")
_WEIGHT = re.compile(rb"(\d{1,20})(?:\n|\Z)")
_USUAL_WEIGHT = re.compile(rb"\d{1,20}\n")
_ONE_LINE = re.compile(rb"\w*\[([^\n]*)\]: (\d{1,20})\n")
_ATTACHED = re.compile(rb"^Attach(?:ing|ed) \d+ probe", re.MULTILINE)
_TOOL = re.compile(rb"^# (bpftrace[^\n]*)$", re.MULTILINE)
_COMPLAINT = re.compile(rb"(?:WARNING|ERROR): ([^\n]*)")


@dataclass(slots=True)
class _Scan:
    """What is read so far."""

    maps: _Maps
    samples: int = 0
    notes: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    recognised: bool = False
    damaged: int = 0
    tool: str = ""

    def complain(self, noise: bytes) -> None:
        for match in _COMPLAINT.finditer(noise):
            if len(self.notes) < _MAX_NOTES and _RLIMIT not in match[0]:
                self.notes[match[1][:_LONGEST_NOTE].decode("utf-8", "replace").strip()] = None


class _Maps:
    """The stacks of the maps that count: our own together, else those of the first that has any."""

    def __init__(self, reader: Callable[[Folder], KeyReader]) -> None:
        self._own, self._first = Folder(), Folder()
        self._own_reader, self._first_reader = reader(self._own), reader(self._first)
        self._has_own = False
        self._first_name: bytes | None = None
        self._others: dict[bytes, None] = {}
        # Keys of one line may be anything, until the map turns out to hold stacks.
        self._waiting: dict[bytes, list[tuple[bytes, int]]] = {}
        self._budget = Budget()

    def add(self, name: bytes, key: bytes, weight: int) -> None:
        """Add an entry of a map. Raises ParseError where it is too much."""
        where = f"map @{name[:50].decode()}"
        if name == self._first_name:
            self._first.add(self._first_reader.read(key, own=False), weight, where)
        elif name.startswith(_OWN_MAPS):
            self._has_own = True
            self._own.add(self._own_reader.read(key, own=True), weight, where)
        elif b"\n" not in key:
            self._budget.stack(0, where)
            self._waiting.setdefault(name, []).append((key, weight))
        elif self._first_name is None:
            self._first_name = name
            for earlier in (*self._waiting.pop(name, ()), (key, weight)):
                self.add(name, *earlier)
        elif len(self._others) < _MAX_NOTES:
            self._others[name] = None

    @property
    def folder(self) -> Folder:
        """The stacks that count."""
        return self._own if self._has_own else self._first

    @property
    def left_out(self) -> Iterator[str]:
        """The names of maps that hold stacks too."""
        return (name[:_LONGEST_NOTE].decode() for name in ([] if self._has_own else self._others))


def parse_bpftrace(
    raw: bytes,
    *,
    keep_offsets: bool = False,
    frequency_hz: int | None = None,
    stacks: Stacks = Stacks.BOTH,
    unit: str = "samples",
    max_depth: int = MAX_DEPTH,
) -> Profile:
    """Parse what bpftrace printed. Stacks come out root first: process, user, kernel.

    ``stacks`` says what the program's keys hold, ``max_depth`` the limit of frames a user stack
    (a stack that reaches it gets a ``[truncated]`` root under its process). A key with one stack
    counts as a user stack unless ``stacks`` or its addresses tell the kernel's. Where several
    maps hold stacks and none is our own, only the first is read and a note says so.

    Output that was cut keeps its complete entries, and a note says so. Output without samples is
    an empty profile. Raises ``ParseError`` for input that no bpftrace printed, which includes
    its error messages, and for more than ``remote_prof.profile.limits`` allows. Any bytes end in
    one of these, in linear time.
    """
    if b"\r\n" in raw:  # from a terminal (docker run -t)
        raw = raw.replace(b"\r\n", b"\n")
    maps = _Maps(
        lambda folder: KeyReader(
            folder, keep_offsets=keep_offsets, stacks=stacks, max_depth=max_depth
        )
    )
    scan = _scan(raw, maps)
    if not scan.recognised:
        raise _unrecognised(raw)
    for name in maps.left_out:
        scan.notes[f"the map @{name} holds stacks too and is left out"] = None
    if scan.damaged:
        scan.notes[f"{scan.damaged} damaged entries were skipped"] = None
    profile = maps.folder.profile(
        unit=unit,
        frequency_hz=frequency_hz,
        max_depth=max_depth,
        tool=scan.tool,
        notes=tuple(scan.notes),
    )
    if not profile.weights:
        _refuse_garbage(raw)
    taken, full = scan.samples, raw.count(_MAP_FULL)
    return replace(profile, lost=max(taken - profile.total, 0) if taken else full)


def _chunks(raw: bytes) -> Iterator[bytes]:
    """Cut the output before each line that starts with ``@``; the first chunk has none."""
    start = 0 if raw.startswith(b"@") else raw.find(b"\n@") + 1 or len(raw)
    yield raw[:start]
    while start < len(raw):
        end = raw.find(b"\n@", start) + 1 or len(raw)
        yield raw[start + 1 : end]
        start = end


def _scan(raw: bytes, maps: _Maps) -> _Scan:
    scan = _Scan(maps)
    within("entries", raw.count(b"\n@"), MOST_LINES, f"{len(raw)} bytes")
    chunks = _chunks(raw)
    _scan_head(scan, next(chunks))
    for chunk in chunks:
        _scan_chunk(scan, chunk)
    if not raw.endswith(b"\n") and scan.damaged:
        scan.damaged -= 1
        scan.notes["the output is cut in the middle of an entry"] = None
    started, ended = (mark in raw for mark in (_START_MARK, _END_MARK))
    if started:
        scan.recognised = True
        if not ended:
            scan.notes["the output ends before the end of the run"] = None
    return scan


def _scan_head(scan: _Scan, head: bytes) -> None:
    scan.recognised = _ATTACHED.search(head) is not None
    tool = _TOOL.search(head)
    if tool:
        scan.tool = tool[1][:_LONGEST_NOTE].decode("utf-8", "replace").strip()
    scan.complain(head)


def _scan_chunk(scan: _Scan, chunk: bytes) -> None:
    match = _NAME.match(chunk)
    name = match[0] if match else b""
    if chunk[len(name) : len(name) + 1] == b"[":
        _scan_entry(scan, name, chunk)
        return
    scalar = _SCALAR.match(chunk)
    if scalar:
        scan.recognised = True
        if scalar[1] == b"samples" and scalar[2]:
            scan.samples = max(scan.samples, int(scalar[2]))
    scan.complain(chunk)


def _scan_entry(scan: _Scan, name: bytes, chunk: bytes) -> None:
    start = len(name) + 1
    single = _ONE_LINE.match(chunk)
    if single:
        scan.recognised = True
        # Other one-line entries (@ns[9]: 1662243) have no stack in their key.
        if not single[1] or single[1].endswith(b", "):
            scan.maps.add(name, single[1], int(single[2]))
        scan.complain(chunk[single.end() :])
        return
    if not _opens_stack(chunk, name):
        scan.recognised = scan.recognised or b"]: " in chunk
        scan.complain(chunk)
        return
    # The usual form, in two steps: there are many.
    text, closed, number = chunk.partition(b"\n]: ")
    if closed and _USUAL_WEIGHT.fullmatch(number):
        scan.recognised = True
        scan.maps.add(name, text[start:] + b"\n", int(number))
        return
    end = chunk.find(b"\n]: ", start)
    closing = end + len(b"\n")
    if end < 0:
        found = _CLOSING.search(chunk, start)
        if not found:
            scan.damaged += 1
            scan.recognised = True
            return
        closing = found.end() - len(b"]: ")
    weight = _WEIGHT.match(chunk, closing + len(b"]: "))
    if weight is None or not weight[0].endswith(b"\n"):
        # Without its line break the number itself may be cut.
        scan.damaged += 1
        scan.recognised = True
        return
    scan.recognised = True
    scan.maps.add(name, chunk[start:closing], int(weight[1]))
    if weight.end() < len(chunk):
        scan.complain(chunk[weight.end() :])


def _opens_stack(chunk: bytes, name: bytes) -> bool:
    line = chunk.partition(b"\n")[0]
    if line.endswith((b"[", b", ")):
        return True
    # A comm may hold a line break. A line of our program that a warning quotes is no entry.
    return name.startswith(_OWN_MAPS) and b"] = " not in line


def _refuse_garbage(raw: bytes) -> None:
    """Tell output without samples, which is text, from what no bpftrace prints."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise ParseError(
            "what the sidecar printed cannot be read: it is not bpftrace's output",
            evidence=f"byte {error.start}: {raw[error.start : error.start + 20]!r}",
            hint="is there a bpftrace in the image, and nothing else that prints?",
        ) from None


def _unrecognised(raw: bytes) -> ParseError:
    ends = raw if len(raw) <= 2 * _SHOWN else raw[:_SHOWN] + b"\n" + raw[-_SHOWN:]
    lines = [line.strip() for line in ends.splitlines() if line.strip()]
    errors = [line for line in lines if b"ERROR" in line and _RLIMIT not in line]
    shown = (errors or lines[-1:] or [b"it is empty"])[0][:200].decode("utf-8", "replace")
    if ends.lstrip().startswith(b'{"type"'):
        hint = "This is bpftrace's JSON output (-f json); its text output is needed."
    else:
        hint = "See the launcher's log and bpftrace's stderr."
    return ParseError(
        "this is not bpftrace's output: neither a map (a line that starts with '@') "
        "nor 'Attaching N probes' is in it",
        evidence=shown,
        hint=hint,
    )
