"""Authentication: bad tokens open nothing, sessions end, passwords cannot be tried without end."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

from .access import TOKEN_REFUSED, insist_on, judge_refused

if TYPE_CHECKING:
    from pytest_prodcheck.records import BadLogin, BadLogins, CookieSession, ForgedToken, ForgedTokens

_LIMITED = (423, 429)  # Locked, Too Many Requests
_SLOWER, _SECONDS = 3, 0.5  # a delay that grows: so many times the first ones, and at least so much


@check("security.authentication.tokens", severity="critical", runbook="authentication-tokens")
def test_bad_tokens_are_refused(auth_tokens: ForgedTokens) -> None:
    """Forged, expired and foreign tokens are refused, while a good token works before and after."""
    for entry in (auth_tokens.before, auth_tokens.after):
        insist_on(entry, auth_tokens.expected, f"the good token of {auth_tokens.role}")
    if auth_tokens.kind == "jwt":
        judge("secret cannot be guessed", not auth_tokens.guessable, reason="it is on the list of common secrets")
        judge("all forged tokens were tried", not auth_tokens.not_tried, warn_only=True, reason=auth_tokens.not_tried)
    judge("bad tokens", len(auth_tokens.forged), at_least=1)
    for token in auth_tokens.forged:
        _judge_token(token)


def _judge_token(token: ForgedToken) -> None:
    if token.genuine is False and token.entry.exchange is not None and token.entry.exchange.status >= 300:
        why = "no key of the JWKS signed this sample token, so its refusal proves nothing"
        judge("refusal", None, equals=True, of=token.case, reason=why)
        return
    judge_refused("refusal", token.entry, token.case, refusals=TOKEN_REFUSED, detail=token.detail)


@check("security.authentication.logout", severity="high", runbook="authentication-logout")
def test_cookie_ends_with_the_session(auth_cookie: CookieSession) -> None:
    """The session cookie is new after the login, and gives access to a protected endpoint until the logout."""
    insist_on(auth_cookie.opened, auth_cookie.expected, f"the cookie of {auth_cookie.role}")
    if auth_cookie.fixed is not None:
        what, told = "refusal of the cookie from before the login", "session fixation: who planted it is in, too"
        judge_refused(what, auth_cookie.fixed, auth_cookie.endpoint, detail=told)
    answered = auth_cookie.logout.exchange
    if answered is None:
        raise EvidenceProblem(auth_cookie.logout.problem or Problem("protocol", "the logout was not answered"))
    judge("logout", answered.status, one_of=range(200, 400), reason=f"answered {answered.status}")
    judge_refused("refusal after the logout", auth_cookie.after, auth_cookie.endpoint)


@check(
    "security.authentication.throttling", severity="high", runbook="authentication-throttling",
    opt_in="sends bad logins of the dedicated user until they are limited, which may lock that user",
    fixed={"growing delay, as a multiple of the first": Limit(fail=_SLOWER),
           "growing delay, in addition to the first": Limit(fail=f"{_SECONDS}s")},
)  # fmt: skip
def test_passwords_cannot_be_tried_without_end(auth_throttling: BadLogins) -> None:
    """Password attempts for one user are limited, and another user can still log in."""
    if not auth_throttling.control.granted:
        why = f"another user cannot log in even before the test ({auth_throttling.control.reason})"
        raise EvidenceProblem(Problem("protocol", f"{why}: a refusal proves nothing"))
    attempts = auth_throttling.attempts
    for attempt in attempts:
        judge("refusal of a wrong password", not attempt.granted, reason="access was granted")
    if any(attempt.status >= 500 for attempt in attempts):
        raise EvidenceProblem(Problem("protocol", "a bad login was answered with an error of the server"))
    limit = _limit(auth_throttling)
    judge(
        "limited",
        bool(limit),
        of=auth_throttling.user,
        reason=f"{len(attempts)} bad logins, and the last was answered like the first",
    )
    _judge_others(auth_throttling)


def _limit(seen: BadLogins) -> str:
    """How bad logins are limited, "" where they are not."""
    attempts = seen.attempts
    if any(each.status in _LIMITED or each.retry_after for each in attempts):
        return "told"
    if seen.right_password is not None and not seen.right_password.granted:
        return "locked"
    if len(attempts) >= 6 and _grows(attempts):
        return "slowed"
    return ""


def _grows(attempts: tuple[BadLogin, ...]) -> bool:
    first, last = (median(each.seconds for each in part) for part in (attempts[:3], attempts[-3:]))
    return last >= first + _SECONDS and last >= _SLOWER * first


def _judge_others(seen: BadLogins) -> None:
    """Another user from the same address: refused, everybody is locked; limited, at least those behind one address."""
    after = seen.after
    limited = after.exchange is not None and after.exchange.status == 429
    why = (
        "the limit applies to all users of one IP address" if limited else f"all users are locked out ({after.reason})"
    )
    judge("another user can still log in", after.granted, of=after.role, warn_only=limited, reason=why)
