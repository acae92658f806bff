"""The Firefox Profiler's processed format, for https://profiler.firefox.com.

Format: the types in https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts, as
they were in version 61 (docs-developer/CHANGELOG-formats.md there). The profiler upgrades what is
older than itself. The other format that it reads, Gecko's own, has no weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import (
    UNKNOWN,
    UNKNOWN_KERNEL,
    Frame,
    FrameKind,
    IndexStack,
    Profile,
    is_kernel,
)
from remote_prof.render.report import Report

_VERSION = 61  # of the processed format
_GECKO_VERSION = 32  # of Gecko's own at that time
_LIBRARY = 1  # a type of resource
_NONE = -1
# How many of a unit make a millisecond: the profiler knows no other times.
_PER_MS = {"ns": 1e6, "us": 1e3, "ms": 1.0, "s": 1e-3}
# Colours are names that the profiler knows. The one that is grey is its default category.
_CATEGORIES = {
    FrameKind.PROCESS: ("Process", "grey"),
    FrameKind.USER: ("User", "orange"),
    FrameKind.KERNEL: ("Kernel", "purple"),
    FrameKind.JIT: ("JIT", "green"),
    FrameKind.INTERPRETED: ("Interpreted", "lightblue"),
    FrameKind.INLINED: ("Inlined", "blue"),
    FrameKind.GO: ("Go", "magenta"),
    FrameKind.UNRESOLVED: ("Unresolved", "darkgrey"),
    FrameKind.TRUNCATED: ("Truncated", "brown"),
}
_CATEGORY_NUMBERS = {kind: number for number, kind in enumerate(_CATEGORIES)}
_Columns = dict[str, Any]
# What a thread must have, and what is the same for all.
_UNUSED_OF_THREAD: Mapping[str, Any] = {
    "processType": "default",
    "processStartupTime": 0,
    "processShutdownTime": None,
    "registerTime": 0,
    "unregisterTime": None,
    "pausedRanges": [],
    "markers": {
        "length": 0,
        "data": [],
        "name": [],
        "startTime": [],
        "endTime": [],
        "phase": [],
        "category": [],
    },
}


def render_gecko(report: Report) -> bytes:
    """Write a thread for each process at a root, and its stacks in order, with their weights.

    The time of a stack is the sum of the weights before it: what is drawn along time is as wide as
    it weighs, and says nothing of when it was. Modules are resources, kinds are categories.
    """
    profile = report.profile
    interval_ms = 1000 / profile.frequency_hz if profile.frequency_hz else 1.0
    tables = _Tables(profile)
    threads = []
    names: dict[str, str] = {}  # of processes, by pid
    for number, (root, weights) in enumerate(tables.processes(profile)):
        name = (root.name if root else "") or UNKNOWN
        # Where no pid is known, each is a process of its own.
        pid = f"{root.pid}" if root and root.pid is not None else f"#{number}"
        thread = {
            **_UNUSED_OF_THREAD,
            "name": name,
            # Threads of one pid are shown as one process. It has one main thread: a second one
            # would take the place of the first.
            "isMainThread": pid not in names,
            "processName": names.setdefault(pid, name),
            "pid": pid,
            "tid": number,
            "samples": _samples(tables.stack_numbers(weights), weights, profile.unit, interval_ms),
        }
        threads.append(thread)
    document = {
        "meta": _meta(report, interval_ms),
        "libs": [],
        "pages": [],
        "counters": [],
        "shared": tables.shared(),
        "threads": threads,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate becomes "?"


def _called(stack: IndexStack) -> IndexStack:
    """Return a stack without the process at its root, unless that is all there is."""
    return stack[1:] or stack


def _numbered(profile: Profile) -> tuple[dict[int, int], list[Frame]]:
    """Return the numbers of functions by those of frames, and the functions.

    Frames that differ in pid or offset alone are one. They are numbered as their folded lines sort.
    Processes that are roots have no number: threads stand for them.
    """
    used: set[int] = set()
    for stack in profile.weights:
        root = stack[:1]
        is_process = root and profile.frames[root[0]].kind is FrameKind.PROCESS
        used.update(_called(stack) if is_process else stack)
    frames = {number: Frame(*profile.frames[number][:3]) for number in used}
    functions = sorted(
        set(frames.values()), key=lambda f: (format_frame(f.name, f.kind), f.module or "", str(f))
    )
    numbers = {function: number for number, function in enumerate(functions)}
    return {number: numbers[frame] for number, frame in frames.items()}, functions


class _Tables:
    """The tables that all threads share: strings, functions, resources, and the tree of stacks."""

    def __init__(self, profile: Profile) -> None:
        self._numbers, self._functions = _numbered(profile)
        self._strings: dict[str, int] = {}
        self._frames: list[int] = []
        self._prefixes: list[int | None] = []

    def processes(self, profile: Profile) -> Iterable[tuple[Frame | None, dict[IndexStack, int]]]:
        """Yield each process at a root with the weights of its stacks, without it, in order."""
        found: dict[Frame | None, dict[IndexStack, int]] = {}
        number = self._numbers.__getitem__
        for stack, weight in profile.weights.items():
            root = profile.frames[stack[0]] if stack else None
            if root is not None and root.kind is not FrameKind.PROCESS:
                root = None
            weights = found.setdefault(root, {})
            frames = tuple(map(number, stack if root is None else _called(stack)))
            weights[frames] = weights.get(frames, 0) + weight
        for root in sorted(found, key=_process_order):
            yield root, {stack: found[root][stack] for stack in sorted(found[root])}

    def stack_numbers(self, stacks: Iterable[IndexStack]) -> list[int | None]:
        """Put sorted stacks into the tree; return the number of each, None where it is empty."""
        numbers: list[int | None] = []
        path: list[int] = []  # the numbers of the stack before, from its root
        before: IndexStack = ()
        for stack in stacks:
            # Sorted stacks share what they share with the one before: no search is needed.
            same = sum(1 for _ in takewhile(bool, map(int.__eq__, before, stack)))
            del path[same:]
            for frame in stack[same:]:
                self._prefixes.append(path[-1] if path else None)
                path.append(len(self._frames))
                self._frames.append(frame)
            numbers.append(path[-1] if path else None)
            before = stack
        return numbers

    def shared(self) -> _Columns:
        """Return the tables as they are written."""
        functions = self._functions
        count = len(functions)
        resources: dict[str, int] = {}
        resource = [
            resources.setdefault(module, len(resources)) if module else _NONE
            for module in map(_module, functions)
        ]
        category = [_CATEGORY_NUMBERS[_category(function)] for function in functions]
        nothing = [None] * count
        return {
            "funcTable": {
                "length": count,
                "name": [self._string(each.name or UNKNOWN) for each in functions],
                "isJS": [False] * count,
                "relevantForJS": [False] * count,
                "resource": resource,
                "source": nothing,
                "lineNumber": nothing,
                "columnNumber": nothing,
            },
            "frameTable": {
                "length": count,
                "address": [_NONE] * count,
                "inlineDepth": [0] * count,
                "category": category,
                "subcategory": [0] * count,
                "func": list(range(count)),
                "nativeSymbol": nothing,
                "innerWindowID": nothing,
                "line": nothing,
                "column": nothing,
            },
            "stackTable": {
                "length": len(self._frames),
                "frame": self._frames,
                "prefix": self._prefixes,
            },
            "resourceTable": {
                "length": len(resources),
                "lib": [None] * len(resources),
                "name": [self._string(module) for module in resources],
                "host": [None] * len(resources),
                "type": [_LIBRARY] * len(resources),
            },
            "nativeSymbols": {
                "length": 0,
                "libIndex": [],
                "address": [],
                "name": [],
                "functionSize": [],
            },
            "sources": {
                "length": 0,
                "id": [],
                "filename": [],
                "startLine": [],
                "startColumn": [],
                "sourceMapURL": [],
            },
            "stringArray": list(self._strings),
        }

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))


def _samples(
    stacks: list[int | None], weights: Mapping[IndexStack, int], unit: str, interval_ms: float
) -> _Columns:
    numbers: list[int | None] = []
    starts: list[int] = []
    parts: list[int] = []
    passed = 0
    for number, weight in zip(stacks, weights.values(), strict=True):
        # A sample where a stack begins and one where it ends: between two samples the profiler
        # draws the border half-way.
        for part in (weight - 1, 1) if weight > 1 else (weight,):
            numbers.append(number)
            starts.append(passed)
            parts.append(part)
            passed += part
    per_ms = _PER_MS.get(unit)
    return {
        "length": len(numbers),
        "stack": numbers,
        "time": [start / per_ms if per_ms else start * interval_ms for start in starts],
        "weight": [part / per_ms for part in parts] if per_ms else parts,
        "weightType": "tracing-ms" if per_ms else "bytes" if unit == "bytes" else "samples",
    }


def _meta(report: Report, interval_ms: float) -> _Columns:
    facts = [
        {"label": name, "format": "string", "value": value} for name, value in report.facts.items()
    ]
    return {
        "version": _GECKO_VERSION,
        "preprocessedProfileVersion": _VERSION,
        "product": report.title or "remote-prof",
        "importedFrom": "remote-prof",
        "arguments": report.subtitle,
        "interval": interval_ms,
        "startTime": 0,
        "processType": 0,
        "stackwalk": 1,
        "debug": False,
        "symbolicated": True,
        "symbolicationNotSupported": True,
        "sourceCodeIsNotOnSearchfox": True,
        "usesOnlyOneStackType": True,
        "keepProfileThreadOrder": True,
        "markerSchema": [],
        "categories": [
            {"name": name, "color": colour, "subcategories": ["Other"]}
            for name, colour in _CATEGORIES.values()
        ],
        "extra": [{"label": "Run", "entries": facts}] if facts else [],
    }


def _process_order(process: Frame | None) -> tuple[int, str, str]:
    if process is None:
        return -2, "", ""
    pid = -1 if process.pid is None else process.pid
    return pid, process.name, f"{process.module} {process.offset_bytes}"


def _category(function: Frame) -> FrameKind:
    return FrameKind.KERNEL if is_kernel(function) else function.kind


def _module(function: Frame) -> str | None:
    return function.module or (UNKNOWN_KERNEL if is_kernel(function) else None)
