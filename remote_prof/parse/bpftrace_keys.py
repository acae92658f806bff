"""The key of a map entry that bpftrace printed, made a stack.

What stands between ``[`` and ``]: 17``: scalar keys (pid, comm...) joined by ``, ``, and up to two
stacks. See ``remote_prof.parse.bpftrace`` for the forms.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from remote_prof.parse.bpftrace_frames import Side, is_offset, parse_frame
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import MOST_NAMES, within
from remote_prof.profile.model import TRUNCATED_CALLERS, Frame, FrameKind, IndexStack

_BETWEEN = b", "  # the line between the kernel's stack and the user's
# Hosts that run the same have the same functions: those are looked at once for all of them.
_MOST_KNOWN = 1 << 15
NO_STACK = "[no stack]"  # neither a process nor a frame was printed


class Stacks(StrEnum):
    """Which stacks the program asked for; a key with one stack does not say which it is."""

    BOTH = "both"
    USER = "user"
    KERNEL = "kernel"


_LONE_SIDES = {
    Stacks.BOTH: Side.EITHER,
    Stacks.USER: Side.USER,
    Stacks.KERNEL: Side.KERNEL,
}


class _Numbers(dict[bytes, int]):
    """Numbers of frames by line: each distinct line is parsed once."""

    def __init__(self, folder: Folder, side: Side, *, keep_offsets: bool) -> None:
        super().__init__()
        self._folder = folder
        self._side = side
        self._keep_offsets = keep_offsets
        self._functions: dict[bytes, int] = {}

    def read(self, line: bytes) -> int:
        """Return the number of a line."""
        number = self.get(line)
        return self._add(line) if number is None else number

    def __missing__(self, line: bytes) -> int:
        return self._add(line)

    def _add(self, line: bytes) -> int:
        # Most new lines are known functions at new offsets.
        base, _, offset = line.rpartition(b"+")
        number = self._functions.get(base)
        if number is None or not is_offset(offset):
            number = self._number(line, base, offset)
        self[line] = number
        if len(self) > MOST_NAMES:
            within("different names", len(self), MOST_NAMES, repr(line[:100]))
        return number

    def _number(self, line: bytes, base: bytes, offset: bytes) -> int:
        where = repr(line[:100])
        if self._keep_offsets or not is_offset(offset) or not line.startswith(b" "):
            frame = parse_frame(line, self._side, keep_offsets=self._keep_offsets)
            return self._folder.number(frame, where)
        number = self._folder.number(_function(base, self._side), where)
        self._functions[base] = number
        return number


@lru_cache(_MOST_KNOWN)
def _function(base: bytes, side: Side) -> Frame:
    """Return the frame of a line, without what stands behind its offset's sign."""
    return parse_frame(base + b"+0", side)


