"""`auth-cookie`: the cookie of a session, before and after the logout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import protected_endpoint
from pytest_prodcheck.evidence.access.role_requests import SECONDS, declared_request, entry
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, host_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.access import CookieSession
from pytest_prodcheck.records.login import Login

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _host(target: str, environment: Environment) -> str:
    return host_of(environment.services[str(environment.auth.service)]) if environment.auth else target


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    auth, opens = environment.auth, protected_endpoint(environment, target)
    if auth is None or not opens:
        return ()
    service, declared, _ = endpoint(environment, opens)
    return (
        Sending(_host(target, environment), f"{auth.login} (login)"),
        Sending(host_of(service), f"{declared.request} with {target}'s cookie", 2),
        Sending(host_of(service), f"{declared.request} with the cookie of before the login, if it is the same"),
        Sending(_host(target, environment), str(auth.logout)),
    )


# exclusive: where a user has one session, this login ends the one that other evidence uses; and so does its logout
@evidence(
    "auth-cookie", axis="role", feature="cookie", seconds=SECONDS, host=_host, sends=_sends, exclusive=True
)  # fmt: skip
def auth_cookie(target: str, context: Context, deadline: Deadline) -> CookieSession:
    """A fresh login's cookies open a protected endpoint; so does one of before the login? Logout; the same again."""
    from pytest_prodcheck.evidence.http.clients import client_of
    from pytest_prodcheck.evidence.http.messages import Request
    from pytest_prodcheck.evidence.http.role_cookies import RoleCookies, frozen
    from pytest_prodcheck.evidence.login.attempts import redacted_again
    from pytest_prodcheck.evidence.login.forms import new_store, with_csrf
    from pytest_prodcheck.evidence.login.sessions import declared_auth, lacks, sign_in

    auth = declared_auth(context)
    opens = protected_endpoint(context.environment, target)
    if not opens or auth.logout is None or auth.cookie is None:
        raise EvidenceProblem(Problem("configuration", f"role {target}: no cookie, logout or endpoint is declared"))
    store = new_store(auth, context)
    answer, why, before = sign_in(target, auth.roles[target], store, context, deadline)
    _, declared, name = endpoint(context.environment, opens)
    where = client_of(context, name).url(declared.path)
    if missing := f": {why}" if why else lacks(answer, store, where, auth):
        raise EvidenceProblem(
            Problem("denied", f"role {target}: the login answered {answer.exchange.status}{missing}")
        )
    login = Login(target, True, "cookie", replace(redacted_again(answer, context).exchange, body=None))
    headers = {"Cookie": with_csrf(RoleCookies(store, where), auth, context, deadline)}
    request = declared_request(declared, frozen(headers))
    method, _, path = auth.logout.partition(" ")
    opened = entry(name, request, context, deadline)[0]
    fixed = None
    if before and before == store.values(auth.cookie):
        planted = declared_request(declared, {"Cookie": f"{auth.cookie}={before[0]}"})
        fixed = entry(name, planted, context, deadline)[0]
    logout = entry(str(auth.service), Request(method, path, headers), context, deadline)[0]
    after = entry(name, request, context, deadline)[0]
    expected = declared.status or tuple(range(200, 300))
    return CookieSession(target, opens, expected, login, opened, logout, after, fixed)
