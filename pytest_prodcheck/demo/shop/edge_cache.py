"""The shared cache in front of the shop: it keeps what may be kept, and tells so by Age and X-Cache (RFC 9111)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_prodcheck.demo.shop.application import Shop
from pytest_prodcheck.demo.shop.http_server import Request, Response

MOST = 100  # answers
_LIFE = re.compile(r"public\b.*\bmax-age=([0-9]+)")
# path -> the fault that makes the cache keep it
KEPT_BY = {"/healthz": "cache-keeps-health", "/account": "cache-keeps-accounts"}


@dataclass(frozen=True)
class _Kept:
    answer: Response
    at: float  # monotonic
    life: int  # seconds


class EdgeCache:
    """Answers what it has, and asks the shop for the rest. Two faults make it keep more than it may."""

    def __init__(self, shop: Shop, answer: Callable[[Request], Response]) -> None:
        self._shop, self._ask = shop, answer
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        """The answer of the shop, or one that it gave before."""
        faults = self._shop.faults
        if request.method != "GET":
            return self._ask(request)
        key = (request.path, request.query, request.headers.get("accept-encoding", ""), *sorted(faults))
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now - kept.at < kept.life:
            told = {"Age": str(int(now - kept.at)), "X-Cache": "HIT"}
            return replace(kept.answer, headers={**kept.answer.headers, **told})
        if "cache-keeps-accounts" in faults and request.path == "/account":  # a customer was here before
            token = f"Bearer {self._shop.new_token('customer')}"
            request = replace(request, headers={**request.headers, "authorization": token})
        answer = self._ask(request)
        if life := _max_age(request, answer, faults):
            answer.headers["X-Cache"] = "MISS"
            with self._lock:
                if len(self._kept) >= MOST:
                    self._kept.clear()
                self._kept[key] = _Kept(answer, now, life)
        return answer


def _max_age(request: Request, answer: Response, faults: frozenset[str]) -> int:
    """For how many seconds an answer may be kept; 0 for not at all."""
    if answer.status != 200 or answer.reset or answer.cut:
        return 0
    if KEPT_BY.get(request.path) in faults:
        return 60
    found = _LIFE.search(answer.headers.get("Cache-Control", ""))
    return int(found[1]) if found else 0
