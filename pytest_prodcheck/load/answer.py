"""The one place that uses what geventhttpclient keeps private; `tests/load/test_answer.py` fails when it changes."""

from __future__ import annotations

from geventhttpclient.response import HTTPResponse

from pytest_prodcheck.answers.decoding import Decoder, decoder
from pytest_prodcheck.answers.texts import Search

CACHES = ("x-cache", "cf-cache-status", "cache-status")  # fields in which common caches say "HIT"
ROOM = 16 * 1024 * 1024  # bytes that one piece of a compressed body may become


class Answer(HTTPResponse):
    """An HTTP answer that is parsed piece by piece: of its body only what is asked for is remembered."""

    def __init__(self, method: str = "GET", contains: str = "", keep: int = 0) -> None:
        super().__init__(method)
        self.kept = bytearray()  # the beginning of the decoded body, one byte more than `keep` where it goes on
        self._contains, self._keep = contains, keep
        self._coding: Decoder | None = None
        self._search: Search | None = None
        self._begun = False

    @property
    def media_type(self) -> str:
        """The media type, lower case, without parameters; "" where none is said."""
        return self._field("content-type").partition(";")[0].strip().lower()

    @property
    def holds_text(self) -> bool:
        """Whether the text that is looked for was in what came so far."""
        return self._search is not None and self._search.found

    @property
    def from_cache(self) -> bool:
        """Whether a cache says that it gave this answer: `Age` (RFC 9111, 5.1), or the fields of common caches."""
        if self._field("age").strip() not in ("", "0"):
            return True
        return any("hit" in self._field(each).lower() for each in CACHES)

    def take(self) -> None:
        """Takes what came of the body, decodes it, looks for the text; raises BodyError."""
        if not self._body_buffer:
            data = b""
        else:
            data = bytes(self._body_buffer)
            del self._body_buffer[:]
            if not self._begun:
                self._begin()
        if self._coding is not None:
            data = self._coding.decode(data, ROOM)
            if self.message_complete:
                self._coding.finish()
        if self._search is not None:
            self._search.feed(data)
        if len(self.kept) <= self._keep and self._keep:
            self.kept += data[: self._keep + 1 - len(self.kept)]

    def _begin(self) -> None:
        self._begun = True
        encoding = self._field("content-encoding").strip()
        if encoding.lower() not in ("", "identity"):
            self._coding = decoder(encoding)
        if self._contains:
            self._search = Search(self._contains, self._field("content-type"))

    def _field(self, name: str) -> str:
        found = self.get(name) or ""
        return found if isinstance(found, str) else ", ".join(found)
