"""Bodies of answers: read within a bound, decoded within the same bound."""

from __future__ import annotations

import codecs
import re
import zlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.http.request_heads import Received

_PIECE = 65_536  # bytes read at once
BROWSERS = "gzip, deflate, br"  # what browsers ask for
# text encodings of Python that no HTTP answer is in, some of which take long or run code paths of their own
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}


_EVENT_END = re.compile(rb"(?:\r\n|\n|\r)(?:\r\n|\n|\r)")


class BodyError(Exception):
    """A body that is not what its headers say."""


class _Decoder(Protocol):
    def decode(self, data: bytes, room: int) -> bytes:
        """At most `room` bytes of what `data` stands for."""

    def finish(self) -> None:
        """Raises BodyError where the end is missing."""


class _Identity:
    def decode(self, data: bytes, room: int) -> bytes:
        return data[:room]

    def finish(self) -> None:
        pass


class _Zlib:
    """gzip (several members too) and deflate (with and without zlib's header)."""

    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._stream: Any = None
        self._any = False

    def decode(self, data: bytes, room: int) -> bytes:
        found = b""
        while data and len(found) < room:
            if self._stream is None:
                self._stream = zlib.decompressobj(31 if self._gzip else 15 if data[0] & 0x0F == 8 else -15)
            try:
                found += self._stream.decompress(data, room - len(found))
            except zlib.error as error:
                raise BodyError(f"its compression is broken ({error})") from None
            self._any = True
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data, self._stream = self._stream.unused_data.lstrip(b"\0"), None
                if not self._gzip:
                    break
        return found

    def finish(self) -> None:
        if self._stream is not None:
            raise BodyError("its compressed body ends too early")


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._error: type[Exception] = brotli.error
        self._stream = brotli.Decompressor()

    def decode(self, data: bytes, room: int) -> bytes:
        found = b""
        try:
            while len(found) < room:
                piece = self._stream.process(data, output_buffer_limit=room - len(found))
                found, data = found + piece, b""
                if not piece or self._stream.can_accept_more_data():
                    break
        except self._error as error:
            raise BodyError(f"its compression is broken ({error})") from None
        return found[:room]

    def finish(self) -> None:
        if not self._stream.is_finished():
            raise BodyError("its compressed body ends too early")


def read_first_event(answer: Received, encoding: str, bound: int) -> bytes:
    """A stream of events up to the end of its first one (a blank line); what there is where it pauses or ends."""
    decoder = _decoder(encoding)
    found = b""
    try:
        while len(found) < bound and not _EVENT_END.search(found) and (data := answer.read(_PIECE)):
            found += decoder.decode(data, bound - len(found))
    except TimeoutError:
        pass
    end = _EVENT_END.search(found)
    return found[: end.end()] if end else found


def read_body(answer: Received, encoding: str, bound: int) -> tuple[bytes, bool]:
    """The decoded body, at most `bound` bytes, and whether there was more.

    Raises BodyError for an encoding that was not asked for or is broken, and what the connection raises.
    """
    decoder = _decoder(encoding)
    pieces: list[bytes] = []
    size = received = 0
    while data := answer.read(_PIECE):
        received += len(data)
        piece = decoder.decode(data, bound + 1 - size)
        pieces.append(piece)
        size += len(piece)
        if size > bound or received > bound + _PIECE:
            return b"".join(pieces)[:bound], True
    decoder.finish()
    return b"".join(pieces), False


def _decoder(encoding: str) -> _Decoder:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(name != "deflate")
    if name == "br":
        return _Brotli()
    raise BodyError(f"its Content-Encoding {name[:40]!r} was not asked for")


def to_text(body: bytes, content_type: str) -> str:
    """The body as text by its charset, UTF-8 where none or an unknown one is said; wrong bytes become U+FFFD."""
    if "charset" not in content_type.lower():
        return body.decode("utf-8", "replace")
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type.encode("ascii", "replace").decode()
    charset = str(message.get_param("charset", "utf-8"))
    try:
        found = codecs.lookup(charset) if len(charset) <= 40 and charset.isascii() else codecs.lookup("utf-8")
        if found.name in _NO_CHARSETS or not getattr(found, "_is_text_encoding", True):
            found = codecs.lookup("utf-8")
    except (LookupError, ValueError):
        found = codecs.lookup("utf-8")
    try:
        text = body.decode(found.name, "replace")
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # no lone surrogates, which JSON files cannot hold
