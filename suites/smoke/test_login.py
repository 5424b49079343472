"""Login: good credentials work, bad ones are refused, protected things are protected, sessions end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_prodcheck import Exchange, check, judge
from pytest_prodcheck.records import EvidenceProblem, Login, LoginPage, Problem, ProtectedAnswers, Rejections, Session

from ..refusals import BY_FILTER, SENT_TO_LOGIN, limited

NO_TOKEN = (400, 419, 422)
REFUSED = (401, 403)


def _needs_answer(exchange: Exchange, what: str) -> None:
    """A rate limiter or a dead upstream refuses nothing: what it says is no evidence either way."""
    if exchange.status == 429 or exchange.status >= 500 or limited(exchange):
        raise EvidenceProblem(Problem("protocol", f"{what}: {exchange.status} does not show who has access"))


def _judge_refused(what: str, exchange: Exchange, login: LoginPage, of: str) -> None:
    """401, 403 or, for a session cookie, the way to the login page; a page with a login box may show the rest too."""
    good = (*REFUSED, exchange.status) if login in SENT_TO_LOGIN else REFUSED
    judge(what, exchange.status, one_of=good, of=of, reason=f"answered {exchange.status}{_where(exchange, login)}")


def _where(exchange: Exchange, login: LoginPage) -> str:
    if login == "form":
        return " with a page that has a password field: only 401, 403 or a redirect to the login page is a refusal"
    to = exchange.header("Location") if 300 <= exchange.status < 400 else None
    if not to:
        return ", not 401 or 403"
    return (
        f" (to {to}): a redirect counts as a refusal only for session cookies, and only if "
        "it leads to the login page (auth.login_page)"
    )


@check("smoke.auth.login", severity="critical", runbook="auth-login")
def test_good_credentials_are_taken(auth_login: Login) -> None:
    """A login with good credentials returns a token or a session."""
    judge("login", auth_login.granted, of=auth_login.role, reason=auth_login.reason)


@check("smoke.auth.rejects", severity="critical", runbook="auth-rejects")
def test_bad_credentials_are_refused_alike(auth_rejections: Rejections, declared: Mapping[str, Any]) -> None:
    """A wrong password, an unknown user and an empty password are refused with the same message."""
    if not auth_rejections.control.granted:
        why = f"valid credentials are refused too ({auth_rejections.control.reason}): refusals prove nothing"
        raise EvidenceProblem(Problem("protocol", why))
    for attempt in auth_rejections.attempts:
        _needs_answer(attempt.exchange, attempt.case)
        judge("login", not attempt.granted, of=attempt.case, reason="access was granted")
        # a login form is usually shown again (200) or led back to (302, 303): there only being let in is telling
        refusals = (400, 401, 403, 422, *((200, 302, 303) if declared["kind"] == "form" else ()))
        judge("refusal", attempt.exchange.status, one_of=refusals, of=attempt.case)
    same = [each for each in auth_rejections.attempts if each.case in ("wrong password", "unknown user")]
    if len(same) == 2:
        known, unknown = (each.exchange for each in same)
        judge("status is the same for unknown users", unknown.status, equals=known.status)
        same_text = _lasting(unknown.text) == _lasting(known.text)
        judge("text is the same for unknown users", same_text, reason="the answers differ")


def _lasting(text: str) -> str:
    """A text without what changes from answer to answer: times, request ids, form tokens."""
    return re.sub(r"[0-9A-Za-z+/_=:.-]+", _without_digits, text)


def _without_digits(word: re.Match[str]) -> str:
    """A word up to the part with its first digit; its parts end at ":" and "."."""
    found = re.search("[0-9]", word[0])
    if found is None:
        return word[0]
    before = word[0][: found.start()]
    return before[: max(before.rfind(":"), before.rfind(".")) + 1] + "#"


@check("smoke.auth.required", severity="critical", runbook="auth-required")
def test_protected_endpoint_asks_who_you_are(auth_required: ProtectedAnswers) -> None:
    """Without a token, or with an invalid one, a protected endpoint refuses access; an allowed role gets it."""
    control = auth_required.control
    if control.status not in auth_required.control_expected or auth_required.control_login:
        asked = f"{control.method} {control.url} as {auth_required.control_role}"
        met = "the login page" if auth_required.control_login else str(control.status)
        raise EvidenceProblem(Problem("protocol", f"{asked}: {met}, so a refusal proves nothing"))
    for who, exchange, login in (
        ("no token", auth_required.anonymous, auth_required.anonymous_login),
        ("a garbage token", auth_required.garbage, auth_required.garbage_login),
    ):
        _needs_answer(exchange, who)
        if auth_required.through is False and exchange.status in BY_FILTER and not login:
            why = f"answered {exchange.status}, perhaps by a CSRF filter or a firewall: {auth_required.through_hint}"
            judge("refusal", None, equals=True, of=who, reason=why)
        elif auth_required.through and exchange.status in NO_TOKEN and exchange is auth_required.garbage:
            judge("refusal", exchange.status, one_of=NO_TOKEN, of=who)  # a token that belongs to another session
        else:
            _judge_refused("refusal", exchange, login, who)


@check("smoke.auth.session", severity="high", runbook="auth-session")
def test_session_opens_and_ends(auth_session: Session) -> None:
    """A new token gives access to a protected endpoint; after logout it does not, if logout revokes it."""
    place, met = auth_session.endpoint, auth_session.opened_login
    opened = judge("token opens", auth_session.opened.status, one_of=auth_session.expected, of=place)
    opened = (
        judge("page after the login is not the login page", not met, of=place, reason="the answer has a password field")
        and opened
    )
    if auth_session.logout is not None:
        judge(
            "logout",
            auth_session.logout.status,
            one_of=range(200, 400),
            reason=f"answered {auth_session.logout.status}",
        )
    if auth_session.after is not None and opened:
        _needs_answer(auth_session.after, "after logout")
        _judge_refused("refusal after the logout", auth_session.after, auth_session.after_login, place)
