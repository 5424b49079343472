"""Content codings (RFC 9110, 8.4.1): decoded piece by piece, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Protocol

MOST = 3  # codings on top of each other
BROWSERS = "gzip, deflate, br"  # what browsers ask for, and so do all of ours


class BodyError(Exception):
    """A body that is not what its headers say."""


class Decoder(Protocol):
    """Decodes one body."""

    def decode(self, data: bytes, room: int) -> bytes:
        """At most `room` bytes of what `data` stands for."""

    def finish(self) -> None:
        """Raises BodyError where the end is missing."""


_MEMBER = 0x1F  # the first byte of a member of gzip
_REGISTERED = {"gzip", "x-gzip", "deflate", "br", "compress", "x-compress", "zstd", "dcb", "dcz", "exi", "aes128gcm",
               "pack200-gzip"}  # fmt: skip


def is_no_coding(encoding: str) -> bool:
    """Whether a Content-Encoding names nothing that there is, such as "utf-8": browsers take the body as it is."""
    names = {each.strip().lower() for each in encoding.split(",")} - {"", "identity"}
    return bool(names) and not names & _REGISTERED


class _Identity:
    def decode(self, data: bytes, room: int) -> bytes:
        return data[:room]

    def finish(self) -> None:
        pass


class _Zlib:
    """gzip (several members too, and whatever stands behind them) and deflate (with and without zlib's header)."""

    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._stream: Any = None
        self._any = self._over = False

    def decode(self, data: bytes, room: int) -> bytes:
        found = b""
        while data and len(found) < room and not self._over:
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
                self._over = not self._gzip or bool(data and data[0] != _MEMBER)  # browsers leave the rest
        return found

    def finish(self) -> None:
        if self._stream is not None:
            raise BodyError("its compressed body ends too early")


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._any = False
        self._error: type[Exception] = brotli.error
        self._stream = brotli.Decompressor()

    def decode(self, data: bytes, room: int) -> bytes:
        found = b""
        self._any = self._any or bool(data)
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
        if self._any and not self._stream.is_finished():
            raise BodyError("its compressed body ends too early")


class _Several:
    """Codings on top of each other, the last one outside."""

    def __init__(self, names: Sequence[str]) -> None:
        self._decoders = [decoder(name) for name in reversed(names)]

    def decode(self, data: bytes, room: int) -> bytes:
        for each in self._decoders:
            data = each.decode(data, room)
        return data

    def finish(self) -> None:
        for each in self._decoders:
            each.finish()


def decoder(encoding: str) -> Decoder:
    """What decodes a Content-Encoding, "" for none; raises BodyError for one that was not asked for."""
    name = encoding.strip().lower()
    if name in ("", "identity") or is_no_coding(name):
        return _Identity()
    if 0 < name.count(",") < MOST:
        return _Several(name.split(","))
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(name != "deflate")
    if name == "br":
        return _Brotli()
    raise BodyError(f"its Content-Encoding {name[:40]!r} was not requested")
