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
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace_extra import name_extra
from remote_prof.parse.bpftrace_keys import Stacks
from remote_prof.parse.bpftrace_maps import MAX_DEPTH, OWN_MAPS, Maps
from remote_prof.parse.mappings import Mappings, with_places
from remote_prof.parse.symbols import with_go
from remote_prof.profile.limits import MOST_LINES, within
from remote_prof.profile.model import Profile
from remote_prof.profile.unread import Unread

_START_MARK = b"@@ sampling"
_END_MARK = b"@@ end"
_MAP_FULL = b"WARNING: Map full; can't update element"
_RLIMIT = b"RLIMIT_MEMLOCK"  # printed by every unprivileged run, and harmless (0.17: as an ERROR)
_MAX_NOTES = 20
_LONGEST_NOTE = 300  # bytes
_BLOCK_BYTES = 1 << 17  # so much of the text fits into a CPU's cache, with its lines
_SHOWN = 1 << 16  # bytes at both ends, where a reason is looked for in what is not ours

_NAME = re.compile(rb"\w*")
_SCALAR = re.compile(rb"(\w*):(?: (\d{1,20})\n)?")
_CLOSING = re.compile(rb"\n, [^\n]*\]: ")
_WEIGHT = re.compile(rb"(\d{1,20})(?:\n|\Z)")
_USUAL_END = re.compile(rb"\n\]: (\d{1,20})\n\Z")
_LONGEST_END = 25
_ONE_LINE = re.compile(rb"\w*\[([^\n]*)\]: (\d{1,20})\n")
_ATTACHED = re.compile(rb"^Attach(?:ing|ed) \d+ probe", re.MULTILINE)
_TOOL = re.compile(rb"^# (bpftrace[^\n]*)$", re.MULTILINE)
# Our own scripts say what the weights are, and what the keys hold before the stacks.
_UNIT = re.compile(rb"^# unit: ([a-z]{1,20})$", re.MULTILINE)
_EXTRA = re.compile(rb"^# extra: ([a-z]{1,20}(?: \w{1,20})?)$", re.MULTILINE)
_COMPLAINT = re.compile(rb"(?:WARNING|ERROR): ([^\n]*)")
_RECOGNISED = re.compile(
    rb"^@\w*(?:\[(?:[^\n]*, ?)?\n|\[[^\n]*\]: |: ?\d*\n)"
    rb"|^Attach(?:ing|ed) \d+ probe|^# bpftrace v|^" + _MAP_FULL,
    re.MULTILINE,
)


@dataclass(slots=True)
class Scan:
    """What the output holds: ``maps`` the stacks, the rest what stands beside them."""

    maps: Maps
    samples: int = 0
    notes: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    recognised: bool = False
    unread: Unread = field(default_factory=lambda: Unread("entry", "entries"))
    lost: int = 0
    started: bool = False
    ended: bool = False
    tool: str = ""
    unit: str = "samples"
    extra: str = ""

    def complain(self, noise: bytes) -> None:
        """Note the warnings and errors among what is no entry."""
        for match in _COMPLAINT.finditer(noise):
            if len(self.notes) < _MAX_NOTES and _RLIMIT not in match[0]:
                self.notes[match[1][:_LONGEST_NOTE].decode("utf-8", "replace").strip()] = None


def recognises_bpftrace(head: bytes) -> bool:
    """Tell whether this may be the beginning of bpftrace's text output."""
    return _RECOGNISED.search(head.replace(b"\r\n", b"\n")) is not None


