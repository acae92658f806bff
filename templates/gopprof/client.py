"""Fetches profiles of Go programs from their own net/http/pprof; runs inside the sidecar.

    python3 -I - EVENT SECONDS PID...

It has the pid and the network namespace of the target. A port is asked only if a process of the
target that is Go has the socket: /proc/PID/fd tells whose a socket is, and the program's file
whether it is Go's. What is sent to a port is a plain GET, and nothing else. Debian's
python3-minimal is enough, which has no http.client.

https://pkg.go.dev/net/http/pprof tells of the requests. When a client closes its half of a
connection, Go cancels the request and still answers: so a CPU profile ends early, and is not lost.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from typing import NamedTuple

ASK_S = 2.0  # for a port to say whether it serves profiles
ANSWER_S = 20.0  # for a profile, beyond its own time
LONGEST_S = 10  # of one CPU profile: of a longer run what was fetched is not lost with the target
MOST_PORTS = 32  # of one process
MOST_FILES = 100_000  # of one process
MOST_INDEX_BYTES = 64 << 10
MOST_PROGRAMS = 16
MOST_BYTES = 16 << 20  # of one profile as it is sent
MOST_UNPACKED_BYTES = 128 << 20
HEAD_BYTES = 64 << 10
DATA_BYTES = 8 << 20
AT_ONCE = ("heap", "goroutine")
COUNTING = {
    "block": "the program has to call runtime.SetBlockProfileRate",
    "mutex": "the program has to call runtime.SetMutexProfileFraction",
}
# The note with the id of a build, which a linker puts at the beginning: it survives stripping.
NOTE = re.compile(rb"\x04\0\0\0.{4}\x04\0\0\0Go\0\0", re.DOTALL)
# In what can be written to, mostly first; since Go 1.18 the version follows, after its length.
BUILT, VERSION_AT = b"\xff Go buildinf:", 32
_VERSION = re.compile(rb"go[0-9][0-9A-Za-z.+-]{1,30}")
INDEX = b"<title>/debug/pprof/</title>"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3} ?[ -~]{0,40})\r?\n")


class Failed(Exception):  # noqa: N818  a sentence for whoever runs it
    """What went wrong, in words."""


class Port(NamedTuple):
    """Where a socket listens: addresses at which to try, and the port."""

    hosts: tuple[str, ...]
    number: int


class Program(NamedTuple):
    """A Go program that serves its profiles at an address."""

    pid: int
    address: tuple[str, int]


class Get:
    """A plain GET, of which the answer is read within limits of time and size."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._socket = socket.create_connection(address, timeout=ASK_S)
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        # Who is asked in the words of 1.0 sends no pieces, and closes when it has said all.
        request = f"GET {path} HTTP/1.0\r\nHost: {host}:{address[1]}\r\n\r\n"
        self._socket.sendall(request.encode())

    def end(self) -> None:
        """Ask for an answer now."""
        with contextlib.suppress(OSError):  # it has been answered
            self._socket.shutdown(socket.SHUT_WR)

    def answer(self, timeout_s: float, most_bytes: int) -> tuple[str, bytes]:
        """Return the status, and the body. Raises Failed."""
        until = time.monotonic() + timeout_s
        said = bytearray()
        try:
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                data = self._socket.recv(1 << 16)
                if not data:
                    break
                said += data
                if len(said) > most_bytes:
                    raise Failed(f"it sends more than {most_bytes >> 10} KiB")
            else:
                raise Failed("it does not answer in time")
        except (socket.timeout, TimeoutError) as error:
            raise Failed("it does not answer in time") from error
        except OSError as error:
            raise Failed(f"the connection breaks: {error.strerror}") from error
        finally:
            self._socket.close()
        head = _STATUS.match(said)
        if not head:
            raise Failed("it speaks no HTTP/1" if said else "it closes the connection")
        body = re.split(rb"\r?\n\r?\n", said, maxsplit=1)[1:]
        return head[1].decode().strip(), bytes(body[0]) if body else b""


def read(path: str) -> bytes:
    """Return a small file, nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4 << 20)
    except OSError:
        return b""


def listening() -> dict[str, Port]:
    """Return where sockets of the network namespace listen, by the name that a link to one has."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in read(f"/proc/net/{name}").decode("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A":
                address, _, port = fields[1].partition(":")
                found[f"socket:[{fields[9]}]"] = Port(hosts(address), int(port, 16))
    return found


def hosts(words: str) -> tuple[str, ...]:
    """Return what to try of an address as /proc/net/tcp has it, in words of the machine's order."""
    raw = b"".join(
        struct.pack("=I", int(words[place : place + 8], 16)) for place in range(0, len(words), 8)
    )
    if any(raw):
        return (socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw),)
    # What listens on all addresses of version 6 mostly does so on those of version 4, too.
    return ("127.0.0.1",) if len(raw) == 4 else ("127.0.0.1", "::1")


