"""Profiles Node.js processes through V8's inspector; runs inside the sidecar, as their user.

    python3 -I - SECONDS HERTZ PID...

It has the pid and the network namespace of the target. Nothing but Debian's python3-minimal is
needed, which has no ``json``: requests are literals, and of replies the form is known (V8 writes
``{"id":1,"result":{...}}``, without blanks). https://nodejs.org/api/debugger.html tells of SIGUSR1,
https://chromedevtools.github.io/devtools-protocol/v8/ of the requests, RFC 6455 of the frames.

An inspector that was on is used as it is. One that we open is closed again, and closes by itself
where we cannot any more. All of them open at the same port: so each but the last is closed again
and opened at a free port, which a process can be told only through its inspector.
"""

from __future__ import annotations

import base64
import os
import re
import select
import signal
import socket
import struct
import sys
import time

DEFAULT_PORT = 9229
CALL_S = 10.0  # for one answer
OPEN_S = 5.0  # from the signal to the open port
STOP_S = 40.0  # for all profiles, after their end: the sidecar's own limit comes later
LATE_S = 15.0  # at the end, for an inspector that did not open in time
FUSE_S = 120  # after the planned end an inspector that we opened closes by itself
MOST_BYTES = 64 << 20  # of one message
MOST_HEAD_BYTES = 16 << 10
FUSE = 'process[Symbol.for("remote-prof")]'
_PORT = re.compile(
    rb"--(?:inspect|debug)(?:-brk|-port|-wait)?=(?:[^\s=]*:)?([0-9]{1,5})(?=[\s\0]|$)"
)
_PATH = re.compile(rb'"webSocketDebuggerUrl": ?"ws://[^/"]{1,100}(/[0-9a-f-]{10,60})"')
_NODE = re.compile(r"node(?:js)?(?:-?[0-9][0-9.]*)?(?: \(deleted\))?")
_REPLY = re.compile(rb'\{"id":([0-9]{1,9}),"(result|error)":')
_VALUE = re.compile(rb'\{"result":\{"type":"string","value":"([^"\\\x00-\x1f\x7f]{0,200})"\}\}\Z')
# Containers that share a network have the same pids: the name of the namespace tells them apart.
_WHO = (
    "[process.pid,process.debugPort,process.version,process.versions.v8,"
    '(()=>{try{return require("fs").readlinkSync("/proc/self/ns/pid")}catch{return""}})()].join()'
)


class Failed(Exception):  # noqa: N818  a sentence for whoever runs it
    """What went wrong, in words."""


class Late(Failed):
    """A process was signalled, and its inspector may open yet: what listened before the signal."""

    def __init__(self, before: set[tuple[str, int, int]]) -> None:
        super().__init__(f"its inspector does not open within {OPEN_S:g} s of SIGUSR1")
        self.before = before


