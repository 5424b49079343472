"""Heads of HTTP/1 answers, read as browsers read them: whole ones only, and what is odd is noted.

Why no library: `http.client` takes 103 for the final answer and loses every field behind the first odd one, h11 and
llhttp (httptools) refuse an answer with one odd field, of which browsers take the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

UNTIL_CLOSED, CHUNKED = -1, -2  # lengths of bodies
MOST_HEAD = 131_072  # bytes of a head, interim answers included
_STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d)[ \t]+(\d{3})(?:[ \t].*)?")
_ONE = ("location", "content-disposition")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_END = re.compile(rb"\n\r?\n")


class CutAnswer(ConnectionError):
    """The connection ended within the answer."""


class NotHttp(Exception):
    """An answer that cannot be read as browsers read it, or that they refuse."""


class LargeHead(Exception):
    """A head beyond the bound."""


@dataclass(frozen=True)
class Head:
    """Status line and fields of one answer, names and values as received. odd: what was read over, for people."""

    version: tuple[int, int]
    status: int
    fields: tuple[tuple[str, str], ...]
    odd: tuple[str, ...] = ()

    @property
    def interim(self) -> bool:
        """Whether the final answer is still to come (RFC 9110, 15.2); 101 is a final one."""
        return self.status < 200 and self.status != 101

    def values(self, name: str) -> list[str]:
        """The members of a field that is a list, lower case, of all its lines."""
        told = [value for key, value in self.fields if key.lower() == name]
        return [part.strip(" \t").lower() for value in told for part in value.split(",") if part.strip(" \t")]


def end_of_head(data: bytes | bytearray, begin: int = 0) -> int:
    """Where the head at the start of `data` ends, -1 where it does not yet; `begin`: so much was looked at before."""
    found = _END.search(data, max(begin - 3, 0))
    return found.end() if found else -1


def parse_head(data: bytes) -> Head:
    """A whole head with its empty line; raises NotHttp."""
    lines = [line[:-1] if line.endswith(b"\r") else line for line in data.rstrip(b"\r\n").split(b"\n")]
    found = _STATUS_LINE.fullmatch(lines[0])
    if found is None or found[1] != b"1" or found[3] < b"100":
        raise NotHttp(f"its first line is not a status line of HTTP/1: {lines[0][:60]!r}")
    if b"\0" in data or b"\r" in b"".join(lines):
        raise NotHttp("a field of its head holds a NUL or a lone CR (RFC 9112, 2.2)")
    fields: list[tuple[str, str]] = []
    odd: list[str] = []
    for number, line in enumerate(lines[1:], 2):
        _read_field(number, line, fields, odd)
    return Head((int(found[1]), int(found[2])), int(found[3]), tuple(fields), tuple(odd))


def _read_field(number: int, line: bytes, fields: list[tuple[str, str]], odd: list[str]) -> None:
    """One line: a field, the rest of the one before, or what browsers read over (RFC 9112, 5.1 and 5.2)."""
    if line[:1] in (b" ", b"\t"):
        if fields:
            name, value = fields.pop()
            blank = " \t"
            fields.append((name, f"{value} {line.decode('latin-1').strip(blank)}".strip(blank)))
            odd.append(f"line {number} of its head continues the field {name[:40]}, which is obsolete")
        else:
            odd.append(f"line {number} of its head continues nothing; browsers skip it")
        return
    name_, colon, rest = line.partition(b":")
    stripped = name_.rstrip(b" \t")
    if not colon or not _TOKEN.fullmatch(stripped):
        what = f"has an invalid name ({name_[:40]!r})" if colon else "is not a header field: it has no colon"
        odd.append(f"line {number} of its head {what}; browsers skip it")
        return
    if stripped != name_:
        odd.append(f"line {number} of its head has a blank before the colon of {stripped[:40].decode()}")
    fields.append((stripped.decode("ascii"), rest.strip(b" \t").decode("latin-1")))


def insist_on_one(fields: Iterable[tuple[str, str]]) -> None:
    """Raises NotHttp for fields that differ where there may be one: browsers refuse the whole answer."""
    told = {(name.lower(), value.strip(" \t")) for name, value in fields if name.lower() in _ONE}
    for name in _ONE:
        if sum(each == name for each, _ in told) > 1:
            raise NotHttp(f"it has several fields {name}, and they differ: browsers refuse it")


def body_length(head: Head, method: str) -> int:
    """Bytes of the body, UNTIL_CLOSED or CHUNKED; raises NotHttp where the head contradicts itself."""
    if method == "HEAD" or head.status in (101, 204, 304):
        return 0
    codings = head.values("transfer-encoding")
    if codings:
        if head.version < (1, 1):
            raise NotHttp("an answer of HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1)")
        if codings != ["chunked"]:
            raise NotHttp(f"its Transfer-Encoding {', '.join(codings)[:60]!r} is not one final `chunked`")
        return CHUNKED
    told = [value for name, value in head.fields if name.lower() == "content-length"]
    lengths = {part.strip(" \t") for value in told for part in value.split(",")}
    if not lengths:
        return UNTIL_CLOSED
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 19):
        raise NotHttp("contradictory or unreadable Content-Length (RFC 9112, 6.3)")
    return int(length)


def plain_head(head: Head, method: str) -> bytes:
    """The same for a parser that takes no odd ones; raises NotHttp where the head contradicts itself."""
    length = body_length(head, method)
    framing = ("content-length", "transfer-encoding")
    kept = [f"{name}: {value}" for name, value in head.fields if name.lower() not in framing]
    kept += ["transfer-encoding: chunked"] if length == CHUNKED else [f"content-length: {length}"] if length > 0 else []
    if not length and method != "HEAD" and head.status not in (101, 204, 304):
        kept.append("content-length: 0")
    return "\r\n".join((f"HTTP/1.{head.version[1]} {head.status} ", *kept, "\r\n")).encode("latin-1")
