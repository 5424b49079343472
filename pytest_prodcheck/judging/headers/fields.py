"""Header fields as Fetch reads them: repeated ones are one list, commas within quotes do not count."""

from __future__ import annotations

import re
from collections.abc import Iterable

Headers = Iterable[tuple[str, str]]
SPACE = " \t\n\f\r"  # ASCII whitespace, as the Infra Standard has it
_ITEM = re.compile(r'(?:[^",]|"(?:\\.|[^"\\])*"?)+')


def lines(headers: Headers, name: str) -> tuple[str, ...]:
    """The values of a field, one for each time that it was sent, in order."""
    return tuple(value.strip(SPACE) for key, value in headers if key.lower() == name.lower())


def listed(headers: Headers, name: str) -> tuple[str, ...] | None:
    """The values of a field that is a list, None where it was not sent (Fetch: "get, decode, and split")."""
    sent = lines(headers, name)
    return split(", ".join(sent)) if sent else None


def split(text: str) -> tuple[str, ...]:
    """The items of a list; empty ones stay, for `X-Content-Type-Options: , nosniff` does not protect."""
    items, place = [], 0
    while True:
        found = _ITEM.match(text, place)
        end = found.end() if found else place
        items.append(text[place:end].strip(SPACE))
        if end >= len(text):
            return tuple(items)
        place = end + 1


def parameters(text: str, separator: str = ";") -> list[tuple[str, str | None]]:
    """`name=value` pairs, names in lower case, quotes taken off; None: no `=`. Empty parts are left out."""
    pattern = rf'(?:[^"{re.escape(separator)}]|"(?:\\.|[^"\\])*"?)+'
    found: list[tuple[str, str | None]] = []
    for part in (each.strip(SPACE) for each in re.findall(pattern, text)):
        name, equals, value = part.partition("=")
        if part:
            found.append((name.strip(SPACE).lower(), unquoted(value.strip(SPACE)) if equals else None))
    return found


def unquoted(value: str) -> str:
    """The content of a quoted string (RFC 9110, 5.6.4); any other text as it is."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
