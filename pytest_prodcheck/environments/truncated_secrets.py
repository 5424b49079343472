"""Secrets that somebody cut short for display: pytest shows 'denied for h...horse-battery'."""

from __future__ import annotations

import re

BLANK = "[redacted]"
_CUT = re.compile(r"\.\.\.|…")
_LEAST = 4  # characters of a secret beside a cut that are worth blanking; fewer stand there by chance


def without_shortened(text: str, forms: tuple[str, ...]) -> str:
    """The text without the beginning of a secret before a cut, and its end behind one. forms: in lower case."""
    for found in reversed(list(_CUT.finditer(text))):
        before, after = text[: found.start()].lower(), text[found.end() :].lower()
        head, tail = 0, 0
        for form in forms:
            left, right = _length_of_prefix(form, before), _length_of_suffix(form, after)
            if left + right >= _LEAST and left + right <= len(form):
                head, tail = max(head, left), max(tail, right)
        if head or tail:
            text = text[: found.start() - head] + BLANK + text[found.end() + tail :]
    return text


def _length_of_prefix(form: str, before: str) -> int:
    """How many characters of a secret's beginning stand at the end of a text."""
    return next((size for size in range(min(len(form), len(before)), 0, -1) if before.endswith(form[:size])), 0)


def _length_of_suffix(form: str, after: str) -> int:
    """How many characters of a secret's end stand at the beginning of a text."""
    return next((size for size in range(min(len(form), len(after)), 0, -1) if after.startswith(form[-size:])), 0)
