"""Where a program's files lay in its memory: what makes names of addresses that came without one.

A sidecar that samples native code lists the mappings of the target, below all that it sampled::

    # mapping 4711 55d6c2a00000 55d6c2a01000-55d6c2a3f000 00001000 c82e082b630d2861 /opt/app/svc

that is: the process, where the file begins in its memory, a range of its code, where in the file
that is, its build id (``-`` where it has none or could not be read), and its path in the target. An
address less the beginning is the same in every process, and the same as in the file of debug
symbols of that build. Of a process that is not listed (it began later) an address is placed where
all the others agree on it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from remote_prof.profile.limits import MOST_NAMES

MOST_MAPPINGS = 2000
_LINE = re.compile(
    rb"^# mapping ([0-9]{1,10}) ([0-9a-f]{1,16}) ([0-9a-f]{1,16})-([0-9a-f]{1,16})"
    rb" ([0-9a-f]{1,16}) ([0-9a-f]{2,64}|-) (/[^\n]*)$",
    re.MULTILINE,
)
_MARK = b"# mapping "
_DELETED = " (deleted)"
_HEAD_BYTES = 1024
# Before 6.4 perf printed where in its file an address of a callchain is.
_PERF_BY_OFFSET = re.compile(rb"^# perf version : (?:[0-5]\.|6\.[0-3]\b)", re.MULTILINE)
# bpftrace prints the address in place of a name; in its form for perf, and perf itself, both. The
# process stands at the beginning of an entry of our maps, or in perf's header, before the thread.
# (A line break is looked for much faster than a beginning of a line; none of these is the first.)
_NAMELESS = re.compile(
    rb"\n(?:@stacks\w*\[(?P<key>[0-9]{1,10}), "
    rb"|\S[^\n]{0,40}? (?P<header>[0-9]{1,10})/[0-9]{1,10} +[0-9]+\.[0-9]+: "
    rb"|[ \t]+(?:0x(?P<bare>[0-9a-f]{4,16})"
    rb"|(?P<address>[0-9a-f]{1,16}) (?P<name>\[unknown\]|0x[0-9a-f]{4,16})"
    rb"(?: \((?P<file>[^\n]*)\))?)(?=\n))"
)


class Place(NamedTuple):
    """What lay at an address: how far behind the beginning of which file of which build."""

    offset_bytes: int
    build_id: str  # empty where it is not known
    path: str


class Symbol(NamedTuple):
    """A function's name, and how far behind its start the address is."""

    name: str
    offset_bytes: int


class _File(NamedTuple):
    begin: int
    build_id: str
    path: str


class Mappings:
    """The mappings that stand in a raw profile."""

    def __init__(self, raw: bytes) -> None:
        """Read them. What is none is left out, and so is what is beyond some thousands."""
        by_pid: dict[int, list[_Range]] = {}
        # They stand at the end: what is above need not be looked at line by line.
        first = raw.find(_MARK)
        for match in islice(_LINE.finditer(raw, first) if first >= 0 else (), MOST_MAPPINGS):
            begin, start, end, offset = (int(text, 16) for text in match.groups()[1:5])
            build_id = match[6].decode().strip("-")
            path = match[7].decode("utf-8", "replace").removesuffix(_DELETED)
            if begin <= start < end:
                file = _File(begin, build_id, path)
                by_pid.setdefault(int(match[1]), []).append(_Range(start, end, file, offset))
        self._spaces = {pid: _Space(ranges) for pid, ranges in by_pid.items()}
        self._any = _Space({range_ for ranges in by_pid.values() for range_ in ranges})

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._spaces)

    def place(self, address: int, pid: int | None = None) -> Place | None:
        """Return what lay at an address, None where nothing is known, or not for sure."""
        file = self._spaces.get(pid or 0, self._any).find(address)
        return Place(address - file.begin, file.build_id, file.path) if file else None

    def address(self, offset: int, path: str, pid: int) -> int | None:
        """Return where the place of a file that is mapped by a process is in its memory."""
        for each in self._spaces[pid].ranges if pid in self._spaces else ():
            if each.file.path == path and 0 <= offset - each.offset < each.end - each.start:
                return each.start + offset - each.offset
        return None

    @property
    def build_ids(self) -> Mapping[str, str]:
        """The builds by the paths of their files, where one has a single one."""
        found: dict[str, set[str]] = {}
        for each in self._any.ranges:
            found.setdefault(each.file.path, set()).add(each.file.build_id)
        return {
            path: build
            for path, builds in found.items()
            if len(builds) == 1
            for build in builds
            if build
        }


class _Range(NamedTuple):
    start: int
    end: int
    file: _File
    offset: int


class _Space:
    """Ranges of addresses, which may overlap where they are those of several processes."""

    def __init__(self, ranges: Iterable[_Range]) -> None:
        """Cut them where one begins or ends: between two cuts is one file, or none for sure."""
        self.ranges = frozenset(ranges)
        waiting = sorted(self.ranges, reverse=True)
        self._starts = sorted({bound for each in waiting for bound in each[:2]})
        self._files: list[_File | None] = []
        ends: list[tuple[int, _File]] = []  # of those that an address is in, the next one first
        for at in self._starts:
            while ends and ends[0][0] <= at:
                heappop(ends)
            while waiting and waiting[-1].start == at:
                heappush(ends, waiting.pop()[1:3])
            different = {file for _, file in ends}
            self._files.append(different.pop() if len(different) == 1 else None)

    def find(self, address: int) -> _File | None:
        """Return the one file that is there."""
        at = bisect_right(self._starts, address) - 1
        return self._files[at] if at >= 0 else None


def with_places(raw: bytes, mappings: Mappings) -> bytes:
    """Write the file behind each of bpftrace's addresses that has neither a name nor a file."""
    return with_symbols(raw, mappings, lambda _: None)


def with_symbols(raw: bytes, mappings: Mappings, find: Callable[[Place], Symbol | None]) -> bytes:
    """Write the names that ``find`` knows into a raw profile of bpftrace or perf.

    It is asked once for each address that has no name. What it does not know gets its file.
    """
    if not mappings:
        return raw
    known: dict[tuple[int, bytes], bytes] = {}
    by_offset = _PERF_BY_OFFSET.search(raw, 0, _HEAD_BYTES) is not None
    pid = 0

    def named(match: re.Match[bytes]) -> bytes:
        nonlocal pid
        line = match[0]
        if match.lastgroup in ("key", "header"):
            pid = int(match[match.lastgroup])
            return line
        found = known.get((pid, line))
        if found is None:
            if len(known) >= MOST_NAMES:
                known.clear()
            address: int | None = int(match["bare"] or match["address"], 16)
            if by_offset and address is not None:
                path = (match["file"] or b"").decode("utf-8", "replace").removesuffix(_DELETED)
                address = mappings.address(address, path, pid)
            place = mappings.place(address, pid) if address is not None else None
            found = _named(match, place, find(place)) if place else line
            known[pid, line] = found
        return found

    return _NAMELESS.sub(named, raw)


def _named(match: re.Match[bytes], place: Place, symbol: Symbol | None) -> bytes:
    address = match["bare"] or match["address"]
    if match["name"] == b"[unknown]":
        name = f"{symbol.name}+{symbol.offset_bytes:#x}" if symbol else "[unknown]"
    else:
        # bpftrace writes the offset in decimal.
        name = f"{symbol.name}+{symbol.offset_bytes}" if symbol else f"0x{address.decode()}"
    return b"\n\t%b %b" % (address, f"{name} ({place.path})".encode())
