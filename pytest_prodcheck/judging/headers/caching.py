"""Whether a cache that users share may keep an answer and give it to others (RFC 9111, RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pytest_prodcheck.judging.headers.fields import Headers, lines, listed, parameters, split
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns

# fields for one kind of caches (RFC 9213): those of Cloudflare, Netlify and Vercel end alike
_TARGETED = ("surrogate-control", "akamai-cache-control", "x-litespeed-cache-control", "cdn-cache-control")


def directives(text: str) -> dict[str, str | None]:
    """Cache directives: name -> argument; of a repeated one the first (RFC 9111, 4.2.1)."""
    found: dict[str, str | None] = {}
    for name, value in parameters(text, ","):
        found.setdefault(name, value)
    return found


def judged(headers: Headers, by_header: bool) -> Findings:
    """What a shared cache may do with an answer that was for one user.

    by_header: the request carried `Authorization`, which alone keeps shared caches from storing it (3.5) unless the
    answer allows it; a cookie does not.
    """
    headers = tuple(headers)
    for name in dict.fromkeys(name for name, _ in headers if _is_targeted(name.lower())):
        sent = lines(headers, name)  # caches that know the field of their own follow it instead (RFC 9213, 2.2)
        if _is_cacheable(directives(", ".join(sent))):
            return fails(f"{name}: {', '.join(sent)[:60]} allows that cache to store it")
    if "*" in (listed(headers, "Vary") or ()):
        return Findings()
    sent = lines(headers, "Cache-Control")
    said = directives(", ".join(sent))
    found = _shared(said, headers, by_header)
    if (loose := _loosely(sent)) is not None:  # what caches make of it differs: the worst of it counts
        found = _shared(loose, headers, by_header)
        odd = f"Cache-Control: {', '.join(sent)[:60]} is separated by other marks than commas: not all caches read it"
        found = found if found.failed else warns([odd])
    if found.failed and {"authorization", "cookie"} & {each.lower() for each in listed(headers, "Vary") or ()}:
        return warns([f"{found.failed[0]}, by its Vary only for the same credentials"])
    return found


def _loosely(sent: tuple[str, ...]) -> dict[str, str | None] | None:
    """The directives where semicolons and blanks separate them too, as nginx reads them; None for a proper list."""
    parts = ["=".join(each.strip() for each in part.split("=")) for part in split(", ".join(sent))]
    if not any(mark in part for part in parts if '"' not in part for mark in "; \t"):
        return None
    return directives(",".join(part if '"' in part else ",".join(part.replace(";", " ").split()) for part in parts))


def _is_targeted(name: str) -> bool:
    return name in _TARGETED or name.endswith("-cdn-cache-control")


def _shared(said: Mapping[str, str | None], headers: Headers, by_header: bool) -> Findings:
    shown = ", ".join(lines(headers, "Cache-Control"))[:60]
    if _forbidden(said):
        loose = [name for name in ("public", "s-maxage") if name in said]
        return warns([f"Cache-Control contradicts itself ({shown})"] if loose else [])
    if _seconds(said, "s-maxage"):
        return fails(f"Cache-Control: {shown} allows shared caches to store it")
    fresh = _seconds(said, "s-maxage", "max-age")
    if fresh is None:
        fresh = _expires(headers)
    if "public" in said and fresh != 0:
        return fails(f"Cache-Control: {shown} allows shared caches to store it")
    allowed = not by_header or "must-revalidate" in said or "public" in said
    if fresh and allowed:
        why = "" if by_header else " (the request had a cookie, which caches ignore)"
        return fails(f"shared caches may store it for {fresh} s{why}")
    stored = allowed or "s-maxage" in said
    if stored and (late := _stale(said)):
        return fails(f"Cache-Control: {shown} lets shared caches give it to others for {late} s when it is stale")
    if fresh == 0 or (fresh is None and not allowed):
        return Findings()
    if fresh:
        return warns(
            [(f"Cache-Control: {shown}: only the Authorization of the request prevents shared caches from storing it")]
        )
    return warns(["Cache-Control has neither no-store nor private"])


def _forbidden(said: Mapping[str, str | None]) -> bool:
    """Whether shared caches may not give it out unasked; `private="name"` and `no-cache="name"` are about fields."""
    return "no-store" in said or any(name in said and said[name] is None for name in ("private", "no-cache"))


def _is_cacheable(said: Mapping[str, str | None]) -> bool:
    return not _forbidden(said) and bool(_seconds(said, "s-maxage", "max-age") or _stale(said))


def _stale(said: Mapping[str, str | None]) -> int:
    """Seconds for which caches may give out what is no longer fresh, while they ask or cannot ask (RFC 5861)."""
    if "must-revalidate" in said or "proxy-revalidate" in said:
        return 0
    return max(_seconds(said, each) or 0 for each in ("stale-while-revalidate", "stale-if-error"))


def _seconds(said: Mapping[str, str | None], *names: str) -> int | None:
    """Seconds of the first of these directives that is there; what is no number is stale (4.2.1)."""
    for name in names:
        if name in said:
            value = said[name] or ""
            return int(value.lstrip("0")[:12] or 0) if re.fullmatch(r"[0-9]+", value) else 0
    return None


def _expires(headers: Headers) -> int | None:
    """Seconds that `Expires` gives, None without it or a Date; what is no date is stale (5.3)."""
    sent, dated = lines(headers, "Expires"), lines(headers, "Date")
    if not sent:
        return None
    try:
        ends = parsedate_to_datetime(sent[0]).timestamp()
        # without a Date, caches count from when it came (RFC 9110, 6.6.1), which is not known here
        return max(0, int(ends - parsedate_to_datetime(dated[0]).timestamp())) if dated else None
    except (ValueError, TypeError, OverflowError):
        return 0
