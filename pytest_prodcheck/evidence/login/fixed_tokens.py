"""Roles that hold a fixed bearer token or API key: nobody logs in, a request that needs the token is sent with it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.login.attempts import Attempt, attempt, keep_secret
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth, Role
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def by_token(name: str, role: Role, auth: Auth, context: Context, deadline: Deadline) -> Attempt:
    """What the request of `login` answers to the role's token; raises EvidenceProblem (configuration)."""
    from pytest_prodcheck.evidence.http.messages import Request

    if role.token is None or auth.service is None or auth.login is None:
        what = f"role {name}: [auth] of kind token needs `service`, `login` and the `token` of each role"
        raise EvidenceProblem(Problem("configuration", what))
    token = context.secret(role.token, deadline)
    if not token.isascii() or not token.isprintable() or " " in token:
        what = f"auth.roles.{name}.token is not a token: it holds a space, a line break or a letter beyond ASCII"
        raise EvidenceProblem(Problem("configuration", what))
    keep_secret(token, context)
    method, _, path = auth.login.partition(" ")
    headers = auth.token_headers(token)
    answer = client_of(context, auth.service).ask(Request(method, path, headers), deadline)
    status = answer.exchange.status
    if not 200 <= status < 300:
        return attempt(name, answer, "", {}, f"answered {status}")
    return attempt(name, answer, "bearer" if auth.header.lower() == "authorization" else "header", headers, "")


def token_in(headers: Mapping[str, str], auth: Auth) -> str:
    """The token that a role's headers carry."""
    before = next(iter(auth.token_headers("").values()))
    return headers[auth.header].removeprefix(before)


def random_like(headers: Mapping[str, str], auth: Auth) -> dict[str, str]:
    """A random token, as long as the one that these headers carry, in the same place."""
    length = len(token_in(headers, auth))
    return auth.token_headers(secrets.token_urlsafe(length)[:length])
