"""What a host sends is checked before it becomes a file."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from remote_prof.errors import HostError
from remote_prof.run import follow
from remote_prof.run.follow import receive
from remote_prof.transport import Result


class Bytes:
    """A channel that has these bytes to read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_line(self, timeout_s: float) -> bytes | None:
        del timeout_s
        line, _, self._data = self._data.partition(b"\n")
        return line

    def read_exactly(self, size_bytes: int, timeout_s: float) -> bytes:
        del timeout_s
        if len(self._data) < size_bytes:
            raise EOFError
        data, self._data = self._data[:size_bytes], self._data[size_bytes:]
        return data

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    def finish(self, timeout_s: float) -> Result:
        raise AssertionError(timeout_s)

    def close(self) -> None:
        raise AssertionError


def sent(
    data: bytes,
    *,
    name: str = "profile.txt",
    encoding: str = "gzip",
    size: int | str | None = None,
    checksum: str | None = None,
) -> tuple[str, bytes]:
    """Receive an artifact as a host would send it."""
    size = len(data) if size is None else size
    checksum = checksum or f"sha256 {hashlib.sha256(data).hexdigest()}"
    return receive(f"{name} {encoding} {size} {checksum}", Bytes(data + b"\nnext"))


PACKED = gzip.compress(b"abc" * 1000)


def test_artifacts_arrive_packed_or_plain() -> None:
    assert sent(PACKED) == ("profile.txt", b"abc" * 1000)
    assert sent(b"abc", encoding="plain") == ("profile.txt", b"abc")
    assert sent(b"", encoding="plain") == ("profile.txt", b"")
    assert sent(PACKED, checksum="cksum 1234 5678")[1] == b"abc" * 1000


def test_an_artifact_that_was_changed_is_refused() -> None:
    with pytest.raises(HostError, match=r"profile\.txt arrived damaged: its checksum"):
        sent(PACKED, checksum="sha256 " + "0" * 64)


@pytest.mark.parametrize("data", [PACKED[:-5], b"no gzip", PACKED[:20] + b"??" + PACKED[22:], b""])
def test_an_artifact_that_does_not_unpack_is_refused(data: bytes) -> None:
    with pytest.raises(HostError, match=r"profile\.txt arrived damaged"):
        sent(data)


def test_an_artifact_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="too large to fetch"):
        sent(b"", size=(1 << 30) + 1)
    monkeypatch.setattr(follow, "MAX_ARTIFACT_BYTES", 1000)
    with pytest.raises(HostError, match="unpacks to more than 1000 bytes"):
        sent(PACKED)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("../../.ssh/authorized_keys", 1),
        ("/etc/passwd", 1),
        ("run.json", 1),
        ("", 1),
        ("profile.txt", "x"),
        ("profile.txt", -1),
    ],
)
def test_a_host_cannot_choose_where_a_file_goes(name: str, size: int | str) -> None:
    with pytest.raises(HostError, match="not asked for"):
        sent(b"x", name=name, size=size)


@pytest.mark.parametrize("header", ["", "profile.txt", "profile.txt gzip 1 sha256"])
def test_a_header_that_is_cut_is_refused(header: str) -> None:
    with pytest.raises(HostError, match="not asked for"):
        receive(header, Bytes(b""))
