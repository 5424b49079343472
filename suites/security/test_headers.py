"""Headers of answers as browsers read them: HSTS, content types, policies of pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Exchange, Limit, check, judge
from pytest_prodcheck.judging.headers import (
    content_type,
    csp,
    csp_rules,
    framing,
    hardening,
    hsts,
    html,
    page_loads,
    referrer,
)
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns

from .findings import answered, insist_on_all, record

if TYPE_CHECKING:
    from pytest_prodcheck.records import Pages


@check("security.headers.hsts", severity="high", limit=Limit(warn="180d", fail="1d"), runbook="headers-hsts")
def test_browsers_are_told_to_keep_to_https(http_secure: Pages, declared: Mapping[str, Any], limit: Limit) -> None:
    """Responses over TLS have a valid Strict-Transport-Security with a long max-age (RFC 6797)."""
    for_people = _for_people(declared)  # programs hardly ever heed it
    first, *others = answered(http_secure.pages)
    for page in (first, *others):
        policy = hsts.parse(page.exchange.headers)
        if policy.ignored:
            warn = page is not first or not for_people  # a browser that saw the first page has the policy
            judge("HSTS", False, of=page.name, warn_only=warn, reason=policy.ignored)
        else:
            judge("HSTS max-age", policy.max_age, at_least=limit, unit="s", of=page.name)
            record("HSTS", hsts.weaknesses(page.exchange.headers), page.name)
    insist_on_all(http_secure.pages)


def _for_people(declared: Mapping[str, Any]) -> bool:
    """Whether browsers are expected at a service: where not, what only guards them warns."""
    return bool(declared.get("public") or declared.get("html"))


@check("security.headers.content-type", severity="high", runbook="headers-content-type")
def test_browsers_do_not_guess_types(http_pages: Pages, declared: Mapping[str, Any]) -> None:
    """Responses declare their type and forbid sniffing; JSON is not sent as HTML (WHATWG MIME Sniffing)."""
    for page in answered(http_pages.pages):
        exchange = page.exchange
        if exchange.size or 200 <= exchange.status < 300:
            found = content_type.judged(exchange.headers, exchange.size, exchange.body, _for_people(declared))
            record("content type", found, page.name)
    insist_on_all(http_pages.pages)


@check("security.headers.csp", severity="medium", runbook="headers-csp")
def test_pages_restrict_their_scripts(http_html: Pages) -> None:
    """HTML pages enforce a Content-Security-Policy that keeps injected scripts from running (CSP Level 3)."""
    for page in answered(http_html.pages, html=True):
        record("CSP", csp_rules.judged(_policies(page.exchange)) + _in_page(page.exchange), page.name)
    again = http_html.again
    first = http_html.pages[0]
    if again is not None and first.is_html and any(map(csp.nonces, _policies(first.exchange))):
        repeated = csp_rules.same_nonce([_policies(first.exchange), _policies(again)])
        judge("CSP nonces are new each time", not repeated, of=first.name, reason="two answers have the same nonce")
    insist_on_all(http_html.pages)


def _in_page(exchange: Exchange) -> Findings:
    """What is odd about the policies in a page's <meta>."""
    found = html.head_of(exchange.body) if exchange.body else html.Head()
    told = ["a policy in <meta> comes after a script, so it does not apply to that script"] if found.late else []
    if found.outside:
        told.append("a policy in <meta> is in the body, where browsers ignore it")
    return warns(told)


def _policies(exchange: Exchange) -> tuple[csp.Policy, ...]:
    headers = exchange.headers
    in_fields = csp.policies(headers)
    # a policy in <meta> counts too; where the body was not kept the fields alone have to do
    if exchange.body is None and any(policy.enforced and policy.scripts is not None for policy in in_fields):
        return in_fields
    return csp.policies(headers, html.head_of(exchange.text).csp)


@check("security.headers.framing", severity="medium", runbook="headers-framing")
def test_strangers_cannot_frame_pages(http_html: Pages) -> None:
    """Foreign sites cannot frame HTML pages: frame-ancestors, or X-Frame-Options without it."""
    for page in answered(http_html.pages, html=True):
        record("framing", framing.judged(page.exchange.headers), page.name)
    insist_on_all(http_html.pages)


@check("security.headers.referrer", severity="medium", runbook="headers-referrer")
def test_other_sites_do_not_get_our_addresses(http_html: Pages) -> None:
    """HTML pages have a Referrer-Policy that hides paths and queries from other sites (Referrer Policy)."""
    for page in answered(http_html.pages, html=True):
        metas = html.head_of(page.exchange.body).referrer if page.exchange.body else ()
        record("referrer policy", referrer.judged(page.exchange.headers, metas), page.name)
    insist_on_all(http_html.pages)


@check("security.headers.hardening", severity="low", runbook="headers-hardening")
def test_pages_ask_browsers_for_more(http_html: Pages) -> None:
    """HTML pages use simple protections with valid values: COOP, Permissions-Policy, form-action."""
    told: dict[str, list[str]] = {}  # what could be better -> the pages where
    pages = answered(http_html.pages, html=True)
    for page in pages:
        for each in hardening.judged(page.exchange.headers, _policies(page.exchange)):
            told.setdefault(each, []).append(page.name)
    for each, names in told.items():
        judge("hardening", False, of=", ".join(names), warn_only=True, reason=each)
    if not told:
        judge("hardening", True, of=f"{len(pages)} pages")
    insist_on_all(http_html.pages)


@check("security.headers.blocked", severity="medium", runbook="headers-blocked")
def test_browsers_load_what_pages_ask_for(http_html: Pages) -> None:
    """No script, style or frame of a page is blocked as mixed content, and no script by the page's own policy."""
    for page in answered(http_html.pages, html=True):
        exchange = page.exchange
        policies = _policies(exchange)
        asked = list(dict.fromkeys(page_loads.subresources(exchange.text, exchange.url)))
        plain = [each for each in asked if page_loads.is_mixed_content(each, exchange.url, policies)]
        closed = [each for each in asked if each not in plain and page_loads.forbidden(each, exchange.url, policies)]
        told = [f"{each.kind} {each.url[:100]} over plain HTTP on an HTTPS page: browsers block it" for each in plain]
        warned = [f"the page's own policy forbids its script {each.url[:100]}" for each in closed]
        record("resources that the page loads", fails(*told) + warns(warned), page.name)
    insist_on_all(http_html.pages)
