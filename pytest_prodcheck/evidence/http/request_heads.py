"""What one exchange puts on the wire: origin, target and head of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.network.transport import bracketed

# Addresses that need no quoting, no IDNA and no dots removed, and that hold no login: they are sent as they are written
# (RFC 3986: unreserved, sub-delims, ":", "@"). All others go through `requests`, which does all that.
_PLAIN = re.compile(
    r"(https?)://([a-z0-9][a-z0-9.-]*|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?"
    r"((?!//)/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?"
)
_PORTS = {"http": 80, "https": 443}
# as `requests` has them, but names in ASCII
_METHOD = re.compile(r"[!-~]+")
_NAME = re.compile(r"[!-9;-~][ -9;-~]*")
_VALUE = re.compile(rb"(?:\S[^\r\n]*)?")
_BODILESS = ("GET", "HEAD")


class Origin(NamedTuple):
    """Whom a connection is for."""

    scheme: str
    host: str  # without the brackets of IPv6
    port: int

    @property
    def header(self) -> bytes:
        """The value of the Host header."""
        host = bracketed(self.host)
        return (host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode("ascii")


@dataclass(frozen=True)
class PreparedRequest:
    """A request that is ready to be sent; header names as declared, values encoded; credentials: of the address."""

    method: str
    url: str
    headers: Mapping[str, bytes]
    body: bytes | None
    origin: Origin
    target: str
    credentials: bytes | None

    def head(self, proxied: bool = False, more: tuple[bytes, ...] = ()) -> bytes:
        """Request line and headers with their empty line. proxied: the whole address, for a proxy; more: lines."""
        place = f"{self.origin.scheme}://{self.origin.header.decode()}" if proxied else ""
        lines = [f"{self.method} {place}{self.target} HTTP/1.1".encode("ascii")]
        names = {name.lower() for name in self.headers}
        if "host" not in names:
            lines.append(b"Host: " + self.origin.header)
        lines += [name.encode("ascii") + b": " + value for name, value in self.headers.items()]
        if self.credentials is not None and "authorization" not in names:
            lines.append(b"Authorization: " + self.credentials)
        if "content-length" not in names and (self.body or self.method not in _BODILESS):
            lines.append(b"Content-Length: %d" % len(self.body or b""))
        return b"\r\n".join([*lines, *more, b"", b""])


def prepare(method: str, url: str, headers: Mapping[str, bytes], body: bytes | None) -> PreparedRequest:
    """A request to an address; raises ValueError for what cannot be sent."""
    if not _METHOD.fullmatch(method):
        raise ValueError(f"{method!r} is not an HTTP method")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid header name")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of the header {name} begins with a space or contains a line break")
    return PreparedRequest(method, url, headers, body, *_origin_and_target(url))


def _origin_and_target(url: str) -> tuple[Origin, str, bytes | None]:
    """Origin, request target, and the credentials that the address holds."""
    found = _PLAIN.fullmatch(url)
    if found is None or "/." in url:
        return _unusual_place(url)
    scheme, host, port, path, query = found.groups()
    target = f"{path or '/'}{query if query and len(query) > 1 else ''}"
    return _origin(scheme, host.strip("[]"), int(port) if port else None), target, None


def _unusual_place(url: str) -> tuple[Origin, str, bytes | None]:
    import requests

    try:
        prepared = requests.Request("GET", url).prepare()
    except requests.RequestException as error:
        raise ValueError(str(error)) from None
    parts = urlsplit(str(prepared.url))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"expected an http or https URL: {parts.scheme}")
    target = requests.adapters.HTTPAdapter().request_url(prepared, {})
    credentials = prepared.headers.get("Authorization")
    origin = _origin(parts.scheme, parts.hostname, parts.port)
    return origin, target, credentials.encode("latin-1") if isinstance(credentials, str) else credentials


def _origin(scheme: str, host: str, port: int | None) -> Origin:
    if port is not None and port > 65535:
        raise ValueError(f"{port} is not a valid port")
    return Origin(scheme, host.rstrip("."), _PORTS[scheme] if port is None else port)


class Received(Protocol):
    """An answer whose head has been read."""

    status: int
    headers: list[tuple[str, str]]
    odd: tuple[str, ...]  # what of its head was read over, for people

    def read(self, size: int) -> bytes:
        """At most so many bytes of the body as it was sent, b"" at its whole end; raises where it is cut off."""

    def close(self) -> None:
        """Gives up what was not read."""


class PeerConnection(Protocol):
    """At most one open connection to the peer; for one exchange at a time."""

    def send(self, prepared: PreparedRequest, timeout: float) -> Received:
        """Sends a request and reads the head of its answer; seconds. Raises whatever the connection raises."""

    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for more of an answer; TimeoutError then."""

    def close(self) -> None:
        """Closes the connection."""
