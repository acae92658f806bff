"""Artifacts from a host: in pieces, onto the disk, from where the last link broke.

What arrives goes into a hidden ``.<name>.<checksum>.part`` beside its place, as it was sent. So a
transfer goes on where it stopped, over the next link and also in the next process; and no size that
a host sends is ever held in memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remote_prof.errors import HostError, LinkLostError
from remote_prof.run.directory import told
from remote_prof.transport import Channel

# What a host may send: its word becomes a file's name here.
ARTIFACT = re.compile(r"profile(-[a-z]{1,20})?\.txt|sidecar(-[a-z]{1,20})?\.err|launcher\.log")
_HEADER = re.compile(
    r"(\S+) (gzip|plain) ([0-9]{1,15}) (sha256|cksum) ([0-9a-f]{1,64}) ([0-9]{1,15})", re.ASCII
)
_PART = re.compile(r"\.(?P<name>.+)\.(?P<checksum>[0-9a-f]{1,64})\.part", re.ASCII)
_BLOCK_BYTES = 1 << 16
_SILENCE_S = 60.0
_MOST_VAIN = 10


@dataclass(frozen=True, slots=True)
class Part:
    """How much of an artifact is here: the checksum is of the whole of what is sent."""

    name: str
    checksum: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    encoding: str
    size_bytes: int
    algorithm: str
    checksum: str
    offset_bytes: int


class Receiver:
    """Receives the artifacts of one target into its directory.

    ``max_bytes`` bounds each of them, as it is sent and as it is unpacked.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._damaged: set[str] = set()
        # How far each has come, and how often it was announced since it had come no further.
        self._furthest: Counter[str] = Counter()
        self._reached: dict[str, int] = {}
        self._vain: Counter[str] = Counter()

    def parts(self) -> list[Part]:
        """Return what is here of what was sent before."""
        found = []
        for path in sorted(self._directory.glob(".*.part")):
            match = _PART.fullmatch(path.name)
            if match and ARTIFACT.fullmatch(match["name"]):
                found.append(Part(match["name"], match["checksum"], path.stat().st_size))
        return found

    def receive(self, text: str, channel: Channel) -> tuple[str, Path]:
        """Read one artifact after its header; return its name and the file.

        The header is ``name encoding size algorithm checksum offset``; size and checksum are of
        the whole of what is sent, of which the bytes from the offset on follow. Raises HostError
        when it is too large or none that a run has, or is announced again and again and does not
        come; LinkLostError when it has to be sent again.
        """
        header = self._read_header(text)
        part = self._directory / f".{header.name}.{header.checksum}.part"
        final = self._directory / header.name
        self._bound_attempts(header, text)
        with told(final):
            self._directory.mkdir(parents=True, exist_ok=True)
            have = part.stat().st_size if part.exists() else 0
            if have != header.offset_bytes:
                raise HostError(f"{header.name} does not go on where it stopped", evidence=text)
            with open(part, "ab", opener=_never_through_a_link) as out:
                while have < header.size_bytes:
                    wanted = min(_BLOCK_BYTES, header.size_bytes - have)
                    block = channel.read_block(wanted, _SILENCE_S)
                    out.write(block)
                    have += len(block)
                    self._furthest[header.name] = max(self._furthest[header.name], have)
        try:
            channel.read_line(_SILENCE_S)
        except EOFError:
            raise LinkLostError("what the host sent broke off") from None
        with told(final), self._checked(header, part):
            _verify(header, part)
            # What was raw here once is never written again.
            if not final.exists():
                self._unpack(header, part, final)
        return header.name, final

    def discard_parts(self) -> None:
        """Remove what is no longer needed: everything has arrived, and the host knows it."""
        for path in self._directory.glob(".*.part"):
            path.unlink(missing_ok=True)

    def _bound_attempts(self, header: _Header, text: str) -> None:
        """Give a host up that announces an artifact and sends nothing new of it."""
        name, furthest = header.name, self._furthest[header.name]
        self._vain[name] = self._vain[name] + 1 if self._reached.get(name) == furthest else 0
        self._reached[name] = furthest
        if self._vain[name] >= _MOST_VAIN:
            raise HostError(f"{name} is announced, and does not come", evidence=text)
        # Of what the host has made anew, the pieces are of no use.
        for path in self._directory.glob(f".{name}.*.part"):
            if path.name != f".{name}.{header.checksum}.part":
                path.unlink(missing_ok=True)

    def _read_header(self, text: str) -> _Header:
        found = _HEADER.fullmatch(text)
        if found is None or not ARTIFACT.fullmatch(found[1]):
            raise HostError("the host sends what was not asked for", evidence=repr(text[:100]))
        name, encoding, size, algorithm, checksum, offset = found.groups()
        header = _Header(name, encoding, int(size), algorithm, checksum, int(offset))
        if header.size_bytes > self._max_bytes:
            raise self._too_large(header, f"{header.size_bytes} bytes would be sent")
        return header

    @contextmanager
    def _checked(self, header: _Header, part: Path) -> Iterator[None]:
        """Have what arrived damaged sent once more."""
        try:
            yield
        except _DamagedError as error:
            part.unlink(missing_ok=True)
            if header.name in self._damaged:
                raise HostError(
                    f"{header.name} arrived damaged, twice", evidence=str(error)
                ) from error
            self._damaged.add(header.name)
            raise LinkLostError(f"{header.name} arrived damaged", evidence=str(error)) from error

    def _unpack(self, header: _Header, part: Path, final: Path) -> None:
        temporary = final.with_name(f".{final.name}.unpacking")
        total = 0
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("xb") as out:
                for block in _plain(header, part):
                    total += len(block)
                    if total > self._max_bytes:
                        raise self._too_large(header, f"it unpacks to more than {total} bytes")
                    out.write(block)
            temporary.chmod(0o444)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)

    def _too_large(self, header: _Header, evidence: str) -> HostError:
        return HostError(
            f"{header.name} is larger than {self._max_bytes} bytes",
            evidence=evidence,
            hint="allow more with --max-artifact-size",
        )


class _DamagedError(Exception):
    pass


def _never_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _verify(header: _Header, part: Path) -> None:
    # SSH itself guards what is sent; a checksum of another kind only tells files apart.
    if header.algorithm != "sha256":
        return
    with part.open("rb") as data:
        got = hashlib.file_digest(data, "sha256").hexdigest()
    if got != header.checksum:
        raise _DamagedError(f"its sha256 is {got}, the host says {header.checksum}")


def _plain(header: _Header, part: Path) -> Iterator[bytes]:
    """Yield what was sent, unpacked, a piece at a time: a small file can unpack to a huge one."""
    with part.open("rb") as data:
        if header.encoding == "plain":
            while block := data.read(_BLOCK_BYTES):
                yield block
            return
        unpacker = zlib.decompressobj(wbits=31)
        try:
            while not unpacker.eof:
                block = unpacker.unconsumed_tail or data.read(_BLOCK_BYTES)
                if not block:
                    raise _DamagedError("it ends too early")
                yield unpacker.decompress(block, _BLOCK_BYTES)
        except zlib.error as error:
            raise _DamagedError(str(error)) from error
