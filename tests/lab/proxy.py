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

_CHUNK = 65536
_IN_FLIGHT = 64 * 1024 * 1024
"""How much a direction holds back before it stops reading: the bandwidth-delay product."""


class Proxy:
    """Listens at a free port of 127.0.0.1 and passes on to a target, both ways.

    ``delay_s`` holds back every byte of either direction for so long without limiting how many
    there are: a round trip takes twice as long as that more. Use it as a context manager.
    """

    def __init__(self, target: tuple[str, int], delay_s: float = 0.0) -> None:
        self.target = target
        self.delay_s = delay_s
        self.accepted = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._closed = False
        self._refusing = False
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
        directions = [_Direction(*way, self.delay_s, self._flowing) for way in ways]
        workers = [work for direction in directions for work in (direction.read, direction.write)]
        threads = [threading.Thread(target=work, daemon=True) for work in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        link.cut()
        with self._lock:
            self._links.discard(link)


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

    def __init__(
        self, source: socket.socket, sink: socket.socket, delay_s: float, flowing: threading.Event
    ) -> None:
        self.source = source
        self.sink = sink
        self.delay_s = delay_s
        self.flowing = flowing
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
                self.pieces.append((time.monotonic() + self.delay_s, piece))
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
            self.flowing.wait()
            if not self._pass_on(piece):
                break
        with self.change:
            self.over = True
            self.change.notify_all()

    def _pass_on(self, piece: bytes) -> bool:
        try:
            if piece:
                self.sink.sendall(piece)
                return True
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            with suppress(OSError):
                self.source.shutdown(socket.SHUT_RD)
        return False


def main() -> int:
    """Serve a proxy until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.proxy", description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    with Proxy((given.host, given.port), given.delay_ms / 1000) as proxy:
        print(proxy.address, proxy.port, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