def go_version(pid: int) -> str | None:
    """Return the version of a Go program, empty where it does not say, None where it is none."""
    with open(f"/proc/{pid}/exe", "rb") as file:
        head = file.read(HEAD_BYTES)
        data = head
        offset = written(head)
        if offset:
            file.seek(offset)
            data = file.read(DATA_BYTES)
    built = data.find(BUILT)
    if built < 0:
        return "" if NOTE.search(head) else None
    said = data[built + VERSION_AT :][:64]
    version = _VERSION.fullmatch(said[1 : 1 + said[0]]) if said else None
    return version[0].decode() if version else ""


def written(head: bytes) -> int:
    """Return where in an ELF file that begins so the first part is that can be written to."""
    if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64:  # of 64 bits, the lowest byte first
        return 0
    (table,), (size, number) = (
        struct.unpack_from("<Q", head, 32),
        struct.unpack_from("<HH", head, 54),
    )
    for place in range(table, table + size * number, max(size, 56)):
        if place + 56 > len(head):
            break
        kind, flags, offset = struct.unpack_from("<IIQ", head, place)
        if kind == 1 and flags & 2 and offset < 1 << 40:
            return int(offset)
    return 0


def ports_of(pid: int, sockets: dict[str, Port]) -> list[Port]:
    """Return where a process listens. What is taken from ``sockets`` is nobody else's any more."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd")[:MOST_FILES]:
        try:
            port = sockets.pop(os.readlink(f"/proc/{pid}/fd/{name}"), None)
        except OSError:
            continue
        if port:
            found.append(port)
    return sorted(found, key=lambda port: port.number)[:MOST_PORTS]


def ask(port: Port) -> tuple[str, int] | str:
    """Return the address at which a port serves profiles, else what it says."""
    said = ""
    for host in port.hosts:
        try:
            get = Get((host, port.number), "/debug/pprof/")
            status, body = get.answer(ASK_S, MOST_INDEX_BYTES)
        except (Failed, OSError) as error:
            said = said or (str(error) if isinstance(error, Failed) else error.strerror or "")
            continue
        if status.startswith("200") and INDEX in body:
            return host, port.number
        said = "it wants TLS" if b"HTTPS server" in body else status
    return f"port {port.number}: {said}"


def look(pid: int, sockets: dict[str, Port]) -> tuple[Program, str] | str:
    """Return a program that serves profiles, and its version; else why a process is not one."""
    try:
        version = go_version(pid)
        if version is None:
            return ""
        ports = ports_of(pid, sockets)
    except PermissionError:
        return "Permission denied to see what it runs and which ports are its own"
    except OSError:
        return ""  # it has ended
    if not ports:
        return "it is a Go program, and listens at no TCP port of this network"
    said = []
    for port in ports:
        answer = ask(port)
        if not isinstance(answer, str):
            return Program(pid, answer), version
        said.append(answer)
    return (
        "it is a Go program, and serves no profiles at /debug/pprof/ (net/http/pprof): "
        + "; ".join(said)
    )


def checked(status: str, body: bytes) -> bytes:
    """Return the beginning of a profile, unpacked. Raises Failed where it is none, or not whole."""
    if not status.startswith("200"):
        words = "".join(chr(byte) for byte in body[:200] if 32 <= byte < 127)
        raise Failed(f"it answers {status}: {words}")
    stream = zlib.decompressobj(31)
    beginning, size, rest = b"", 0, body
    try:
        while rest and not stream.eof:
            part = stream.decompress(rest, 1 << 20)
            beginning = beginning or part[:HEAD_BYTES]
            size += len(part)
            if size > MOST_UNPACKED_BYTES:
                raise Failed("its profile is too large")
            rest = stream.unconsumed_tail
    except zlib.error as error:
        raise Failed("what it sends is no profile") from error
    if not stream.eof:
        raise Failed("its profile is not whole")
    return beginning


def counts(profile: bytes) -> bool:
    """Tell whether there is a sample in a profile that begins so: a field 2 of the message."""
    place = 0
    while place < len(profile):
        if profile[place] == 0x12:
            return True
        kind, (length, place) = profile[place] & 7, number(profile, place + 1)
        if kind not in (0, 2):
            return True  # pprof has no such field: whoever reads it says so
        place += length if kind == 2 else 0
    return place > len(profile)


def number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of the wire format, and where it ends."""
    found = shift = 0
    while place < len(data) and shift < 64:
        found |= (data[place] & 127) << shift
        place, shift = place + 1, shift + 7
        if not data[place - 1] & 128:
            break
    return found, place


