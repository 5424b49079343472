"""Whether an answer is the login page instead of what was asked for: so browsers' sessions are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.cookies import CookieStore
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.login.browsing import Browser
from pytest_prodcheck.evidence.login.html_forms import Page
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.http.messages import Answer
    from pytest_prodcheck.records.login import LoginPage

_REDIRECTS = (301, 302, 303, 307, 308)
_SECONDS = 10.0  # for the login page itself
_PASSWORD_FIELD = re.compile(r"<input\b[^>]{0,400}type\s{0,3}=\s{0,3}[\"']?password", re.I)


def login_page(answer: Answer, service: str, path: str, context: Context) -> LoginPage:
    """What the answer of a service to a request of `path` has to do with the login, where roles carry session cookies.

    A token is for programs, which are told by a status: there it is always "".
    """
    auth = context.environment.auth
    if auth is None or auth.cookie is None or auth.token is not None:
        return ""
    if answer.exchange.status in _REDIRECTS:
        asked = client_of(context, service).url(path)
        there = _host_and_path(asked, answer.location())
        return "redirect" if there != _host_and_path(asked) and there in _login_places(service, context) else ""
    html = answer.exchange.content_type in ("text/html", "application/xhtml+xml")
    if not html or not _PASSWORD_FIELD.search(answer.text):
        return ""
    here = _host_and_path(client_of(context, service).url(path))
    pages = [client_of(context, str(auth.service or service)).url(each) for each in auth.login_page]
    shown = any(
        _host_and_path(each) != here and _content(answer.text) == _login_page_for_visitors(each, context)
        for each in pages
    )
    return "shown" if shown else "form"


def _login_page_for_visitors(url: str, context: Context) -> object:
    """What a visitor who never was here finds at an address of the login page; None where that cannot be had."""
    auth = context.environment.auth
    assert auth is not None

    def ask() -> object:
        deadline = Deadline(_SECONDS)
        try:
            answer = Browser(CookieStore(), auth, context, deadline).get(url)
        except EvidenceProblem:
            return None
        return _content(answer.text) if 200 <= answer.exchange.status < 300 else None

    return context.once(("login-page", url), ask)


def _content(html: str) -> object:
    """What a page asks for and says, without what changes from answer to answer: words that hold a digit."""
    page = Page(html)
    forms = [(form.action.partition(";")[0], form.method, sorted(form.kinds.items())) for form in page.forms]
    return forms, [word for word in page.words if not any(letter.isdigit() for letter in word)]


def _login_places(service: str, context: Context) -> set[tuple[str, str]]:
    """The declared login page, and the path of the request that logs in; below the service that logs in, or this one.

    This one too, for one entrance often stands before several services.
    """
    auth = context.environment.auth
    paths = [*auth.login_page, (auth.login or "").partition(" ")[2]] if auth else []
    at = dict.fromkeys((service, *([auth.service] if auth and auth.service else [])))
    return {_host_and_path(client_of(context, each).url(path)) for each in at for path in paths if path}


def _host_and_path(url: str, reference: str = "") -> tuple[str, str]:
    """Host and path; scheme and port left out, for what stands behind a proxy often does not know them."""
    try:
        parts = urlsplit(urljoin(url, reference))
        return (parts.hostname or "").lower(), parts.path.rstrip("/")
    except ValueError:
        return "", ""  # what is no address leads nowhere
