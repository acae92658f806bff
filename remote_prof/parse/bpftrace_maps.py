"""The entries of bpftrace's maps, made stacks as they come."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remote_prof.parse.bpftrace_keys import KeyReader, Stacks
from remote_prof.profile.folder import Folder
from remote_prof.profile.limits import Budget

MAX_DEPTH = 127  # bpftrace's default for ustack and kstack, and its maximum
OWN_MAPS = b"stacks"  # how the names of our own begin

_MOST_LEFT_OUT = 20
_LONGEST_NAME = 300
_WEIGHT = re.compile(rb"\]: (\d{1,20})")


class Maps:
    """The stacks of the maps that count: our own together, else those of the first that has any.

    ``keep_offsets``, ``stacks`` and ``max_depth`` are those of ``parse_bpftrace``.
    """

    def __init__(
        self,
        *,
        keep_offsets: bool = False,
        stacks: Stacks = Stacks.BOTH,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self.max_depth = max_depth
        self._own, self._first = Folder(), Folder()
        self._own_reader, self._first_reader = (
            KeyReader(folder, keep_offsets=keep_offsets, stacks=stacks, max_depth=max_depth)
            for folder in (self._own, self._first)
        )
        self._has_own = False
        self._first_name: bytes | None = None
        self._others: dict[bytes, None] = {}
        # Keys of one line may be anything, until the map turns out to hold stacks.
        self._waiting: dict[bytes, list[tuple[bytes, int]]] = {}
        self._budget = Budget()
        # By the first line of entries that have been added, what reads those that begin alike.
        self._alike: dict[bytes, tuple[KeyReader, bytes, Folder, str]] = {}

    def add_alike(self, entry: bytes) -> bool:
        """Add an entry that begins as another did; False where ``add`` is needed.

        ``entry`` is the text between its ``@`` and the line break before the next one.
        """
        lines = entry.split(b"\n")
        alike = self._alike.get(lines[0])
        weight = _WEIGHT.fullmatch(lines[-1])
        if alike is None or weight is None:
            return False
        reader, first, folder, where = alike
        indented = entry.count(b"\n ") + entry.count(b"\n\t")
        stack = reader.read_alike(first, lines, indented)
        if stack is None:
            return False
        folder.add(stack, int(weight[1]), where)
        return True

    def add(self, name: bytes, key: bytes, weight: int) -> None:
        """Add the weight of a key of a map. Raises ParseError where it is too much."""
        where = f"map @{name[:50].decode('utf-8', 'replace')}"
        first, newline, _ = key.partition(b"\n")
        own = name.startswith(OWN_MAPS)
        if own or name == self._first_name:
            self._has_own = self._has_own or own
            reader = self._own_reader if own else self._first_reader
            folder = self._own if own else self._first
            folder.add(reader.read(key, own=own), weight, where)
            if newline:
                self._alike[name + b"[" + first] = reader, first, folder, where
        elif not newline:
            self._budget.stack(0, where)
            self._waiting.setdefault(name, []).append((key, weight))
        elif self._first_name is None:
            self._first_name = name
            for earlier in (*self._waiting.pop(name, ()), (key, weight)):
                self.add(name, *earlier)
        elif len(self._others) < _MOST_LEFT_OUT:
            self._others[name] = None

    @property
    def folder(self) -> Folder:
        """The stacks that count."""
        return self._own if self._has_own else self._first

    @property
    def left_out(self) -> Iterator[str]:
        """The names of other maps that hold stacks."""
        names = () if self._has_own else self._others
        return (name[:_LONGEST_NAME].decode("utf-8", "replace") for name in names)
