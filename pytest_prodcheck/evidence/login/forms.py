"""Login pages as browsers fill them in, and the proofs against request forgery (CSRF) that frameworks ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.cookies import CookieStore
from pytest_prodcheck.evidence.context import SHORTEST_SECRET
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.role_cookies import RoleCookies
from pytest_prodcheck.evidence.login.browsing import Browser
from pytest_prodcheck.evidence.login.html_forms import Page
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

REFUSED = "browsers refuse its cookie"  # of a page, in the notes of the evidence and in why a login was refused


def visit(path: str, store: CookieStore, auth: Auth, context: Context, deadline: Deadline) -> tuple[Page, str]:
    """A page of the login service as a browser with these cookies gets it, and its address; raises EvidenceProblem."""
    browser = Browser(store, auth, context, deadline)
    answer = browser.get(client_of(context, str(auth.service)).url(path))
    if not 200 <= answer.exchange.status < 300:
        what = f"GET {answer.exchange.url}: answered {answer.exchange.status}, expected the page with the form"
        raise EvidenceProblem(Problem("protocol", what))
    for name, why in browser.refused.items():
        deadline.note(f"{path}: {REFUSED} {name}: {why}")
    return browser.page(answer), answer.url


def carried_along(page: Page, auth: Auth, path: str) -> dict[str, str]:
    """What the form with the password field sends besides; raises EvidenceProblem where there is no such form."""
    form = page.form_with(auth.fields.password)
    if form is None:
        hint = "does `login_form` point to the login page, and is `fields.password` the name of its password field?"
        what = f"{path}: no form has a field {auth.fields.password!r}"
        raise EvidenceProblem(Problem("protocol", what, hint))
    return form.filled({})


def with_csrf(cookies: RoleCookies, auth: Auth, context: Context, deadline: Deadline) -> RoleCookies:
    """The cookies with what unsafe requests have to carry besides, where `csrf` is declared."""
    csrf = auth.csrf
    if csrf is None:
        return cookies
    cookies.csrf_header, cookies.csrf_cookie = csrf.header, csrf.cookie or ""
    if csrf.page is not None:
        page, _ = visit(csrf.page, cookies.store, auth, context, deadline)  # may set the cookie, too
        cookies.csrf_token = page.metas.get(csrf.meta or "", "") or page.fields().get(csrf.field or "", "")
        if not cookies.csrf_token and csrf.cookie is None:
            raise EvidenceProblem(
                Problem("protocol", f"{csrf.page}: it has no {csrf.meta or csrf.field}, which `csrf` declares")
            )
        if len(cookies.csrf_token) >= SHORTEST_SECRET:
            context.redactor.add(cookies.csrf_token)
    return cookies


def visitor_headers(context: Context, deadline: Deadline) -> dict[str, str]:
    """What a visitor without a login carries to get past the CSRF filter: cookies and token of the declared page."""
    auth = context.environment.auth
    if auth is None or auth.csrf is None or auth.service is None:
        return {}
    client = client_of(context, auth.service)
    cookies = RoleCookies(new_store(auth, context), client.url("/"))
    first = auth.login_form or auth.csrf.page
    if first is not None:
        visit(first, cookies.store, auth, context, deadline)
    try:
        return {"Cookie": with_csrf(cookies, auth, context, deadline)}
    except EvidenceProblem:
        return {"Cookie": cookies}  # a page that is closed to visitors gives them no token


def with_session(headers: dict[str, str], session: dict[str, str]) -> dict[str, str]:
    """A visitor's cookies with a session of somebody's making in them."""
    cookies = headers.get("Cookie")
    if not isinstance(cookies, RoleCookies):
        return session
    for url in cookies.urls:
        cookies.store.take(url, [("Set-Cookie", f"{session['Cookie']}; Path=/")])
    return headers


def new_store(auth: Auth, context: Context) -> CookieStore:
    """The empty store of a browser that never was here."""
    return CookieStore(tls_in_front=not context.environment.services[str(auth.service)].public)
