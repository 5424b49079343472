"""Lines and tables for terminals of 80 to 120 columns; wide characters count twice."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_prodcheck.reports.escaping import safe_ascii

WIDTH = 100


@dataclass(frozen=True)
class Style:
    """How to show: symbols or letters, colour or none, how wide, everything or the few lines that matter."""

    unicode: bool = True
    color: bool = False
    width: int = WIDTH
    explain: bool = False

    @property
    def dot(self) -> str:
        """Between two facts of a line."""
        return " · " if self.unicode else "; "


def cells(text: str) -> int:
    """How many columns a terminal needs for a text."""
    total = 0
    for character in text:
        if character == "\ufe0f":  # the character before it is shown as an emoji: two columns
            total += 1
        elif not unicodedata.combining(character):
            total += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return total


def pad(text: str, width: int) -> str:
    """Text with blanks up to a width."""
    return text + " " * max(0, width - cells(text))


def clip(text: str, width: int, *, unicode: bool = True) -> str:
    """Text cut to a width, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    mark = "…" if unicode else "..."
    kept = ""
    for character in text:
        if cells(kept + character) > width - len(mark):
            break
        kept += character
    return kept.rstrip() + mark


def fold(text: str, *, first: str = "", rest: str = "", width: int = WIDTH) -> list[str]:
    """Folds at blanks only: a longer word (an address to copy) stays whole."""
    lines, line = [], first
    empty = True
    for word in text.split():
        if not empty and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line] if not empty or first.strip() else lines


def columns(rows: Sequence[Sequence[str]], *, indent: str = "", width: int = WIDTH, unicode: bool = True) -> list[str]:
    """Aligned rows; where they are too wide the widest columns are cut."""
    if not rows:
        return []
    if not unicode:
        rows = [[safe_ascii(cell) for cell in row] for row in rows]
    widths = [max(cells(row[place]) for row in rows) for place in range(len(rows[0]))]
    spare = width - len(indent) - 2 * (len(widths) - 1)
    while sum(widths) > spare and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
    return [_row(row, widths, indent, unicode) for row in rows]


def _row(row: Iterable[str], widths: Iterable[int], indent: str, unicode: bool) -> str:
    shown = (pad(clip(cell, width, unicode=unicode), width) for cell, width in zip(row, widths, strict=True))
    return (indent + "  ".join(shown)).rstrip()
