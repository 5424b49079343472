"""A connection to a service, direct or through an HTTP proxy: opened where the route says, kept while the peer does.

`requests` and `urllib3` would take most of the processor time of an exchange, and their import that of a hundred: a run
of thousands of endpoints is bound by just that. Answers are read in one place, whichever way they come (`framing.py`).
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.http_heads import UNTIL_CLOSED, body_length, insist_on_one
from pytest_prodcheck.evidence.http.framing import Body, Wire

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.http.opener import Opener
    from pytest_prodcheck.evidence.http.request_heads import Origin, PreparedRequest


class HttpConnection:
    """One connection at a time."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._route = opener.route
        self._socket: Any = None  # a socket, or urllib3's TLS within TLS
        self._wire: Wire | None = None
        self._origin: Origin | None = None
        self._timeout = 0.0  # seconds, of the socket

    def send(self, prepared: PreparedRequest, timeout: float) -> HttpAnswer:
        """Sends a request and reads the head of its answer, over the open connection if it is still good."""
        if self._socket is not None and (prepared.origin != self._origin or _dropped(self._socket)):
            self.close()
        route = self._route
        if self._socket is None:
            self._socket = self._opener.open(prepared.origin, timeout)
            self._origin, self._timeout = prepared.origin, 0.0
            self._wire = Wire(self._socket)
        else:
            route.guard_again()
        sock = self._socket
        if not 0.99 * self._timeout <= timeout <= self._timeout:  # a call into the kernel; the guard is what ends it
            sock.settimeout(timeout)
            self._timeout = timeout
        route.sent, route.sent_at = True, time.monotonic()
        proxy = self._opener.proxy if prepared.origin.scheme == "http" else None
        try:
            sock.sendall(prepared.head(proxied=True, more=proxy.credentials) if proxy else prepared.head())
            if prepared.body:
                sock.sendall(prepared.body)
        except BrokenPipeError:  # a peer that does not want the rest may have answered all the same
            pass
        assert self._wire is not None
        return HttpAnswer(self, self._wire, prepared.method)

    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for more of an answer; TimeoutError then."""
        if self._socket is not None:
            self._socket.settimeout(seconds)
            self._timeout = seconds

    def close(self) -> None:
        """Closes the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = self._wire = None
            self._route.release()


class HttpAnswer:
    """An answer whose head has been read and is whole."""

    def __init__(self, line: HttpConnection, wire: Wire, method: str) -> None:
        head = wire.head()
        insist_on_one(head.fields)
        length = body_length(head, method)
        self._line = line
        self._body = Body(wire, length)
        self.status = head.status
        self.headers = list(head.fields)
        self.odd = head.odd
        kept = "keep-alive" in head.values("connection") if head.version < (1, 1) else True
        # after HEAD too: some servers (Tomcat's login page) send a body, which would begin the next answer
        self._ends = length == UNTIL_CLOSED or method == "HEAD" or head.status == 101 or not kept
        self._ends = self._ends or "close" in head.values("connection")

    def read(self, size: int) -> bytes:
        """At most so many bytes of the body, b"" at its end; raises CutAnswer where that comes too early."""
        data = self._body.read(size)
        if not data and self._ends:
            self._line.close()
        return data

    def close(self) -> None:
        """Gives up what was not read."""
        self._line.close()


def _dropped(sock: Any) -> bool:
    """Whether the peer has closed a connection that nothing is under way on, or sent what nobody asked for."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
