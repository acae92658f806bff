"""What runs in Go's sidecar, against servers that are no Go: slow, broken, hostile ones.

The servers are threads of this process. So that it is taken for a Go program, the client looks for
another mark in its file.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from remote_prof.parse.enclosed import enclosed
from remote_prof.profile.pprof import messages
from remote_prof.templates import data_path, load_text

INDEX = b"HTTP/1.0 200 OK\r\n\r\n<html><title>/debug/pprof/</title>"
IN_USE = b"HTTP/1.0 500 No\r\n\r\nCould not enable CPU profiling: cpu profiling already in use\n"
TOO_LONG = b"HTTP/1.0 400 Bad Request\r\n\r\nprofile duration exceeds server's WriteTimeout\n"
MARK = 'NOTE = re.compile(rb"\\x04\\0\\0\\0.{4}\\x04\\0\\0\\0Go\\0\\0", re.DOTALL)'
CLIENT = runpy.run_path(str(data_path("templates") / "gopprof/client.py"))
Answer = Callable[[str, socket.socket], bytes]


def profile(*, samples: int = 1) -> bytes:
    """One as Go would serve it."""
    kinds = messages()
    text = [b"", b"samples", b"count"]
    value = kinds.ValueType(type=1, unit=2).SerializeToString()
    sample = kinds.Sample(value=[3]).SerializeToString()
    made = kinds.Profile(sample_type=[value], string_table=text, sample=[sample] * samples)
    return gzip.compress(made.SerializeToString(), mtime=0)


PROFILE = b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n" + profile()


class Server:
    """Answers what a function makes of a path; notes what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # A thread that accepts holds the socket until it is woken.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer: socket.socket) -> None:
        with peer:
            request = b""
            while b"\r\n\r\n" not in request:
                request += peer.recv(4096)
            lines = request.decode().split("\r\n")
            assert lines[1:] == [f"Host: 127.0.0.1:{self.port}", "", ""]
            path = lines[0].removeprefix("GET ").removesuffix(" HTTP/1.0")
            self.asked.append(path)
            with contextlib.suppress(OSError):  # whoever asked has gone
                peer.sendall(INDEX if path == "/debug/pprof/" else self._answer(path, peer))


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    made: list[Server] = []

    def make(answer: Answer) -> Server:
        made.append(Server(answer))
        return made[-1]

    yield make
    for server in made:
        server.close()


