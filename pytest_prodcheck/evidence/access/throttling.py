"""`auth-throttling`: bad logins of one dedicated user until one is limited, and whether others still get in."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.access.logins import login_host
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.access import BadLogin, BadLogins
from pytest_prodcheck.records.login import Login

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LIMITED = (423, 429)  # Locked (RFC 4918), Too Many Requests (RFC 6585)


def _user(auth: Auth) -> str:
    if auth.throttling is None:
        return ""
    return auth.throttling.user or (auth.wrong_password.user if auth.wrong_password else "")


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    auth = environment.auth
    if auth is None or auth.throttling is None:
        return ()
    right = 1 if auth.throttling.password else 0
    return (
        Sending(
            login_host(target, environment), f"{auth.login} as {_user(auth)} (wrong password), at most",
            auth.throttling.attempts, True,
        ),
        Sending(login_host(target, environment), f"{auth.login} (good login)", 2 + right),
    )  # fmt: skip


def _seconds(target: str, environment: Environment) -> float:
    auth = environment.auth
    service = environment.services.get(auth.service or "") if auth else None
    attempts = auth.throttling.attempts if auth and auth.throttling else 0
    return (attempts + 3) * (service.timeout if service else 10.0)


# exclusive: nobody else's login is to fall into what this one provokes
@evidence(
    "auth-throttling", axis="auth", feature="throttling", seconds=_seconds, host=login_host, sends=_sends,
    exclusive=True,
)  # fmt: skip
def auth_throttling(target: str, context: Context, deadline: Deadline) -> BadLogins:
    """A good login; wrong passwords until an answer says that it is limited; the right one; a good login again."""
    from pytest_prodcheck.evidence.login.sessions import declared_auth, log_in, present

    auth = declared_auth(context)
    user = _user(auth)
    other = next((name for name, role in auth.roles.items() if role.password and role.user not in (None, user)), None)
    if auth.throttling is None or not user or other is None:
        what = "[auth] needs `throttling` with a user, and a role of another user with `user` and `password`"
        raise EvidenceProblem(Problem("configuration", what))
    control = _without_body(log_in(other, context, deadline).login)
    attempts: list[BadLogin] = []
    for _ in range(auth.throttling.attempts):
        login = present(user, user, secrets.token_urlsafe(18), context, deadline, like=other).login
        assert login.exchange is not None
        waits = login.exchange.header("Retry-After") or ""
        attempts.append(BadLogin(login.exchange.status, login.exchange.seconds, waits, login.granted))
        if login.exchange.status in LIMITED or waits or login.exchange.status >= 500:
            break
    right = None
    if auth.throttling.password is not None:
        password = context.secret(auth.throttling.password, deadline)
        right = _without_body(present(user, user, password, context, deadline, like=other).login)
    after = _without_body(log_in(other, context, deadline).login)
    return BadLogins(user, auth.throttling.attempts, control, tuple(attempts), right, after)


def _without_body(login: Login) -> Login:
    """Without the body of its answer."""
    from dataclasses import replace

    return login if login.exchange is None else replace(login, exchange=replace(login.exchange, body=None))
