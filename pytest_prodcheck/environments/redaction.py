"""Redaction: known secrets in all the forms they travel in, and text that looks like one."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from pytest_prodcheck.environments.truncated_secrets import without_shortened

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

BLANK = "[redacted]"
_SHORT = 1000  # characters of a text that is worth remembering

# What looks like a secret wherever it stands. Every pattern starts at a literal and is bounded, so that a hostile
# body of a megabyte is scanned in linear time. `\1` is kept, and `\2` after the blank. The first column is in all that
# a pattern finds, in lower case and of letters that have no further case (as i, k and s have): without it, no search.
_GENERIC = tuple(
    (needle, re.compile(pattern, flags), replacement)
    for needle, pattern, flags, replacement in (
        (
            "-----begin ",
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
            re.S,
            BLANK,
        ),
        (
            "author",
            r"((?<![a-z])(?:proxy-)?authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
            r"(?:(?:basic|bearer|digest|negotiate|token)\s{1,3})?+)"
            r"(?!\[redacted\])[^\s\"',;<>]+",
            re.I,
            rf"\1{BLANK}",
        ),
        (
            "bearer",
            r"((?<![a-z])bearer\s{1,3})(?=[a-z._~+/-]{0,200}[0-9])[a-z0-9._~+/-]{16,4000}={0,2}",
            re.I,
            rf"\1{BLANK}",
        ),
        ("coo", r"((?<![a-z-])(?:set-)?cookie2?[\"']?: {0,3}[\"']?)[^\r\n\"']+", re.I, rf"\1{BLANK}"),
        ("://", r"(://[^\s/:@]{0,200}:)[^\s/@]{1,500}(@)", 0, rf"\1{BLANK}\2"),
        (
            "=",
            r"((?:password|passwd|pwd|passphrase|secret|token|api[_-]?key)=)(?!=|\[redacted\])"
            r"(?:'[^'\n]{0,4000}'|\"[^\"\n]{0,4000}\"|[^\s&;,'\"<>)]{1,4000})",
            re.I,
            rf"\1{BLANK}",
        ),
        ("eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,4000}\.[A-Za-z0-9_-]{5,8000}\.[A-Za-z0-9_-]{0,4000}", 0, BLANK),
    )
)


class Redactor:
    """Blanks secrets in text and data; values can be added at any time, by any thread."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()  # lower case, longest first
        self._clean = _cleaner(())
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Registers a secret with its encoded forms. Refuse short ones before: "a" would blank the report."""
        if not value:
            return
        found = {_lower(form) for form in _forms(value) if form}
        with self._lock:
            if not found.issubset(self._forms):
                self._forms = tuple(sorted(found.union(self._forms), key=lambda form: (-len(form), form)))
                self._clean = _cleaner(self._forms)

    def redact(self, text: str) -> str:
        """The text with `[redacted]` in place of secrets."""
        return self._clean(text) if len(text) <= _SHORT else self._clean.__wrapped__(text)

    def redact_data(self, data: Any) -> Any:
        """The same data with its strings redacted: mappings, lists, tuples, sets, bytes, and dataclasses as such."""
        texts: list[str] = []
        _collect(data, texts)
        # most data holds no secret, which one look at all its strings tells: no pattern wants a NUL, so what is found
        # in one of them is found in all together too
        return self._redacted(data) if _holds_any(self._forms, "\0".join(texts)) else data

    def _redacted(self, data: Any) -> Any:
        if isinstance(data, str):
            clean = self.redact(data)
            return data if clean == data else clean  # keeps string enums what they are
        if isinstance(data, bytes):
            clean = self.redact(text := data.decode("utf-8", "surrogateescape"))
            return data if clean == text else clean.encode("utf-8", "surrogateescape")
        if isinstance(data, dict):
            return {self._redacted(key): self._redacted(value) for key, value in data.items()}
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(self._redacted(each) for each in data))
        if isinstance(data, (list, tuple, set, frozenset)):
            return type(data)(self._redacted(each) for each in data)
        if dataclasses.is_dataclass(data) and not isinstance(data, type):
            named = [each.name for each in dataclasses.fields(data) if each.init]
            return dataclasses.replace(data, **{name: self._redacted(getattr(data, name)) for name in named})
        return data


def _cleaner(forms: tuple[str, ...]) -> _lru_cache_wrapper[str]:
    """Blanks secrets of these forms and what looks like one; remembers short texts, as reports say the same ones often.

    A new one for each new set of secrets: what was remembered before a secret was known is forgotten with the old one.
    """

    @lru_cache(maxsize=4096)
    def clean(text: str) -> str:
        lower = _lower(text)
        if found := _forms_in(forms, lower):
            text = _blanked(re.compile("|".join(map(re.escape, found))), text, lower)
            lower = _lower(text)
        for needle, pattern, replacement in _GENERIC:
            if needle in lower:
                text = pattern.sub(replacement, text)
        return without_shortened(text, forms) if forms and ("..." in text or "…" in text) else text

    return clean


def _forms_in(forms: tuple[str, ...], lower: str) -> list[str]:
    """Those that are in a text. One by one: faster than a pattern of hundreds, which takes long to make, too."""
    return [form for form in forms if form in lower]


def _holds_any(forms: tuple[str, ...], text: str) -> bool:
    """Whether cleaning would change the text."""
    lower = _lower(text)
    if _forms_in(forms, lower):
        return True
    return any(needle in lower and pattern.search(text) for needle, pattern, _ in _GENERIC)


def _collect(data: Any, into: list[str]) -> None:
    """All strings of the data, as `redact_data` finds them."""
    if isinstance(data, str):
        into.append(data)
    elif isinstance(data, bytes):
        into.append(data.decode("utf-8", "surrogateescape"))
    elif isinstance(data, dict):
        for key, value in data.items():
            _collect(key, into)
            _collect(value, into)
    elif isinstance(data, (list, tuple, set, frozenset)):
        for each in data:
            _collect(each, into)
    elif dataclasses.is_dataclass(data) and not isinstance(data, type):
        for field in dataclasses.fields(data):
            if field.init:
                _collect(getattr(data, field.name), into)


def _lower(text: str) -> str:
    """Lower case, as long as the text itself: `re.I` would be some hundred times slower."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(low if len(low := each.lower()) == 1 else each for each in text)
    return lower if lower.isascii() else lower.replace("ς", "σ")  # which of them Σ becomes depends on its neighbours


def _blanked(known: re.Pattern[str], text: str, lower: str) -> str:
    pieces, end = [], 0
    for found in known.finditer(lower):
        pieces += [text[end : found.start()], BLANK]
        end = found.end()
    return "".join([*pieces, text[end:]])


def _forms(value: str) -> Iterator[str]:
    yield value
    raw = value.encode("utf-8", "surrogateescape")
    yield from _base64_forms(raw)
    for quoted in (
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
    ):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield json.dumps(escaped)[1:-1]  # JSON within JSON
        yield escaped.replace("/", "\\/")
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)
    yield html.escape(value).replace("&#x27;", "&#39;")


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The value's base64, and what stays the same of it inside a longer text ("user:value") at three offsets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(raw).decode("ascii")
        yield text
        yield text.rstrip("=")
        for offset in range(3):
            inside = encode(b"\0" * offset + raw).decode("ascii").rstrip("=")
            first = (0, 2, 3)[offset]  # characters that mix bits of what stands before
            whole = (offset + len(raw)) * 8 // 6  # characters made of the value's bits alone
            if whole - first >= 7:
                yield inside[first:whole]
