"""Where the body of an answer ends (RFC 9112, 6 and 7), and its bytes without the chunks around them."""

from __future__ import annotations

import re
import ssl
from typing import Protocol

from pytest_prodcheck.answers.http_heads import (
    CHUNKED,
    MOST_HEAD,
    UNTIL_CLOSED,
    CutAnswer,
    Head,
    LargeHead,
    NotHttp,
    end_of_head,
    parse_head,
)

_PIECE = 65_536  # bytes received at once
_LINE = 4096  # bytes of the line before a chunk, its extensions included
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class Receives(Protocol):
    """A socket, with or without TLS."""

    def recv(self, size: int, /) -> bytes:
        """Some bytes, none at the end."""


class Wire:
    """What comes over a connection, with what was received beyond the part that was asked for."""

    def __init__(self, sock: Receives) -> None:
        self._sock = sock
        self._data = bytearray()

    def more(self) -> bool:
        """Receives more; False at the end of the connection, raises CutAnswer where TLS ends without its farewell."""
        try:
            piece = self._sock.recv(_PIECE)
        except ssl.SSLEOFError:
            raise CutAnswer("was cut off: TLS ended without close_notify, so data may be missing") from None
        self._data += piece
        return bool(piece)

    def head(self) -> Head:
        """The final head; interim ones are read past. Raises CutAnswer, NotHttp, LargeHead."""
        spent = seen = 0
        odd: list[str] = []
        while True:
            while bytes(self._data[:1]) in (b"\r", b"\n"):  # empty lines behind the answer before
                del self._data[:1]
            if not b"HTTP/".startswith(bytes(self._data[:5])):
                raise NotHttp(f"it begins with {bytes(self._data[:40])!r}")
            end = end_of_head(self._data, seen)
            if spent + (end if end >= 0 else len(self._data)) > MOST_HEAD:
                raise LargeHead(f"its headers are larger than {MOST_HEAD} bytes")
            if end < 0:
                seen = len(self._data)
                if not self.more():
                    raise CutAnswer("was cut off in its headers" if self._data else "")
                continue
            head = parse_head(bytes(self._data[:end]))
            del self._data[:end]
            if not head.interim:
                return head if not odd else Head(head.version, head.status, head.fields, (*odd, *head.odd))
            odd += head.odd
            spent, seen = spent + end, 0

    def some(self, size: int) -> bytes:
        """At most so many bytes, none at the end of the connection."""
        if not self._data and not self.more():
            return b""
        piece = bytes(self._data[:size])
        del self._data[:size]
        return piece

    def line(self) -> bytes:
        """One line without its end; raises CutAnswer, NotHttp where it is too long."""
        seen = 0
        while (end := self._data.find(b"\n", seen)) < 0:
            seen = len(self._data)
            if seen > _LINE:
                raise NotHttp("a line between its chunks is too long")
            if not self.more():
                raise CutAnswer("was cut off in its body")
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line


class Body:
    """The bytes of one body."""

    def __init__(self, wire: Wire, length: int) -> None:
        self._wire = wire
        self._chunked = length == CHUNKED
        self._left = 0 if self._chunked else length  # of the body or the chunk; UNTIL_CLOSED
        self._first = True
        self._ended = False

    def read(self, size: int) -> bytes:
        """At most so many bytes, b"" at the whole end; raises CutAnswer where it ends too early, NotHttp."""
        if self._chunked and not self._left and not self._ended:
            self._next_chunk()
        if self._ended or not self._left:
            return b""
        piece = self._wire.some(size if self._left == UNTIL_CLOSED else min(size, self._left))
        if not piece and self._left != UNTIL_CLOSED:
            raise CutAnswer("was cut off in its body")
        if self._left != UNTIL_CLOSED:
            self._left -= len(piece)
        self._ended = not piece
        return piece

    def _next_chunk(self) -> None:
        if not self._first and self._wire.line():
            raise NotHttp("a chunk is longer than its declared length")
        self._first = False
        found = _SIZE.fullmatch(line := self._wire.line())
        if found is None:
            raise NotHttp(f"{line[:40]!r} is not a chunk length")
        self._left = int(found[1], 16)
        if not self._left:
            spent = 0
            while line := self._wire.line():  # trailers: nothing of them counts (RFC 9110, 6.5.1)
                spent += len(line)
                if spent > MOST_HEAD:
                    raise NotHttp("its trailers are too long")
            self._ended = True
