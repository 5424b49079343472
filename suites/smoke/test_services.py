"""Services: health, latency, version, addresses, redirect."""

from __future__ import annotations

import re
import statistics
from collections.abc import Container
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.health import documents, texts
from pytest_prodcheck.judging.health.words import BAD, DEGRADED, GOOD, HealthWord, first_word
from pytest_prodcheck.records import (
    AddressAnswer,
    Addresses,
    EvidenceProblem,
    Exchange,
    Health,
    Negotiation,
    Problem,
    RedirectChain,
    Revisions,
    RevisionSeen,
    RunningImage,
)

REDIRECTS = (301, 302, 303, 307, 308)
TELLING_SHARE = Limit(warn="95%", fail="91%")  # one blip among 44 warns nobody (97.7 %), one dead backend of ten fails
ADDRESS_TIME = Limit(warn="2s", fail="30s")


@check("smoke.service.health", severity="critical", runbook="service-health")
def test_service_says_it_is_healthy(http_health: Health) -> None:
    """The health endpoint answers 2xx with a document that says pass, up or ok, not an error page or login form."""
    exchange = http_health.exchange
    if not judge(
        "health status",
        exchange.status,
        one_of=range(200, 300),
        reason=exchange.wrong(f"answered {exchange.status}, not 2xx"),
    ):
        return
    said, beside = _health_said(exchange)
    if said is None:
        page = exchange.wrong("the answer is an HTML page, not a health document")
        judge("health answer is not an HTML page", False, reason=page)
        return
    judge("health is not degraded", said.word not in DEGRADED, warn_only=True, reason=str(said))
    for part in beside:
        judge("parts are healthy too", False, of=part.part, warn_only=True, reason=f"{part}, and the whole is healthy")
    if _is_document(exchange):
        judge("health document", said.word, one_of=(*GOOD, *DEGRADED), reason=exchange.wrong(str(said)))
    else:
        judge("health answer", first_word(said.word) not in BAD, reason=exchange.wrong(str(said)))


def _health_said(exchange: Exchange) -> tuple[HealthWord | None, tuple[HealthWord, ...]]:
    """What an answer says of the whole, None for a page; and which parts contradict it."""
    if _is_document(exchange):
        return documents.of_document(exchange.json(), exchange.content_type.startswith("application/health"))
    if texts.is_page(exchange.text, exchange.content_type):
        return None, ()
    if exchange.content_type.endswith("xml") or exchange.text.lstrip().startswith("<?xml"):
        return texts.of_xml(exchange.text), ()
    return texts.of_text(texts.visible(exchange.text))


def _is_document(exchange: Exchange) -> bool:
    begin = (exchange.body or "").lstrip()
    return exchange.content_type.endswith("json") or re.match(r"\{|\[\s*[{\"]", begin) is not None


@check("smoke.service.latency", severity="high", limit=Limit(warn="500ms", fail="2s"), runbook="service-latency")
def test_service_answers_in_time(http_health: Health, limit: Limit) -> None:
    """The median time of five responses of the health endpoint, after one warm-up."""
    good = [each.seconds for each in http_health.samples if 200 <= each.status < 300]
    judge("median of health answers", statistics.median(good) if good else None, at_most=limit, unit="s")


@check("smoke.service.version", severity="critical", runbook="service-version",
       fixed={"connections that reported a revision": TELLING_SHARE})  # fmt: skip
def test_service_runs_the_revision(http_version: Revisions) -> None:
    """Many new connections all reach the deployed revision, and all pods run the declared image."""
    expected = http_version.expected
    if not expected:
        raise EvidenceProblem(Problem("configuration", "no revision was given", "give --revision REV"))
    if http_version.pods_read:
        _images(http_version.images)
    if not http_version.asked:
        shipped = [each for each in http_version.images if each.shipped]
        judge("containers named in the manifests", len(shipped), at_least=1)
        return
    told = [seen for seen in http_version.seen if seen.problem is None]
    for address in sorted({seen.address for seen in told}):
        here = [seen for seen in told if seen.address == address]
        others = [seen for seen in here if seen.revision != expected]
        names = ", ".join(sorted({str(seen.revision) for seen in others})[:5])
        why = f"{len(others)} of {len(here)} connections met {names}, expected {expected}{_codings(here, others)}"
        judge("revision", others[0].revision if others else expected, equals=expected, of=address, reason=why)
    silent = next((seen.problem for seen in http_version.seen if seen.problem is not None), "")
    share = 100 * len(told) / http_version.asked
    judge("connections that reported a revision", share, at_least=TELLING_SHARE, unit="%", reason=str(silent))


def _codings(seen: list[RevisionSeen], others: list[RevisionSeen]) -> str:
    """Whether how the answer is compressed decides which version it tells."""
    wrong, right = {each.coding for each in others}, {each.coding for each in seen} - {each.coding for each in others}
    if not wrong or not right or wrong & {each.coding for each in seen if each not in others}:
        return ""
    told = " and ".join(sorted(each or "uncompressed" for each in wrong))
    return f"; all of these were {told}: is a precompressed file older than the original?"


