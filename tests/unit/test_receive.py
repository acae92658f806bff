"""What a host sends is checked before it becomes a file."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path

import pytest

from remote_prof.errors import HostError, LinkLostError, RemoteProfError
from remote_prof.run.receive import Part, Receiver
from remote_prof.transport import Result


class Bytes:
    """A channel that has these bytes to read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_line(self, timeout_s: float) -> bytes | None:
        del timeout_s
        line, _, self._data = self._data.partition(b"\n")
        return line

    def read_block(self, limit_bytes: int, timeout_s: float) -> bytes:
        del timeout_s
        if not self._data:
            raise LinkLostError("the connection broke")
        data, self._data = self._data[:limit_bytes], self._data[limit_bytes:]
        return data

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    def finish(self, timeout_s: float) -> Result:
        raise AssertionError(timeout_s)

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_is_announced_and_does_not_come_is_given_up(place: Path) -> None:
    receiver = Receiver(place, 1 << 20)
    header = f"profile.txt plain 100 sha256 {digest(b'x' * 100)} "
    for _ in range(10):
        with pytest.raises(LinkLostError):
            receiver.receive(f"{header}0", Bytes(b""))
    with pytest.raises(HostError, match="is announced, and does not come"):
        receiver.receive(f"{header}0", Bytes(b""))


def test_a_link_that_breaks_often_and_brings_something_each_time_is_none_of_that(
    place: Path,
) -> None:
    receiver = Receiver(place, 1 << 20)
    data = bytes(range(100))
    header = f"profile.txt plain 100 sha256 {digest(data)} "
    for number in range(99):
        with pytest.raises(LinkLostError):
            receiver.receive(f"{header}{number}", Bytes(data[number : number + 1]))
    assert receiver.receive(f"{header}99", Bytes(data[99:] + b"\n"))[1].read_bytes() == data


def test_a_host_that_sends_another_file_each_time_is_given_up(place: Path) -> None:
    receiver = Receiver(place, 1 << 20)

    def announce(number: int) -> None:
        header = f"profile.txt plain 100 sha256 {digest(bytes([number]))} 0"
        receiver.receive(header, Bytes(b"x" * 50))

    for number in range(11):
        with pytest.raises(LinkLostError):
            announce(number)
        assert len(list(place.glob(".*.part"))) == 1
    with pytest.raises(HostError, match="is announced, and does not come"):
        announce(11)


def send(
    place: Path,
    data: bytes,
    *,
    name: str = "profile.txt",
    encoding: str = "gzip",
    size: int | str | None = None,
    checksum: str | None = None,
    offset: int = 0,
    max_bytes: int = 1 << 20,
    receiver: Receiver | None = None,
) -> bytes:
    """Receive an artifact as a host would send it; return what is in the file then."""
    size = len(data) if size is None else size
    checksum = checksum or f"sha256 {digest(data)}"
    receiver = receiver or Receiver(place, max_bytes)
    header = f"{name} {encoding} {size} {checksum} {offset}"
    got, path = receiver.receive(header, Bytes(data[offset:] + b"\nnext"))
    assert got == name
    assert path == place / name
    assert path.stat().st_mode & 0o777 == 0o444
    return path.read_bytes()


PACKED = gzip.compress(b"abc" * 1000, mtime=0)


def test_artifacts_arrive_packed_or_plain(place: Path) -> None:
    assert send(place, PACKED) == b"abc" * 1000
    assert send(place, b"abc", name="sidecar.err", encoding="plain") == b"abc"
    assert send(place, b"", name="launcher.log", encoding="plain") == b""
    Receiver(place, 1).discard_parts()
    assert {path.name for path in place.iterdir()} == {"profile.txt", "sidecar.err", "launcher.log"}


def test_another_kind_of_checksum_tells_files_apart_and_no_more(place: Path) -> None:
    assert send(place, PACKED, checksum="cksum 1234") == b"abc" * 1000


