"""The one place that uses what geventhttpclient keeps private; `tests/load/test_answer.py` fails when it changes."""

from __future__ import annotations

from geventhttpclient.response import HTTPParseError, HTTPResponse

from pytest_prodcheck.answers.decoding import Decoder, decoder
from pytest_prodcheck.answers.http_heads import MOST_HEAD, NotHttp, end_of_head, parse_head, plain_head
from pytest_prodcheck.answers.texts import Search, to_text

CACHES = ("x-cache", "cf-cache-status", "cache-status")  # fields in which common caches say "HIT"
FINAL = 200  # from this status on an answer is the final one
ROOM = 16 * 1024 * 1024  # bytes that one piece of a compressed body may become


class Content:
    """What is looked at of an answer piece by piece: of its body only what is asked for is remembered."""

    def __init__(self, contains: str, keep: int) -> None:
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
    def kept_text(self) -> str:
        """What is kept of the body, as the JSON that it is looked at as."""
        return to_text(bytes(self.kept), "application/json")

    @property
    def from_cache(self) -> bool:
        """Whether a cache says that it gave this answer: `Age` (RFC 9111, 5.1), or the fields of common caches."""
        if self._field("age").strip() not in ("", "0"):
            return True
        return any("hit" in self._field(each).lower() for each in CACHES)

    def _feed(self, data: bytes, whole: bool) -> None:
        """Takes what came of the body, decodes it, looks for the text; raises BodyError."""
        if data and not self._begun:
            self._start_decoding()
        if self._coding is not None:
            data = self._coding.decode(data, ROOM)
            if whole:
                self._coding.finish()
        if self._search is not None:
            self._search.feed(data)
        if len(self.kept) <= self._keep and self._keep:
            self.kept += data[: self._keep + 1 - len(self.kept)]

    def _start_decoding(self) -> None:
        self._begun = True
        encoding = self._field("content-encoding").strip()
        if encoding.lower() not in ("", "identity"):
            self._coding = decoder(encoding)
        if self._contains:
            self._search = Search(self._contains, self._field("content-type"))

    def _field(self, name: str) -> str:
        """A field of the head, "" where it is not there."""
        raise NotImplementedError


class _Following(Exception):
    """More came after the answer."""


class OddHead(Exception):
    """A head that the parser does not take; `answer` is the one that goes on, with what browsers read of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Answer(Content, HTTPResponse):
    """An answer over HTTP/1.1; `done` when it is whole, by `closing` also where the end of the connection ends it.

    lenient: its head is read as browsers do, at some cost.
    """

    def __init__(self, method: str = "GET", contains: str = "", keep: int = 0, *, lenient: bool = False) -> None:
        HTTPResponse.__init__(self, method)
        Content.__init__(self, contains, keep)
        self._code = 0  # of the final answer, when it is whole
        self._head = bytearray()  # what came before the final head was whole
        self._lenient = lenient

    def feed(self, data: str | bytes) -> None:
        """Takes what came; what follows the whole answer is none of it, and ends the connection as in browsers.

        Raises OddHead, NotHttp.
        """
        if not self._code and (self.message_complete or not self.headers_complete):
            self._head += data.encode("latin-1") if isinstance(data, str) else data
            if self._lenient and not (data := self._behind_odd_heads()):
                return
        try:
            super().feed(data)
        except (_Following, HTTPParseError) as error:
            if self._code:
                self._trailing_data_dropped = True
            elif isinstance(error, _Following) or self.headers_complete or self._lenient:
                raise
            else:
                again = Answer(self.method, self._contains, self._keep, lenient=True)
                again.feed(bytes(self._head))
                raise OddHead(again) from None

    def _behind_odd_heads(self) -> bytes:
        """The final head as the parser takes it and what is behind it, b"" until it is whole; raises NotHttp."""
        while (end := end_of_head(self._head)) >= 0:
            head = parse_head(bytes(self._head[:end]).lstrip(b"\r\n"))
            del self._head[:end]
            if not head.interim:
                return plain_head(head, self.method) + bytes(self._head)
        if not b"HTTP/".startswith(self._head.lstrip(b"\r\n")[:5]) or len(self._head) > MOST_HEAD:
            raise NotHttp
        return b""

    def get_code(self) -> int:
        """The status."""
        return self._code or super().get_code()

    def _on_message_begin(self) -> None:
        if self._code:
            raise _Following
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        super()._on_message_complete()
        code = self.get_code()
        self._code = code if code >= FINAL else 0

    @property
    def done(self) -> bool:
        """Whether all of it came; what comes before the final answer (1xx) is none."""
        return self._code > 0

    @property
    def begun(self) -> bool:
        """Whether what came is of the answer: all is."""
        return True

    def ends_by_closing(self) -> bool:
        """Whether the end of the connection is the end of the answer (RFC 9112, 6.3)."""
        return bool(self.headers_complete and self.get("content-length") is None) and "chunked" not in str(
            self.get("transfer-encoding", "")
        ).lower()

    def take(self) -> None:
        """Takes what came of the body; raises BodyError."""
        data = bytes(self._body_buffer)
        del self._body_buffer[:]
        self._feed(data, self.message_complete)

    def _field(self, name: str) -> str:
        found = self.get(name) or ""
        return found if isinstance(found, str) else ", ".join(found)
