"""Lines of files of ours that nobody without the key adds, changes, carries to another file or takes from between.

A line is "SEAL SEAL-BEFORE TEXT"; where lines stand by themselves, the seal before is "-". Whoever may write to the
file can drop lines at its beginning or end, or all: what is read of it must not open more than an empty file would.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

ALONE = "-"


class SealedLines:
    """Of one file. about: what it is about, such as its name; without a key no line holds, and none is made."""

    def __init__(self, key: bytes, about: str) -> None:
        self._key, self._about = key, about

    def line(self, text: str, before: str = ALONE) -> str:
        """The line of a text, "" without a key. before: the line that it follows."""
        earlier = before.partition(" ")[0]
        return f"{self._seal(earlier, text)} {earlier} {text}" if self._key else ""

    def text(self, line: str) -> str | None:
        """A line's text, None where its seal does not hold."""
        seal, _, rest = line.partition(" ")
        earlier, _, text = rest.partition(" ")
        good = self._key and seal.isascii() and hmac.compare_digest(seal, self._seal(earlier, text))
        return text if good else None

    def chained(self, lines: Sequence[str]) -> bool:
        """Whether all lines hold, each behind the one that it was written behind."""
        before = ("", *(line.partition(" ")[0] for line in lines))
        return all(
            self.text(line) is not None and (number == 0 or line.split(" ", 2)[1] == before[number])
            for number, line in enumerate(lines)
        )

    def _seal(self, earlier: str, text: str) -> str:
        said = "\0".join(("prodcheck-line/1", self._about, earlier, text)).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, said, "sha256").hexdigest()


def key_of_lines(key: bytes) -> bytes:
    """The key for lines, from the one that seals verdicts: collectors need not know that."""
    return hmac.new(key, b"prodcheck-lines", "sha256").digest()
