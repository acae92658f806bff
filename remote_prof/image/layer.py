"""The one layer of an image: files out of packages, and the tar that they become.

What is taken is spooled to a file, so that no package is held in memory; the tar is written from
there in the order of the paths, with one time for all, root as the owner of all, and no bit that
gives rights. So the same packages give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

_BLOCK_BYTES = 1 << 20
_MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the layer: where its bytes are in the spool, or, of a link, where it points."""

    mode: int = 0o644
    offset: int = 0
    size_bytes: int = 0
    target: str | None = None


class Layer:
    """Files by path, without a leading slash. What comes later replaces what was there."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._end = 0
        self._entries: dict[str, Entry] = {}
        self.newest_s = 0

    @property
    def paths(self) -> frozenset[str]:
        """The paths of files and links."""
        return frozenset(self._entries)

    def add_tar(
        self, tar: tarfile.TarFile, wanted: Callable[[str], bool], prefix: str = ""
    ) -> None:
        """Take the files and links of a package that are wanted, below a prefix."""
        for item in tar:
            path = merged(item.name)
            if not item.isdir() and not wanted(path):
                continue
            if item.issym():
                self._entries[prefix + path] = Entry(target=item.linkname)
            elif item.islnk():
                # A second name: the bytes are there already.
                self._entries[prefix + path] = self._entries[prefix + merged(item.linkname)]
            elif item.isfile():
                file = tar.extractfile(item)
                assert file is not None
                self._add(prefix + path, file, item.mode)
            else:
                continue
            self.newest_s = max(self.newest_s, int(item.mtime))

    def add_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Take one file."""
        self._add(path, io.BytesIO(data), mode)

    def add_link(self, path: str, target: str) -> None:
        """Take one symbolic link."""
        self._entries[path] = Entry(target=target)

    def link(self, path: str) -> str | None:
        """Return where a symbolic link points; None where there is none of that path."""
        entry = self._entries.get(path)
        return entry.target if entry else None

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        entry = self._entries[path]
        self._spool.seek(entry.offset)
        return self._spool.read(entry.size_bytes)

    def _add(self, path: str, file: IO[bytes], mode: int) -> None:
        self._spool.seek(self._end)
        begin = self._end
        while block := file.read(_BLOCK_BYTES):
            self._end += self._spool.write(block)
        self._entries[path] = Entry(mode & 0o777, begin, self._end - begin)

    def write(self, out: IO[bytes], directories: Mapping[str, int], mtime_s: int) -> str:
        """Write the tar, and return its SHA-256. ``directories``: those with a mode of their own.

        Every directory on the way to a file is there.
        """
        hashed = _Hashed(out)
        found = dict.fromkeys((*self._entries, *directories))
        parents = {str(parent) for path in found for parent in PurePosixPath(path).parents}
        modes = dict.fromkeys(parents - {"."}, 493) | dict(directories)
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for path in sorted(modes.keys() | self._entries.keys()):
                item = tarfile.TarInfo(path)
                item.mtime = mtime_s
                if path in self._entries:
                    self._put(tar, item, self._entries[path])
                else:
                    item.type, item.mode = tarfile.DIRTYPE, modes[path]
                    tar.addfile(item)
        return hashed.digest.hexdigest()

    def _put(self, tar: tarfile.TarFile, item: tarfile.TarInfo, entry: Entry) -> None:
        if entry.target is not None:
            item.type, item.linkname, item.mode = tarfile.SYMTYPE, entry.target, 0o777
            tar.addfile(item)
            return
        item.size, item.mode = entry.size_bytes, entry.mode
        self._spool.seek(entry.offset)
        tar.addfile(item, self._spool)


class _Hashed:
    """A file that is written, and hashed on the way."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._out.write(data)


def merged(name: str) -> str:
    """Return a path of a package as it is where ``/bin`` and its like are links into ``/usr``."""
    path = name.removeprefix(".").strip("/")
    first, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and first in _MERGED else path
