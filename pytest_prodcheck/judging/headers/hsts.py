"""Strict-Transport-Security as browsers process it (RFC 6797, 6.1 and 8.1) and the preload list's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_prodcheck.judging.headers.fields import Headers, lines, unquoted
from pytest_prodcheck.judging.headers.findings import Findings, warns

PRELOAD_AGE = 31_536_000  # seconds: a year, as https://hstspreload.org asks for
_TOKEN = r"[!#$%&'*+.^_`|~0-9a-z-]++"
_DIRECTIVE = re.compile(
    rf'[ \t]*+(?:({_TOKEN})[ \t]*+(=[ \t]*+({_TOKEN}|"(?:[^"\\]|\\.)*+"))?+[ \t]*+)?+(?:;|\Z)', re.I
)


@dataclass(frozen=True)
class Hsts:
    """The policy that a browser notes, or why it notes none (`ignored`)."""

    max_age: int | None = None
    subdomains: bool = False
    preload: bool = False
    ignored: str = ""


def parse(headers: Headers) -> Hsts:
    """The policy of an answer over TLS: only the first field counts, and a field that breaks the grammar not at all."""
    sent = lines(headers, "Strict-Transport-Security")
    if not sent:
        return Hsts(ignored="there is no Strict-Transport-Security")
    directives = _directives(sent[0])
    if directives is None:
        return Hsts(ignored=f"browsers ignore it: {sent[0][:80]!r} does not have the form max-age=SECONDS; …")
    names = [name for name, _ in directives]
    twice = next((name for name in ("max-age", "includesubdomains") if names.count(name) > 1), "")
    if twice:
        return Hsts(ignored=f"browsers ignore it: it contains {twice} twice")
    found = dict(directives)
    if found.get("includesubdomains") is not None:
        return Hsts(ignored="browsers ignore it: includeSubDomains must not have a value")
    age = found.get("max-age")
    if age is None or not re.fullmatch(r"[0-9]+", age):
        return Hsts(ignored="browsers ignore it: it has no max-age=SECONDS")
    return Hsts(min(int(age.lstrip("0")[:20] or 0), 10**12), "includesubdomains" in found, "preload" in found)


def _directives(text: str) -> list[tuple[str, str | None]] | None:
    """Names in lower case and values without their quotes, None where the grammar is broken (RFC 6797, 6.1)."""
    found: list[tuple[str, str | None]] = []
    place = 0
    while place < len(text):
        part = _DIRECTIVE.match(text, place)
        if part is None:
            return None
        if part[1]:
            found.append((part[1].lower(), unquoted(part[3]) if part[2] else None))
        place = part.end()
    return found


def weaknesses(headers: Headers) -> Findings:
    """What is odd about a policy that counts: several fields, a directive twice, `preload` without what it needs."""
    policy, found = parse(headers), []
    if len(set(lines(headers, "Strict-Transport-Security"))) > 1:
        found.append("it is sent several times with different values: browsers use the first one")
    names = [name for name, _ in _directives(lines(headers, "Strict-Transport-Security")[0]) or ()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        found.append(f"it contains {', '.join(twice)} twice, which RFC 6797 forbids and browsers overlook")
    if policy.preload and not policy.subdomains:
        found.append("preload without includeSubDomains: the preload list refuses it")
    if policy.preload and (policy.max_age or 0) < PRELOAD_AGE:
        found.append("preload with a max-age under a year: the preload list refuses it")
    return warns(found)