class Wire:
    """A connection to an inspector, read within limits of time and size."""

    def __init__(self, address: tuple[str, int], timeout_s: float = CALL_S) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self._host = f"{host}:{address[1]}"
        self._ready = b""

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def get(self, path: str, *more: str) -> bytes:
        """Send a request, and return the head of the answer."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._host}", *more, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        until = time.monotonic() + CALL_S
        while b"\r\n\r\n" not in self._ready:
            if len(self._ready) > MOST_HEAD_BYTES:
                raise Failed("the inspector's answer has no end")
            self._more(until)
        head, _, self._ready = self._ready.partition(b"\r\n\r\n")
        return head

    def rest(self, head: bytes) -> bytes:
        """Return the body of an answer."""
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]{1,6})", head)
        return self._take(int(length[1]), time.monotonic() + CALL_S) if length else b""

    def upgrade(self, path: str) -> None:
        """Speak frames from now on."""
        key = base64.b64encode(os.urandom(16)).decode()
        head = self.get(
            path,
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        if not re.match(rb"HTTP/1\.[01] 101[ \r]", head):
            raise Failed(f"the inspector refuses: {head[:60]!r}")

    def send(self, data: bytes, kind: int = 1) -> None:
        """Send one frame, masked as a client has to."""
        size = len(data)
        head = bytes([0x80 | kind, 0x80 | (min(126, size))])
        head += struct.pack(">H", size) if size >= 126 else b""
        mask = os.urandom(4)
        body = bytes(byte ^ mask[place & 3] for place, byte in enumerate(data))
        self._socket.sendall(head + mask + body)

    def message(self, until: float) -> bytes:
        """Return the next message. Raises Failed where it is none, is too large or too late."""
        parts: list[bytes] = []
        size = 0
        while True:
            first, second = self._take(2, until)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2, until))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8, until))
            kind = first & 15
            size += length if kind < 8 else 0
            if first & 0x70 or second & 0x80 or size > MOST_BYTES or (kind > 7 and length > 125):
                raise Failed("the inspector sends a frame that is not allowed, or too large")
            data = self._take(length, until)
            if kind == 8:
                raise Failed("the inspector has closed the connection")
            if kind == 9:
                self.send(data, 10)
            elif kind < 8:
                if kind not in (0, 1, 2) or (kind == 0) != bool(parts):
                    raise Failed("the inspector sends frames in a wrong order")
                # An empty first part is one, too.
                parts.append(data)
                if first & 0x80:
                    return b"".join(parts)

    def _take(self, size: int, until: float) -> bytes:
        while len(self._ready) < size:
            self._more(until)
        taken, self._ready = self._ready[:size], self._ready[size:]
        return taken

    def _more(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise Failed("the inspector does not answer in time")
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(1 << 20)
        except socket.timeout as error:
            raise Failed("the inspector does not answer in time") from error
        except OSError as error:
            raise Failed(f"the connection to the inspector breaks: {error}") from error
        if not data:
            raise Failed("the inspector has closed the connection")
        self._ready += data


class Inspector:
    """The inspector of one process, and a session with it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.wire = _session(address)
        self._id = 0
        self.ours = False
        try:
            self.pid, self.port, self.version, self.v8 = self._who()
        except BaseException:
            self.wire.close()
            raise

    def _who(self) -> tuple[int, int, str, str]:
        pid, port, version, v8, namespace = self.evaluate(_WHO).split(",")
        if namespace not in ("", os.readlink("/proc/self/ns/pid")):
            raise Failed("it is the inspector of another container")
        return int(pid), int(port), version, v8

    def ask(self, method: str, params: str = "{}") -> int:
        """Send a request; return its number."""
        self._id += 1
        self.wire.send(f'{{"id":{self._id},"method":"{method}","params":{params}}}'.encode())
        return self._id

    def answer(self, number: int, timeout_s: float = CALL_S) -> bytes:
        """Return the result of a request, as JSON. What else is said meanwhile is dropped."""
        until = time.monotonic() + timeout_s
        while True:
            message = self.wire.message(until)
            head = _REPLY.match(message)
            if head and int(head[1]) == number:
                body = message[head.end() : -1]
                if head[2] == b"error":
                    raise Failed(f"the inspector refuses: {body[:200].decode('utf-8', 'replace')}")
                return body

    def call(self, method: str, params: str = "{}") -> bytes:
        return self.answer(self.ask(method, params))

    def evaluate(self, expression: str) -> str:
        """Return what an expression, which gives a short text, gives in the process."""
        value = _VALUE.match(self.call("Runtime.evaluate", _expression(expression)))
        if not value:
            raise Failed("the inspector's answer is no text")
        return value[1].decode("utf-8", "replace")

    def light_fuse(self, seconds: float) -> None:
        """Have the process close its inspector by itself, should we never come to it."""
        end = f"setTimeout(()=>process._debugEnd(),{round(seconds * 1000)})"
        self.evaluate(f'{FUSE}={end};{FUSE}.unref();""')

    def end(self, port: int) -> None:
        """Close the inspector; the next one opens at this port. Its socket closes with it."""
        try:
            text = (
                f"clearTimeout({FUSE});delete {FUSE};process.debugPort={port};process._debugEnd()"
            )
            self.answer(self.ask("Runtime.evaluate", _expression(text)), 3.0)
        except (Failed, OSError):
            pass
        finally:
            self.wire.close()


def _expression(text: str) -> str:
    escaped = text.replace('"', '\\"')
    # With the API of a console there is "require".
    return f'{{"expression":"{escaped}","includeCommandLineAPI":true,"returnByValue":true}}'


def _session(address: tuple[str, int]) -> Wire:
    wire = Wire(address)
    try:
        head = wire.get("/json/list", "Connection: close")
        path = _PATH.search(wire.rest(head))
    finally:
        wire.close()
    if not path:
        raise Failed(f"no inspector answers at port {address[1]}")
    wire = Wire(address)
    try:
        wire.upgrade(path[1].decode())
    except BaseException:
        wire.close()
        raise
    return wire


def listening() -> set[tuple[str, int, int]]:
    """Return the address, port and user of each listening socket of the network namespace."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in _read(f"/proc/net/{name}").decode("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 7 and fields[3] == "0A":
                address, _, port = fields[1].partition(":")
                found.add((_address(address), int(port, 16), int(fields[7])))
    return found


def _address(words: str) -> str:
    """Return an address as /proc/net/tcp has it, words of the machine's order; any is the loop."""
    raw = b"".join(
        struct.pack("=I", int(words[place : place + 8], 16)) for place in range(0, len(words), 8)
    )
    if len(raw) == 4:
        return socket.inet_ntoa(raw) if any(raw) else "127.0.0.1"
    # What listens on all addresses of version 6 mostly does so on those of version 4, too.
    return socket.inet_ntop(socket.AF_INET6, raw) if any(raw) else "127.0.0.1"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 22)
    except OSError:
        return b""


