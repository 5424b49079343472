"""A connection to a service, direct or through an HTTP proxy: opened where the route says, kept while the peer does.

`requests` and `urllib3` would take most of the processor time of an exchange, and their import that of a hundred: a run
of thousands of endpoints is bound by just that. Answers are read in one place, whichever way they come (`framing.py`).
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.evidence.http.framing import UNTIL_CLOSED, Body, Wire, body_length
from pytest_prodcheck.evidence.http.request_heads import Origin
from pytest_prodcheck.evidence.network.http_heads import NotHttp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pytest_prodcheck.evidence.http.request_heads import Prepared
    from pytest_prodcheck.evidence.network.transport import Route


class HttpConnection:
    """One connection at a time. proxy: the address of an HTTP proxy, None for a direct connection."""

    def __init__(self, route: Route, tls: Callable[[], ssl.SSLContext], proxy: str | None = None) -> None:
        self._route = route
        self._tls = tls
        self._proxy = _Proxy(proxy) if proxy else None
        self._socket: Any = None  # a socket, or urllib3's TLS within TLS
        self._wire: Wire | None = None
        self._origin: Origin | None = None
        self._timeout = 0.0  # seconds, of the socket

    def send(self, prepared: Prepared, timeout: float) -> HttpAnswer:
        """Sends a request and reads the head of its answer, over the open connection if it is still good."""
        if self._socket is not None and (prepared.origin != self._origin or _dropped(self._socket)):
            self.close()
        route = self._route
        if self._socket is None:
            self._socket, self._origin, self._timeout = self._open(prepared.origin, timeout), prepared.origin, 0.0
            self._wire = Wire(self._socket)
        else:
            route.guard_again()
        sock = self._socket
        if not 0.99 * self._timeout <= timeout <= self._timeout:  # a call into the kernel; the guard is what ends it
            sock.settimeout(timeout)
            self._timeout = timeout
        route.sent, route.sent_at = True, time.monotonic()
        proxy = self._proxy if prepared.origin.scheme == "http" else None
        try:
            sock.sendall(prepared.head(proxied=True, more=proxy.credentials) if proxy else prepared.head())
            if prepared.body:
                sock.sendall(prepared.body)
        except BrokenPipeError:  # a peer that does not want the rest may have answered all the same
            pass
        assert self._wire is not None
        return HttpAnswer(self, self._wire, prepared.method)

    def _open(self, origin: Origin, timeout: float) -> Any:
        if self._proxy is not None:
            return self._open_through(self._proxy, origin, timeout)
        sock = self._route.open(origin.host, origin.port)
        return sock if origin.scheme == "http" else self._encrypted(sock, origin.host)

    def _open_through(self, proxy: _Proxy, origin: Origin, timeout: float) -> Any:
        sock: Any = self._route.open(proxy.origin.host, proxy.origin.port)
        if proxy.origin.scheme == "https":
            sock = self._encrypted(sock, proxy.origin.host)
        if origin.scheme == "http":
            return sock
        try:
            sock.settimeout(timeout)
            proxy.tunnel(sock, origin)
        except BaseException:
            self._give_up(sock)
            raise
        return self._encrypted(sock, origin.host)

    def _encrypted(self, sock: Any, name: str) -> Any:
        try:
            if isinstance(sock, socket.socket) and not hasattr(sock, "getpeercert"):
                return self._tls().wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
            from urllib3.util.ssltransport import SSLTransport  # TLS within the TLS of a proxy

            return SSLTransport(sock, self._tls(), name, suppress_ragged_eofs=False)
        except BaseException:
            self._give_up(sock)
            raise

    def _give_up(self, sock: Any) -> None:
        sock.close()
        self._route.release()

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


class _Proxy:
    """An HTTP proxy, with the credentials that its address holds."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        default = 443 if parts.scheme == "https" else 80
        self.origin = Origin(parts.scheme, str(parts.hostname), parts.port or default)
        self.credentials: tuple[bytes, ...] = ()
        if parts.username is not None:
            from base64 import b64encode

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self.credentials = (b"Proxy-Authorization: Basic " + b64encode(pair),)

    def tunnel(self, sock: Any, origin: Origin) -> None:
        """Has the proxy connect to an origin; raises NotHttp where it does not."""
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        where = f"{host}:{origin.port}".encode("ascii")
        head = [b"CONNECT " + where + b" HTTP/1.1", b"Host: " + where, *self.credentials]
        sock.sendall(b"\r\n".join([*head, b"", b""]))
        status = Wire(sock).head().status
        if not 200 <= status < 300:
            raise NotHttp(f"the proxy {self.origin.host}:{self.origin.port} answered CONNECT with {status}")


def _dropped(sock: Any) -> bool:
    """Whether the peer has closed a connection that nothing is under way on, or sent what nobody asked for."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
