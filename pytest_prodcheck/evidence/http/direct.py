"""A connection without a proxy: sockets, and `http.client` for what comes back.

`requests` and `urllib3` would take most of the processor time of an exchange, and their import that of a hundred: a run
of thousands of endpoints is bound by just that. Where a proxy is declared they are used (`proxied.py`).
"""

from __future__ import annotations

import http.client
import select
import socket
import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.network.http_heads import WholeHeadResponse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pytest_prodcheck.evidence.http.request_heads import Origin, Prepared
    from pytest_prodcheck.evidence.network.transport import Route


class DirectLine:
    """One connection at a time, opened where the route says, kept open while the peer does."""

    def __init__(self, route: Route, tls: Callable[[], ssl.SSLContext]) -> None:
        self._route = route
        self._tls = tls
        self._socket: socket.socket | None = None
        self._origin: Origin | None = None
        self._timeout = 0.0  # seconds, of the socket

    def send(self, prepared: Prepared, timeout: float) -> DirectAnswer:
        """Sends a request and reads the head of its answer, over the open connection if it is still good."""
        if self._socket is not None and (prepared.origin != self._origin or _dropped(self._socket)):
            self.close()
        route = self._route
        if self._socket is None:
            self._socket, self._origin, self._timeout = self._open(prepared.origin), prepared.origin, 0.0
        else:
            route.guard_again()
        sock = self._socket
        if not 0.99 * self._timeout <= timeout <= self._timeout:  # a call into the kernel; the guard is what ends it
            sock.settimeout(timeout)
            self._timeout = timeout
        route.sent, route.sent_at = True, time.monotonic()
        try:
            sock.sendall(prepared.head())
            if prepared.body:
                sock.sendall(prepared.body)
        except BrokenPipeError:  # a peer that does not want the rest may have answered all the same
            pass
        answer = DirectAnswer(sock, prepared.method)
        if answer.ends_connection:  # what is still to be read has a hold on the socket of its own
            self.close()
        return answer

    def _open(self, origin: Origin) -> socket.socket:
        sock = self._route.open(origin.host, origin.port)
        if origin.scheme == "http":
            return sock
        try:
            return self._tls().wrap_socket(sock, server_hostname=origin.host)
        except BaseException:
            sock.close()
            self._route.release()
            raise

    def close(self) -> None:
        """Closes the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._route.release()


class DirectAnswer:
    """An answer whose head has been read and is whole."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        self._response = response = WholeHeadResponse(sock, method=method)
        try:
            response.begin()
            _check_length(response, method)
        except BaseException:
            response.close()
            raise
        self.status = response.status
        self.headers = list(response.headers.items())
        self.ends_connection = response.will_close

    def read(self, size: int) -> bytes:
        """At most so many bytes of the body; raises IncompleteRead where it ends before the length that was told."""
        data = self._response.read(size)
        if not data and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return data

    def close(self) -> None:
        """Gives up what was not read."""
        self._response.close()


def _check_length(response: WholeHeadResponse, method: str) -> None:
    """Refuses lengths that contradict each other: the end of such a body is anybody's guess (RFC 9112, 6.3)."""
    told = response.headers.get_all("content-length") or ()
    if not told or response.chunked or method == "HEAD" or response.status in (204, 304):
        return
    lengths = {each.strip() for value in told for each in value.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise http.client.HTTPException("contradictory or unreadable Content-Length")
    response.length = int(length)


def _dropped(sock: socket.socket) -> bool:
    """Whether the peer has closed a connection that nothing is under way on, or sent what nobody asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
