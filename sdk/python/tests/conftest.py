"""Shared by the tests: a web server that records requests, and a canary that must not leak."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CANARY = "canary-5f1d0c7e"


@dataclass
class Recorder:
    """A web server on loopback, with the paths and headers of its requests."""

    url: str = ""
    body: bytes = b"{}"
    kind: str = "application/json"
    requests: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    noted = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            noted.requests.append({":path": self.path} | {name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("content-type", noted.kind)
            self.send_header("content-length", str(len(noted.body)))
            self.end_headers()
            self.wfile.write(noted.body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield noted
    server.shutdown()
    server.server_close()