class Run:
    """All programs that are profiled, at the same time."""

    def __init__(self, event: str, seconds: int) -> None:
        self._event, self._seconds = event, seconds
        self._programs: list[Program] = []
        self._lock = threading.Lock()
        self._open: set[Get] = set()
        self.stopped = threading.Event()
        self.failed = False

    def stop(self, *_: object) -> None:
        self.stopped.set()

    def tell(self, pid: int, error: object) -> None:
        sys.stderr.write(f"process {pid}: {error}\n")
        self.failed = True

    def find(self, pids: list[int]) -> None:
        """Look for programs that serve profiles. Where there is none it is told why."""
        sockets, versions, told = listening(), set(), {}
        for pid in pids:
            if self.stopped.is_set():
                return
            if len(self._programs) == MOST_PROGRAMS:
                self.tell(pid, f"it is left out, as all beyond the first {MOST_PROGRAMS} are")
                break
            found = look(pid, sockets)
            if isinstance(found, str):
                told[pid] = found
            else:
                self._programs.append(found[0])
                versions.add(found[1])
        if self._programs:
            put(" ".join(["# net/http/pprof", *sorted(versions)]).rstrip())
            return
        if not any(told.values()):
            sys.stderr.write(f"no Go program is among the processes {pids}\n"[:250])
        for pid, why in told.items():
            if why:
                self.tell(pid, why)
        self.failed = True

    def sample(self) -> None:
        """Fetch the profiles and print them."""
        if not self._programs or self.stopped.is_set():
            return
        if self._event == "cpu":
            put("@@ sampling")
            self._over_time()
            return
        if self._event not in AT_ONCE:
            # What was counted before the run is taken off by whoever reads it.
            self._each("before")
            put("@@ sampling")
            self.stopped.wait(self._seconds)
        else:
            put("@@ sampling")
        self._each(self._event)

    def _each(self, name: str) -> None:
        for program in list(self._programs):
            try:
                get = Get(program.address, f"/debug/pprof/{self._event}")
                self._put(f"{name}-{program.pid}", program, *get.answer(ANSWER_S, MOST_BYTES))
            except (Failed, OSError) as error:
                self.tell(program.pid, error)
                self._programs.remove(program)

    def _over_time(self) -> None:
        threads = [
            threading.Thread(target=self._parts, args=(program,), daemon=True)
            for program in self._programs
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not self.stopped.wait(0.1):
            pass
        with self._lock:
            for get in self._open:
                get.end()
        until = time.monotonic() + ANSWER_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self.failed = True

    def _parts(self, program: Program) -> None:
        """Fetch CPU profiles one after the other: each says what happened in its time."""
        left, longest, part = self._seconds, LONGEST_S, 0
        try:
            while left > 0 and not self.stopped.is_set():
                asked = min(left, longest)
                status, body = self._cpu(program, asked)
                if status.startswith("400") and b"WriteTimeout" in body and asked > 1:
                    longest = asked // 2  # a server may not answer for longer than it was told
                    continue
                part, left = part + 1, left - asked
                self._put(f"cpu-{program.pid}-{part}", program, status, body)
        except (Failed, OSError) as error:
            self.tell(program.pid, error)

    def _cpu(self, program: Program, seconds: int) -> tuple[str, bytes]:
        get = Get(program.address, f"/debug/pprof/profile?seconds={seconds}")
        with self._lock:
            self._open.add(get)
            if self.stopped.is_set():
                get.end()
        try:
            return get.answer(seconds + ANSWER_S, MOST_BYTES)
        finally:
            with self._lock:
                self._open.discard(get)

    def _put(self, name: str, program: Program, status: str, body: bytes) -> None:
        beginning = checked(status, body)
        if self._event in COUNTING and name != f"before-{program.pid}" and not counts(beginning):
            why = COUNTING[self._event]
            self.tell(program.pid, f"Go has counted no waits since it began; {why}")
        text = base64.encodebytes(body).decode().rstrip("\n")
        with self._lock:
            put(f"@@ file {name}.pb.gz {program.pid} {name_of(program.pid)}\n{text}")


def name_of(pid: int) -> str:
    """Return the name of a process, as far as it is plain."""
    name = read(f"/proc/{pid}/comm").decode("ascii", "replace").rstrip("\n")
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:50] or f"pid-{pid}"


def put(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(event: str, seconds: int, pids: list[int]) -> int:
    """Find the programs, fetch their profiles, print them; return the exit code."""
    run = Run(event, seconds)
    signal.signal(signal.SIGINT, run.stop)
    signal.signal(signal.SIGTERM, run.stop)
    run.find(pids)
    run.sample()
    return 1 if run.failed else 0


if __name__ == "__main__":
    code = main(sys.argv[1], int(sys.argv[2]), [int(each) for each in sys.argv[3:]])
    sys.stdout.flush()
    # A thread that still waits for its answer is not waited for.
    os._exit(code)
