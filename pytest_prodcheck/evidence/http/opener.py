"""Connections to where a service is, direct or through an HTTP proxy, encrypted where its address says so."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.answers.http_heads import NotHttp
from pytest_prodcheck.evidence.http.framing import Wire
from pytest_prodcheck.evidence.http.request_heads import Origin
from pytest_prodcheck.evidence.network.transport import address_text

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pytest_prodcheck.evidence.network.transport import Route

    Context = Callable[[], ssl.SSLContext]


class Opener:
    """Opens connections of one route.

    proxy: the address of an HTTP proxy, None for direct connections. tls: with the service; to_proxy: with the proxy,
    the same where left out.
    """

    def __init__(self, route: Route, tls: Context, proxy: str | None = None, to_proxy: Context | None = None) -> None:
        self.route = route
        self._to_proxy = to_proxy or tls
        self.proxy = _Proxy(proxy) if proxy else None
        self._tls = tls

    def open(self, origin: Origin, timeout: float) -> Any:
        """A socket, or urllib3's TLS within TLS, for requests to an origin; raises what connecting and TLS raise."""
        if self.proxy is not None:
            return self._open_through(self.proxy, origin, timeout)
        sock = self.route.open(origin.host, origin.port)
        return sock if origin.scheme == "http" else self._encrypted(sock, origin.host, self._tls)

    def _open_through(self, proxy: _Proxy, origin: Origin, timeout: float) -> Any:
        sock: Any = self.route.open(proxy.origin.host, proxy.origin.port)
        if proxy.origin.scheme == "https":
            sock = self._encrypted(sock, proxy.origin.host, self._to_proxy)
        if origin.scheme == "http":
            return sock
        try:
            sock.settimeout(timeout)
            proxy.tunnel(sock, origin)
        except BaseException:
            self._give_up(sock)
            raise
        return self._encrypted(sock, origin.host, self._tls)

    def _encrypted(self, sock: Any, name: str, tls: Context) -> Any:
        try:
            if isinstance(sock, socket.socket) and not hasattr(sock, "getpeercert"):
                return tls().wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
            from urllib3.util.ssltransport import SSLTransport  # TLS within the TLS of a proxy

            return SSLTransport(sock, tls(), name, suppress_ragged_eofs=False)
        except BaseException:
            self._give_up(sock)
            raise

    def _give_up(self, sock: Any) -> None:
        sock.close()
        self.route.release()


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
        where = address_text(origin.host, origin.port).encode("ascii")
        head = [b"CONNECT " + where + b" HTTP/1.1", b"Host: " + where, *self.credentials]
        sock.sendall(b"\r\n".join([*head, b"", b""]))
        status = Wire(sock).head().status
        if not 200 <= status < 300:
            raise NotHttp(f"the proxy {self.origin.host}:{self.origin.port} answered CONNECT with {status}")