def test_a_transfer_goes_on_where_it_stopped(place: Path) -> None:
    receiver = Receiver(place, 1 << 20)
    header = f"profile.txt gzip {len(PACKED)} sha256 {digest(PACKED)} 0"
    with pytest.raises(LinkLostError):
        receiver.receive(header, Bytes(PACKED[:20]))
    assert not (place / "profile.txt").exists()
    # Also in another process.
    assert Receiver(place, 1 << 20).parts() == [Part("profile.txt", digest(PACKED), 20)]
    assert send(place, PACKED, offset=20) == b"abc" * 1000


def test_a_host_cannot_go_on_elsewhere(place: Path) -> None:
    with pytest.raises(HostError, match="does not go on where it stopped"):
        send(place, PACKED, offset=20)


def test_an_artifact_that_was_changed_is_sent_again_once(place: Path) -> None:
    receiver = Receiver(place, 1 << 20)
    wrong = "sha256 " + "0" * 64
    with pytest.raises(LinkLostError, match=r"profile\.txt arrived damaged"):
        send(place, PACKED, checksum=wrong, receiver=receiver)
    assert receiver.parts() == []
    with pytest.raises(HostError, match=r"profile\.txt arrived damaged, twice"):
        send(place, PACKED, checksum=wrong, receiver=receiver)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("data", [PACKED[:-5], b"no gzip", PACKED[:20] + b"??" + PACKED[22:], b""])
def test_an_artifact_that_does_not_unpack_is_refused(place: Path, data: bytes) -> None:
    with pytest.raises(LinkLostError, match=r"profile\.txt arrived damaged"):
        send(place, data)
    assert list(place.iterdir()) == []


def test_an_artifact_that_is_too_large_is_not_read(place: Path) -> None:
    with pytest.raises(HostError, match="larger than 1000 bytes") as raised:
        send(place, b"", size=1001, max_bytes=1000)
    assert "--max-artifact-size" in raised.value.hint
    with pytest.raises(HostError, match="larger than 1000 bytes"):
        send(place, PACKED, max_bytes=1000)
    assert not (place / "profile.txt").exists()


def test_what_unpacks_to_a_thousand_times_its_size_takes_no_memory(place: Path) -> None:
    bomb = gzip.compress(b"\0" * (1 << 26))
    tracemalloc.start()
    try:
        with pytest.raises(HostError, match="larger than"):
            send(place, bomb, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_raw_here_is_never_written_again(place: Path) -> None:
    send(place, PACKED)
    assert send(place, gzip.compress(b"other")) == b"abc" * 1000


def test_a_place_that_cannot_be_written_is_told(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(RemoteProfError, match="cannot be written"):
        send(place / "file", PACKED)


def test_a_directory_that_was_removed_is_made_again(place: Path) -> None:
    assert send(place / "removed", PACKED) == b"abc" * 1000


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("../../.ssh/authorized_keys", 1),
        ("/etc/passwd", 1),
        ("run.json", 1),
        ("", 1),
        ("profile.txt", "x"),
        ("profile.txt", -1),
        ("profile.txt", "9" * 5000),
    ],
)
def test_a_host_cannot_choose_where_a_file_goes(place: Path, name: str, size: int | str) -> None:
    with pytest.raises(HostError, match="not asked for"):
        send(place, b"x", name=name, size=size)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "profile.txt",
        "profile.txt gzip 1 sha256",
        "profile.txt gzip 1 sha256 00",
        "profile.txt gzip 1 sha256 ../../x 0",
        "profile.txt gzip 1 md5 00 0",
    ],
)
def test_a_header_that_is_cut_is_refused(place: Path, header: str) -> None:
    with pytest.raises(HostError, match="not asked for"):
        Receiver(place, 1000).receive(header, Bytes(b""))


def test_other_files_are_no_parts(place: Path) -> None:
    for name in (
        ".profile.txt.part",
        ".evil.00.part",
        "profile.txt.00.part",
        ".profile.txt.zz.part",
    ):
        (place / name).touch()
    assert Receiver(place, 1000).parts() == []
