"""`auth-login`, `auth-rejections`, `auth-required`, `auth-session`: what logins give, and what is refused without."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.login import Login, LoginPage, ProtectedAnswers, Rejection, Rejections, Session

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.attempts import RoleSession

Case = Literal["wrong password", "unknown user", "empty password"]
SECONDS = 45.0  # several requests, one after another


def login_host(target: str, environment: Environment) -> str:
    """`host` of the collectors about logins."""
    auth = environment.auth
    if auth is None:
        return target
    return host_of(environment.services[auth.service]) if auth.service else str(auth.token_url or auth.issuer)


def login_line(environment: Environment, times: int = 1) -> tuple[Sending, ...]:
    """What logging in so many times would send."""
    auth = environment.auth
    if auth is None:
        return ()
    what = auth.login or ("GET discovery, POST token" if auth.kind == "oidc" else "POST token")
    if auth.sent_to_issuer or any(role.grant == "authorization_code" for role in auth.roles.values()):
        what += f", then the pages of {auth.issuer} with their forms"
    further = (Sending(url, f"POST token or GET keys, if {auth.issuer} says so", times) for url in auth.origins)
    return (Sending(login_host("", environment), f"{what} (login)", times), *further)


@evidence("auth-login", axis="role", host=login_host, sends=lambda target, environment: login_line(environment))
def auth_login(target: str, context: Context, deadline: Deadline) -> Login:
    """Whether the role's good credentials give a token or a session."""
    from pytest_prodcheck.evidence.login.sessions import shared_login

    return shared_login(target, context, deadline).login


@evidence(
    "auth-rejections",
    axis="auth",
    feature="wrong_password",
    seconds=SECONDS,
    host=login_host,
    sends=lambda target, environment: login_line(environment, 3),
)
def auth_rejections(target: str, context: Context, deadline: Deadline) -> Rejections:
    """A wrong password for the one dedicated user, an unknown user, an empty password; and a login that works."""
    from pytest_prodcheck.evidence.login.sessions import declared_auth, present, shared_login

    auth = declared_auth(context)
    if auth.wrong_password is False or auth.kind not in ("json", "form", "basic"):
        raise EvidenceProblem(Problem("configuration", f"[auth] of kind {auth.kind} declares no `wrong_password` user"))
    control_role = next((name for name, role in auth.roles.items() if role.user and role.password), None)
    if control_role is None:
        raise EvidenceProblem(
            Problem(
                "configuration",
                "[auth.roles] has no role with `user` and `password`, which is needed as the positive control",
            )
        )
    control = shared_login(control_role, context, deadline).login
    user = auth.wrong_password.user
    stranger = f"prodcheck-{secrets.token_hex(6)}" + (f"@{user.partition('@')[2]}" if "@" in user else "")
    cases: tuple[tuple[Case, str, str], ...] = (
        ("wrong password", user, secrets.token_urlsafe(18)),
        ("unknown user", stranger, secrets.token_urlsafe(18)),
        ("empty password", user, ""),
    )
    attempts = []
    for case, name, password in cases:
        login = present(case, name, password, context, deadline, like=control_role).login
        assert login.exchange is not None
        body = login.exchange.body and login.exchange.body.replace(name, "USER")  # what is shown of the form again
        attempts.append(Rejection(case, replace(login.exchange, body=body), login.granted))
    return Rejections(control, tuple(attempts))


def _guarded_lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, declared, _ = endpoint(environment, target)
    writes = not declared.changes_nothing
    host = host_of(service)
    lines = [Sending(host, f"{declared.request} without and with a garbage token", 2, writes)]
    if writes and declared.control:
        lines.append(Sending(host, f"{service.endpoints[declared.control].request} (control)"))
    elif not writes:
        lines.append(Sending(host, f"{declared.request} (control)"))
    return tuple(lines)


@evidence(
    "auth-required", axis="endpoint", feature="guarded", seconds=SECONDS, host=endpoint_host, sends=_guarded_lines
)
def auth_required(target: str, context: Context, deadline: Deadline) -> ProtectedAnswers:
    """The answers without a token, with a garbage one, and as a role that is allowed (control), in this order."""
    from pytest_prodcheck.evidence.access.positive_controls import carried_by_cookie, unsafe_control
    from pytest_prodcheck.evidence.login.forms import visitor_headers, with_session
    from pytest_prodcheck.evidence.login.sessions import expected

    service, declared, name = endpoint(context.environment, target)
    short, control = target.removeprefix(f"{name}."), declared
    if declared.control is not None and not declared.changes_nothing:
        short, control = declared.control, service.endpoints[declared.control]
    role = _allowed_role(target, declared, control, context)
    session = session_of(context, role, deadline)
    nonsense = _garbage(session, context)
    seen: dict[str, str] = {}
    if not declared.changes_nothing and session.carrier == "cookie":  # a CSRF filter would refuse what comes without
        seen, nonsense = visitor_headers(context, deadline), with_session(visitor_headers(context, deadline), nonsense)
    anonymous, anonymous_login = _send(name, declared, seen, context, deadline, anonymous=True)
    garbage, garbage_login = _send(name, declared, nonsense, context, deadline, anonymous=True)
    answer, control_login = _send(name, control, session.headers, context, deadline)
    passed = unsafe_control(
        target, name, declared, [each for each in declared.allow or () if each in _roles(context)], context, deadline
    )
    if passed[0] is False and not carried_by_cookie(context) and 401 in (anonymous.status, garbage.status):
        passed = None, ""  # who has no credentials is told another thing than who has wrong ones, or both are asked
    return ProtectedAnswers(
        anonymous, garbage, answer, role, expected(f"{name}.{short}", context),
        anonymous_login, garbage_login, control_login,
        *passed,
    )  # fmt: skip


