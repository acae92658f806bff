"""speedscope's own format, made a profile: https://www.speedscope.app/file-format-schema.json.

Frames stand once, in ``shared``; each of the profiles is ``sampled`` (stacks, root first, and their
weights) or ``evented`` (frames that open and close at a time). A file may hold several: py-spy
writes one a thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from remote_prof.errors import ParseError
from remote_prof.parse.symbols import source_frame
from remote_prof.profile.folded import parse_frame
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, MOST_NAMES, Budget, within
from remote_prof.profile.model import UNKNOWN_KERNEL, Frame, FrameKind, IndexStack, Profile
from remote_prof.profile.unread import Unread

_HINT = "See what the schema at https://www.speedscope.app/file-format-schema.json asks for."
_UNITS = {  # the unit that weights get, and how many of it one is
    "none": ("samples", 1),
    "nanoseconds": ("ns", 1),
    "microseconds": ("us", 1),
    "milliseconds": ("us", 1_000),
    "seconds": ("us", 1_000_000),
    "bytes": ("bytes", 1),
}
_LARGEST_WEIGHT = 2.0**63
_LONGEST_TOOL = 100  # characters
_START = re.compile(r"^[ \t]*\{", re.MULTILINE)
_RECOGNISED = re.compile(
    rb'"https?://www\.speedscope\.app/file-format-schema\.json"|"type": ?"(?:sampled|evented)"'
)


def recognises_speedscope(head: bytes) -> bool:
    """Tell whether this may be the beginning of a speedscope file."""
    return _RECOGNISED.search(head) is not None


def parse_speedscope(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a speedscope file; what stands before and behind the document is skipped.

    All its profiles of one unit are added up: that of the active one, else of the first; a note
    tells how many others there are. Where there are several, the name of each is a PROCESS frame at
    the root. Seconds and milliseconds become microseconds, so that weights are whole numbers. A
    frame's file is its module (``[kernel]``: the kernel), its line goes unless ``keep_offsets``.

    Samples and events that cannot be read are skipped, and ``notes`` say so. Raises ``ParseError``
    where the document is no JSON or no such file, and for more than ``remote_prof.profile.limits``
    allows. Any bytes end in one of these, in linear time.
    """
    document = _document(data)
    reader = _Reader(_frames(document, keep_lines=keep_offsets))
    profiles = document.get("profiles")
    if not isinstance(profiles, list):
        raise ParseError("there are no profiles in the speedscope file", hint=_HINT)
    profiles = [each if isinstance(each, dict) else {} for each in profiles]
    units = [_UNITS.get(_text(each.get("unit")), ("samples", 1)) for each in profiles]
    active = document.get("activeProfileIndex")
    first = active if type(active) is int and 0 <= active < len(profiles) else 0
    unit = units[first][0] if profiles else "samples"
    for profile, (its_unit, scale) in zip(profiles, units, strict=True):
        if its_unit == unit:
            reader.read(profile, scale, named=len(profiles) > 1)
    others = sum(its_unit != unit for its_unit, _ in units)
    return reader.profile(
        unit=unit,
        tool=_text(document.get("exporter"))[:_LONGEST_TOOL],
        notes=(f"{others} profiles in other units than {unit} are left out",) if others else (),
    )


