"""What guards the cookies of sessions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_prodcheck.cookies import Cookie, parse, refused
from pytest_prodcheck.judging.headers.findings import Findings

__all__ = ["Cookie", "is_session", "judged", "parse", "refused"]

_SESSION = re.compile(
    r"sess|(?:^|[._-])s?sid$|auth(?!ors?(?:$|[._-]))|jwt|token|remember|login|identity|^(?:__host-|__secure-)?connect\.sid"
    # ASP.NET Core, ASP.NET with OWIN, WordPress, CakePHP, TYPO3, ColdFusion, Pomerium
    r"|^\.aspnetcore\.cookies|^\.aspnet\.(?:application|external)?cookies?|^wordpress_(?:logged_in|sec)|^cakephp|^[bf]e_typo_user|^cfid$|^_pomerium",
    re.I,
)
# what scripts have to read (double submit), and what load balancers and CDNs stick clients with
_NO_SESSION = re.compile(
    r"csrf|xsrf|affinity|^awsalb|^arraffinity|^bigip|^ts01|^__cf|^cf_|^incap|^visid|^nlbi|^ak_|^_ga|^_gid|analytics"
    r"|consent", re.I
)  # fmt: skip


def is_session(cookie: Cookie, known: Iterable[str]) -> bool:
    """Whether it opens something: named so by the configuration (`known`), else by the look of its name."""
    return cookie.name in known or bool(_SESSION.search(cookie.name) and not _NO_SESSION.search(cookie.name))


def judged(cookie: Cookie, host: str, https: bool, session: bool, why: str = "") -> Findings:
    """What is wrong with one cookie of an answer of `host`. why: why browsers refused it, where that is known."""
    failed: list[str] = []
    warned: list[str] = []
    if why := why or refused(cookie, host, https):
        failed.append(f"browsers refuse it: {why}")
    elif https and not cookie.secure:
        (failed if session else warned).append("it has no Secure attribute: browsers send it over plain HTTP too")
    if session and not cookie.http_only:
        failed.append("it has no HttpOnly attribute: every script on the page can read the session")
    if session and not cookie.same_site:
        warned.append("it has no valid SameSite attribute: browsers behave differently")
    elif session and cookie.same_site == "none":
        warned.append("SameSite=None: requests from other sites carry the session")
    return Findings(tuple(failed), tuple(warned))