def start(event: str, seconds: int, *pids: int, go: bool = True) -> subprocess.Popen[str]:
    # As in the sidecar, where the program comes by standard input.
    client = subprocess.Popen(
        [sys.executable, "-I", "-", event, str(seconds), *map(str, pids or (os.getpid(),))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdin
    program = load_text("gopprof/client.py")
    for usual, other in (
        (MARK, 'NOTE = re.compile(b"ELF")' if go else MARK),
        ("ANSWER_S = 20.0", "ANSWER_S = 1.5"),
        ("MOST_BYTES = 16 << 20", "MOST_BYTES = 1 << 20"),
        ("MOST_UNPACKED_BYTES = 128 << 20", "MOST_UNPACKED_BYTES = 4 << 20"),
    ):
        assert usual in program
        program = program.replace(usual, other)
    client.stdin.write(program)
    client.stdin.close()
    client.stdin = None
    return client


def run(event: str, seconds: int = 1, *pids: int, go: bool = True) -> tuple[int, str, str]:
    client = start(event, seconds, *pids, go=go)
    out, errors = client.communicate(timeout=40)
    assert "Traceback" not in errors
    return client.returncode, out, errors


def plain(path: str, peer: socket.socket) -> bytes:
    del path, peer
    return PROFILE


def files(out: str) -> list[str]:
    return [line.split()[2] for line in out.splitlines() if line.startswith("@@ file ")]


@pytest.mark.parametrize("event", ["heap", "goroutine"])
def test_what_is_there_is_fetched_at_once(serve: Callable[..., Server], event: str) -> None:
    server = serve(plain)
    code, out, errors = run(event, 30)
    assert (code, errors) == (0, "")
    head, sampling, file, *_ = out.splitlines()
    assert (head, sampling) == ("# net/http/pprof", "@@ sampling")
    assert file.startswith(f"@@ file {event}-{os.getpid()}.pb.gz {os.getpid()} ")
    assert enclosed(out.encode())[0].data == profile()
    assert server.asked == ["/debug/pprof/", f"/debug/pprof/{event}"]


@pytest.mark.parametrize("event", ["allocs", "mutex", "block"])
def test_what_is_counted_is_fetched_before_and_after(
    serve: Callable[..., Server], event: str
) -> None:
    server = serve(plain)
    code, out, errors = run(event)
    assert (code, errors) == (0, "")
    pid = os.getpid()
    assert files(out) == [f"before-{pid}.pb.gz", f"{event}-{pid}.pb.gz"]
    assert out.index("before-") < out.index("@@ sampling") < out.index(f"{event}-{pid}")
    assert server.asked[1:] == [f"/debug/pprof/{event}"] * 2


def test_a_long_cpu_profile_is_several_one_after_the_other(serve: Callable[..., Server]) -> None:
    server = serve(plain)
    code, out, errors = run("cpu", 25)
    assert (code, errors) == (0, "")
    assert server.asked[1:] == [f"/debug/pprof/profile?seconds={n}" for n in (10, 10, 5)]
    assert files(out) == [f"cpu-{os.getpid()}-{n}.pb.gz" for n in (1, 2, 3)]


def test_a_server_that_may_not_answer_for_so_long_is_asked_for_less(
    serve: Callable[..., Server],
) -> None:
    server = serve(lambda path, _: PROFILE if path.endswith(("=1", "=2")) else TOO_LONG)
    code, out, errors = run("cpu", 10)
    assert (code, errors, len(files(out))) == (0, "", 5)
    seconds = [int(path.partition("=")[2]) for path in server.asked[1:]]
    assert seconds == [10, 5, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_cpu_profile_that_is_not_lost(
    serve: Callable[..., Server], sign: signal.Signals
) -> None:
    def until_half_closed(_: str, peer: socket.socket) -> bytes:
        # As Go does: what is not to be waited for any more is answered.
        assert peer.recv(1) == b""
        return PROFILE

    server = serve(until_half_closed)
    client = start("cpu", 60)
    until = time.monotonic() + 10
    while len(server.asked) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    client.send_signal(sign)
    out, errors = client.communicate(timeout=10)
    assert (client.returncode, errors, len(files(out))) == (0, "", 1)


def test_a_signal_ends_the_counting(serve: Callable[..., Server]) -> None:
    serve(plain)
    client = start("mutex", 60)
    assert client.stdout
    while client.stdout.readline() != "@@ sampling\n":
        pass
    client.send_signal(signal.SIGINT)
    out, errors = client.communicate(timeout=10)
    assert (client.returncode, errors) == (0, "")
    assert files(out) == [f"mutex-{os.getpid()}.pb.gz"]


def endless(_: str, peer: socket.socket) -> bytes:
    peer.sendall(PROFILE)
    while True:
        peer.sendall(bytes(1 << 16))


def dripping(_: str, peer: socket.socket) -> bytes:
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        peer.sendall(b"\x1f")
        time.sleep(0.1)


def silent(_: str, peer: socket.socket) -> bytes:
    return peer.recv(1)


BOMB = gzip.compress(bytes(8 << 20))
OK = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda *_: IN_USE, "500 No: Could not enable CPU profiling: cpu profiling already in use"),
        (lambda *_: b"HTTP/1.0 404 Not Found\r\n\r\nUnknown profile\n", "404 Not Found: Unknown"),
        (lambda *_: b"HTTP/1.0 403 @@ end 0\r\n\r\n\n@@ end 0\n", "403 @@ end 0: @@ end 0"),
        (lambda *_: PROFILE[:-9], "its profile is not whole"),
        (lambda *_: OK, "its profile is not whole"),
        (lambda *_: OK + b"<html>", "what it sends is no profile"),
        (lambda *_: OK + BOMB, "its profile is too large"),
        (lambda *_: b"", "it closes the connection"),
        (lambda *_: b"\x00\x00\x06\x04", "it speaks no HTTP/1"),
        (endless, "it sends more than 1024 KiB"),
        (dripping, "it does not answer in time"),
        (silent, "it does not answer in time"),
    ],
)
def test_a_server_that_misbehaves_is_told(
    serve: Callable[..., Server], answer: Answer, why: str
) -> None:
    serve(answer)
    code, out, errors = run("heap")
    assert (code, out) == (1, "# net/http/pprof\n@@ sampling\n")
    assert errors.startswith(f"process {os.getpid()}: ")
    assert errors.count("\n") == 1
    assert why in errors


