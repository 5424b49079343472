"""A service that takes whatever pytest-reportportal's client sends, and keeps it."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Portal(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.taken: list[bytes] = []


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Portal

    def take(self) -> None:
        """Keeps what came, and says that it is well."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.server.taken.append(self.path.encode() + b"\n" + body)
        answer = json.dumps({"id": str(uuid.uuid4()), "number": 1, "message": "ok", "responses": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = take

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def portal() -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and all that it takes."""
    server = _Portal()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1], server.taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
