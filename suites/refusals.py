"""Who refused: what stands before an application answers with the same statuses as its authorization rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck import Exchange

# what CSRF filters (Django, Spring 403; Flask-WTF, ASP.NET 400; Laravel 419; Rails 422) and firewalls answer
BY_FILTER = (400, 403, 404, 406, 419, 422)
SENT_TO_LOGIN = ("redirect", "shown")  # what refuses where sessions are cookies (records.LoginPage)


def limited(exchange: Exchange) -> bool:
    """Whether a limiter says that it was the one (Retry-After; RateLimit fields with nothing left)."""
    left = (exchange.header(name) for name in ("RateLimit-Remaining", "X-RateLimit-Remaining"))
    return exchange.status in (403, 404) and ("0" in left or exchange.header("Retry-After") is not None)
