"""V8's CPU profile, as the inspector, ``node --cpu-prof`` and Chrome DevTools write it.

https://chromedevtools.github.io/devtools-protocol/v8/Profiler/#type-Profile: a tree of ``nodes``,
the node of each of the ``samples``, and in ``timeDeltas`` the microseconds before each sample.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from remote_prof.errors import ParseError
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, MOST_LINES, MOST_NAMES, Budget, within
from remote_prof.profile.model import Frame, FrameKind, IndexStack, Profile
from remote_prof.profile.unread import Unread

_HINT = "see https://chromedevtools.github.io/devtools-protocol/v8/Profiler/#type-Profile"
_ROOT, _IDLE = "(root)", "(idle)"
_ANONYMOUS = "(anonymous)"
_RECOGNISED = re.compile(rb'\A\s*\{\s*"nodes"\s*:\s*\[|"callFrame"\s*:\s*\{\s*"functionName"\s*:')


def recognises_cpuprofile(head: bytes) -> bool:
    """Tell whether this may be the beginning of V8's CPU profile."""
    return _RECOGNISED.search(head) is not None


def parse_cpuprofile(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a CPU profile of V8. Samples that are ``(idle)`` are left out.

    A sample counts the microseconds until the next one: under load V8 looks late at a busy thread,
    and not at an idle one (10 ms were asked for and 40 got in one run: counted, that thread was
    busy for 7 % of the samples, and for 19 % of the time). Without times it counts one.

    A function's file is its module. Its line goes, unless ``keep_offsets`` or it has no name:
    ``(anonymous) (app.js:7)``. It is the line where the function begins. Code of files is JIT;
    what is V8's own, as ``(program)`` and ``(garbage collector)``, is USER.

    Nodes and samples that cannot be read are skipped, and ``notes`` say so. Raises ParseError for
    what is no such file, and for more than ``remote_prof.profile.limits`` allows. Any bytes end in
    one of these.
    """
    document = _document(data)
    nodes = document.get("nodes")
    if not isinstance(nodes, list):
        raise ParseError("there are no nodes in the CPU profile", hint=_HINT)
    within("different nodes", len(nodes), MOST_NAMES, "nodes")
    unread = Unread("node or sample", "nodes or samples")
    tree = _Tree(unread, keep_lines=keep_offsets)
    for place, node in enumerate(nodes):
        tree.add(place, node)
    times = _times(document)
    counts = _counts(document, tree, unread, times)
    return tree.profile(counts, unread, unit="us" if times else "samples")


def _document(data: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ParseError(
            "the CPU profile is no JSON, or is cut", evidence=str(error)[:200], hint=_HINT
        ) from error
    if not isinstance(document, dict):
        raise ParseError("the CPU profile is no JSON object", hint=_HINT)
    return document


def _times(document: Mapping[str, Any]) -> list[int]:
    """Return the microseconds from each sample to the next; nothing where that is not told."""
    samples, deltas = document.get("samples"), document.get("timeDeltas")
    if not isinstance(samples, list) or not isinstance(deltas, list):
        return []
    if len(samples) != len(deltas) or not all(type(each) is int for each in deltas):
        return []
    # Times that go back are seen where a sample was written late: the next ones make up for it.
    times, owed = [], 0
    for each in (*deltas[1:], 0):
        owed = min(max(owed + each, -1 << 53), 1 << 53)
        times.append(max(owed, 0))
        owed = min(owed, 0)
    return times


def _counts(
    document: Mapping[str, Any], tree: _Tree, unread: Unread, times: list[int]
) -> dict[int, int]:
    """Return the weight of the samples by node. Without a list of samples each node has its own."""
    samples = document.get("samples")
    if not isinstance(samples, list):
        return dict(tree.hits)
    within("samples", len(samples), MOST_LINES, "samples")
    counts: dict[int, int] = {}
    for place, sample in enumerate(samples):
        if type(sample) is int and sample in tree.frames:
            counts[sample] = counts.get(sample, 0) + (times[place] if times else 1)
        else:
            unread.tell(f"sample {place}", "")
    return counts


class _Tree:
    """The nodes by their ids: frames, parents, and how often each was sampled."""

    def __init__(self, unread: Unread, *, keep_lines: bool) -> None:
        self.frames: dict[int, int] = {}
        self.hits: dict[int, int] = {}
        self._parents: dict[int, int] = {}
        self._silent: set[int] = set()
        self._root: set[int] = set()
        self._folder = Folder()
        self._unread = unread
        self._keep_lines = keep_lines

    def add(self, place: int, node: Any) -> None:
        """Take a node, if it is one."""
        if not isinstance(node, dict) or not isinstance(node.get("callFrame"), dict):
            self._unread.tell(f"node {place}", "")
            return
        number = node.get("id")
        if type(number) is not int or number in self.frames:
            self._unread.tell(f"node {place}", "")
            return
        call = node["callFrame"]
        name = _text(call.get("functionName"))
        frame = _frame(name, _text(call.get("url")), call.get("lineNumber"), self._keep_lines)
        self.frames[number] = self._folder.number(frame, f"node {place}")
        (self._root if name == _ROOT else self._silent if name == _IDLE else set()).add(number)
        hits = node.get("hitCount")
        if type(hits) is int and 0 < hits < 1 << 53:
            self.hits[number] = hits
        # Newer files name the children, those of Chrome's traces the parent.
        if type(node.get("parent")) is int:
            self._parents[number] = node["parent"]
        children = node.get("children")
        for child in children if isinstance(children, list) else ():
            if type(child) is int:
                self._parents.setdefault(child, number)

    def profile(self, counts: Mapping[int, int], unread: Unread, *, unit: str) -> Profile:
        """Return the stacks of the nodes that were sampled."""
        budget = Budget()
        for number, count in counts.items():
            if number in self._silent:
                continue
            stack = self._stack(number)
            budget.stack(len(stack), "a sample")
            self._folder.add(stack, count, "a sample")
        if unread.count and not counts:
            raise unread.error("there is no sample in the CPU profile", _HINT)
        return self._folder.profile(unit=unit, notes=unread.notes)

    def _stack(self, number: int) -> IndexStack:
        stack: list[int] = []
        at: int | None = number
        while at is not None and at in self.frames:
            # The root alone is a sample in no function.
            if at not in self._root or not stack:
                stack.append(self.frames[at])
            within("frames in one stack", len(stack), LONGEST_STACK, "nodes that are their callers")
            # Nothing calls the root; two that name each other would go on for ever.
            at = None if at in self._root else self._parents.get(at)
        return tuple(reversed(stack))


def _frame(name: str, url: str, line: Any, keep_lines: bool) -> Frame:
    # Files count lines from 0; V8's own code has none.
    shown = f":{line + 1}" if type(line) is int and 0 <= line < 1 << 31 else ""
    short = url if url.startswith("node:") else url.partition("?")[0].rpartition("/")[2]
    placed = f" ({short}{shown})" if short else ""
    if not name or name == _ANONYMOUS:
        return Frame(f"{_ANONYMOUS}{placed}", FrameKind.JIT if url else FrameKind.USER, url or None)
    kept = placed if keep_lines else ""
    return Frame(f"{name}{kept}", FrameKind.JIT if url else FrameKind.USER, url or None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
