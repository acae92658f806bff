"""What runs in Node's sidecar, against inspectors that are no Node: slow, broken, hostile ones.

The inspector is a Python process that catches SIGUSR1 and has mapped a ``libnode.so``: that is how
the client tells Node.
"""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote_prof.parse.enclosed import enclosed
from remote_prof.templates import load_text

PROFILE = '{"nodes":[],"samples":[],"timeDeltas":[]}'
SERVER = r"""
import mmap, os, re, signal, socket, struct, sys, time

library, log, way, port, pid = sys.argv[1:6]
way, port, pid = way.split("+"), int(port), int(pid) or os.getpid()
with open(library, "w+b") as file:
    file.truncate(4096)
    mapped = mmap.mmap(file.fileno(), 4096)
wanted = ["on" in way]
signal.signal(signal.SIGUSR1, lambda *_: wanted.__setitem__(0, True))


def note(text):
    with open(log, "a") as out:
        out.write(text + "\n")


def exact(peer, size):
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive(peer):
    head = exact(peer, 2)
    size = head[1] & 127
    if size == 126:
        (size,) = struct.unpack(">H", exact(peer, 2))
    assert head[1] & 128, "not masked"
    mask, body = exact(peer, 4), exact(peer, size)
    return head[0] & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))


def frame(kind, data, last=True):
    size = len(data)
    head = bytes([kind | (128 if last else 0), min(size, 126)])
    return head + (struct.pack(">H", size) if size > 125 else b"") + data


def say(peer, text):
    data = text.encode()
    if "parts" not in way:
        return peer.sendall(frame(1, data))
    # In pieces, an empty one among them, with a ping between, and one byte at a time.
    whole = frame(1, data[:3], False) + frame(9, b"?") + frame(0, b"", False) + frame(0, data[3:])
    for at in range(len(whole)):
        peer.sendall(whole[at : at + 1])
    assert receive(peer) == (10, b"?"), "no pong"


def session(peer):
    global port
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    while True:
        kind, text = receive(peer)
        number = int(re.match(rb'\{"id":([0-9]+),', text)[1])
        answer = "{}"
        if b"process.pid" in text:
            space = "pid:[1]" if "elsewhere" in way else os.readlink("/proc/self/ns/pid")
            version = "v20\n@@ end 0\n" if "lines" in way else "v20.1.0"
            value = f"{pid},{port},{version},11.3,{space}"
            answer = '{"result":{"type":"string","value":"%s"}}' % value
        elif b"_debugEnd(),1" in text:
            note("fuse")
            answer = '{"result":{"type":"string","value":""}}'
        elif b"_debugEnd()" in text:
            note("end")
            port = int(re.search(rb"process.debugPort=([0-9]+)", text)[1])
            return True
        elif b"Profiler.start" in text:
            note("start")
            if "refuses" in way:
                say(peer, '{"id":%d,"error":{"code":-32000,"message":"no profiler"}}' % number)
                continue
            if "huge" in way:
                peer.sendall(b"\x81\x7f" + struct.pack(">Q", 1 << 62))
                continue
        elif b"Profiler.stop" in text:
            answer = '{"profile":PROFILE}'
        say(peer, '{"id":%d,"result":%s}' % (number, answer))


usual = port
note("ready")
while True:
    if not wanted[0]:
        time.sleep(0.01)
        continue
    if "late" in way:
        time.sleep(0.8)
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    note("open" if port == usual else "moved")
    ended = False
    while not ended:
        peer, _ = server.accept()
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                request += exact(peer, 1)
            if request.startswith(b"GET /json/list "):
                url = f"ws://127.0.0.1:{port}/0b8c7d1e-aaaa-bbbb-cccc-0123456789ab"
                body = '[ {\n "webSocketDebuggerUrl": "%s"\n} ]' % url
                said = "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                peer.sendall(said.encode())
            else:
                ended = bool(session(peer))
        except (EOFError, ConnectionError):
            pass
        peer.close()
    server.close()
    wanted[0] = False
""".replace("PROFILE", PROFILE)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Fake:
    """A process that the client takes for Node."""

    def __init__(
        self, directory: Path, way: str, pid: int, more: str, port: int, script: str
    ) -> None:
        directory.mkdir()
        (directory / script).write_text(SERVER)
        self.port = port or free_port()
        self._log = directory / "log"
        words = [str(directory / "libnode.so"), str(self._log), way, str(self.port), str(pid), more]
        self.process = subprocess.Popen(
            [sys.executable, "-I", script, *words, f"--inspect-port={self.port}"], cwd=directory
        )
        self.pid = self.process.pid
        self.wait("open" if "on" in way.split("+") else "ready")

    @property
    def log(self) -> list[str]:
        return self._log.read_text().split() if self._log.exists() else []

    def wait(self, word: str) -> None:
        until = time.monotonic() + 10
        while word not in self.log:
            assert time.monotonic() < until, f"it does not say {word}"
            time.sleep(0.01)

    def is_open(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0


Maker = Callable[..., Fake]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Maker]:
    made: list[Fake] = []

    def make(
        way: str = "plain", *, pid: int = 0, more: str = "", port: int = 0, script: str = "app.js"
    ) -> Fake:
        made.append(Fake(tmp_path / str(len(made)), way, pid, more, port, script))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()


