"""A TCP proxy that makes a link slow, cuts it or stalls it.

``python -m tests.lab.proxy --delay-ms 50 HOST PORT`` prints ``ADDRESS PORT`` and serves.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

SENT, RECEIVED = "sent", "received"
"""The directions, as the one sees them that connects."""

_CHUNK = 65536
_IN_FLIGHT = 64 * 1024 * 1024
"""How much a direction holds back before it stops reading: the bandwidth-delay product."""


class Proxy:
    """Listens at a free port of 127.0.0.1 and passes on to a target, both ways.

    ``delay_s`` holds back every byte of either direction for so long without limiting how many
    there are: a round trip takes twice as long as that more. ``bytes_per_s`` limits each direction
    of each connection. Use it as a context manager.
    """

    def __init__(
        self, target: tuple[str, int], delay_s: float = 0.0, bytes_per_s: float | None = None
    ) -> None:
        self.target = target
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s
        self.accepted = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._closed = False
        self._refusing = False
        self._allowed: dict[str, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def drop(self, *, refuse: bool = False) -> int:
        """Cut all connections now; give how many. With ``refuse``, cut every later one as well."""
        self._refusing = refuse
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()
        return len(links)

    def cut_after(self, way: str, count: int) -> None:
        """Cut all connections when ``count`` more bytes have passed in a direction.

        ``way`` is ``sent`` (to the host) or ``received``. Connections made later are let through.
        """
        assert way in (SENT, RECEIVED)
        with self._lock:
            self._allowed[way] = count

    def stall(self) -> None:
        """Let nothing through, in either direction, while connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a stall: what was held back goes on its way. Ends a refusal as well."""
        self._refusing = False
        self._flowing.set()

    def close(self) -> None:
        """Stop listening and cut all connections."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._flowing.set()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refusing:
                client.close()
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        link = _Link(client, server)
        with self._lock:
            self._links.add(link)
        if self._closed or self._refusing:
            link.cut()
        ways = ((client, server), (server, client))
        directions = [
            _Direction(*way, self, name) for way, name in zip(ways, (SENT, RECEIVED), strict=True)
        ]
        workers = [work for direction in directions for work in (direction.read, direction.write)]
        threads = [threading.Thread(target=work, daemon=True) for work in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        link.cut()
        with self._lock:
            self._links.discard(link)

    def let_through(self, way: str, piece: bytes) -> bytes:
        """Give what may pass of a piece, once it may: not during a stall."""
        self._flowing.wait()
        with self._lock:
            if way not in self._allowed:
                return piece
            passing = piece[: self._allowed[way]]
            self._allowed[way] -= len(passing)
            return passing

    def passed(self, way: str) -> None:
        """Note that what was let through has been sent: a cut may be due."""
        with self._lock:
            due = self._allowed.get(way) == 0
            if due:
                del self._allowed[way]
        if due:
            self.drop()


class _Link:
    """The two sockets of a connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = (client, server)
        for end in self.sockets:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cut(self) -> None:
        for end in self.sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Direction:
    """A queue of timed pieces from one socket to the other; an empty piece is its end."""

    def __init__(self, source: socket.socket, sink: socket.socket, proxy: Proxy, way: str) -> None:
        self.source = source
        self.sink = sink
        self.proxy = proxy
        self.way = way
        self.pieces: deque[tuple[float, bytes]] = deque()
        self.held = 0
        self.over = False
        self.change = threading.Condition()

    def read(self) -> None:
        piece = b"more"
        while piece and not self.over:
            try:
                piece = self.source.recv(_CHUNK)
            except OSError:
                piece = b""
            with self.change:
                self.change.wait_for(lambda: self.held < _IN_FLIGHT or self.over)
                self.pieces.append((time.monotonic() + self.proxy.delay_s, piece))
                self.held += len(piece)
                self.change.notify_all()

    def write(self) -> None:
        while True:
            with self.change:
                self.change.wait_for(lambda: bool(self.pieces))
                due, piece = self.pieces.popleft()
                self.held -= len(piece)
                self.change.notify_all()
            time.sleep(max(0.0, due - time.monotonic()))
            if not self._pass_on(piece):
                break
        with self.change:
            self.over = True
            self.change.notify_all()

    def _pass_on(self, piece: bytes) -> bool:
        rate = self.proxy.bytes_per_s
        # In steps of a twentieth of a second, so that a slow link is slow evenly.
        step = max(1, round(rate / 20)) if rate else len(piece)
        try:
            if piece:
                for start in range(0, len(piece), step):
                    part = piece[start : start + step]
                    if rate:
                        time.sleep(len(part) / rate)
                    self.sink.sendall(self.proxy.let_through(self.way, part))
                    self.proxy.passed(self.way)
                return True
            self.proxy.let_through(self.way, b"")
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            with suppress(OSError):
                self.source.shutdown(socket.SHUT_RD)
        return False


def main() -> int:
    """Serve a proxy until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.proxy", description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--bytes-per-s", type=float)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    target = (given.host, given.port)
    with Proxy(target, given.delay_ms / 1000, given.bytes_per_s) as proxy:
        print(proxy.address, proxy.port, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
