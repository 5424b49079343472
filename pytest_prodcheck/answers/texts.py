"""Bodies as text: by the charset that the answer says, as whole or piece by piece."""

from __future__ import annotations

import codecs

# text encodings of Python that no HTTP answer is in, some of which take long or run code paths of their own
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}


def charset_of(content_type: str) -> str:
    """The charset of a text: as its content type says; UTF-8 where it says none or an unknown one."""
    if "charset" not in content_type.lower():
        return "utf-8"
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type.encode("ascii", "replace").decode()
    charset = str(message.get_param("charset", "utf-8"))
    try:
        found = codecs.lookup(charset) if len(charset) <= 40 and charset.isascii() else codecs.lookup("utf-8")
        return found.name if found.name not in _NO_CHARSETS and getattr(found, "_is_text_encoding", True) else "utf-8"
    except (LookupError, ValueError):
        return "utf-8"


def to_text(body: bytes | bytearray, content_type: str) -> str:
    """The body as text; wrong bytes become U+FFFD."""
    charset = charset_of(content_type)
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):
        charset, text = "utf-8", body.decode("utf-8", "replace")
    if charset == "utf-8" or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()  # no lone surrogates, which JSON files cannot hold


class Search:
    """Looks for a text in a body that comes in pieces, and keeps no more of it than it has to."""

    def __init__(self, wanted: str, content_type: str) -> None:
        self.wanted = wanted
        self.found = False
        try:
            self._decoder = codecs.getincrementaldecoder(charset_of(content_type))("replace")
        except LookupError:
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""

    def feed(self, piece: bytes) -> None:
        """Takes the next piece."""
        if not self.found:
            text = self._tail + self._decoder.decode(piece)
            self.found = self.wanted in text
            self._tail = text[1 - len(self.wanted) or len(text) :]
