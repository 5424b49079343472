"""Referrer-Policy: the last value that is known counts (Referrer Policy, 8.1), a later <meta> replaces it (4.1)."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.judging.headers.fields import Headers, listed
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns

_STRICT = ("no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin")
_LEAKS = ("unsafe-url", "no-referrer-when-downgrade")  # path and query of our addresses reach other sites
_ORIGIN = ("origin", "origin-when-cross-origin")
_OLD = {"never": "no-referrer", "default": "strict-origin-when-cross-origin", "always": "unsafe-url",
        "origin-when-crossorigin": "origin-when-cross-origin"}  # HTML Standard, in <meta> only  # fmt: skip


def effective(headers: Headers, metas: Iterable[str] = ()) -> str:
    """The policy of a page in lower case, "" where it says none and the browser's default holds."""
    found = ""
    for value in listed(headers, "Referrer-Policy") or ():
        if value.lower() in (*_STRICT, *_LEAKS, *_ORIGIN):
            found = value.lower()
    for value in metas:
        word = _OLD.get(value.lower(), value.lower())  # blanks around it are part of it
        if word in (*_STRICT, *_LEAKS, *_ORIGIN):
            found = word
    return found


def judged(headers: Headers, metas: Iterable[str] = ()) -> Findings:
    """What other sites get to know of our addresses."""
    policy = effective(headers, metas)
    if policy in _LEAKS:
        return fails(f"{policy}: other sites receive full URLs of this site")
    if policy in _ORIGIN:
        return warns([f"{policy}: the origin is sent over plain HTTP too"])
    if not policy:
        return warns(["no valid policy is set: the default of the browser applies"])
    return Findings()
