"""The one place that uses what geventhttpclient keeps private; `tests/load/test_answer.py` fails when it changes."""

from __future__ import annotations

import codecs

from geventhttpclient.response import HTTPResponse

CACHES = ("x-cache", "cf-cache-status", "cache-status")  # fields in which common caches say "HIT"


class Answer(HTTPResponse):
    """An HTTP answer that is parsed piece by piece.

    Of a body past the bound only what is looked for is remembered, the rest is read and dropped.
    """

    def __init__(self, method: str = "GET", text: str = "", largest: int = 1 << 62) -> None:
        super().__init__(method)
        self._text, self._largest = text, largest
        self.holds_text = False
        self.cut = False

    @property
    def body(self) -> bytearray:
        """What came of the body so far, not taken away: there is no public name for that."""
        return self._body_buffer

    @property
    def from_cache(self) -> bool:
        """Whether a cache says that it gave this answer: `Age` (RFC 9111, 5.1), or the fields of common caches."""
        if str(self.get("age", "0")).strip() not in ("", "0"):
            return True
        return any("hit" in str(self.get(each, "")).lower() for each in CACHES)

    def look(self) -> None:
        """Looks for the declared text in what is there, and drops what is past the bound."""
        over = len(self.body) > self._largest
        if self._text and not self.holds_text and (over or self.message_complete):
            charset = charset_of(str(self.get("content-type", "")))
            self.holds_text = self._text.encode(charset, "replace") in self.body
        if over:
            self.cut = True
            del self.body[: -4 * len(self._text) or None]  # no character takes more than four bytes


def charset_of(content_type: str) -> str:
    """The charset of a text: as its content type says, else UTF-8."""
    given = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        return codecs.lookup(given or "utf-8").name
    except LookupError:
        return "utf-8"
