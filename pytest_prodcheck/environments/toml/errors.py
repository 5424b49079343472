"""Mistakes in the configuration: collected, then told all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

MOST_SHOWN = 50


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing that is wrong: file relative to the root, line where known, key path, what is wrong, how to fix it."""

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """`prodcheck.toml:14: environments.production.services.shop.helth: unknown key (did you mean `health`?)`."""
        where = self.file + (f":{self.line}" if self.line else "")
        parts = [part for part in (where, self.key, self.message) if part]
        text = ": ".join(parts) + (f" ({self.hint})" if self.hint else "")
        return "".join(each if each.isprintable() else "?" for each in text)  # one line, and no terminal's escapes


class ConfigurationError(ValueError):
    """Everything that is wrong with a configuration, or with what was asked of it."""

    def __init__(self, problems: Iterable[Mistake]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """One mistake a line, in the order of the files."""
        lines = [str(each) for each in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            lines.append(f"… and {len(self.problems) - MOST_SHOWN} more")
        if len(lines) > 1:
            lines.insert(0, f"{len(self.problems)} mistakes:")
        return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not among the known ones: the close one, else what there is."""
    there = sorted(set(known))
    close = get_close_matches(name, there, 1)
    if close:
        return f"did you mean `{close[0]}`?"
    if not there:
        return "there are none"
    shown = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
    return f"there {'are' if len(there) > 1 else 'is'} {shown}"


def dotted(path: Iterable[str]) -> str:
    """A key path as TOML writes it; parts with other characters are quoted, list positions are in brackets."""
    text = ""
    for part in path:
        if part.startswith("[") and part.endswith("]"):
            text += part
            continue
        plain = part.replace("_", "").replace("-", "").isalnum() and part.isascii()
        quoted = part if plain else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += ("." if text else "") + "".join(each if each.isprintable() else "?" for each in quoted[:120])
    return text