def _images(images: tuple[RunningImage, ...]) -> None:
    """All pods run what was shipped; two different builds with one name count as two versions."""
    judge("running containers", len(images), at_least=1)
    for each in images:
        if each.shipped:
            runs = f"{each.image}, digest {each.digest or 'unknown'}"
            why = f"the container runs {runs}, the manifests name {each.shipped}"
            judge("image", each.as_shipped, equals=True, of=f"{each.pod}/{each.container}", reason=why)
    for name in sorted({(each.container, each.image) for each in images}):
        digests = sorted({each.digest for each in images if (each.container, each.image) == name and each.digest})
        judge(
            "different builds behind one version", len(digests), at_most=1, of=" ".join(name), reason=", ".join(digests)
        )


@check("smoke.service.negotiation", severity="critical", runbook="service-negotiation")
def test_every_browser_gets_the_same(http_negotiation: Negotiation) -> None:
    """Compressed (gzip, br) and plain responses are the same, and so are HTTP/2 and HTTP/1.1.

    HTTP/3 is noted if it is advertised, but not tested. Different text warns; text that changes with every response
    is not compared.
    """
    met, there = http_negotiation.looked_at, http_negotiation.declared
    why = f"only {met} of {there} answers arrived in time: is the service slow?"
    judge("answers checked", met, equals=there, warn_only=True, reason=why)
    for each in http_negotiation.renditions:
        of = f"{each.name} over HTTP/2" if each.how == "h2" else f"{each.name} as {each.how}"
        if each.problem is not None or each.statuses is None:
            known = each.problem is not None and each.problem.kind == "protocol"
            judge("answer", False if known else None, equals=True, of=of, reason=str(each.problem))
            continue
        first, other = each.statuses
        judge(
            "status",
            other,
            equals=first,
            of=of,
            reason=f"answered {other}, but {first} as {each.beside} over HTTP/1.1",
        )
        judge("content type", each.content_types[1], equals=each.content_types[0], of=of)
        judge("has the declared content", not each.lacks, of=of, reason=f"lacks {each.lacks}")
        why = f"the text differs from that as {each.beside}: is one copy stale?"
        judge("text", each.says_the_same is not False, of=of, warn_only=True, reason=why)


@check("smoke.service.addresses", severity="high", runbook="service-addresses",
       fixed={"time to answer": ADDRESS_TIME})  # fmt: skip
def test_every_address_answers(http_addresses: Addresses) -> None:
    """Every address of the service answers, over TLS with a valid certificate.

    It fails if users are affected. It is errored if the cause may be our own network. Without a route from here,
    IPv4 or IPv6 is skipped, with a note.
    """
    if http_addresses.problem is not None:
        judge("the name exists", False, reason=str(http_addresses.problem))
        return
    routed = [answer for answer in http_addresses.answers if answer.routed]
    judge("addresses with a route from here", len(routed) or None, at_least=1, reason="there is no route from here")
    for answer in routed:
        why = str(answer.problem) if answer.problem else f"answered {answer.status}"
        if not answer.theirs:
            judge("answers", None, one_of=(), of=answer.address, reason=why)
            continue
        up = answer.problem is None and answer.status is not None and answer.status < 500
        if up and answer.status in _astray(routed):
            up, why = False, f"{why}, others do not: is it the address of another server?"
            if answer.status == 403:  # which may be about us alone
                judge("answers", None, one_of=(), of=answer.address, reason=f"{why} Or are we kept out there?")
                continue
        if judge("answers", up, of=answer.address, reason=why):
            judge("time to answer", answer.seconds, at_most=ADDRESS_TIME, unit="s", of=answer.address)


def _astray(answers: list[AddressAnswer]) -> Container[int]:
    """Statuses by which an address shows that the service is not there, where another one answers as it should."""
    found = any(answer.status is not None and 200 <= answer.status < 400 for answer in answers)
    return (400, 403, 404, 410, 421) if found else ()


@check("smoke.service.redirect", severity="medium", runbook="service-redirect")
def test_plain_http_leads_to_https(http_redirect: RedirectChain) -> None:
    """Plain HTTP redirects to HTTPS of a declared host, at each address; a closed port passes, too."""
    for each in http_redirect.addresses:
        if each.status < 500:  # of the others smoke.service.addresses tells
            told = f"answered {each.status}"
            judge("plain HTTP redirects", each.status, one_of=REDIRECTS, of=each.address, reason=told)
    if http_redirect.closed:
        judge("plain HTTP", "closed", equals="closed")
        return
    judge("ends", not http_redirect.looped, reason="the redirects form a loop")
    first = http_redirect.hops[0]
    if not judge("plain HTTP redirects", first.status, one_of=REDIRECTS, reason=f"answered {first.status}"):
        return
    for hop in http_redirect.hops:
        if hop.status not in REDIRECTS:
            continue
        to = urlsplit(urljoin(hop.url, hop.header("Location") or ""))
        host = to.hostname or ""
        judge("redirects stay on declared hosts", host, one_of=http_redirect.allowed_hosts, of=hop.url)
        if urlsplit(hop.url).scheme == "https":
            why = "it leads back to plain HTTP: does the application know that a proxy speaks TLS for it?"
            judge("HTTPS stays HTTPS", to.scheme != "http", of=hop.url, warn_only=True, reason=why)
    last = http_redirect.hops[-1]
    end = urljoin(last.url, last.header("Location") or "") if last.status in REDIRECTS else last.url
    judge("redirects end at HTTPS", urlsplit(end).scheme, equals="https", reason=f"they end at {end}")
    judge("the end answers", last.status < 500, reason=f"{last.url} answered {last.status}")
