"""RESP2, the protocol of Redis, within limits. A server speaks RESP3 only after HELLO 3, which is never sent here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    import socket

MOST_BYTES = 1024 * 1024  # read of one connection; INFO is under 10 kB
DEEPEST = 16  # arrays in arrays; SENTINEL REPLICAS has two
# said to a new connection that is closed at once
_LAST_WORDS = ("ERR MAX NUMBER OF CLIENTS", "DENIED")
_NUMBER = re.compile(rb"[+-]?[0-9]{1,19}")


class RedisError(Exception):
    """An answer that is an error, as the server worded it."""


class NotRedis(Exception):
    """What came is no answer of RESP2."""


Answer = str | int | None | RedisError | list["Answer"]


def exchange(sock: socket.socket, where: str, commands: Sequence[Sequence[str]]) -> list[Answer]:
    """The answers to the commands, which go out at once; an error is an answer, too, not raised.

    Raises NotRedis, OSError for a broken connection, EvidenceProblem for more than a server of Redis answers.
    """
    sock.sendall(b"".join(_packed(each) for each in commands))
    with sock.makefile("rb") as incoming:
        reader = _Reader(incoming, where)
        answers: list[Answer] = []
        for _ in commands:
            answers.append(reader.answer())
            if isinstance(answers[-1], RedisError) and str(answers[-1]).upper().startswith(_LAST_WORDS):
                break
    return answers + [answers[-1]] * (len(commands) - len(answers))


def _packed(command: Sequence[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class _Reader:
    """Reads answers; what a length announces is read only if it may still come."""

    def __init__(self, incoming: BinaryIO, where: str) -> None:
        self._incoming, self._where, self._left = incoming, where, MOST_BYTES

    def answer(self, depth: int = 0) -> Answer:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind == b"-":
            return RedisError(rest.decode(errors="replace"))
        if kind not in (b":", b"$", b"*") or not _NUMBER.fullmatch(rest):
            raise NotRedis(f"it answered {line[:80]!r}")
        number = int(rest)
        if kind == b":":
            return number
        if number == -1:
            return None
        if number < 0 or depth == DEEPEST:
            raise NotRedis(f"it answered {line[:80]!r}" + (f" in {depth} arrays" if depth else ""))
        return self._text(number) if kind == b"$" else [self.answer(depth + 1) for _ in range(number)]

    def _line(self) -> bytes:
        line = self._incoming.readline(self._left + 1)
        self._spend(len(line))
        if not line.endswith(b"\n"):
            raise ConnectionResetError("closed")
        if not line.endswith(b"\r\n"):
            raise NotRedis(f"it answered {line[:80]!r}")
        return line[:-2]

    def _text(self, length: int) -> str:
        self._spend(length + 2)
        text = self._incoming.read(length + 2)
        if len(text) < length + 2:
            raise ConnectionResetError("closed")
        if not text.endswith(b"\r\n"):
            raise NotRedis(f"a text is longer than the {length} bytes that it announced")
        return text[:-2].decode(errors="replace")

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            what = f"{self._where}: an answer of more than {MOST_BYTES // 1024} kB, less than 10 kB were expected"
            raise EvidenceProblem(Problem("too-large", what, "is this Redis' port?"))