def start(seconds: float, *pids: int, hurried: bool = False) -> subprocess.Popen[str]:
    # As in the sidecar, where the program comes by standard input.
    client = subprocess.Popen(
        [sys.executable, "-I", "-", str(seconds), "99", *map(str, pids)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdin
    program = load_text("node/client.py")
    for limit, short in (("OPEN_S = 5.0", "OPEN_S = 0.4"), ("LATE_S = 15.0", "LATE_S = 1.5")):
        assert limit in program
        program = program.replace(limit, short) if hurried else program
    client.stdin.write(program)
    client.stdin.close()
    client.stdin = None
    return client


def run(*pids: int, hurried: bool = False) -> tuple[int, str, str]:
    client = start(0.1, *pids, hurried=hurried)
    out, errors = client.communicate(timeout=40)
    assert "Traceback" not in errors
    return client.returncode, out, errors


@pytest.mark.parametrize("way", ["plain", "parts"])
def test_it_profiles_and_closes_what_it_opened(fake: Maker, way: str) -> None:
    node = fake(way)
    code, out, errors = run(node.pid)
    assert (code, errors) == (0, "")
    head, sampling, file, content = out.splitlines()
    assert (head, sampling) == ("# node v20.1.0 (v8 11.3)", "@@ sampling")
    assert file.startswith(f"@@ file profile-{node.pid}.cpuprofile {node.pid} ")
    assert base64.b64decode(content).decode() == PROFILE
    # The fuse is lit before anything else is asked.
    assert node.log == ["ready", "open", "fuse", "start", "end"]
    assert not node.is_open()


def test_several_are_moved_to_ports_of_their_own_and_all_closed(fake: Maker) -> None:
    nodes = [fake(), fake()]
    code, out, errors = run(*(node.pid for node in nodes))
    assert (code, errors, out.count("@@ file ")) == (0, "", 2)
    assert nodes[0].log == ["ready", "open", "fuse", "end", "moved", "fuse", "start", "end"]
    assert nodes[1].log == ["ready", "open", "fuse", "start", "end"]
    # The next inspector opens where the first one did.
    nodes[0].process.send_signal(signal.SIGUSR1)
    until = time.monotonic() + 10
    while nodes[0].log.count("open") < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert nodes[0].log[-1] == "open"


def test_what_was_on_stays_on_and_gets_no_signal(fake: Maker) -> None:
    node = fake("on")
    code, out, errors = run(node.pid)
    assert (code, errors, out.count("@@ file ")) == (0, "", 1)
    assert node.log == ["ready", "open", "start"]
    assert node.is_open()


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("refuses", "the inspector refuses: "),
        ("huge", "a frame that is not allowed, or too large"),
    ],
)
def test_an_inspector_that_misbehaves_is_told_and_closed(fake: Maker, way: str, why: str) -> None:
    node = fake(way)
    code, out, errors = run(node.pid)
    assert (code, out) == (1, "# node v20.1.0 (v8 11.3)\n")
    assert errors.startswith(f"process {node.pid}: ")
    assert why in errors
    assert node.log[-1] == "end"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_profile_and_a_closed_inspector(
    fake: Maker, sign: signal.Signals
) -> None:
    node = fake()
    client = start(60, node.pid)
    node.wait("start")
    client.send_signal(sign)
    out, errors = client.communicate(timeout=10)
    assert (client.returncode, errors, out.count("@@ file ")) == (0, "", 1)
    assert node.log[-1] == "end"


def test_an_inspector_that_opens_late_is_closed_all_the_same(fake: Maker) -> None:
    # A main thread in a native call opens it when it comes back: then nobody else would close it.
    node = fake("late")
    code, out, errors = run(node.pid, hurried=True)
    assert (code, out) == (1, "")
    assert "its inspector does not open within 0.4 s" in errors
    assert node.log == ["ready", "open", "end"]


def test_the_same_pid_in_another_container_is_another_process(fake: Maker) -> None:
    # As in a pod: one network, and the main process of each container has the pid 1.
    port = free_port()
    node = fake(more=f"--inspect={port}")
    stranger = fake("on+elsewhere", pid=node.pid, port=port)
    code, out, errors = run(node.pid)
    assert (code, errors, out.count("@@ file ")) == (0, "", 1)
    assert node.log == ["ready", "open", "fuse", "start", "end"]
    assert stranger.log == ["ready", "open"]


def test_what_is_not_node_gets_no_signal(tmp_path: Path) -> None:
    shell = shutil.which("dash") or shutil.which("bash")
    assert shell
    program = tmp_path / "node-exporter"
    shutil.copy(shell, program)
    script = "trap 'echo signalled' USR1; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen([program, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        code, out, errors = run(other.pid)
        other.kill()
        assert other.stdout.read() == ""
    assert (code, out) == (1, "")
    assert "it runs 'node-exporter', which is not Node.js, and gets no signal" in errors


def test_a_hostile_answer_adds_no_line_to_the_output(fake: Maker) -> None:
    node = fake("on")
    hostile = fake("on+lines")
    _, out, _ = run(node.pid, hostile.pid, hurried=True)
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("@@")] == [
        ["@@", "sampling"],
        ["@@", "file"],
    ]
    assert f"@@ file profile-{node.pid}." in out


def test_a_long_command_line_in_another_script_can_be_read_again(fake: Maker) -> None:
    node = fake("on", script="語" * 80 + ".js")
    _, out, _ = run(node.pid)
    (file,) = enclosed(out.encode())
    assert file.data.decode() == PROFILE
    assert "語" in file.process
