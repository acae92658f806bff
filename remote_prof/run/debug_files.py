"""Separate files of debug symbols, which lie here: names for addresses that came without one.

A file is taken for the build that it is of, and for no other: a build id tells (a note in the
program and in its debug file). The layout of distributions (``.build-id/ab/cdef....debug``) is
looked at first, then every file below the directory. Names come from the symbol table, which is
what bpftrace and perf would have read from a program that is not stripped.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from remote_prof.errors import UsageError
from remote_prof.parse.demangle import readable
from remote_prof.parse.mappings import Mappings, Place, Symbol, with_symbols
from remote_prof.parse.packed import unpack
from remote_prof.profile.folded import printable
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

_T = TypeVar("_T")

_MAGIC = b"\x7fELF"
_PAGE_BYTES = 4096
_MOST_TOLD = 5
_FUNCTION_TYPES = frozenset({2, 10})  # STT_FUNC, STT_GNU_IFUNC
_LOCAL = 0  # STB_LOCAL
_MOST_NESTED = 8  # symbols that begin before the one that an address is in and end behind it


class _Entry(NamedTuple):
    """A function of a symbol table; names are looked up when they are asked for."""

    start: int
    end: int  # equal to the start where the size is not known
    is_local: bool
    name_at: int


class _Table:
    """The functions of one file, by address."""

    def __init__(self, elf: ELFFile, section: SymbolTableSection) -> None:
        form = ("<" if elf.little_endian else ">") + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH")
        self._names = section.stringtable.data()
        entries = []
        for fields in struct.iter_unpack(form, section.data()):
            if elf.elfclass == 64:
                name_at, info, _, index, start, size = fields
            else:
                name_at, start, size, info, _, index = fields
            if info & 0xF in _FUNCTION_TYPES and index:
                entries.append(_Entry(start, start + size, info >> 4 == _LOCAL, name_at))
        # Of several names for one place the last is taken: what can be seen from outside.
        entries.sort(key=lambda entry: (entry.start, -entry.is_local, entry.name_at))
        self._entries = entries
        self._starts = [entry.start for entry in entries]
        loads = [
            segment["p_vaddr"] for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"
        ]
        self._begin = min(loads, default=0) // _PAGE_BYTES * _PAGE_BYTES

    def find(self, offset_bytes: int) -> Symbol | None:
        """Return the function that is so far behind the beginning of the file in memory."""
        address = self._begin + offset_bytes
        at = bisect_right(self._starts, address) - 1
        for entry in reversed(self._entries[max(at - _MOST_NESTED, 0) : at + 1]):
            if address < entry.end or entry.end == entry.start == self._starts[at]:
                end = self._names.find(b"\0", entry.name_at)
                name = printable(self._names[entry.name_at : end].decode("utf-8", "replace"))
                return Symbol(readable(name), address - entry.start)
        return None


class DebugFiles:
    """The debug files below a directory."""

    def __init__(self, directory: Path) -> None:
        """Take a directory. Raises UsageError where it is none."""
        if not directory.is_dir():
            raise UsageError(
                f"--debug-dir {directory} is no directory",
                hint="name the one that the files of debug symbols are in",
            )
        self._directory = directory
        self._tables: dict[str, _Table | None] = {}
        self._missing: dict[str, str] = {}  # paths by build ids, of what had addresses without name

    def named(self, raw: bytes) -> bytes:
        """Return a raw profile with the names that are known here; any other data as it is."""
        content, _ = unpack(raw)
        mappings = Mappings(content)
        return with_symbols(content, mappings, self._find) if mappings else raw

    def problems(self) -> list[Problem]:
        """Say of which builds there was no file."""
        if not self._missing:
            return []
        paths = [f"{path} (build id {build})" for build, path in self._missing.items()]
        more = f" and {len(paths) - _MOST_TOLD} more" if len(paths) > _MOST_TOLD else ""
        return [
            Problem(
                Severity.WARNING,
                f"{self._directory} has no debug file of some that have addresses without names",
                ", ".join(paths[:_MOST_TOLD]) + more,
                "a file of the very same build is needed, with its symbol table (.symtab)",
            )
        ]

    def _find(self, place: Place) -> Symbol | None:
        build_id = place.build_id
        if not build_id:
            return None
        if build_id not in self._tables:
            self._tables[build_id] = self._load(build_id)
        table = self._tables[build_id]
        if table is None:
            self._missing.setdefault(build_id, place.path)
            return None
        return table.find(place.offset_bytes)

    def _load(self, build_id: str) -> _Table | None:
        usual = self._directory / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
        return _table(usual, build_id) or _table(self._by_build_id.get(build_id), build_id)

    @cached_property
    def _by_build_id(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in sorted(self._directory.rglob("*")):
            build_id, has_symbols = _from_elf(path, _what_it_is) or ("", False)
            # The program itself may lie beside its debug file.
            if build_id and (has_symbols or build_id not in found):
                found[build_id] = path
        return found


def _table(path: Path | None, build_id: str) -> _Table | None:
    def read(elf: ELFFile) -> _Table | None:
        section = _symbols(elf)
        return _Table(elf, section) if section and _build_id(elf) == build_id else None

    return _from_elf(path, read) if path else None


def _what_it_is(elf: ELFFile) -> tuple[str, bool]:
    return _build_id(elf), _symbols(elf) is not None


def _from_elf(path: Path, read: Callable[[ELFFile], _T]) -> _T | None:
    """Return what is read of a file of ELF; nothing else is of any use, damaged ones neither."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_MAGIC))
            return read(ELFFile(stream)) if magic == _MAGIC else None
    except (OSError, ELFError, ValueError, struct.error):
        return None


def _build_id(elf: ELFFile) -> str:
    from elftools.elf.sections import NoteSection

    section = elf.get_section_by_name(".note.gnu.build-id")
    for note in section.iter_notes() if isinstance(section, NoteSection) else ():
        if note["n_type"] == "NT_GNU_BUILD_ID":
            return str(note["n_desc"])
    return ""


def _symbols(elf: ELFFile) -> SymbolTableSection | None:
    from elftools.elf.sections import SymbolTableSection

    section = elf.get_section_by_name(".symtab")
    return section if isinstance(section, SymbolTableSection) else None
