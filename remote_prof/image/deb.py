"""Reading Debian packages: an ``ar`` archive of two tars (deb(5)), read in one pass."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from remote_prof.errors import ParseError

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
# name, then date, owner, group and mode, then the size in decimal
_HEADER = re.compile(rb"([^ /]+)/? *[0-9 ]{24}([0-7]+ *) *([0-9]+) *`\n", re.ASCII)
_FIELD = re.compile(r"^([A-Za-z-]+): *(.*)$", re.MULTILINE)
_LARGEST_CONTROL_BYTES = 1 << 24


class _Section:
    """A part of an open file, as a file of its own."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file = file
        self._left = size_bytes

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data


def load_control(path: Path) -> dict[str, str]:
    """Return the fields of a package's control file: Package, Version, Architecture.

    Raises ParseError, OSError.
    """
    with _member(path, "control") as tar:
        for item in tar:
            if item.name.removeprefix("./") == "control" and item.size < _LARGEST_CONTROL_BYTES:
                file = tar.extractfile(item)
                assert file is not None
                return dict(_FIELD.findall(file.read().decode("utf-8", "replace")))
    raise ParseError(f"{path.name} is no Debian package", evidence="it has no control file")


@contextmanager
def open_data(path: Path) -> Iterator[tarfile.TarFile]:
    """Open the files of a package, to be read from the first to the last.

    Raises ParseError, OSError.
    """
    with _member(path, "data") as tar:
        yield tar


@contextmanager
def _member(path: Path, wanted: str) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ParseError(f"{path.name} is no Debian package", evidence="it is no ar archive")
        while header := file.read(_HEADER_BYTES):
            found = _HEADER.fullmatch(header)
            if found is None:
                raise ParseError(f"{path.name} is no Debian package", evidence=repr(header[:60]))
            name, size = found[1].decode("ascii", "replace"), int(found[3])
            if name.startswith(f"{wanted}.tar"):
                yield from _opened(path, name, _Section(file, size))
                return
            file.seek(size + size % 2, 1)
    raise ParseError(f"{path.name} is no Debian package", evidence=f"it has no {wanted}.tar")


def _opened(path: Path, name: str, section: _Section) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=section, mode="r|*") as tar:  # type: ignore[call-overload]
            yield tar
    except tarfile.TarError as error:
        raise ParseError(f"{path.name} cannot be read", evidence=f"{name}: {error}") from error
