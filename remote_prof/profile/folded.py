"""Folded stacks: one stack a line, root first, ``;`` between frames, its weight at the end.

Format: https://github.com/brendangregg/FlameGraph#2-fold-stacks. The endings ``_[k]`` (kernel),
``_[i]`` (inlined) and ``_[j]`` (JIT) are those of its collapsers' ``--kernel``, ``--inline`` and
``--jit``. The format has no quoting, so on writing ``;`` in a name becomes ``:`` (as in the
collapsers of FlameGraph) and a control character, a line or paragraph separator, a sign that turns
the direction of writing, or a lone surrogate becomes ``?``. Pids, modules and offsets are not
written, nor the kinds without an annotation: reading tells UNRESOLVED and TRUNCATED by their names,
and takes the rest for USER.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import LONGEST_STACK, MOST_LINES, within
from remote_prof.profile.model import TRUNCATED_CALLERS, UNKNOWN, Frame, FrameKind, Profile
from remote_prof.profile.unread import Unread

ANNOTATIONS = {
    FrameKind.KERNEL: "_[k]",
    FrameKind.INLINED: "_[i]",
    FrameKind.JIT: "_[j]",
}

_KINDS = {annotation: kind for kind, annotation in ANNOTATIONS.items()}
_NAMELESS = re.compile(r"0x[0-9a-f]+|\[.*\]")
_UNWRITABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LINE = re.compile(rb".*\S \d{1,20}")
_BLOCK_BYTES = 1 << 17
_MAX_DIGITS = 20  # 2**64 has 20; longer numbers are no weights, and slow to convert
_FORM = "A line is 'root;caller;leaf 42': frames, a space, and a whole number."


def recognises_folded(head: bytes) -> bool:
    """Tell whether these may be folded stacks, or comments alone.

    Most of the lines have to be stacks; all, where none of them has a caller.
    """
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()  # it may be cut
    stacks = sum(_LINE.fullmatch(line.rstrip()) is not None for line in lines)
    return stacks == len(lines) or (2 * stacks >= len(lines) and b";" in head)


def parse_folded(
    data: bytes | str,
    *,
    unit: str = "samples",
    read_name: Callable[[str], Frame] | None = None,
    whole_stacks: bool = False,
) -> Profile:
    """Parse folded stacks; equal stacks are summed.

    ``unit`` says what the weights are, ``read_name`` makes a frame of a name (``parse_frame``
    where it is not given), ``whole_stacks`` is as in ``Profile``. Empty lines and comments (``#``
    first and no weight at the end) are skipped. A name that is empty becomes ``[unknown]``. Bytes
    are read as UTF-8, what is not valid becomes U+FFFD. What is no stack is skipped, and ``notes``
    say so with the line number. Raises ``ParseError`` where no line is a stack, unless there is
    nothing but empty lines and comments, and for more than ``remote_prof.profile.limits`` allows.
    """
    errors = "replace"
    if isinstance(data, str):
        errors = "surrogatepass"
        data = data.encode("utf-8", errors)
    if len(data) > MOST_LINES:
        within("lines", data.count(b"\n"), MOST_LINES, f"{len(data)} bytes")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    folder = Folder()
    frames = _Numbers(folder, read_name or parse_frame, errors)
    unread = Unread()
    stacks = 0
    for number, line in enumerate(_lines(data), start=1):
        names, _, weight = line.rpartition(b" ")
        if not weight.isdigit() or len(weight) > _MAX_DIGITS or not names:
            text = line.decode("utf-8", errors)
            if text.strip() and not text.startswith("#"):
                unread.tell(f"line {number}", text)
            continue
        where = f"line {number}"
        parts = names.split(b";")
        if len(parts) > LONGEST_STACK:
            within("frames in one stack", len(parts), LONGEST_STACK, where)
        folder.add(tuple(map(frames.__getitem__, parts)), int(weight), where)
        stacks += 1
    if unread.count and not stacks:
        raise unread.error("there is no folded stack in it", _FORM)
    return folder.profile(unit=unit, notes=unread.notes, whole_stacks=whole_stacks)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start <= len(data):
        # Some of it at a time: all lines would take as much memory again.
        end = data.rfind(b"\n", start, start + _BLOCK_BYTES)
        if end < 0:
            end = data.find(b"\n", start)
        if end < 0:
            end = len(data)
        yield from data[start:end].split(b"\n")
        start = end + 1


class _Numbers(dict[bytes, int]):
    """Numbers of frames by what stands for them: each distinct name is read once."""

    def __init__(self, folder: Folder, read_name: Callable[[str], Frame], errors: str) -> None:
        super().__init__()
        self._folder = folder
        self._read_name = read_name
        self._errors = errors

    def __missing__(self, written: bytes) -> int:
        name = written.decode("utf-8", self._errors)
        number = self[written] = self._folder.number(self._read_name(name), repr(name[:100]))
        return number


def parse_frame(name: str) -> Frame:
    """Read one name of a folded stack: its annotation, or its form, tells the kind."""
    kind = _KINDS.get(name[-4:])
    if kind is not None and len(name) > len("_[k]"):
        return Frame(name[:-4], kind)
    if name == TRUNCATED_CALLERS:
        return Frame(name, FrameKind.TRUNCATED)
    if not name or _NAMELESS.fullmatch(name):
        return Frame(name or UNKNOWN, FrameKind.UNRESOLVED)
    return Frame(name)


def format_frame(name: str, kind: FrameKind) -> str:
    """Write one name of a folded stack, with its annotation; see the module for what changes."""
    written = printable(name).replace(";", ":") or UNKNOWN
    return written + ANNOTATIONS.get(kind, "")


def printable(text: str) -> str:
    """Return ``text`` in one line, with what could forge other text as ``?``."""
    return _UNWRITABLE.sub("?", text)