def check(pid: int) -> None:
    """Raise Failed where the process is not known to be Node, or would die of the signal."""
    status = _read(f"/proc/{pid}/status").decode("utf-8", "replace")
    caught = re.search(r"(?m)^SigCgt:\s*([0-9a-f]+)$", status)
    if not caught:
        raise Failed("it has ended")
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        node = b"/libnode.so" in _read(f"/proc/{pid}/maps")
    except OSError:
        # Root's processes have rights that we lack, so that the kernel shows us no more than this.
        program = _read(f"/proc/{pid}/cmdline").split(b"\0")[0].decode("utf-8", "replace")
        node = re.search(r"(?m)^Name:\s*node(?:js)?$", status) is not None
    name = program.rpartition("/")[2]
    if not node and not _NODE.fullmatch(name):
        raise Failed(f"it runs {name[:60]!r}, which is not Node.js, and gets no signal")
    if not int(caught[1], 16) >> (signal.SIGUSR1 - 1) & 1:
        raise Failed("it does not catch SIGUSR1 (--disable-sigusr1?): its inspector stays closed")


def known_ports(pid: int) -> list[int]:
    """Return the ports at which an inspector may be on: the usual one, and those it was told."""
    words = _read(f"/proc/{pid}/cmdline") + b"\0" + _read(f"/proc/{pid}/environ")
    return [DEFAULT_PORT, *(int(port) for port in _PORT.findall(words))]


def already_on(pids: list[int]) -> dict[int, Inspector]:
    """Return sessions with the inspectors that are on, by process."""
    wanted = {port for pid in pids for port in known_ports(pid)}
    found: dict[int, Inspector] = {}
    for address, port, _ in sorted(listening()):
        if port not in wanted:
            continue
        try:
            inspector = Inspector((address, port))
        except (Failed, OSError, ValueError, IndexError):
            continue
        if inspector.pid in pids and inspector.pid not in found:
            found[inspector.pid] = inspector
        else:
            inspector.wire.close()
    return found


def open_inspector(pid: int) -> Inspector:
    """Have the process open its inspector, and connect. Raises Failed; Late after the signal."""
    check(pid)
    before = listening()
    os.kill(pid, signal.SIGUSR1)
    inspector = newly_open(pid, before, time.monotonic() + OPEN_S)
    if not inspector:
        raise Late(before)
    return inspector