def test_what_a_later_part_lacks_leaves_the_earlier(serve: Callable[..., Server]) -> None:
    answers = [IN_USE, PROFILE]
    serve(lambda *_: answers.pop())
    code, out, errors = run("cpu", 20)
    assert (code, len(files(out))) == (1, 1)
    assert "already in use" in errors


@pytest.mark.parametrize("event", ["mutex", "block"])
def test_go_that_counts_no_waits_is_told(serve: Callable[..., Server], event: str) -> None:
    serve(lambda *_: OK + profile(samples=0))
    code, _, errors = run(event)
    assert code == 1
    assert "Go has counted no waits since it began; the program has to call runtime.Set" in errors
    # A heap of which nothing was sampled is only small.
    assert run("heap")[0] == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.0 200 OK\r\n\r\nwelcome", "200 OK"),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            "it wants TLS",
        ),
        (b"-ERR unknown command\r\n", "it speaks no HTTP/1"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + bytes(70 << 10), "it sends more than 64 KiB"),
    ],
)
def test_a_program_that_serves_no_profiles_is_told_with_what_its_ports_said(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    monkeypatch.setitem(globals(), "INDEX", answer)
    server = serve(plain)
    code, out, errors = run("cpu")
    assert (code, out) == (1, "")
    assert "serves no profiles at /debug/pprof/ (net/http/pprof): " in errors
    assert f"port {server.port}: {why}" in errors
    assert server.asked == ["/debug/pprof/"]


def test_what_is_not_go_is_asked_nothing(serve: Callable[..., Server]) -> None:
    server = serve(plain)
    code, out, errors = run("cpu", go=False)
    assert (code, out, server.asked) == (1, "", [])
    assert errors == f"no Go program is among the processes [{os.getpid()}]\n"


def test_ports_of_others_are_asked_nothing(serve: Callable[..., Server]) -> None:
    server = serve(plain)
    with subprocess.Popen(["sleep", "30"]) as other:
        code, out, errors = run("cpu", 1, other.pid)
        other.kill()
    assert (code, out, server.asked) == (1, "", [])
    assert errors == (
        f"process {other.pid}: it is a Go program, and listens at no TCP port of this network\n"
    )


def test_the_mark_of_go_and_its_version_are_found() -> None:
    build = b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0abc/def"
    assert CLIENT["NOTE"].search(bytes(0xF9C) + build)
    written = CLIENT["written"]
    head = bytearray(64 + 2 * 56)
    head[:6] = b"\x7fELF\x02\x01"
    head[32:40] = (64).to_bytes(8, "little")
    head[54:58] = b"\x38\0\x02\0"
    head[64:72] = b"\x01\0\0\0\x05\0\0\0"
    head[120:136] = b"\x01\0\0\0\x06\0\0\0" + (4096).to_bytes(8, "little")
    assert written(bytes(head)) == 4096
    for hostile in (b"", b"\x7fELF", bytes(head[:100]), bytes(head[:54]) + b"\xff" * 122):
        assert written(hostile) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\x12\x00", b"\x0a\x00\x12\x00", b"\x0a\xff\xff\xff", b"\x0b"]
)
def test_samples_are_seen_in_any_bytes(data: bytes) -> None:
    assert CLIENT["counts"](data) is (data != b"")
