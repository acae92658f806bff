"""Tests of the proxy that makes links slow, stalls and cuts them."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from .model import LabHost
from .proxy import RECEIVED, SENT, Proxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_the_proxy_delays_without_limiting_bandwidth(echo: tuple[str, int]) -> None:
    with (
        Proxy(echo, delay_s=0.1) as proxy,
        socket.create_connection((proxy.address, proxy.port)) as client,
    ):
        began = time.monotonic()
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert time.monotonic() - began >= 0.2
        data = bytes(range(256)) * 16384
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            got += client.recv(1 << 20)
        sender.join()
        assert got == data


def test_the_proxy_stalls_resumes_and_drops(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy:
        client = socket.create_connection((proxy.address, proxy.port))
        proxy.stall()
        client.sendall(b"x")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.resume()
        client.settimeout(5)
        assert client.recv(1) == b"x"
        assert proxy.drop() == 1
        assert client.recv(1) == b""
        client.close()
        with socket.create_connection((proxy.address, proxy.port)) as again:
            again.sendall(b"y")
            assert again.recv(1) == b"y"


def test_the_proxy_limits_bandwidth(echo: tuple[str, int]) -> None:
    with (
        Proxy(echo, bytes_per_s=20_000) as proxy,
        socket.create_connection((proxy.address, proxy.port)) as client,
    ):
        began = time.monotonic()
        client.sendall(bytes(10_000))
        got = 0
        while got < 10_000:
            got += len(client.recv(10_000))
        assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("way", [SENT, RECEIVED])
def test_the_proxy_cuts_after_so_many_bytes(way: str, echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy:
        with socket.create_connection((proxy.address, proxy.port)) as client:
            client.sendall(b"before")
            assert client.recv(100) == b"before"
            proxy.cut_after(way, 1000)
            client.sendall(bytes(1500))
            got = b"more"
            total = 0
            while got:
                got = client.recv(4096)
                total += len(got)
            assert total <= 1000
            assert (total == 1000) or way == SENT
        with socket.create_connection((proxy.address, proxy.port)) as again:
            again.sendall(bytes(1500))
            assert again.recv(1)


def test_the_proxy_carries_ssh(host: LabHost) -> None:
    with Proxy((host.address, host.port), delay_s=0.02) as proxy:
        argv = host.ssh_argv("ops", "-o", f"HostKeyAlias=[{host.address}]:{host.port}")
        argv[-1] = f"ops@{proxy.address}"
        argv[argv.index("-p") + 1] = str(proxy.port)
        done = subprocess.run([*argv, "hostname"], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == host.name, done.stderr
