"""Logging in: JSON, form, basic, fixed tokens, OAuth clients, OpenID Connect. Tokens are redacted once known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.cookies import CookieStore
from pytest_prodcheck.environments.queries import ANONYMOUS, origin_of
from pytest_prodcheck.evidence.context import SHORTEST_SECRET
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.role_cookies import RoleCookies
from pytest_prodcheck.evidence.http.service_requests import endpoint
from pytest_prodcheck.evidence.login.attempts import (
    Attempt,
    RoleSession,
    attempt,
    bearer,
    keep_secret,
    redacted_again,
    refused,
)
from pytest_prodcheck.evidence.login.browsing import SAME_AGAIN
from pytest_prodcheck.evidence.login.forms import REFUSED, carried_along, new_store, visit, with_csrf
from pytest_prodcheck.evidence.login.pages import login_page
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth, Role
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient
    from pytest_prodcheck.evidence.http.messages import Answer, Request


def session_of(context: Context, role: str | None, deadline: Deadline) -> RoleSession:
    """The session of a role, logged in once in a run; raises EvidenceProblem (denied) where the login was refused."""
    if role is None or role == ANONYMOUS:
        return RoleSession(ANONYMOUS)
    attempt = shared_login(role, context, deadline)
    if not attempt.login.granted:
        what = f"role {role} cannot log in: {attempt.login.reason}"
        raise EvidenceProblem(Problem("denied", what, at=f"role {role}"))
    return attempt.session


def shared_login(role: str, context: Context, deadline: Deadline) -> Attempt:
    """The one login of a role that all evidence of a run shares; raises EvidenceProblem where none could be tried."""
    return context.once(("login", role), lambda: log_in(role, context, deadline), deadline)


def declared_auth(context: Context) -> Auth:
    """The environment's `[auth]`; raises EvidenceProblem (configuration)."""
    if context.environment.auth is None:
        raise EvidenceProblem(Problem("configuration", "no [auth] is declared"))
    return context.environment.auth


def log_in(name: str, context: Context, deadline: Deadline) -> Attempt:
    """Logs a role in anew; raises EvidenceProblem where the login could not be tried."""
    auth = declared_auth(context)
    role = auth.roles.get(name)
    if role is None:
        raise EvidenceProblem(Problem("configuration", f"role {name!r} is not declared under [auth.roles]"))
    if auth.sent_to_issuer:
        store = new_store(auth, context)
        answer, why, _ = sign_in(name, role, store, context, deadline)
        if why:
            return refused(name, answer.exchange, why)
        return _granted(name, name, auth, answer, store, [], context, deadline)
    if auth.kind == "token":
        from pytest_prodcheck.evidence.login.fixed_tokens import by_token

        return by_token(name, role, auth, context, deadline)
    if role.grant == "authorization_code":
        from pytest_prodcheck.evidence.login.authorization_code import by_code

        return by_code(name, role, auth, context, deadline)
    if auth.kind in ("client_credentials", "oidc"):
        from pytest_prodcheck.evidence.login.oauth import ask_token

        return ask_token(name, role, auth, context, deadline)
    return present(name, *credentials(name, role, context, deadline), context, deadline)


def sign_in(
    name: str, role: Role, store: CookieStore, context: Context, deadline: Deadline
) -> tuple[Answer, str, list[str]]:
    """A login into a store of cookies, at the service (json, form) or by way of its issuer (oidc).

    Its answer, why it failed, and the values of the session cookie that the login page gave.
    """
    auth = declared_auth(context)
    if auth.kind == "oidc":
        from pytest_prodcheck.evidence.login.authorization_code import by_service

        return (*by_service(role, store, auth, context, deadline), [])
    answer, before = ask_login(*credentials(name, role, context, deadline), store, context, deadline)
    return answer, "", before


