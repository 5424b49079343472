"""Answers over HTTP/2. A connection has one request at a time, as it has one user: users share no connection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pytest_prodcheck.http2 import Http2
from pytest_prodcheck.load.answer import Content

Fields = tuple[tuple[str, str], ...]


class Http2Answer(Content):
    """An answer on its way, read as `Answer` is."""

    def __init__(self, line: Http2, contains: str, keep: int) -> None:
        super().__init__(contains, keep)
        self._line = line

    @property
    def done(self) -> bool:
        """Whether all of it came."""
        return self._line.ended and self._line.head is not None

    @property
    def begun(self) -> bool:
        """Whether some of it came: frames are of the connection too."""
        return self._line.head is not None

    def get_code(self) -> int:
        """The status, 0 before it came."""
        return int(self._field(":status") or 0)

    def items(self) -> Iterator[tuple[str, str]]:
        """The fields of its head."""
        return (each for each in self._line.head or () if not each[0].startswith(":"))

    def __contains__(self, name: str) -> bool:
        """Whether its head has a field."""
        return any(each == name for each, _ in self._line.head or ())

    def ends_by_closing(self) -> bool:
        """Never: its last frame says so."""
        return False

    def should_close(self) -> bool:
        """Whether the server takes no further request on this connection."""
        return self._line.closing

    def feed(self, data: bytes) -> None:
        """Takes bytes of the connection; raises Http2Error."""
        self._line.receive(data)

    def take(self) -> None:
        """Takes what came of the body; raises BodyError."""
        data = b"".join(self._line.body)
        self._line.body.clear()
        self._feed(data, self._line.ended)

    def _field(self, name: str) -> str:
        return ", ".join(value for each, value in self._line.head or () if each == name)


def ask(line: Http2, raw: bytes) -> bytes:
    """What has to be sent for a request whose bytes are those of HTTP/1.1."""
    method, target, fields, body = _parts(raw)
    line.request(method, "https", target, fields, body)
    return line.out()


@lru_cache(maxsize=256)
def _parts(raw: bytes) -> tuple[str, str, Fields, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return method, target, tuple((name, value.strip()) for name, _, value in pairs), body
