"""A small HTTP/1.1 server (keep-alive, optional TLS) that hands requests to one function."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.shop.http2_server import PROTOCOLS, chose_http2
from pytest_prodcheck.demo.shop.http2_server import serve as serve_http2

MAX_BODY = 65_536  # bytes


@dataclass(frozen=True)
class Request:
    """One request; `backend` is the number of the server that got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    backend: int = 0
    query: str = ""
    http2: bool = False

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return json.loads(self.body)


@dataclass
class Response:
    """One answer. Faults may announce a wrong length (`length`), cut or reset the connection, or send it in chunks.

    more: header fields that are sent besides `headers`, after them, also such as are there already.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    cut: bool = False
    reset: bool = False
    chunked: bool = False
    more: list[tuple[str, str]] = field(default_factory=list)


def json_response(status: int, document: object, content_type: str = "application/json") -> Response:
    """An answer with a JSON document."""
    return Response(status, json.dumps(document).encode() + b"\n", {"Content-Type": content_type})


def text_response(status: int, text: str, content_type: str) -> Response:
    """An answer with text in UTF-8."""
    return Response(status, text.encode(), {"Content-Type": f"{content_type}; charset=utf-8"})


Answer = Callable[[Request], Response]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 75  # seconds that an idle connection is kept
    disable_nagle_algorithm = True
    server: HttpServer

    def setup(self) -> None:
        if self.server.tls:
            self.request.settimeout(10)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            self.server.open.add(self.request)
        super().setup()

    def finish(self) -> None:
        """Says goodbye in TLS before the connection is closed."""
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.server.open.discard(self.request)
            with contextlib.suppress(OSError, ValueError):
                self.request.settimeout(0.2)
                self.request.unwrap()
            self.request.close()

    def handle(self) -> None:
        """Serves in the protocol that was chosen by ALPN."""
        if chose_http2(self.request):
            serve_http2(self.request, self._over_http2)
        else:
            super().handle()

    def _over_http2(
        self, method: str, target: str, head: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        path, _, query = target.partition("?")
        headers = {name: value for name, value in head.items() if not name.startswith(":")}
        headers["host"] = head.get(":authority", "")
        response = self._answer(Request(method, path, headers, body, self.server.number, query, http2=True))
        if response.reset or response.cut:
            return None
        fields = [("Date", formatdate(usegmt=True)), *response.headers.items(), *response.more]
        if response.status >= 200 and response.status not in (204, 304):
            fields.append(("Content-Length", str(len(response.body) if response.length is None else response.length)))
        return response.status, fields, b"" if method == "HEAD" else response.body

    def serve(self) -> None:
        """Reads the body, asks for the answer, sends it in one piece."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if self.headers.get("Transfer-Encoding") or length < 0:
            self.close_connection = True
            return self._send(problem(411 if length == 0 else 400))
        if length > MAX_BODY:
            self.rfile.read(min(length, 16 * MAX_BODY))  # so that the client gets to read the answer
            self.close_connection = True
            return self._send(problem(413))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        with self.server.at_work():
            self._send(self._answer(Request(self.command, path, headers, body, self.server.number, query)))

    def _answer(self, request: Request) -> Response:
        try:
            return self.server.answer(request)
        except Exception as error:
            self.log_error("%s %s: %r", request.method, request.path, error)
            return self.server.error(500)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = serve

    def _send(self, response: Response) -> None:
        if response.reset:
            self.close_connection = True
            reset(self.connection)
            return
        body = response.body
        headers = {"Date": formatdate(usegmt=True), **response.headers}
        if response.chunked:
            headers["Transfer-Encoding"] = "chunked"
            parts = [part for part in (body[:7], body[7:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
        elif response.status >= 200 and response.status not in (204, 304):
            headers["Content-Length"] = str(len(body) if response.length is None else response.length)
        if response.cut or self.close_connection or self.server.draining:
            self.close_connection = True
            headers["Connection"] = "close"
        phrase = HTTPStatus(response.status).phrase
        fields = (f"{name}: {value}" for name, value in (*headers.items(), *response.more))
        lines = [f"HTTP/1.1 {response.status} {phrase}", *fields]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library answers with an HTML page gets the shop's own form."""
        self.close_connection = True
        self._send(self.server.error(code))

    def log_message(self, format: str, *args: Any) -> None:
        """Only errors are logged, by log_error."""

    def log_error(self, format: str, *args: Any) -> None:
        if "timed out" not in format:
            logging.getLogger(__package__).warning("backend %s: %s", self.server.number, format % args)


def problem(status: int) -> Response:
    """A plain problem document (RFC 9457)."""
    document = {"title": HTTPStatus(status).phrase, "status": status}
    return json_response(status, document, "application/problem+json")


class HttpServer(http.server.ThreadingHTTPServer):
    """One server, a thread for each connection; `close_now` also ends the open connections."""

    request_queue_size = 256

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None, number: int = 0) -> None:
        self.answer, self.tls, self.number = answer, tls, number
        self.error: Callable[[int], Response] = problem
        self.draining = False
        self._lock = threading.Lock()
        self.busy = 0  # requests being answered
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Binds without asking a name server for our own name, as the standard library does."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Notes the connection."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forgets the connection."""
        self.open.discard(request)
        super().shutdown_request(request)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts a request that is being answered."""
        with self._lock:
            self.busy += 1
        try:
            yield
        finally:
            with self._lock:
                self.busy -= 1

    def close_now(self) -> None:
        """Stops listening and resets the open connections."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)

    def drain(self, seconds: float = 2.0) -> None:
        """Answers what was asked, asks clients to close, then stops; connections still open afterwards are closed."""
        self.draining = True
        time.sleep(0.05)  # what the balancer has just connected is still accepted
        self.shutdown()
        self.server_close()
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            time.sleep(0.01)
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break off are no error of ours."""


def reset(connection: socket.socket) -> None:
    """Closes a connection by RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


def tls_context(folder: Path, name: str = "shop") -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with forward secrecy only, and the certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(PROTOCOLS)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context
