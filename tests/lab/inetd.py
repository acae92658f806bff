"""Accepts connections on the real machine and starts ``sshd -i`` for each inside a host.

Run as a file with the anchor's pid and one argument a listener: ``FD:CONFIG:NETWORK``, where
FD is a listening socket that was handed down, CONFIG a path inside the host, and NETWORK
``host`` or ``machine``.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def sshd_argv(anchor: int, config: str, network: str) -> list[str]:
    """Give the command line of the sshd of one connection."""
    spaces = ["-m", "-u", *(["-n"] if network == "host" else [])]
    return ["nsenter", "-t", str(anchor), *spaces, "--", "/usr/sbin/sshd", "-i", "-e", "-f", config]


def serve(anchor: int, listeners: list[tuple[socket.socket, str, str]]) -> None:
    """Accept for ever."""
    selector = selectors.DefaultSelector()
    for listener, config, network in listeners:
        selector.register(listener, selectors.EVENT_READ, sshd_argv(anchor, config, network))
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            try:
                connection, _ = key.fileobj.accept()
            except OSError:
                continue
            with connection:
                start(key.data, connection)


def start(argv: list[str], connection: socket.socket) -> None:
    """Start a program in a session of its own with the connection as its stdin and stdout."""
    fd = connection.fileno()
    actions = [(os.POSIX_SPAWN_DUP2, fd, 0), (os.POSIX_SPAWN_DUP2, fd, 1)]
    os.posix_spawnp(argv[0], argv, {"PATH": PATH}, file_actions=actions, setsid=True)


def reap(*_: object) -> None:
    """Collect the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    """Serve the listeners named on the command line."""
    signal.signal(signal.SIGCHLD, reap)
    listeners = []
    for word in sys.argv[2:]:
        fd, config, network = word.split(":")
        listeners.append((socket.socket(fileno=int(fd)), config, network))
    serve(int(sys.argv[1]), listeners)


if __name__ == "__main__":
    main()
