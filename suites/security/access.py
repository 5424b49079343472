"""What an answer says about who gets in. A rate limiter, a dead upstream or a redirect refuses nothing."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from pytest_prodcheck import judge
from pytest_prodcheck.records import EvidenceProblem, Problem

from ..refusals import BY_FILTER, SENT_TO_LOGIN, limited

if TYPE_CHECKING:
    from pytest_prodcheck.records import Entry

REFUSED = (401, 403, 404)
# what is no token at all may be called a bad request
TOKEN_REFUSED = (*REFUSED, 400, 422)
# the closed method in another one: that the other one is not there refuses as well
METHOD_REFUSED = (*REFUSED, 400, 405, 415, 422, 501)
_UNKNOWN = (405, 408, 425, 429)


def unclear(entry: Entry, refusals: Container[int]) -> str:
    """Why an answer says nothing about who may get in; "" where it does."""
    if entry.exchange is None:
        return str(entry.problem) if entry.problem is not None else "no request was sent"
    status = entry.exchange.status
    if status != 401 and limited(entry.exchange):
        return f"answered {status} with the headers of a rate limiter, which refuses every client"
    if status in refusals or entry.login_page in SENT_TO_LOGIN:
        return ""
    if entry.login_page == "form" and status < 300:
        # an open page may have a login box for whoever has no session
        return (
            f"answered {status} with a page that has a password field: it may be the login page, or an open page with"
            " a login form. Answer 401, redirect to the login page, or name the login page in `auth.login_page`"
        )
    if status < 300:
        return ""
    if status < 400:
        leads = entry.exchange.header("Location") or "nowhere"
        hint = (
            "only a redirect to the login page (auth.login_page) counts as a refusal, "
            "and only for roles with a session cookie"
        )
        return f"answered {status} (to {leads}), which is neither access nor a refusal: {hint}"
    if status >= 500 or status in _UNKNOWN:
        return f"answered {status}, which is not a refusal"
    return ""


def by_filter(entry: Entry) -> bool:
    """Whether what stands before the application may have refused it: a CSRF filter, a firewall, a limiter."""
    return entry.exchange is not None and entry.exchange.status in BY_FILTER and not entry.login_page


def judge_refused(what: str, entry: Entry, of: str, *, refusals: tuple[int, ...] = REFUSED, detail: str = "") -> bool:
    """Judges that somebody was kept out; cannot tell where the answer says nothing about that."""
    why = unclear(entry, refusals)
    if why or entry.exchange is None:
        return judge(what, None, equals=True, of=of, reason=why)
    status = entry.exchange.status
    good = (*refusals, status) if entry.login_page in SENT_TO_LOGIN else refusals
    got = "access was granted" if status < 300 else "the request passed authorization"
    told = f"answered {status}: {got}" + (f" ({detail})" if detail else "")
    return judge(what, status, one_of=good, of=of, reason=told)


def insist_on(entry: Entry, expected: Container[int], who: str) -> None:
    """Raises EvidenceProblem where the positive control failed: then what is refused proves nothing."""
    if entry.exchange is None:
        why = str(entry.problem) if entry.problem is not None else "no request was sent"
    elif entry.login_page:
        why = "it got the login page"
    elif entry.exchange.status not in expected:
        why = f"{entry.exchange.method} {entry.exchange.url} answered {entry.exchange.status}"
    else:
        return
    raise EvidenceProblem(
        Problem("protocol", f"{who} (positive control) was not let in: {why}; refusals prove nothing")
    )
