"""A way to the web for a host that has none: a proxy here, and an index of wheels that lie here."""

from __future__ import annotations

import http.client
import shutil
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PASSED_ON = ("Content-Length", "Content-Type", "Last-Modified", "Accept-Ranges", "Content-Range")


@contextmanager
def web_proxy(wheels: Path) -> Iterator[int]:
    """Serve as a proxy for HTTP, and as the index ``/simple`` of some wheels; give the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            if url.hostname in (None, "127.0.0.1"):
                self._serve(url.path)
            else:
                self._pass_on(url)

        def _serve(self, path: str) -> None:
            name = path.strip("/").rpartition("/")[2]
            if path.startswith("/simple/"):
                found = sorted(wheels.glob(f"{name.replace('-', '_')}-*.whl"))
                links = "".join(f'<a href="/files/{f.name}">{f.name}</a>' for f in found)
                self._answer("text/html", f"<!DOCTYPE html><html><body>{links}".encode())
            else:
                self._answer("application/octet-stream", (wheels / name).read_bytes())

        def _answer(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _pass_on(self, url: urllib.parse.SplitResult) -> None:
            assert url.hostname
            there = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=60)
            there.request("GET", url.path, headers={"Host": url.hostname})
            answer = there.getresponse()
            self.send_response(answer.status)
            for name in _PASSED_ON:
                if value := answer.getheader(name):
                    self.send_header(name, value)
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)
            there.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
