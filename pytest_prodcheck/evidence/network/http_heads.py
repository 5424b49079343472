"""Heads of HTTP answers: whole ones only. `http.client` takes the end of the connection for the end of the headers."""

from __future__ import annotations

import http.client
import io


class CutHead(ConnectionError):
    """The connection ended within the status line or the headers."""


class WholeHeadResponse(http.client.HTTPResponse):
    """An answer whose status line and headers end with their empty line; raises CutHead for any other."""

    fp: io.BufferedReader

    def begin(self) -> None:
        """Reads status line and headers."""
        stream = self.fp
        self.fp = _Lines(stream)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:  # the parent may have closed the stream
                self.fp = stream


class _Lines:
    """A stream whose lines end with a line break."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._begun = False

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(limit)
        if not line.endswith(b"\n") and len(line) < limit and (line or self._begun):
            raise CutHead("the answer was cut off in its headers")
        self._begun = True
        return line

    def close(self) -> None:
        self._stream.close()