class KeyReader:
    """Reads the text of a map key: what stands between ``[`` and ``]: 17``."""

    def __init__(
        self, folder: Folder, *, keep_offsets: bool, stacks: Stacks, max_depth: int
    ) -> None:
        lone = _LONE_SIDES[stacks]
        self._folder = folder
        self._kernel = _Numbers(folder, Side.KERNEL, keep_offsets=keep_offsets)
        self._user = _Numbers(folder, Side.USER, keep_offsets=keep_offsets)
        self._lone = _Numbers(folder, lone, keep_offsets=keep_offsets)
        self._most_stacks = 2 if stacks is Stacks.BOTH else 1
        self._max_depth = max_depth
        self._processes: dict[bytes, tuple[int, ...]] = {}
        # Roots by the first line, where what follows is one stack, or a kernel's and a user's.
        self._roots_of_one: dict[bytes, IndexStack] = {}
        self._roots_of_two: dict[bytes, IndexStack] = {}

    def read(self, key: bytes, *, own: bool) -> IndexStack:
        """Make a stack, root first, of a key; ``own`` says that it begins with pid and comm."""
        scalars, stacks = _split_key(key, self._most_stacks)
        root = self._process(scalars, own=own) if scalars else ()
        self._remember(key, root, len(stacks))
        user = stacks[-1] if stacks else []
        if len(user) >= self._max_depth:
            root = (*root, self._number(Frame(TRUNCATED_CALLERS, FrameKind.TRUNCATED)))
        # They are printed leaf first.
        if len(stacks) > 1:
            kernel = map(self._kernel.read, stacks[0][::-1])
            stack = (*root, *map(self._user.read, user[::-1]), *kernel)
        else:
            stack = (*root, *map(self._lone.read, user[::-1]))
        return stack or (self._number(Frame(NO_STACK, FrameKind.UNRESOLVED)),)

    def read_alike(self, first: bytes, lines: list[bytes], indented: int) -> IndexStack | None:
        """Make a stack of the lines of a key whose first line is that of a key that was read.

        By far the most are of this kind, and this is faster. None where ``read`` has to look: the
        result is the same. The last of the ``lines`` is what follows the key; so many of them are
        ``indented``. What is indented is a frame. For the rest, what stands around it has to tell.
        """
        of_user = self._lone
        kernel: list[bytes] = []
        root = self._roots_of_one.get(first)
        user = lines[-2:0:-1]
        if root is None:
            root = self._roots_of_two.get(first)
            if root is None or _BETWEEN not in lines:
                return None
            of_user = self._user
            cut = lines.index(_BETWEEN)
            user, kernel = lines[-2:cut:-1], lines[cut - 1 : 0 : -1]
        if len(user) >= self._max_depth or len(user) + len(kernel) != indented:
            return None
        stack = root + tuple(map(of_user.__getitem__, user))
        return stack + tuple(map(self._kernel.__getitem__, kernel)) or None

    def _remember(self, key: bytes, root: IndexStack, stacks: int) -> None:
        first, newline, rest = key.partition(b"\n")
        if not newline or (first and not first.endswith(b", ")):
            return
        if stacks == 1 and not rest.startswith(b", ") and b"\n, " not in rest:
            self._roots_of_one[first] = root
        elif stacks == self._most_stacks == 2 and key.count(b"\n, ") == key.count(b"\n, \n") == 1:
            self._roots_of_two[first] = root

    def _process(self, scalars: bytes, *, own: bool) -> tuple[int, ...]:
        known = self._processes.get(scalars)
        if known is None:
            known = tuple(map(self._number, _process(scalars, own=own)))
            self._processes[scalars] = known
        return known

    def _number(self, frame: Frame) -> int:
        return self._folder.number(frame, frame.name[:100])


def _split_key(key: bytes, most_stacks: int) -> tuple[bytes, list[list[bytes]]]:
    """Split a key into its scalars (joined by ``, ``) and the lines of each stack."""
    parts = [part.partition(b"\n") for part in _rejoin(key).split(b"\n, ")]
    implied = most_stacks - sum(bool(newline) for _, newline, _ in parts)
    scalars: list[bytes] = []
    stacks: list[list[bytes]] = []
    for text, newline, lines in parts:
        scalar, empty = _split_scalars(text, implied, followed=bool(newline))
        implied -= empty
        stacks.extend([] for _ in range(empty))
        if scalar:
            scalars.append(scalar)
        if newline:
            stacks.append(_lines(lines))
    return b", ".join(scalars), stacks


def _split_scalars(text: bytes, implied: int, *, followed: bool) -> tuple[bytes, int]:
    """Take the stacks that are empty, at most ``implied``, off the end of some keys.

    0.17 prints nothing for such a stack, so only the comma before it shows. ``followed`` says that
    a stack with frames comes next: the last comma joins the two.
    """
    if followed:
        if not text:
            return b"", 0
        text = text.removesuffix(b", ")
    empty = 0
    while empty < implied and text.endswith(b", "):
        text = text[:-2]
        empty += 1
    if not text and empty < implied:
        empty += 1
    return text, empty


def _rejoin(key: bytes) -> bytes:
    """Mend a first line that a line break in the comm has cut in two."""
    first, newline, rest = key.partition(b"\n")
    if not newline or not first or first.endswith(b", ") or b", \n" not in rest:
        return key
    more, _, rest = rest.partition(b", \n")
    return first + b" " + more.replace(b"\n", b" ") + b", \n" + rest


def _lines(text: bytes) -> list[bytes]:
    lines = text.removesuffix(b"\n").split(b"\n")
    return [line for line in lines if line] if b"" in lines else lines


def _process(scalars: bytes, *, own: bool) -> list[Frame]:
    """Make the root frame of the scalar keys, or none where there are none.

    Our own maps have the pid first. Elsewhere a number before the comm is taken for the pid, and
    one behind it may be a thread's: it is dropped.
    """
    if not scalars:
        return []
    text = scalars.decode("utf-8", "replace")
    first, comma, rest = text.partition(", ")
    if not (first.isascii() and first.isdigit() and len(first) <= 20):
        return [Frame(text if own else _drop_numbers(text), FrameKind.PROCESS)]
    name = rest if comma else first
    return [Frame(name if own else _drop_numbers(name), FrameKind.PROCESS, pid=int(first))]


def _drop_numbers(text: str) -> str:
    parts = text.split(", ")
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return ", ".join(parts)
