r"""A dump as SQL text, taken apart into statements and the rows of COPY, as psql takes it apart.

psql is not asked: its own commands (a backslash and a word) would run programs and write files. pg_dump writes two of
them around a dump (\restrict, \unrestrict), which say nothing to a server; any other is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

PIECE = 1 << 20
LONGEST = 1 << 30  # bytes of one statement: a value has at most 1 GB
ENDINGS = (b"-- PostgreSQL database dump complete", b"-- PostgreSQL database cluster dump complete")
_TOKEN = re.compile(rb"['\"\\;()]|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$|--|/\*|\b(?:begin|case|end)\b",
                    re.IGNORECASE)  # fmt: skip
_COMMENT = re.compile(rb"/\*|\*/")
_ESCAPED = re.compile(rb"[\\']")
_BODY = re.compile(rb"\s*create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE)
_COPY = re.compile(rb"\s*copy\s.*\sfrom\s+stdin\b[^;]*;\Z", re.IGNORECASE | re.DOTALL)
_END_OF_ROWS = re.compile(rb"\\\.\r?\n")
_WORD = re.compile(rb"[A-Za-z0-9_$\x80-\xff]")
_KEYS = (b"\\restrict", b"\\unrestrict")


class SqlText:
    """Statements of a stream. whole: it ended as pg_dump ends a dump. most: bytes that it may have, unpacked."""

    def __init__(self, stream: IO[bytes], deadline: Deadline, most: int) -> None:
        self.whole = False
        self._stream, self._deadline, self._most = stream, deadline, most
        self._data, self._at, self._read, self._over = bytearray(), 0, 0, False
        self._lines = 1

    def pause(self) -> float:
        """Seconds that a wait may take; raises EvidenceProblem (timeout) at the deadline."""
        return min(self._deadline.seconds_left(), 1.0)

    def statements(self) -> Iterator[bytes]:
        """Each statement with its semicolon, without comments before it; read a COPY's `rows` before going on."""
        while (end := self._end_of_statement()) is not None:
            text = bytes(self._data[: end])
            self._drop(end)
            if text.strip():
                yield text.strip()

    @staticmethod
    def is_copy(statement: bytes) -> bool:
        """Whether rows follow a statement."""
        return len(statement) < PIECE and _COPY.match(statement) is not None

    def rows(self) -> Iterator[bytes]:
        """The rows behind a COPY, in pieces; raises EvidenceProblem where they do not end."""
        newline = self._find(b"\n", 0)
        self._drop(len(self._data) if newline is None else newline + 1)
        while True:
            found = _END_OF_ROWS.match(self._data) or self._last_line()
            if found:
                if found.start():
                    yield bytes(self._data[: found.start()])
                self._drop(found.end())
                return
            # a last, unfinished line stays, so that the end is always seen at a line's beginning
            keep = self._data.rfind(b"\n") + 1
            if keep:
                yield bytes(self._data[:keep])
                self._drop(keep)
            if not self._more():
                raise EvidenceProblem(Problem("protocol", "it ends within the rows of a table"))

    def _last_line(self) -> re.Match[bytes] | None:
        at = -1
        while (at := self._data.find(b"\n\\.", at + 1)) >= 0:
            if found := _END_OF_ROWS.match(self._data, at + 1):
                return found
        return None

    def _end_of_statement(self) -> int | None:
        """Where the statement at the beginning of the data ends; None where nothing follows."""
        at, parens, depth, blank = 0, 0, 0, True
        while True:
            found = self._search(_TOKEN, at)
            if found is None:
                rest = bytes(self._data).strip()
                return len(self._data) if rest else None
            token, start = found.group().lower(), found.start()
            blank = blank and not self._data[at:start].strip()
            at = found.end()
            if token == b"--":
                at = self._line_end(start, blank)
                if blank:
                    self._drop(at)
                    at = 0
                continue
            if token == b"/*":
                at = self._comment_end(at)
                continue
            if token == b"\\":
                self._command(start, blank)
                at = 0
                continue
            blank = False
            if token == b"'":
                at = self._string_end(start)
            elif token == b'"':
                at = self._after(b'"', at)
            elif token[:1] == b"$":
                if not (start and _WORD.match(self._data[start - 1 : start])):
                    at = self._after(bytes(self._data[found.start() : found.end()]), at)
            elif token == b"(":
                parens += 1
            elif token == b")":
                parens = max(parens - 1, 0)
            elif token == b";":
                if not parens and not depth:
                    return at
            elif _BODY.match(self._data):
                depth += 1 if token == b"begin" or (token == b"case" and depth) else 0
                depth -= 1 if token == b"end" and depth else 0

    def _command(self, start: int, blank: bool) -> None:
        """Drops pg_dump's own two; raises EvidenceProblem for any other command of psql."""
        end = self._line_end(start, True)
        words = bytes(self._data[start:end]).split()
        if blank and words and words[0] in _KEYS and len(words) == 2:
            self._drop(end)
            return
        line = self._lines + self._data.count(b"\n", 0, start)
        name = words[0][:20].decode("ascii", "replace") if words else ""
        what = f"line {line} holds a command of psql ({name}): it is not run, and nothing behind it is loaded"
        hint = "who wrote this dump? pg_dump writes none (without --create)"
        raise EvidenceProblem(Problem("configuration", what, hint))

    def _line_end(self, start: int, look: bool) -> int:
        newline = self._find(b"\n", start)
        end = len(self._data) if newline is None else newline + 1
        if look and bytes(self._data[start:end]).rstrip() in ENDINGS:
            self.whole = True
        return end

    def _comment_end(self, at: int) -> int:
        depth = 1
        while depth:
            found = self._search(_COMMENT, at)
            if found is None:
                return len(self._data)
            depth += 1 if found.group() == b"/*" else -1
            at = found.end()
        return at

    def _string_end(self, start: int) -> int:
        before = bytes(self._data[max(start - 2, 0) : start])
        escapes = before[-1:] in (b"e", b"E") and not _WORD.match(before[:-1])
        at = start + 1
        if not escapes:
            return self._after(b"'", at)
        while (found := self._search(_ESCAPED, at)) is not None:
            if found.group() == b"'":
                return found.end()
            at = found.end() + 1
        return len(self._data)

    def _after(self, what: bytes, at: int) -> int:
        found = self._find(what, at)
        return len(self._data) if found is None else found + len(what)

    def _find(self, what: bytes, at: int) -> int | None:
        while True:
            found = self._data.find(what, at)
            if found >= 0:
                return found
            at = max(len(self._data) - len(what) + 1, at)
            if not self._more():
                return None

    def _search(self, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes] | None:
        """The first that lies whole in what is read: one at the very end could go on."""
        while True:
            found = pattern.search(self._data, at)
            if found and (found.end() + 64 < len(self._data) or self._over):
                return found
            at = found.start() if found else max(len(self._data) - 64, at)
            if not self._more():
                return pattern.search(self._data, at)

    def _more(self) -> bool:
        self._deadline.seconds_left()
        part = b"" if self._over else self._stream.read(PIECE)
        self._over = not part
        self._read += len(part)
        if self._read > self._most or len(self._data) > LONGEST:
            what = f"the dump has more than {min(self._read, self._most) // 1_000_000} MB when it is unpacked"
            hint = "there is no room for that: name another place, backups.restore.folder"
            raise EvidenceProblem(Problem("too-large", what, hint))
        self._data += part
        return bool(part)

    def _drop(self, end: int) -> None:
        self._lines += self._data.count(b"\n", 0, end)
        del self._data[:end]
