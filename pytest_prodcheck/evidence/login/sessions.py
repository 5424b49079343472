"""Logging in: JSON, form, basic, OAuth client credentials, OpenID Connect. Tokens are redacted once known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_prodcheck.environments.reach import ANONYMOUS
from pytest_prodcheck.evidence.http.service_requests import at_pointer, endpoint
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.login import Login

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth, Role
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Answer

Carrier = Literal["bearer", "cookie", "basic", ""]


@dataclass(frozen=True)
class RoleSession:
    """What a role's requests carry: `headers` hold the token, so they are never kept or shown."""

    role: str
    carrier: Carrier = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Attempt:
    """A login and what it gave."""

    login: Login
    session: RoleSession


def session_for(role: str | None, context: Context, deadline: Deadline) -> RoleSession:
    """The session of a role, logged in once in a run; raises EvidenceProblem (denied) where the login was refused."""
    if role is None or role == ANONYMOUS:
        return RoleSession(ANONYMOUS)
    attempt = shared_login(role, context, deadline)
    if not attempt.login.granted:
        raise EvidenceProblem(Problem("denied", f"role {role} cannot log in: {attempt.login.reason}"))
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
    if auth.kind in ("client_credentials", "oidc"):
        from pytest_prodcheck.evidence.login.oauth import ask_token

        return ask_token(name, role, auth, context, deadline)
    return present(name, *credentials(name, role, context, deadline), context, deadline)


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
        hint = 'token = "/token" is a JSON pointer into the answer, cookie = "session" a cookie\'s name'
        raise EvidenceProblem(Problem("configuration", "[auth] says neither `token` nor `cookie`", hint))
    if auth.kind == "basic":
        method, _, path = auth.login.partition(" ")
        headers = basic(user, password, context)
        answer = context.http(auth.service).ask(Request(method, path, headers), deadline)
        good = 200 <= answer.exchange.status < 300
        return _attempt(name, answer, "basic" if good else "", headers, "" if good else _refused(answer))
    return _granted(name, like or name, auth, ask_login(user, password, context, deadline), context, deadline)


def ask_login(user: str, password: str, context: Context, deadline: Deadline) -> Answer:
    """The answer of the declared login (json, form) to a user name and a password; raises EvidenceProblem."""
    from pytest_prodcheck.evidence.http.messages import Request

    auth = declared_auth(context)
    method, _, path = str(auth.login).partition(" ")
    fields = {auth.fields.user: user, auth.fields.password: password}
    request = Request(method, path, json=fields) if auth.kind == "json" else Request(method, path, form=fields)
    return context.http(str(auth.service)).ask(request, deadline)


def _granted(name: str, like: str, auth: Auth, answer: Answer, context: Context, deadline: Deadline) -> Attempt:
    status = answer.exchange.status
    if not 200 <= status < (400 if auth.kind == "form" else 300):
        return _attempt(name, answer, "", {}, _refused(answer))
    if auth.token is not None:
        try:
            token = at_pointer(answer.json(), auth.token)
        except (EvidenceProblem, LookupError):
            return _attempt(name, answer, "", {}, f"answered {status} without a token at {auth.token}")
        return bearer(name, answer, token, auth.token, context)
    cookies = answer.cookies()
    value = cookies.get(auth.cookie or "")
    if value is None:
        return _attempt(name, answer, "", {}, f"answered {status} without the cookie {auth.cookie}")
    for each in cookies.values():
        if len(each) >= 6:
            keep_secret(each, context)
    headers = {"Cookie": "; ".join(f"{key}={each}" for key, each in cookies.items())}
    if not _opens(like, headers, context, deadline):
        return _attempt(name, answer, "", {}, f"answered {status} with a cookie that opens nothing")
    return _attempt(name, clean(answer, context), "cookie", headers, "")


def _opens(name: str, headers: Mapping[str, str], context: Context, deadline: Deadline) -> bool:
    """Whether a cookie is a session: many sites give visitors the same cookie, before and after a login that failed."""
    from pytest_prodcheck.evidence.http.messages import Request

    target = protected_endpoint(name, context)
    if target is None:
        return True  # nothing is declared that could tell
    _, declared, service = endpoint(context.environment, target)
    request = Request(declared.method, declared.path, {**declared.headers, **headers}, declared.json_)
    return context.http(service).ask(request, deadline).exchange.status in expected(target, context)


def bearer(name: str, answer: Answer, token: object, where: str, context: Context) -> Attempt:
    """The attempt whose answer holds a token, if it is one."""
    if not isinstance(token, str) or not token.strip() or not token.isprintable():
        return _attempt(name, answer, "", {}, f"answered {answer.exchange.status}, but {where} is no token")
    keep_secret(token, context)
    return _attempt(name, clean(answer, context), "bearer", {"Authorization": f"Bearer {token}"}, "")


def keep_secret(token: str, context: Context) -> None:
    """Redacts a token from now on; of a JSON Web Token also claims and signature by themselves."""
    context.redactor.add(token)
    parts = token.split(".")
    for part in parts[1:] if len(parts) == 3 else ():
        if len(part) >= 6:
            context.redactor.add(part)


def clean(answer: Answer, context: Context) -> Answer:
    """The answer redacted again: only now the token in it is known."""
    from dataclasses import replace

    return replace(answer, exchange=context.redactor.redact_data(answer.exchange))


def refused(name: str, exchange: Exchange, reason: str) -> Attempt:
    """An attempt that gave nothing."""
    return Attempt(Login(name, False, "", exchange, reason), RoleSession(name))


def _attempt(name: str, answer: Answer, carrier: Carrier, headers: Mapping[str, str], reason: str) -> Attempt:
    login = Login(name, bool(carrier), carrier, answer.exchange, reason)
    return Attempt(login, RoleSession(name, carrier, headers if carrier else {}))


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
