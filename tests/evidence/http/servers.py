"""A well-behaved HTTP server that remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, str], bytes]


def read_request(connection: socket.socket) -> bytes:
    """The head of one request."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received


class Web(ThreadingHTTPServer):
    """A well-behaved HTTP/1.1 server that counts connections and remembers requests."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[Seen], Answer], tls: ssl.SSLContext | None, host: str, port: int) -> None:
        self.answer = answer
        self.tls = tls
        self.connections = 0
        self.requests: list[Seen] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break off are part of the tests."""


class Seen:
    """One request as the server saw it."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: bytes, peer_certificate: Any) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.peer_certificate = peer_certificate


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True
    server: Web

    def setup(self) -> None:
        with self.server.lock:
            self.server.connections += 1
        if self.server.tls is not None:
            self.request.settimeout(5)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
            try:
                self.request.do_handshake()
            except OSError:
                self.request.close()
                raise
        super().setup()

    def finish(self) -> None:
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        certificate = self.request.getpeercert() if isinstance(self.request, ssl.SSLSocket) else None
        seen = Seen(self.command, self.path, dict(self.headers), body, certificate)
        with self.server.lock:
            self.server.requests.append(seen)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            status, headers, content = self.server.answer(seen)
        finally:
            with self.server.lock:
                self.server.at_once -= 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = serve

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def web(
    answer: Callable[[Seen], Answer], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Web]:
    """A running `Web`."""
    server = Web(answer, tls, host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def ok(_: Seen) -> Answer:
    """A short JSON answer."""
    return 200, {"Content-Type": "application/json"}, b'{"status": "pass"}'
