"""``perf script``'s text, made a profile: perf 5 and 6, with whichever fields.

A sample is a header, its callchain, leaf first, and an empty line::

    api worker  7/12 [001]  3622.302842:   10101010 task-clock:ppp:
            ffffffff821f39e5 irqentry_exit_to_user_mode+0x105 ([kernel.kallsyms])
                5607e8ae264e clamp (inlined)
                5607e8ae264e handle_request+0xe (/opt/app/svc)
                7fd77e02c1f5 [unknown] (/usr/lib/x86_64-linux-gnu/libc.so.6)

Of the header all may be missing (``-F``): the comm (which may hold blanks, digits and slashes), the
pid, the cpu, the time, the period, the event. Offsets, modules and source lines (``srcline``: two
blanks, and ``(inlined)`` behind it instead of the module) may be there or not. A sample without a
callchain is one line, with its one frame at the end. Source: perf's builtin-script.c and
util/evsel_fprintf.c.

Where the head has a line ``# weights: the numbers in the headers``, equal samples were put together
before, and how many they are (or how many events) stands in place of the period. Else each
sample weighs 1, whatever its period, as perf's own ``stackcollapse.py`` and ``flamegraph.py``
count, and FlameGraph's ``stackcollapse-perf.pl`` after them: with a frequency perf varies the
period so that samples come evenly in time, so that the number of samples is what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from remote_prof.parse.mappings import Mappings
from remote_prof.parse.perf_frames import NO_FRAME, Lines
from remote_prof.parse.symbols import with_go
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, MOST_LINES, MOST_NAMES, Budget, within
from remote_prof.profile.model import (
    TRUNCATED_CALLERS,
    Frame,
    FrameKind,
    IndexStack,
    Profile,
)
from remote_prof.profile.unread import Unread

MAX_DEPTH = 127  # kernel.perf_event_max_stack, unless somebody has changed it

_NOT_SAMPLED = b"PERF_RECORD_"
_LONGEST_HEADER = 4096  # bytes that are looked at
_MOST_KNOWN_HEADERS = 100_000
_MOST_EVENTS_TOLD = 10

# The comm is greedy: what stands last before the time is the thread.
_TIMED = re.compile(
    rb"(?:(.*\S)\s+)?(\d+|-1)(/(?:\d+|-1))?\s+(?:\[\d+\]\s+)?\d+\.\d+:\s+(?:\d+\s+)?(\S+?):(?:\s|$)"
)
# Without the time, a number of 8 digits can be no pid (they end at 4194304): it is the period.
_UNTIMED = re.compile(
    rb"(?:(.*\S)\s+)?(\d{1,7})(/\d{1,7})?\s+(?:\[\d+\]\s+)?(?:\d{8,}\s+)?([^\s:]\S*?):(?:\s|$)"
)
_NO_EVENT = re.compile(rb"(?:(.*\S)\s+)?(\d{1,7})(/\d{1,7})?(?:\s+\[\d+\])?(?:\s+\d+\.\d+:)?()\s*$")
_EVENT_ALONE = re.compile(rb"()()()(\S+):\s*$")
_COMM_ALONE = re.compile(rb"(\S[^\n]{0,15}?)()()()\s*$")
_HEADERS = (_TIMED, _UNTIMED, _NO_EVENT, _EVENT_ALONE, _COMM_ALONE)

_TOOL = re.compile(rb"^# perf version : ([^\n]{1,100})$", re.MULTILINE)
_WEIGHTED = re.compile(rb"^# weights: the numbers in the headers$", re.MULTILINE)
_HEAD_BYTES = 1024
_WEIGHT = re.compile(rb".*: +([0-9]{1,18}) +[^ ]+:(?: |$)")
_MARK = re.compile(rb"@@ (?:sampling|end \d{1,3})")
_END = re.compile(rb"^@@ end \d{1,3}$", re.MULTILINE)
_LOST_RECORD = b"PERF_RECORD_LOST"
_LOST = re.compile(rb"\blost (\d{1,18})")
_RECOGNISED = re.compile(
    rb"^# perf version : "
    rb"|^[^\n]{0,200} \d+ +(?:\[\d+\] +)?\d+\.\d{6,9}: "
    rb"|^[\t ] {0,20}[0-9a-f]{1,16} [^\n]+\)$"
    rb"|^\t {0,16}[0-9a-f]{4,16} \S",
    re.MULTILINE,
)


def recognises_perf(head: bytes) -> bool:
    """Tell whether this may be the beginning of what ``perf script`` printed."""
    return _RECOGNISED.search(head) is not None


def parse_perf(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse what ``perf script`` printed. Stacks come out root first: comm, user, kernel.

    Of several events the one with most samples is read (of cycles and page faults the sum says
    nothing), and a note names the others. The pid is kept where perf prints it beside the thread's
    (``-F +pid``). Where no callchain is longer than ``MAX_DEPTH``, those that reach it get a
    ``[truncated]`` root under their process. ``lost`` is what ``--show-lost-events`` tells.

    What cannot be read is skipped, and ``notes`` say so with the line number. Raises ``ParseError``
    where nothing can be read, and for more than ``remote_prof.profile.limits`` allows. Any bytes
    end in one of these, in linear time.
    """
    data = data.replace(b"\r\n", b"\n")
    within("lines", data.count(b"\n"), MOST_LINES, f"{len(data)} bytes")
    scan = _Scan(data, keep_offsets=keep_offsets)
    for start, record in _records(data):
        head, _, body = record.partition(b"\n")
        if body and head[:1] not in b"# \t":
            numbers = list(map(scan.lines.__getitem__, body.split(b"\n")))
            if min(numbers) < NO_FRAME:
                numbers = scan.lines.without_sources(numbers)
            if NO_FRAME not in numbers and _NOT_SAMPLED not in head:
                scan.sample(head, numbers, start)
                continue
        scan.read_odd(start, record)
    return scan.profile()


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut the text at its empty lines; where each piece begins is told."""
    start, size = 0, len(data)
    while start < size:
        end = data.find(b"\n\n", start)
        if end < 0:
            end = size - data.endswith(b"\n")
        if end > start:
            yield start, data[start:end]
        start = end + 2


class _Header(NamedTuple):
    event: str
    process: IndexStack  # the number of its frame, or nothing
    sure: bool  # nothing else looks like this


_NO_HEADER = _Header("", (), sure=False)


class _Scan:
    """What was read so far."""

    def __init__(self, data: bytes, *, keep_offsets: bool) -> None:
        self._data = data
        self._folder = Folder()
        self.lines = Lines(self._folder, keep_offsets=keep_offsets)
        self._headers: dict[tuple[bytes, bytes], _Header] = {}
        self._roots: set[int] = set()
        self._events: dict[str, dict[IndexStack, int]] = {}
        self._budget = Budget()
        self._unread = Unread()
        self._lost = 0
        self._weighted = _WEIGHTED.search(data, 0, _HEAD_BYTES) is not None

    def sample(self, head: bytes, numbers: list[int], start: int) -> None:
        """Count a sample of so many frames, leaf first, under its header."""
        header, _ = self._header(head)
        if header is None:
            self._tell(start, head)
        self._count(header or _NO_HEADER, numbers, head)

    def _count(self, header: _Header, numbers: list[int], line: bytes) -> None:
        weight = 1
        if self._weighted and (told := _WEIGHT.match(line)):
            weight = int(told[1])
        numbers.reverse()
        stack = (*header.process, *numbers)
        stacks = self._events.get(header.event)
        if stacks is None:
            stacks = self._events[header.event] = {}
            within("different names", len(self._events), MOST_NAMES, header.event[:100])
        known = stacks.get(stack)
        if known is None:
            self._budget.stack(len(stack), header.event[:100])
            known = 0
        stacks[stack] = known + weight

    def read_odd(self, start: int, record: bytes) -> None:
        """Read, line by line, a record that is more or less than a header and its frames."""
        header, header_line, header_at = _NO_HEADER, b"", start
        numbers: list[int] = []
        for line in record.split(b"\n"):
            at, start = start, start + len(line) + 1
            if not line or line == b"#" or line[:2] == b"# " or _MARK.fullmatch(line):
                continue
            if _NOT_SAMPLED in line:
                lost = _LOST.search(line.partition(_LOST_RECORD)[2])
                self._lost += int(lost[1]) if lost else 0
                continue
            # A comm that perf aligns to the right may look like an address.
            found, rest = (None, b"") if line[:1] == b"\t" else self._header(line.strip())
            if found is None or not found.sure:
                number = self.lines[line]
                if number != NO_FRAME:
                    numbers.append(number)
                    continue
                # What is no more than a name begins a record; elsewhere it may be anything.
                if found is None or header_line or numbers:
                    self._tell(at, line)
                    continue
            self._end(header, header_line, header_at, numbers)
            header, header_line, header_at = found, line, at
            # Without a callchain the one frame follows the event in the same line.
            numbers = [self.lines[b"\t" + rest.strip()]] if rest.endswith(b")") else []
            if numbers == [NO_FRAME]:
                numbers = []
        self._end(header, header_line, header_at, numbers)

    def _end(self, header: _Header, line: bytes, start: int, numbers: list[int]) -> None:
        numbers = self.lines.without_sources(numbers)
        if numbers or header.sure:
            within("frames in one stack", len(numbers), LONGEST_STACK, "one sample")
            self._count(header, numbers, line)
        elif line:
            self._tell(start, line)

    def _header(self, line: bytes) -> tuple[_Header | None, bytes]:
        """Read a header; what follows the event in its line is given too."""
        line = line[:_LONGEST_HEADER]
        # The times and periods differ: what stands around them is soon known.
        before, _, after = line.partition(b": ")
        key, _, time = before.rpartition(b" ")
        words = after.split(None, 2)
        at = 1 if words and words[0].isdigit() else 0
        usual = len(words) > at and words[at][-1:] == b":" and time.replace(b".", b"").isdigit()
        if usual:
            known = self._headers.get((key, words[at]))
            if known is not None:
                return known, after.partition(words[at])[2]
        for form in _HEADERS:
            match = form.match(line)
            if match:
                break
        else:
            return None, b""
        comm, thread, pid, event = match.groups()
        process = self._process(comm or b"", (thread or b"") if pid else b"")
        sure = form is _TIMED or form is _UNTIMED
        header = _Header(event.decode("utf-8", "replace"), process, sure)
        if usual and sure:
            if len(self._headers) >= _MOST_KNOWN_HEADERS:
                self._headers.clear()
            self._headers[key, words[at]] = header
        return header, line[match.end() :] if sure else b""

    def _process(self, comm: bytes, pid: bytes) -> IndexStack:
        name = comm.decode("utf-8", "replace").strip()
        if not name:
            return ()
        number = int(pid) if pid.isdigit() and len(pid) <= 20 else None
        frame = Frame(name, FrameKind.PROCESS, pid=number)
        root = self._folder.number(frame, repr(name[:100]))
        self._roots.add(root)
        return (root,)

    def _tell(self, start: int, line: bytes) -> None:
        where = ""
        if self._unread.wanted:
            where = f"line {self._data.count(10, 0, start) + 1}"
        self._unread.tell(where, line[:200].decode("utf-8", "replace"))

    def profile(self) -> Profile:
        """Return the event that has most samples."""
        totals = {event: sum(stacks.values()) for event, stacks in self._events.items()}
        if not totals and self._unread.count:
            raise self._unread.error(
                "there is no sample of perf script in it",
                "See what perf script prints without any -F.",
            )
        best = max(totals, key=totals.__getitem__, default="")
        others = [event for event in totals if event != best]
        notes = [
            f"{totals[event]} samples of the event {event[:100] or 'without a name'} are left out"
            for event in others[:_MOST_EVENTS_TOLD]
        ]
        stacks = self._events.get(best, {})
        cut = self._cut(stacks)
        for stack, weight in stacks.items():
            self._folder.add(cut.get(stack, stack), weight, "the sum")
        tool = _TOOL.search(self._data)
        # Ours ends with a mark; what perf printed by itself has none.
        if self._weighted and not _END.search(self._data):
            notes.append("the output ends before the end of the run")
        profile = self._folder.profile(
            max_depth=MAX_DEPTH if cut else None,
            lost=self._lost,
            tool=f"perf {tool[1].decode('utf-8', 'replace').strip()}" if tool else "",
            notes=(*notes, *self._unread.notes),
            build_ids=Mappings(self._data).build_ids,
        )
        return with_go(profile)

    def _cut(self, stacks: Iterable[IndexStack]) -> dict[IndexStack, IndexStack]:
        """Return the stacks whose callers perf has cut off, each with the mark of that."""
        made_up = self._roots | self.lines.inlined
        depths = {
            stack: sum(number not in made_up for number in stack)
            for stack in stacks
            if len(stack) >= MAX_DEPTH
        }
        if max(depths.values(), default=0) != MAX_DEPTH:
            return {}
        mark = self._folder.number(Frame(TRUNCATED_CALLERS, FrameKind.TRUNCATED), "the end")
        marked = {}
        for stack, depth in depths.items():
            if depth == MAX_DEPTH:
                root = stack[:1] if stack[0] in self._roots else ()
                marked[stack] = (*root, mark, *stack[len(root) :])
        return marked