def newly_open(pid: int, before: set[tuple[str, int, int]], until: float) -> Inspector | None:
    """Return a session with the inspector that a signal opens, None where it does not in time."""
    while time.monotonic() < until:
        for address, port, _ in listening() - before:
            try:
                inspector = Inspector((address, port))
            except (Failed, OSError, ValueError, IndexError):
                continue
            if inspector.pid == pid:
                inspector.ours = True
                return inspector
            inspector.wire.close()
        time.sleep(0.02)
    return None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Run:
    """All processes that are profiled, at the same time."""

    def __init__(self, seconds: float, hertz: int, pids: list[int]) -> None:
        self._seconds, self._hertz, self._pids = seconds, hertz, pids
        self._open: dict[int, Inspector] = {}
        self._ports: dict[int, int] = {}
        self._late: dict[int, set[tuple[str, int, int]]] = {}
        self._names = {pid: name_of(pid) for pid in pids}
        self.failed = False
        self.stopped = False

    def stop(self, *_: object) -> None:
        self.stopped = True

    def tell(self, pid: int, error: BaseException) -> None:
        self.failed = True
        sys.stderr.write(f"process {pid}: {error}\n")

    def connect(self) -> None:
        """Open what is closed. It is known from the first moment on what is to be closed."""
        self._open = already_on(self._pids)
        left = [pid for pid in self._pids if pid not in self._open]
        for pid in left:
            if self.stopped:
                return
            try:
                self._connect(pid, last=pid == left[-1])
            except (Failed, OSError, ValueError, IndexError) as error:
                self.tell(pid, error)
                if isinstance(error, Late):
                    self._late[pid] = error.before

    def _connect(self, pid: int, *, last: bool) -> None:
        taken = any(port == DEFAULT_PORT for _, port, _ in listening())
        if taken and known_ports(pid) == [DEFAULT_PORT]:
            others = [str(p) for p, each in self._open.items() if each.address[1] == DEFAULT_PORT]
            whose = f" by process {others[0]}, whose inspector is on" if others else ""
            raise Failed(f"port {DEFAULT_PORT}, where its inspector opens, is taken{whose}")
        inspector = self._open[pid] = open_inspector(pid)
        self._ports[pid] = inspector.port
        inspector.light_fuse(self._seconds + FUSE_S)
        if not last:
            inspector.end(free_port())
            del self._open[pid]
            inspector = self._open[pid] = open_inspector(pid)
            inspector.light_fuse(self._seconds + FUSE_S)

    def start(self) -> None:
        """Begin to sample; those that cannot are told and left out."""
        for pid, inspector in list(self._open.items()):
            try:
                inspector.call("Profiler.enable")
                interval = f'{{"interval":{max(1, round(1e6 / self._hertz))}}}'
                inspector.call("Profiler.setSamplingInterval", interval)
                inspector.call("Profiler.start")
            except (Failed, OSError) as error:
                self.tell(pid, error)
                self.close(pid)

    def head(self) -> str:
        versions = sorted({f"node {i.version} (v8 {i.v8})" for i in self._open.values()})
        return "# " + ", ".join(versions)

    def wait(self) -> None:
        """Let the time pass, unless it is asked for less or nobody is left."""
        until = time.monotonic() + self._seconds
        while not self.stopped and self._open and (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select(
                [i.wire for i in self._open.values()], [], [], min(left, 0.5)
            )
            for pid, inspector in list(self._open.items()):
                if inspector.wire in ready:
                    try:
                        inspector.wire.message(time.monotonic() + CALL_S)
                    except (Failed, OSError) as error:
                        self.tell(pid, error)
                        self.close(pid)

    def profiles(self) -> list[tuple[int, bytes]]:
        """Stop all at once; return the profiles by process."""
        asked: list[tuple[int, int]] = []
        found = []
        for pid, inspector in self._open.items():
            try:
                asked.append((pid, inspector.ask("Profiler.stop")))
            except OSError as error:
                self.tell(pid, error)
        until = time.monotonic() + STOP_S
        for pid, number in asked:
            try:
                body = self._open[pid].answer(number, until - time.monotonic())
                found.append((pid, body[len(b'{"profile":') : -1]))
            except (Failed, OSError) as error:
                self.tell(pid, error)
        return found

    def close(self, pid: int) -> None:
        """Leave an inspector as it was."""
        inspector = self._open.pop(pid)
        if inspector.ours:
            inspector.end(self._ports.get(pid, DEFAULT_PORT))
        else:
            inspector.wire.close()

    def close_all(self) -> None:
        for pid in list(self._open):
            self.close(pid)
        # Whoever was busy when it was signalled opens it now, and nobody else would close it.
        until = time.monotonic() + LATE_S
        for pid, before in self._late.items():
            inspector = newly_open(pid, before, until)
            if inspector:
                inspector.end(self._ports.get(pid, inspector.port))
            elif _read(f"/proc/{pid}/status"):
                sys.stderr.write(
                    f"process {pid}: it is still busy; its inspector opens when it is not, and "
                    "stays open: end it with process._debugEnd(), or restart the process\n"
                )

    def named(self, pid: int) -> str:
        return self._names[pid]

    @property
    def any_open(self) -> bool:
        return bool(self._open)


def name_of(pid: int) -> str:
    """Return the command line of a process, as far as it is text of one line."""
    line = _read(f"/proc/{pid}/cmdline").decode("utf-8", "replace").replace("\0", " ")
    line = "".join(c if c.isprintable() else " " for c in line).strip()[:150]
    # Whoever reads it takes 200 bytes, which are fewer letters in some scripts.
    return line.encode()[:200].decode("utf-8", "ignore") or f"node {pid}"


def put(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(seconds: float, hertz: int, pids: list[int]) -> int:
    """Profile, print, and leave everything as it was; return the exit code."""
    run = Run(seconds, hertz, pids)
    signal.signal(signal.SIGINT, run.stop)
    signal.signal(signal.SIGTERM, run.stop)
    profiles: list[tuple[int, bytes]] = []
    try:
        run.connect()
        if run.any_open and not run.stopped:
            put(run.head())
            run.start()
        if run.any_open and not run.stopped:
            put("@@ sampling")
            run.wait()
            profiles = run.profiles()
    finally:
        run.close_all()
    for pid, profile in profiles:
        put(f"@@ file profile-{pid}.cpuprofile {pid} {run.named(pid)}")
        put(base64.encodebytes(profile).decode().rstrip("\n"))
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), [int(each) for each in sys.argv[3:]]))