def _roles(context: Context) -> Collection[str]:
    return context.environment.auth.roles if context.environment.auth else ()


def _allowed_role(target: str, declared: Endpoint, control: Endpoint, context: Context) -> str:
    roles = context.environment.auth.roles if context.environment.auth else {}
    allowed = [role for role in declared.allow or () if role in roles]
    if declared is control and declared.as_ in allowed:
        return str(declared.as_)
    fitting = [role for role in allowed if control.allow is None or role in control.allow]
    if not fitting:
        hint = "in `allow`, name a role of [auth.roles]; for unsafe requests, also declare an endpoint as `control`"
        raise EvidenceProblem(
            Problem(
                "configuration", f"{target}: no role is declared that may use this endpoint (positive control)", hint
            )
        )
    return fitting[0]


def _garbage(session: RoleSession, context: Context) -> dict[str, str]:
    from pytest_prodcheck.evidence.http.messages import basic
    from pytest_prodcheck.evidence.login.fixed_tokens import random_like

    auth, carrier, nonsense = context.environment.auth, session.carrier, secrets.token_urlsafe(24)
    if auth is not None and auth.kind == "token" and carrier:
        return random_like(session.headers, auth)
    if carrier == "basic":
        return basic("prodcheck-nobody", nonsense, context)
    cookie = auth.cookie if auth else None
    return {"Cookie": f"{cookie}={nonsense}"} if carrier == "cookie" else {"Authorization": f"Bearer {nonsense}"}


def _send(
    service: str,
    declared: Endpoint,
    headers: Mapping[str, str],
    context: Context,
    deadline: Deadline,
    anonymous: bool = False,
) -> tuple[Exchange, LoginPage]:
    from pytest_prodcheck.evidence.access.role_requests import declared_request
    from pytest_prodcheck.evidence.login.pages import login_page

    request = declared_request(declared, headers, anonymous=anonymous)
    answer = client_of(context, service).ask(request, deadline)
    return answer.exchange, login_page(answer, service, declared.path, context)


def _session_lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    auth = environment.auth
    times = 2 if auth and auth.logout_revokes else 1
    opens = (Sending(login_host(target, environment), f"a protected request as {target}", times),)
    revokes = auth is not None and auth.logout is not None and auth.logout_revokes
    logout = (Sending(login_host(target, environment), str(auth.logout)),) if auth and revokes else ()
    return login_line(environment) + opens + logout


# exclusive: where a user has one session, this login ends the one that other evidence uses; and so does its logout
@evidence(
    "auth-session", axis="role", feature="session", seconds=SECONDS, host=login_host, sends=_session_lines,
    exclusive=True,
)  # fmt: skip
def auth_session(target: str, context: Context, deadline: Deadline) -> Session:
    """A fresh login opens a protected endpoint; where logout is declared to revoke, also the answer after it."""
    from pytest_prodcheck.evidence.http.messages import Request
    from pytest_prodcheck.evidence.http.role_cookies import frozen
    from pytest_prodcheck.evidence.login.sessions import declared_auth, expected, log_in, protected_endpoint

    auth = declared_auth(context)
    opens = protected_endpoint(target, context)
    if opens is None:
        hint = "declare an endpoint whose `allow` has this role, but not anonymous"
        raise EvidenceProblem(
            Problem("configuration", f"role {target}: no endpoint is declared that needs this login", hint)
        )
    attempt = log_in(target, context, deadline)
    if not attempt.login.granted:
        what = f"role {target} cannot log in: {attempt.login.reason}"
        raise EvidenceProblem(Problem("denied", what, at=f"role {target}"))
    _, declared, service = endpoint(context.environment, opens)
    headers, stolen = attempt.session.headers, frozen(attempt.session.headers)
    opened, opened_login = _send(service, declared, headers, context, deadline)
    logout = after = None
    after_login: LoginPage = ""
    if (
        auth.logout_revokes
        and auth.logout is not None
        and auth.service is not None
        and attempt.session.carrier != "basic"
    ):
        method, _, path = auth.logout.partition(" ")
        logout = client_of(context, auth.service).ask(Request(method, path, headers), deadline).exchange
        after, after_login = _send(service, declared, stolen, context, deadline)
    return Session(target, opens, expected(opens, context), opened, logout, after, opened_login, after_login)
