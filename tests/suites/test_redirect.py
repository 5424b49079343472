"""What `smoke.service.redirect` makes of the way from plain HTTP."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import Exchange, RedirectChain
from suites.smoke.test_services import test_plain_http_leads_to_https as judge_redirect


def hop(url: str, to: str = "", end: int = 200) -> Exchange:
    return Exchange("GET", url, 301 if to else end, (("Location", to),) if to else (), None, 0, 0.01)


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        ((hop("http://shop/", "https://shop/"), hop("https://shop/")), Outcome.PASSED),
        ((hop("http://shop/", "https://shop/"), hop("https://shop/", "/app/"), hop("https://shop/app/")),
         Outcome.PASSED),
        # apache/httpd#325, aspnetcore#38744, openremote#3289: the slash is added by who knows of no TLS
        ((hop("http://shop/", "https://shop/"), hop("https://shop/", "http://shop/app/"),
          hop("http://shop/app/", "https://shop/app/"), hop("https://shop/app/")), Outcome.WARNED),
        ((hop("http://shop/", "http://shop/app/"), hop("http://shop/app/")), Outcome.FAILED),
        # evertramos/nginx-proxy-automation#72: the proxy finds nothing behind its TLS
        ((hop("http://shop/", "https://shop/"), hop("https://shop/", end=502)), Outcome.FAILED),
        ((hop("http://shop/", "https://shop/"), hop("https://shop/", end=404)), Outcome.PASSED),
    ],
)  # fmt: skip
def test_ways_from_plain_http(hops: tuple[Exchange, ...], expected: Outcome) -> None:
    open_ledger()
    try:
        judge_redirect(RedirectChain("http://shop/", False, hops, ("shop",)))
    finally:
        ledger = close_ledger()
    assert ledger.outcome is expected
