"""Whether an answer was made for this request, or comes from a cache and tells of another time (RFC 9111)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_prodcheck.records import Exchange, Problem

FRESH = {"Cache-Control": "no-cache", "Pragma": "no-cache"}  # asks caches to have the answer made anew
_HIT = re.compile(r"\b(?:TCP_(?:MEM_)?)?(?:HIT|STALE|UPDATING)\b", re.I)
# what people call such a field (`add_header X-FastCGI-Cache $upstream_cache_status`): there the first word counts
_ENDS = ("cache", "cache-status", "cache-debug", "cache-info", "cache-state", "cache-result")
_RACK = ("x-rack-cache", "x-symfony-cache")  # "GET /health: fresh"
_SAYS = (
    "x-cache", "x-cache-status", "x-proxy-cache", "cf-cache-status", "x-vercel-cache", "x-nextjs-cache",
    "x-drupal-cache", "x-litespeed-cache", "x-varnish-cache", "x-cache-lookup", "akamai-cache-status",
)  # fmt: skip


def cached(headers: Iterable[tuple[str, str]]) -> str:
    """What shows that it comes from a cache, "its Age is 7"; "" where nothing does.

    An Age of 0 was made within the last second, and Varnish says it of answers that it did not keep.
    """
    for key, value in headers:
        name, text = key.lower(), value.strip()
        if name == "age" and re.fullmatch(r"[0-9]{1,10}", text) and int(text) > 0:
            return f"its Age is {text} s"
        if name == "warning" and re.match(r"11[0-3]\b", text):
            return f"its Warning is {text[:3]}"
        if name == "cache-status" and any(re.search(r";\s*hit\b", each) for each in text.split(",")):
            return f"its Cache-Status is {text[:60]}"
        if name in _RACK and re.search(r"\bfresh\b", text):
            return f"its {key} is {text[:60]}"
        if name not in _SAYS and name.endswith(_ENDS) and _HIT.match(text):
            return f"its {key} is {text[:60]}"
        if name in _SAYS and (_HIT.search(text) if name != "x-cache-lookup" else text.upper().startswith("HIT")):
            return f"its {key} is {text[:60]}"
    return ""


def stale(exchange: Exchange, what: str) -> Problem | None:
    """The problem of an answer that is to prove something of now and comes from a cache; None where it does not."""
    why = cached(exchange.headers)
    if not why:
        return None
    hint = "send it with Cache-Control: no-store, and let caches bypass it"
    said = (
        f"{exchange.method} {exchange.url}: the answer comes from a cache ({why}), "
        f"so it does not show the current {what}"
    )
    return Problem("stale", said, hint)
