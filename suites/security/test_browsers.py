"""What browsers do with a service's cookies, and what they let pages of other origins read."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.judging.headers import cookies, cors
from pytest_prodcheck.judging.headers.fields import lines
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns
from pytest_prodcheck.records import EvidenceProblem, Problem

from .findings import answered, insist_on_all, record

if TYPE_CHECKING:
    from pytest_prodcheck.records import CookieAnswers, CorsAnswers, Page

OURS = ("plain HTTP", "of our site")  # ends of the cases that strangers cannot bring about by themselves
LONG_AGO = 86_400.0 * 366  # epoch seconds; most who delete a cookie give it a date around 1970


@check("security.cookies", severity="high", runbook="cookies")
def test_cookies_are_guarded(http_cookies: CookieAnswers) -> None:
    """Session cookies have Secure, HttpOnly and SameSite; browsers accept every cookie (RFC 6265bis)."""
    pages = [*answered(http_cookies.answers), *([http_cookies.login] if http_cookies.login else [])]
    seen: set[str] = set()
    for page in pages:
        seen |= _judge_cookies(page, http_cookies)
    if http_cookies.session and http_cookies.session not in seen and http_cookies.login is not None:
        hint = "is auth.cookie the name that the login sets?"
        raise EvidenceProblem(Problem("protocol", f"no answer set the session cookie {http_cookies.session}", hint))
    if not seen:
        judge("no cookie is set", True, of=f"{len(pages)} answers")
    insist_on_all(pages)


def _said(date: str | None) -> float:
    """The time of an answer by its own clock, to tell which cookies it deletes."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return LONG_AGO


def _judge_cookies(page: Page, about: CookieAnswers) -> set[str]:
    """Judges the cookies of one answer, of equal ones the last (browsers replace); returns their names."""
    kept: dict[tuple[str, str, str], cookies.Cookie] = {}
    differing: set[str] = set()
    now, refused = _said(page.exchange.header("Date")), dict(page.exchange.refused_cookies)
    for line in lines(page.exchange.headers, "Set-Cookie"):
        cookie = cookies.parse(line, now=now)
        if cookie is None:
            continue
        key = (cookie.name, cookie.attributes.get("domain", ""), cookie.attributes.get("path", ""))
        if key in kept and kept[key].attributes != cookie.attributes:
            differing.add(cookie.name)
        kept[key] = cookie
    names = set()
    for cookie in kept.values():
        if cookie.removed:
            refused.pop(cookie.name, "")
            continue
        names.add(cookie.name)
        session = cookies.is_session(cookie, {about.session} if about.session else set())
        found = cookies.judged(cookie, about.host, about.https, session, refused.pop(cookie.name, ""))
        if cookie.name in differing:
            found += warns(["it is set twice with different attributes: browsers use the last one"])
        record("session cookie" if session else "cookie", found, f"{cookie.name} ({page.name})")
    for name, why in refused.items():  # what cannot even be read
        record("cookie", fails(f"browsers refuse it: {why}"), f"{name} ({page.name})")
        names.add(name)
    return names


@check("security.cors", severity="critical", runbook="cors")
def test_other_origins_cannot_read_with_credentials(http_cors: CorsAnswers) -> None:
    """No other origin, not even `null`, may read responses with the user's credentials (Fetch, "CORS check")."""
    unclear = []
    origins: dict[str, dict[Findings, list[str]]] = {}  # case -> findings -> the answers that have them
    for answer in http_cors.answers:
        exchange = answer.exchange
        found = cors.judged(exchange.headers, answer.origin, hostile=not answer.case.endswith(OURS))
        what = f"preflight of {answer.path}" if answer.preflight else f"GET {answer.path}"
        origins.setdefault(answer.case, {}).setdefault(found, []).append(what)
        if exchange.status == 429 or (exchange.status >= 500 and exchange.status != 501 and not answer.refused):
            unclear.append(f"{what} from {answer.case} answered {exchange.status}")
    for case, told in origins.items():
        for found, answers in told.items():
            record("CORS", found, f"{case} ({', '.join(answers)})")
    if unclear:
        raise EvidenceProblem(Problem("protocol", f"{', '.join(unclear[:5])}: that is not a refusal"))