def parse_bpftrace(
    raw: bytes,
    *,
    keep_offsets: bool = False,
    frequency_hz: int | None = None,
    stacks: Stacks = Stacks.BOTH,
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
    # From a terminal (docker run -t). One sign is looked for much faster than two.
    if b"\r" in raw and b"\r\n" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    mappings = Mappings(raw)
    raw = with_places(raw, mappings)
    maps = Maps(keep_offsets=keep_offsets, stacks=stacks, max_depth=max_depth)
    scan = _scan(raw, maps)
    if not scan.recognised:
        raise _unrecognised(raw)
    profile = fold_scan(scan)
    profile = replace(profile, frequency_hz=frequency_hz, build_ids=mappings.build_ids)
    if not profile.weights:
        _refuse_garbage(raw)
    return profile


def fold_scan(scan: Scan) -> Profile:
    """Return the stacks of the maps that count, with all that is told beside them."""
    for name in scan.maps.left_out:
        scan.notes[f"the map @{name} holds stacks too and is left out"] = None
    profile = scan.maps.folder.profile(
        max_depth=scan.maps.max_depth,
        tool=scan.tool,
        unit=scan.unit,
        notes=(*scan.notes, *scan.unread.notes),
    )
    lost = max(scan.samples - profile.total, 0) if scan.samples else scan.lost
    return with_go(name_extra(replace(profile, lost=lost), scan.extra))


def _scan(raw: bytes, maps: Maps) -> Scan:
    scan = Scan(maps)
    # Counting the signs alone is much faster, and nearly always enough.
    if raw.count(b"@") > MOST_LINES:
        within("entries", raw.count(b"\n@"), MOST_LINES, f"{len(raw)} bytes")
    head = 0 if raw.startswith(b"@") else raw.find(b"\n@") + 1 or len(raw)
    _scan_head(scan, raw[:head])
    last = raw.rfind(b"\n@", head) + 1 or head
    for begin, chunk in _chunks(raw, head, last - 1):
        if not (maps.add_alike(chunk) or _scan_chunk(scan, chunk + b"\n")):
            _scan_unread(scan, raw, begin, chunk)
    _scan_last(scan, raw, last)
    # Not looked for where nothing was said of it: that would be one more walk through it all.
    if len(scan.notes) >= _MAX_NOTES or any("Map full" in note for note in scan.notes):
        scan.lost = raw.count(_MAP_FULL)
    if scan.started and not scan.ended:
        scan.notes["the output ends before the end of the run"] = None
    return scan


def _chunks(raw: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Cut what is printed from an ``@`` on to ``end`` at each line that starts with one.

    The chunks come with where they begin, without that sign, and without the line break before the
    next one.
    """
    while start < end:
        # Some of it at a time: all chunks would take as much memory again.
        cut = raw.rfind(b"\n@", start, min(start + _BLOCK_BYTES, end))
        if cut < 0:
            cut = raw.find(b"\n@", start, end)
        if cut < 0:
            cut = end
        begin = start
        for chunk in raw[start + 1 : cut].split(b"\n@"):
            yield begin, chunk
            begin += len(chunk) + len(b"\n@")
        start = cut + 1


def _scan_last(scan: Scan, raw: bytes, start: int) -> None:
    if start == len(raw) or _scan_chunk(scan, raw[start + 1 :]):
        return
    if raw.endswith(b"\n"):
        _scan_unread(scan, raw, start, raw[start + 1 :])
    else:
        scan.recognised = True
        scan.notes["the output is cut in the middle of an entry"] = None


def _scan_unread(scan: Scan, raw: bytes, begin: int, chunk: bytes) -> None:
    scan.recognised = True
    where = f"line {raw.count(10, 0, begin) + 1}" if scan.unread.wanted else ""
    scan.unread.tell(where, "@" + chunk[:100].partition(b"\n")[0].decode("utf-8", "replace"))


def _scan_head(scan: Scan, head: bytes) -> None:
    scan.recognised = _ATTACHED.search(head) is not None
    # The last one is in whose place no other came.
    for tool in _TOOL.finditer(head):
        scan.tool = tool[1][:_LONGEST_NOTE].decode("utf-8", "replace").strip()
    if unit := _UNIT.search(head):
        scan.unit = unit[1].decode()
    if extra := _EXTRA.search(head):
        scan.extra = extra[1].decode()
    scan.complain(head)


def _scan_chunk(scan: Scan, chunk: bytes) -> bool:
    """Take what follows an ``@``; False where it is an entry that cannot be read."""
    match = _NAME.match(chunk)
    name = match[0] if match else b""
    if chunk[len(name) : len(name) + 1] == b"[":
        return _scan_entry(scan, name, chunk)
    if chunk.startswith(_START_MARK[1:]):
        scan.recognised = scan.started = True
    elif chunk.startswith(_END_MARK[1:]):
        scan.ended = True
    scalar = _SCALAR.match(chunk)
    if scalar:
        scan.recognised = True
        if scalar[1] == b"samples" and scalar[2]:
            scan.samples = max(scan.samples, int(scalar[2]))
    scan.complain(chunk)
    return True


def _scan_entry(scan: Scan, name: bytes, chunk: bytes) -> bool:
    start = len(name) + 1
    first = chunk[: chunk.find(b"\n") + 1 or len(chunk)]
    single = _ONE_LINE.match(first)
    if single:
        scan.recognised = True
        # Other one-line entries (@ns[9]: 1662243) have no stack in their key.
        if not single[1] or single[1].endswith(b", "):
            scan.maps.add(name, single[1], int(single[2]))
        scan.complain(chunk[single.end() :])
        return True
    if not _opens_stack(first, name):
        scan.recognised = scan.recognised or b"]: " in chunk
        scan.complain(chunk)
        return True
    # The usual form: nothing but the weight stands at the end.
    usual = _USUAL_END.search(chunk, max(start, len(chunk) - _LONGEST_END))
    if usual:
        scan.recognised = True
        scan.maps.add(name, chunk[start : usual.start() + 1], int(usual[1]))
        return True
    end = chunk.find(b"\n]: ", start)
    closing = end + len(b"\n")
    if end < 0:
        found = _CLOSING.search(chunk, start)
        if not found:
            return False
        closing = found.end() - len(b"]: ")
    weight = _WEIGHT.match(chunk, closing + len(b"]: "))
    # Without its line break the number itself may be cut.
    if weight is None or not weight[0].endswith(b"\n"):
        return False
    scan.recognised = True
    scan.maps.add(name, chunk[start:closing], int(weight[1]))
    if weight.end() < len(chunk):
        scan.complain(chunk[weight.end() :])
    return True


def _opens_stack(line: bytes, name: bytes) -> bool:
    if line.removesuffix(b"\n").endswith((b"[", b", ")):
        return True
    # A comm may hold a line break. A line of our program that a warning quotes is no entry.
    return name.startswith(OWN_MAPS) and b"] = " not in line


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
        hint = "This is bpftrace's JSON output (-f json): `remote-prof convert` reads it."
    else:
        hint = "See the launcher's log and bpftrace's stderr."
    return ParseError(
        "this is not bpftrace's output: neither a map (a line that starts with '@') "
        "nor 'Attaching N probes' is in it",
        evidence=shown,
        hint=hint,
    )
