"""Bodies as text, as browsers decode them (WHATWG Encoding): as whole or piece by piece."""

from __future__ import annotations

import codecs
import re

_LOOKED_AT = 1024  # bytes of a page in which its <meta charset> has to be
_META = re.compile(rb"<meta\s[^>]{0,300}?charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9_:-]{1,40})", re.I)
# on the web these names mean the larger sets that grew from them (WHATWG Encoding, 4.2)
_LARGER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip
# names that Python has under others
_ELSEWHERE = {
    "x-sjis": "cp932", "windows-31j": "cp932", "x-gbk": "gb18030", "windows-949": "cp949", "x-euc-jp": "euc_jp",
    "windows-874": "cp874", "dos-874": "cp874", "x-cp1251": "cp1251", "x-cp1252": "cp1252",
}  # fmt: skip

# text encodings of Python that no HTTP answer is in, some of which take long or run code paths of their own
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}


def charset_of(content_type: str, begin: bytes | bytearray = b"") -> str:
    """The charset of a text: by its byte order mark, content type, or <meta>; UTF-8 where none or an unknown one is.

    begin: the first bytes of the text, as far as they are there.
    """
    if begin.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if "charset" in content_type.lower():
        from email.message import Message

        message = Message()
        message["Content-Type"] = content_type.encode("ascii", "replace").decode()
        return _codec_or_utf8(str(message.get_param("charset", "utf-8")))
    if "html" in content_type.lower() and (meta := _META.search(begin[:_LOOKED_AT])):
        name = _codec_or_utf8(meta[1].decode())
        return "utf-8" if name.startswith("utf-16") else name  # a page that could be read so far is not in UTF-16
    return "utf-8"


def _codec_or_utf8(charset: str) -> str:
    charset = _ELSEWHERE.get(charset.strip().lower(), charset)
    try:
        found = codecs.lookup(charset) if len(charset) <= 40 and charset.isascii() else codecs.lookup("utf-8")
    except (LookupError, ValueError):
        return "utf-8"
    if found.name in _NO_CHARSETS or not getattr(found, "_is_text_encoding", True):
        return "utf-8"
    return _LARGER.get(found.name, found.name)


def to_text(body: bytes | bytearray, content_type: str) -> str:
    """The body as text; wrong bytes become U+FFFD."""
    charset = charset_of(content_type, body)
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):
        charset, text = "utf-8", body.decode("utf-8", "replace")
    if charset.startswith("utf-8") or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()  # no lone surrogates, which JSON files cannot hold


class Search:
    """Looks for a text in a body that comes in pieces, and keeps no more of it than it has to."""

    def __init__(self, wanted: str, content_type: str) -> None:
        self.wanted = wanted
        self.found = False
        self._content_type = content_type
        self._decoder: codecs.IncrementalDecoder | None = None
        self._tail = ""

    def feed(self, piece: bytes) -> None:
        """Takes the next piece."""
        if self._decoder is None:
            self._decoder = _incremental(charset_of(self._content_type, piece))
        if not self.found:
            text = self._tail + self._decoder.decode(piece)
            self.found = self.wanted in text
            self._tail = text[1 - len(self.wanted) or len(text) :]


def _incremental(charset: str) -> codecs.IncrementalDecoder:
    try:
        return codecs.getincrementaldecoder(charset)("replace")
    except LookupError:
        return codecs.getincrementaldecoder("utf-8")("replace")
