"""What answers tell that they should not: versions, stack traces; what caches may keep of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.judging.headers import banners, caching, html
from pytest_prodcheck.records import EvidenceProblem, Problem

from .findings import answered, insist_on_all, record

if TYPE_CHECKING:
    from pytest_prodcheck.records import Pages, PrivateAnswer, ProvokedErrors

UPSTREAM = (429, 502, 503, 504)  # a limiter or a proxy spoke, not the service


@check("security.headers.disclosure", severity="low", runbook="headers-disclosure")
def test_answers_do_not_tell_versions(http_pages: Pages) -> None:
    """Responses reveal no program versions and no internals (OWASP Secure Headers)."""
    for page in answered(http_pages.pages):
        generator = html.head_of(page.exchange.body).generator if page.is_html and page.exchange.body else ""
        told = banners.versions(page.exchange.headers, generator)
        judge("versions", not told, of=page.name, reason="; ".join(told))
    insist_on_all(http_pages.pages)


@check("security.headers.traces", severity="high", runbook="headers-traces")
def test_errors_do_not_tell_what_is_inside(http_errors: ProvokedErrors) -> None:
    """Responses to malformed requests contain no stack trace or debug page."""
    unclear = []
    for answer in http_errors.answers:
        if answer.exchange is None:
            # one that hangs up on nonsense told nothing; one that is late told nothing yet
            if answer.problem is not None and answer.problem.kind not in ("reset", "protocol"):
                unclear.append(f"{answer.case}: {answer.problem}")
            continue
        shown = f"{', '.join(answer.signs[:3])} in the answer ({answer.exchange.status})"
        judge("error page", not answer.signs, of=answer.case, reason=shown)
        if answer.exchange.status in UPSTREAM:
            unclear.append(f"{answer.case}: {answer.exchange.status}, so the service itself did not answer")
    if unclear:
        raise EvidenceProblem(Problem("protocol", "; ".join(unclear[:5])))


@check("security.headers.caching", severity="high", runbook="headers-caching")
def test_private_answers_are_not_shared_by_caches(http_private: PrivateAnswer) -> None:
    """Shared caches may not store responses to authenticated requests (RFC 9111, RFC 9213)."""
    exchange = http_private.exchange
    if exchange.status not in http_private.expected:
        what = f"{exchange.method} {exchange.url} as {http_private.role} answered {exchange.status}"
        raise EvidenceProblem(Problem("protocol", f"{what}: this is not the private answer that caches must not share"))
    found = caching.judged(exchange.headers, by_header=http_private.carrier in ("bearer", "basic"))
    record("caching", found, f"{exchange.method} {exchange.url.partition('?')[0]}")