def credentials(name: str, role: Role, context: Context, deadline: Deadline) -> tuple[str, str]:
    """User and password of a role; raises EvidenceProblem (configuration)."""
    if role.user is None or role.password is None:
        raise EvidenceProblem(Problem("configuration", f"role {name} has no `user` or no `password`"))
    return role.user, context.secret(role.password, deadline)


def present(
    name: str, user: str, password: str, context: Context, deadline: Deadline, *, like: str | None = None
) -> Attempt:
    """Shows a user name and a password to the declared login (json, form, basic); raises EvidenceProblem.

    name: role or case, for what is told. like: the role whose protected endpoint a cookie has to open, `name` if None.
    """
    from pytest_prodcheck.evidence.http.messages import Request, basic

    auth = declared_auth(context)
    if auth.service is None or auth.login is None:
        raise EvidenceProblem(Problem("configuration", f"[auth] of kind {auth.kind} needs `service` and `login`"))
    if auth.kind != "basic" and auth.token is None and auth.cookie is None:
        hint = 'declare token = "/token" (a JSON pointer into the answer) or cookie = "session" (the name of a cookie)'
        raise EvidenceProblem(Problem("configuration", "[auth] declares neither `token` nor `cookie`", hint))
    if auth.kind == "basic":
        method, _, path = auth.login.partition(" ")
        headers = basic(user, password, context)
        answer = client_of(context, auth.service).ask(Request(method, path, headers), deadline)
        good = 200 <= answer.exchange.status < 300
        return attempt(name, answer, "basic" if good else "", headers, "" if good else _refused(answer))
    store = new_store(auth, context)
    answer, before = ask_login(user, password, store, context, deadline)
    return _granted(name, like or name, auth, answer, store, before, context, deadline)


def ask_login(
    user: str, password: str, store: CookieStore, context: Context, deadline: Deadline
) -> tuple[Answer, list[str]]:
    """The answer of the declared login (json, form) to a user name and a password, and the session cookie before it.

    store: takes the cookies of the login page and of the answer. Raises EvidenceProblem.
    """
    from pytest_prodcheck.evidence.http.messages import Request

    auth = declared_auth(context)
    method, _, path = str(auth.login).partition(" ")
    fields = {auth.fields.user: user, auth.fields.password: password}
    client = client_of(context, str(auth.service))
    headers: dict[str, str] = {}
    if auth.login_form is not None:
        page, there = visit(auth.login_form, store, auth, context, deadline)
        fields = {**carried_along(page, auth, auth.login_form), **fields}
        cookies = with_csrf(RoleCookies(store, client.url(path)), auth, context, deadline)
        headers = {"Referer": there, "Cookie": cookies}
    before = store.values(auth.cookie) if auth.cookie else []
    as_json = auth.kind == "json"
    request = Request(method, path, headers, fields if as_json else None, None if as_json else fields)
    answer = client.ask(request, deadline)
    store.take(answer.url, answer.headers)
    if not as_json and answer.exchange.status in SAME_AGAIN:
        answer = _sent_again(answer, request, client, store, deadline)
    for each in store.values():
        if len(each) >= SHORTEST_SECRET:
            keep_secret(each, context)
    return answer, before


def _sent_again(answer: Answer, request: Request, client: HttpClient, store: CookieStore, deadline: Deadline) -> Answer:
    """The answer to a form that 307 or 308 has browsers send again, where they are refused then; else the first one."""
    to = urljoin(answer.url, answer.location())
    if not answer.location() or origin_of(to) != origin_of(answer.url):
        return answer
    parts = urlsplit(to)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**request.headers, "Cookie": RoleCookies(store, to)}
    again = client.ask(replace(request, path=path, headers=headers), deadline)
    if again.exchange.status < 400:
        store.take(again.url, again.headers)
        return answer
    what = f"answered {answer.exchange.status}, by which browsers send the form again, to {sanitizing.plain(path, 60)}"
    deadline.note(f"{request.method} {sanitizing.url(answer.url)}: {what}: answer 303")
    return again


