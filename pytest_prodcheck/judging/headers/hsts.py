"""Strict-Transport-Security as browsers process it (RFC 6797, 6.1 and 8.1) and the preload list's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_prodcheck.judging.headers.fields import Headers, lines, parameters
from pytest_prodcheck.judging.headers.findings import Findings, warns

PRELOAD_AGE = 31_536_000  # seconds: a year, as https://hstspreload.org asks for
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")


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
    found: dict[str, str | None] = {}
    for name, value in parameters(sent[0]):
        if not _TOKEN.match(name) or "," in (value or ""):
            return Hsts(ignored=f"browsers ignore it: {sent[0][:80]!r} does not have the form max-age=SECONDS; …")
        if name in found:
            return Hsts(ignored=f"browsers ignore it: it contains {name} twice")
        found[name] = value
    age = found.get("max-age")
    if age is None or not re.fullmatch(r"[0-9]+", age):
        return Hsts(ignored="browsers ignore it: it has no max-age=SECONDS")
    return Hsts(min(int(age.lstrip("0")[:20] or 0), 10**12), "includesubdomains" in found, "preload" in found)


def weaknesses(headers: Headers) -> Findings:
    """What is odd about a policy that counts: several fields, `preload` without what the list asks for."""
    policy, found = parse(headers), []
    if len(set(lines(headers, "Strict-Transport-Security"))) > 1:
        found.append("it is sent several times with different values: browsers use the first one")
    if policy.preload and not policy.subdomains:
        found.append("preload without includeSubDomains: the preload list refuses it")
    if policy.preload and (policy.max_age or 0) < PRELOAD_AGE:
        found.append("preload with a max-age under a year: the preload list refuses it")
    return warns(found)
