"""What the checks of headers, cookies, CORS and exposure make of evidence, above all of evidence that says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_prodcheck import Limit
from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.web import (
    CookieAnswers,
    CorsAnswer,
    CorsAnswers,
    Exposure,
    MethodAnswer,
    Methods,
    OpenPorts,
    Page,
    Pages,
    PrivateAnswer,
    Probe,
    ProvokedError,
    ProvokedErrors,
)
from suites.security import test_browsers as browsers
from suites.security import test_disclosure as disclosure
from suites.security import test_exposure as exposure
from suites.security import test_headers as headers

Fields = tuple[tuple[str, str], ...]
LIMIT = Limit(warn="180d", fail="1d")
HTML: Fields = (("Content-Type", "text/html"),)
GOOD: Fields = (
    *HTML, ("Strict-Transport-Security", "max-age=31536000"), ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"), ("Referrer-Policy", "no-referrer"),
)  # fmt: skip


def exchange(status: int = 200, fields: Fields = GOOD, body: str | None = "<p>", method: str = "GET") -> Exchange:
    return Exchange(method, "https://shop.example/", status, fields, body, len(body or ""), 0.01)


def pages(*given: Exchange) -> Pages:
    return Pages("shop.example", True, tuple(Page(f"/{number}", each) for number, each in enumerate(given)), None)


def outcome(check: Callable[..., None], *given: Any) -> str:
    """As the plugin makes it: what failed stays failed, a problem is errored."""
    open_ledger()
    problem = False
    try:
        check(*given)
    except EvidenceProblem:
        problem = True
    finally:
        ledger = close_ledger()
    said = ledger.outcome.value
    return "errored" if problem and said != "failed" else said


PAGE_CHECKS: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
    (headers.test_browsers_are_told_to_keep_to_https, ({"public": True}, LIMIT)),
    (headers.test_browsers_do_not_guess_types, ({"public": True},)),
    (headers.test_pages_restrict_their_scripts, ()),
    (headers.test_strangers_cannot_frame_pages, ()),
    (headers.test_other_sites_do_not_get_our_addresses, ()),
    (disclosure.test_answers_do_not_tell_versions, ()),
]


@pytest.mark.parametrize(("check", "more"), PAGE_CHECKS, ids=lambda each: getattr(each, "__name__", ""))
def test_pages(check: Callable[..., None], more: tuple[Any, ...]) -> None:
    """Good pages pass; one that crashed or was refused by a limiter is errored, also beside good ones."""
    assert outcome(check, pages(exchange(), exchange()), *more) == "passed"
    for status in (429, 500, 502, 503):
        assert outcome(check, pages(exchange(), exchange(status)), *more) == "errored"
        assert outcome(check, pages(exchange(status)), *more) == "errored"
    assert outcome(check, pages(), *more) == "errored"


@pytest.mark.parametrize("check", [each for each, more in PAGE_CHECKS[2:5]])
def test_a_service_without_a_page_is_not_judged_by_its_documents(check: Callable[..., None]) -> None:
    document = exchange(fields=(("Content-Type", "application/json"),), body="{}")
    assert outcome(check, pages(document)) == "errored"


def test_what_only_browsers_heed_warns_where_none_are_expected() -> None:
    bare = pages(exchange(fields=HTML))
    assert outcome(headers.test_browsers_are_told_to_keep_to_https, bare, {"public": True}, LIMIT) == "failed"
    assert outcome(headers.test_browsers_are_told_to_keep_to_https, bare, {"html": True}, LIMIT) == "failed"
    assert outcome(headers.test_browsers_are_told_to_keep_to_https, bare, {}, LIMIT) == "warned"
    assert outcome(headers.test_browsers_do_not_guess_types, bare, {"html": True}) == "failed"
    assert outcome(headers.test_browsers_do_not_guess_types, bare, {}) == "warned"
    mixed = pages(exchange(), exchange(fields=HTML))
    assert outcome(headers.test_browsers_are_told_to_keep_to_https, mixed, {"public": True}, LIMIT) == "warned"
    forgets = pages(exchange(), exchange(fields=(("Strict-Transport-Security", "max-age=0"),)))
    assert outcome(headers.test_browsers_are_told_to_keep_to_https, forgets, {"public": True}, LIMIT) == "failed"


def test_a_policy_in_a_page_whose_body_was_not_kept() -> None:
    """The fields may do; where they do not, it cannot be told."""
    assert outcome(headers.test_pages_restrict_their_scripts, pages(exchange(body=None))) == "passed"
    assert outcome(headers.test_pages_restrict_their_scripts, pages(exchange(fields=HTML, body=None))) == "errored"


def provoked(*answers: ProvokedError) -> ProvokedErrors:
    return ProvokedErrors(exchange(), answers)


def test_traces() -> None:
    check = disclosure.test_errors_do_not_tell_what_is_inside
    fine = ProvokedError("a", exchange(404, body="nothing here"))
    trace = ProvokedError("b", exchange(502), ("a Go panic",))
    assert outcome(check, provoked(fine)) == "passed"
    assert outcome(check, provoked(fine, ProvokedError("c", None, (), Problem("reset", "closed")))) == "passed"
    assert outcome(check, provoked(fine, ProvokedError("c", None, (), Problem("timeout", "late")))) == "errored"
    assert outcome(check, provoked(ProvokedError("c", None, (), Problem("reset", "closed")))) == "errored"
    for status in (429, 502, 503, 504):
        assert outcome(check, provoked(fine, ProvokedError("c", exchange(status)))) == "errored"
    assert outcome(check, provoked(fine, ProvokedError("c", exchange(500, body="Sorry")))) == "passed"
    assert outcome(check, provoked(trace, fine)) == "failed"
    assert outcome(check, provoked()) == "errored"


def test_caching_of_another_answer_is_not_judged() -> None:
    check = disclosure.test_private_answers_are_not_shared_by_caches
    private: Fields = (("Cache-Control", "no-store"),)
    assert outcome(check, PrivateAnswer("a", "bearer", (200,), exchange(200, private))) == "passed"
    assert outcome(check, PrivateAnswer("a", "bearer", (200,), exchange(401, private))) == "errored"
    shared: Fields = (("Cache-Control", "max-age=60"),)
    assert outcome(check, PrivateAnswer("a", "bearer", (200,), exchange(200, shared))) == "warned"
    assert outcome(check, PrivateAnswer("a", "cookie", (200,), exchange(200, shared))) == "failed"


def cookie_answers(
    login: tuple[str, ...] | None = None, page: tuple[str, ...] = (), session: str = ""
) -> CookieAnswers:
    def answer(cookies: tuple[str, ...]) -> Exchange:
        return exchange(fields=tuple(("Set-Cookie", each) for each in cookies), body=None)

    found = Page("login", answer(login)) if login is not None else None
    return CookieAnswers("shop.example", True, (Page("/", answer(page)),), found, session)


def test_cookies() -> None:
    check = browsers.test_cookies_are_guarded
    good = "sid=[redacted]; Secure; HttpOnly; SameSite=Lax"
    assert outcome(check, cookie_answers()) == "passed"
    assert outcome(check, cookie_answers((good,))) == "passed"
    assert outcome(check, cookie_answers(("sid=[redacted]",))) == "failed"
    assert outcome(check, cookie_answers(("sid=[redacted]", good))) == "warned"  # the last one counts
    assert outcome(check, cookie_answers(("sid=[redacted]; Path=/a", good))) == "failed"  # two cookies
    assert outcome(check, cookie_answers(("sid=; Max-Age=0",))) == "passed"
    assert outcome(check, cookie_answers((), session="sid")) == "errored"
    assert outcome(check, cookie_answers((good,), session="sid")) == "passed"
    assert outcome(check, cookie_answers(("x=[redacted]; Secure",), session="x")) == "failed"
    refused = CookieAnswers("shop.example", True, (Page("/", exchange(429)),), None, "")
    assert outcome(check, refused) == "errored"


def cors_answer(status: int, fields: Fields) -> CorsAnswers:
    answer = CorsAnswer("/", "another site", "https://evil.example", False, True, exchange(status, fields))
    return CorsAnswers(exchange(), (answer,))


def test_cors() -> None:
    check = browsers.test_other_origins_cannot_read_with_credentials
    reflected: Fields = (("Access-Control-Allow-Origin", "https://evil.example"),
                         ("Access-Control-Allow-Credentials", "true"))  # fmt: skip
    assert outcome(check, cors_answer(200, ())) == "passed"
    assert outcome(check, cors_answer(403, ())) == "passed"
    assert outcome(check, cors_answer(200, reflected)) == "failed"
    assert outcome(check, cors_answer(503, reflected)) == "failed"
    for status in (429, 500, 503):
        assert outcome(check, cors_answer(status, ())) == "errored"
    assert outcome(check, CorsAnswers(exchange(), ())) == "errored"


def exposed(*files: Probe, missing: tuple[Probe, ...] = ()) -> Exposure:
    return Exposure(exchange(), exchange(), missing, files, files, files)


@pytest.mark.parametrize(
    "check",
    [
        exposure.test_files_do_not_lie_open,
        exposure.test_debug_pages_do_not_lie_open,
        exposure.test_folders_are_not_listed,
    ],
)
def test_exposure(check: Callable[..., None]) -> None:
    """By content, whatever the status; what random names show too is the page for everything."""

    def probe(status: int, *signs: str, path: str = "/a") -> Probe:
        return Probe(path, "a thing", status, "text/plain", 9, signs)

    assert outcome(check, exposed(probe(404), probe(200), probe(403), probe(302))) == "passed"
    assert outcome(check, exposed(probe(404), probe(200, "a thing"))) == "failed"
    assert outcome(check, exposed(probe(404, "a thing"))) == "failed"
    assert outcome(check, exposed(probe(200, "a thing"), missing=(probe(200, "a thing", path="/random"),))) == "passed"
    assert outcome(check, exposed(probe(200, "something else"))) == "passed"
    for status in (429, 500, 502, 503):
        assert outcome(check, exposed(probe(404), probe(status))) == "errored"
    assert outcome(check, exposed(probe(500, "a thing"))) == "failed"
    assert outcome(check, exposed(probe(500), probe(200, "a thing"))) == "failed"
    assert outcome(check, exposed()) == "errored"


@pytest.mark.parametrize(
    ("status", "echoed", "allowed", "expected"),
    [
        (405, False, ("GET",), "passed"),
        (501, False, (), "passed"),
        (404, False, (), "passed"),
        (200, False, (), "passed"),  # answered like GET: nothing is echoed
        (200, True, (), "failed"),
        (405, True, (), "failed"),
        (500, False, (), "errored"),
        (429, False, (), "errored"),
        (405, False, ("GET", "TRACE"), "warned"),
        (405, False, ("GET", "PUT", "DELETE"), "passed"),
    ],
)
def test_methods(status: int, echoed: bool, allowed: tuple[str, ...], expected: str) -> None:
    found = Methods(exchange(), (MethodAnswer("TRACE", exchange(status, method="TRACE"), echoed),), allowed, False)
    assert outcome(exposure.test_unusual_methods_do_nothing, found) == expected


def test_ports() -> None:
    check = exposure.test_no_port_is_open_that_is_not_meant_to_be
    assert outcome(check, OpenPorts("h", (443,), 10, (443,), 9)) == "passed"
    assert outcome(check, OpenPorts("h", (443, 80), 10, (443,), 9)) == "passed"  # the smoke suite misses the other
    assert outcome(check, OpenPorts("h", (443,), 10, (443, 5432), 8)) == "failed"
    assert outcome(check, OpenPorts("h", (443,), 10, (443,), 8, Problem("unreachable", "no route"))) == "errored"