def _granted(
    name: str, like: str, auth: Auth, answer: Answer, store: CookieStore, before: list[str], context: Context,
    deadline: Deadline,
) -> Attempt:  # fmt: skip
    status = answer.exchange.status
    if not 200 <= status < (400 if auth.kind == "form" else 300) and auth.kind != "oidc":
        lost = "".join(f" ({each})" for each in deadline.notes if REFUSED in each)
        return attempt(name, answer, "", {}, _refused(answer) + lost)
    if auth.token is not None:
        try:
            token = at_pointer(answer.json(), auth.token)
        except (EvidenceProblem, LookupError):
            return attempt(name, answer, "", {}, f"answered {status} without a token at {auth.token}")
        return bearer(name, answer, token, auth.token, context)
    where = _needed_at(like, context)
    headers = {"Cookie": RoleCookies(store, where)}
    missing = lacks(answer, store, where, auth)
    same = bool(before) and before == store.values(str(auth.cookie))
    if not missing and same and protected_endpoint(like, context) is None:
        missing = f" and did not change the cookie {auth.cookie}, which existed before the login"
    if missing:
        return attempt(name, redacted_again(answer, context), "", {}, f"answered {status}{missing}")
    if not _is_session_cookie(like, headers, context, deadline):
        return attempt(name, answer, "", {}, f"answered {status} with a cookie that gives no access")
    with_csrf(headers["Cookie"], auth, context, deadline)
    return attempt(name, redacted_again(answer, context), "cookie", headers, "")


def lacks(answer: Answer, store: CookieStore, where: str, auth: Auth) -> str:
    """What is missing of the session cookie after a login, " without the cookie …"; "" where a browser sends it."""
    wanted = str(auth.cookie)
    if any(name == wanted and value.strip('"') for name, value in store.sent(where)):
        return ""
    why = dict(answer.exchange.refused_cookies).get(wanted)
    if why:
        return f", but browsers refuse the cookie {wanted}: {why}"
    if any(store.values(wanted)):
        there = sanitizing.url(where)
        return f" with a cookie {wanted} that browsers send to {store.where(wanted)} only, not to {there}"
    return f" without the cookie {wanted}"


def _needed_at(role: str, context: Context) -> str:
    """The address where a role's session has to open something."""
    target = protected_endpoint(role, context)
    if target is None:
        return client_of(context, str(declared_auth(context).service)).url("/")
    _, declared, service = endpoint(context.environment, target)
    return client_of(context, service).url(declared.path)


def _is_session_cookie(name: str, headers: Mapping[str, str], context: Context, deadline: Deadline) -> bool:
    """Whether a cookie is a session: many sites give visitors the same cookie, before and after a login that failed."""
    from pytest_prodcheck.evidence.http.messages import Request

    target = protected_endpoint(name, context)
    if target is None:
        return True  # nothing is declared that could tell
    _, declared, service = endpoint(context.environment, target)
    request = Request(declared.method, declared.path, {**declared.headers, **headers}, declared.json_, declared.form)
    answer = client_of(context, service).ask(request, deadline)
    met = login_page(answer, service, declared.path, context)
    return answer.exchange.status in expected(target, context) and not met


def _refused(answer: Answer) -> str:
    return f"answered {answer.exchange.status}"


def protected_endpoint(role: str, context: Context) -> str | None:
    """The endpoint ("service.endpoint") that a session of the role opens; None where none is declared."""
    environment = context.environment
    chosen = environment.auth.protected if environment.auth else None
    if chosen is not None:
        allow = endpoint(environment, chosen)[1].allow
        if allow is None or role in allow:
            return chosen
    for name, service in environment.services.items():
        for short, declared in service.endpoints.items():
            allow = declared.allow or ()
            if role in allow and ANONYMOUS not in allow and declared.changes_nothing and declared.as_ in (None, role):
                return f"{name}.{short}"
    return None


def expected(target: str, context: Context) -> tuple[int, ...]:
    """The statuses with which an endpoint answers those it allows."""
    return endpoint(context.environment, target)[1].status or tuple(range(200, 300))