def _document(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8", "replace")
    start = _START.search(text)
    try:
        # What follows the document is not looked at: py-spy prints its messages there.
        document, _ = json.JSONDecoder().raw_decode(text, start.end() - 1 if start else 0)
    except (ValueError, RecursionError) as error:
        raise ParseError(
            "the speedscope file is no JSON, or is cut", evidence=str(error)[:200], hint=_HINT
        ) from error
    if not isinstance(document, dict):
        raise ParseError("the speedscope file is no JSON object", hint=_HINT)
    return document


def _frames(document: dict[str, Any], *, keep_lines: bool) -> dict[int, Frame]:
    """Return the frames by their index, without those that are none."""
    shared = document.get("shared")
    frames = shared.get("frames") if isinstance(shared, dict) else None
    if not isinstance(frames, list):
        raise ParseError("there are no shared frames in the speedscope file", hint=_HINT)
    within("different names", len(frames), MOST_NAMES, "shared.frames")
    return {
        index: _frame(each, keep_lines=keep_lines)
        for index, each in enumerate(frames)
        if isinstance(each, dict) and isinstance(each.get("name"), str)
    }


def _frame(given: dict[str, Any], *, keep_lines: bool) -> Frame:
    file, line = given.get("file"), given.get("line")
    module = file if isinstance(file, str) and file else None
    frame = parse_frame(given["name"])
    if module == UNKNOWN_KERNEL and frame.kind is FrameKind.USER:
        return Frame(frame.name, FrameKind.KERNEL)
    if module is not None and (keep_lines or module.endswith(".py")):
        shown = str(line) if type(line) is int else ""
        placed = source_frame(frame.name, module, shown, keep_lines=keep_lines)
        return placed if frame.kind is FrameKind.USER else frame._replace(module=module)
    return frame._replace(module=module)


class _Reader:
    """What was read of the profiles so far."""

    def __init__(self, frames: dict[int, Frame]) -> None:
        self._folder = Folder()
        self._numbers = {
            index: self._folder.number(frame, repr(frame.name[:100]))
            for index, frame in frames.items()
        }
        self._sums: dict[IndexStack, float] = {}
        self._budget = Budget()
        self._unread = Unread("sample or event", "samples or events")

    def read(self, profile: dict[str, Any], scale: int, *, named: bool) -> None:
        """Add one profile up; each weight counts ``scale`` times."""
        name = _text(profile.get("name"))
        root: IndexStack = ()
        if named:
            root = (self._folder.number(Frame(name, FrameKind.PROCESS), repr(name[:100])),)
        if isinstance(profile.get("events"), list):
            self._read_events(profile["events"], profile.get("endValue"), scale, root, name[:100])
        elif isinstance(profile.get("samples"), list) and isinstance(profile.get("weights"), list):
            self._read_samples(profile["samples"], profile["weights"], scale, root, name[:100])
        else:
            self._unread.tell(f"all of the profile {name[:100]}", "")

    def _read_samples(
        self, samples: list[Any], weights: list[Any], scale: int, root: IndexStack, name: str
    ) -> None:
        for index, (sample, weight) in enumerate(zip_longest(samples, weights)):
            amount = _amount(weight, scale)
            try:
                stack = (*root, *map(self._numbers.__getitem__, sample))
            except (KeyError, TypeError):
                amount = None
            if amount is None:
                self._unread.tell(f"number {index} of the profile {name}", "")
            else:
                self._add(stack, amount)

    def _read_events(
        self, events: list[Any], end: Any, scale: int, root: IndexStack, name: str
    ) -> None:
        """Give the time between two events to the frames that are open: the nodes of a tree."""
        tree = _Tree()
        last: float | None = None
        for index, event in enumerate([*events, {"type": "end", "at": end}]):
            at = _amount(event.get("at"), scale) if isinstance(event, dict) else None
            number = self._numbers.get(event["frame"]) if _has_frame(event) else None
            if at is None or (last is not None and at < last):
                if index < len(events):
                    self._unread.tell(f"number {index} of the profile {name}", "")
                continue
            tree.pass_time(at - last if last is not None else 0)
            last = at
            if event.get("type") == "O" and number is not None:
                tree.open(number)
            elif not (event.get("type") == "C" and tree.close(number)) and index < len(events):
                self._unread.tell(f"number {index} of the profile {name}", "")
        for stack, amount in tree.stacks():
            self._add((*root, *stack), amount)

    def _add(self, stack: IndexStack, amount: float) -> None:
        known = self._sums.get(stack)
        if known is None:
            self._budget.stack(len(stack), "the profiles")
            known = 0
        self._sums[stack] = known + amount

    def profile(self, *, unit: str, tool: str, notes: tuple[str, ...]) -> Profile:
        """Return the sum, in whole numbers."""
        if self._unread.count and not self._sums:
            raise self._unread.error("there is no sample in the speedscope file", _HINT)
        small = 0
        for stack, amount in self._sums.items():
            weight = round(amount)
            small += amount > 0 and not weight
            self._folder.add(stack, weight, "the profiles")
        if small:
            notes += (f"{small} stacks that weigh less than half of the unit are left out",)
        return self._folder.profile(unit=unit, tool=tool, notes=notes + self._unread.notes)


class _Tree:
    """The frames that were open together, by callers, and how long each was the innermost."""

    def __init__(self) -> None:
        self._children: dict[tuple[int, int], int] = {}
        self._parents = [0]
        self._numbers: list[int] = [-1]
        self._amounts: list[float] = [0]
        self._depth = 0
        self._at = 0  # the node of the innermost open frame; 0 stands for none

    def open(self, number: int) -> None:
        """Open a frame within the innermost."""
        self._depth += 1
        within("frames in one stack", self._depth, LONGEST_STACK, "open frames")
        child = self._children.setdefault((self._at, number), len(self._parents))
        if child == len(self._parents):
            self._parents.append(self._at)
            self._numbers.append(number)
            self._amounts.append(0)
        self._at = child

    def close(self, number: int | None) -> bool:
        """Close the innermost frame; False if it is another one."""
        if not self._at or number != self._numbers[self._at]:
            return False
        self._depth -= 1
        self._at = self._parents[self._at]
        return True

    def pass_time(self, amount: float) -> None:
        """Add to the innermost frame."""
        self._amounts[self._at] += amount

    def stacks(self) -> Iterator[tuple[IndexStack, float]]:
        """Return the stacks that were open for a time, root first."""
        for node, amount in enumerate(self._amounts):
            if node and amount:
                stack = []
                while node:
                    stack.append(self._numbers[node])
                    node = self._parents[node]  # noqa: PLW2901  up to the root
                yield tuple(reversed(stack)), amount


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _has_frame(event: Any) -> bool:
    return isinstance(event, dict) and type(event.get("frame")) is int


def _amount(value: Any, scale: int) -> float | None:
    """Return a weight or time in the unit of the profile, None where it is none (or too large)."""
    if type(value) not in (int, float) or not 0 <= value * scale < _LARGEST_WEIGHT:
        return None
    amount: float = value * scale
    return amount
