"""bpftrace's JSON output (``-f json``), made a profile: versions 0.17 to 0.23.

An object a line: ``{"type": "map", "data": {"@name": {"key": 17, ...}}}``; other types (``printf``,
``hist``, ``stats``, ``attached_probes``...) hold no stacks. A key is one text: scalar keys joined
by commas, then each stack as in the text output, but for the blank behind the comma. 0.23 escapes
a key twice, so that its line breaks are a backslash and an ``n``. Of lost samples there is a
``helper_error`` each. Source: bpftrace's output.cpp, and recordings.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from remote_prof.parse.bpftrace import Scan, fold_scan
from remote_prof.parse.bpftrace_maps import Maps
from remote_prof.profile.limits import MOST_LINES, within
from remote_prof.profile.model import Profile

_HINT = "Is it what bpftrace -f json printed, an object a line?"
_MAP_FULL = "Map full"
_MOST_NOTES = 20
_LONGEST_NOTE = 300  # characters
_LARGEST_WEIGHT = 10**20
_RECOGNISED = re.compile(rb'^\{"type": ?"\w+", ?"(?:data|msg)":', re.MULTILINE)
_MAP = re.compile(r'\{"type": ?"map", ?"data": ?\{"@(\w*)": ?\{')
# A text, and its number. What is no such pair is matched too: so nothing is looked at twice.
_ENTRY = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*)(?:": ?(\d{1,20})(?=[,}])|"?)')
_FIRST_COMMA = re.compile(r"^(\d+),")


def recognises_bpftrace_json(head: bytes) -> bool:
    """Tell whether this may be the beginning of bpftrace's JSON output."""
    return _RECOGNISED.search(head) is not None


def parse_bpftrace_json(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse what ``bpftrace -f json`` printed; see ``parse_bpftrace`` for what comes out.

    A line that cannot be read is skipped, and ``notes`` say so with its number; of a map that is
    cut its complete entries are kept. Raises ``ParseError`` where nothing can be read, and for more
    than ``remote_prof.profile.limits`` allows. Any bytes end in one of these, in linear time.
    """
    within("lines", data.count(b"\n"), MOST_LINES, f"{len(data)} bytes")
    scan = Scan(Maps(keep_offsets=keep_offsets))
    for number, line in enumerate(data.splitlines(), start=1):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            continue
        try:
            document = json.loads(text) if text[0] == "{" else None
        except (ValueError, RecursionError):
            scan.unread.tell(f"line {number}", text[:200])
            _salvage(scan, text)
            continue
        _take(scan, document, number, text)
    if not scan.recognised:
        raise scan.unread.error("this is not bpftrace's JSON output", _HINT)
    return fold_scan(scan)


def _take(scan: Scan, document: Any, number: int, text: str) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        scan.unread.tell(f"line {number}", text[:200])
        return
    scan.recognised = True
    kind, data = document["type"], document.get("data")
    if kind == "helper_error":
        message = document.get("msg")
        message = message[:_LONGEST_NOTE] if isinstance(message, str) else "an error without text"
        scan.lost += message.startswith(_MAP_FULL)
        if len(scan.notes) < _MOST_NOTES:
            scan.notes[message] = None
    elif kind == "map" and isinstance(data, dict):
        for name, entries in data.items():
            if name == "@samples" and _is_weight(entries):
                scan.samples = max(scan.samples, entries)
            elif isinstance(entries, dict):
                _take_map(scan, name.removeprefix("@"), entries)


def _take_map(scan: Scan, name: str, entries: dict[str, Any]) -> None:
    for key, weight in entries.items():
        if _is_weight(weight):
            scan.maps.add(name.encode("utf-8", "replace"), _key(key), weight)


def _is_weight(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST_WEIGHT


def _salvage(scan: Scan, text: str) -> None:
    """Take the complete entries of a line that is cut, or damaged in one place."""
    found = _MAP.match(text)
    if not found:
        return
    scan.recognised = True
    for entry in _ENTRY.finditer(text, found.end()):
        if entry[2]:
            with contextlib.suppress(ValueError):
                key = _key(json.loads(entry[1] + '"'))
                scan.maps.add(found[1].encode(), key, int(entry[2]))


def _key(text: str) -> bytes:
    r"""Spell a key as the text output does: ``12, api, \n    k+1\n, \n    u+1\n``."""
    if "\n" not in text:
        text = text.replace("\\n", "\n")
    scalars, newline, stacks = text.partition("\n")
    keys = scalars.removesuffix(",") if newline else scalars
    # A comm may hold commas. What is surely a scalar of its own: the pid, the numbers at the end.
    names = keys.rstrip("0123456789,")
    numbers = keys[len(names) :].replace(",", ", ")
    spelt = _FIRST_COMMA.sub(r"\1, ", names) + numbers + (", " if len(keys) < len(scalars) else "")
    return (spelt + newline + stacks.replace(",\n", ", \n")).encode("utf-8", "replace")
