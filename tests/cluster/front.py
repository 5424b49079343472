"""A plain HTTP front of the real API server that can misbehave: 429, 410, 500, hang, cut, forget a page, go away."""

from __future__ import annotations

import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.cluster.control_plane import ControlPlane


class Front(ThreadingHTTPServer):
    """Passes requests on; `trouble` says what becomes of the next ones whose path holds `where`.

    trouble: a list of "429", "410", "500", "hang", "cut", "reset", "garbage", "balancer" (its own 502), used up one by
    one; `asked` counts what came. loses: words of paths; of the first write to each the answer is lost.
    """

    daemon_threads = True

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plane = plane
        self.trouble: list[str] = []
        self.where = ""
        self.asked: list[str] = []
        self.limit = 0  # objects a page, instead of what was asked for
        self.loses: list[str] = []
        self.is_away = False

    def go_away(self, seconds: float) -> None:
        """Refuses connections for so long, and breaks those that are there; comes back in a thread of its own."""
        self.is_away = True
        self.shutdown()
        self.socket.close()

        def come_back() -> None:
            time.sleep(seconds)
            self.socket = socket.create_server(self.server_address[:2])
            self.is_away = False
            self.serve_forever(0.05)

        threading.Thread(target=come_back, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        front = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        front.asked.append(self.path)
        if front.is_away:
            return self._reset()
        if front.trouble and front.where in self.path and self._misbehave(front.trouble.pop(0)):
            return
        path = self.path
        if front.limit:
            path = path.replace("limit=500", f"limit={front.limit}")
        headers = {name: value for name, value in self.headers.items() if name in ("Authorization", "Content-Type")}
        request = urllib.request.Request(f"{front.plane.url}{path}", body, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=20, context=front.plane.trust) as answer:
                content = answer.read()
                lost = next((word for word in front.loses if word in self.path and self.command != "GET"), None)
                if lost is not None:
                    front.loses.remove(lost)
                    return self._reset()
                self._answer(answer.status, content)
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    do_GET = do_POST = do_PATCH = _pass

    def _misbehave(self, how: str) -> bool:
        if how == "ok":
            return False
        if how == "hang":
            time.sleep(30)
        elif how == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{")
            self.close_connection = True
        elif how == "reset":
            self._reset()
        elif how == "garbage":
            self._answer(200, b"<html>sign in</html>")
        elif how == "balancer":
            self._answer(502, b"<html>bad gateway</html>")
        else:
            self._answer(int(how), b'{"kind": "Status", "message": "set by the test"}', how == "429")
        return True

    def _reset(self) -> None:
        """The client sees a connection that was reset, not one that was closed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True

    def _answer(self, status: int, content: bytes, retry: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def front(plane: ControlPlane) -> Iterator[Front]:
    """A front that answers."""
    server = Front(plane)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
