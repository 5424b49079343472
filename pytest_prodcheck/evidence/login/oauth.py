"""OAuth 2 token endpoints, declared or found by OpenID Connect discovery."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

from pytest_prodcheck.environments.queries import origin_of, secret_origins
from pytest_prodcheck.evidence.http.clients import client_at
from pytest_prodcheck.evidence.login.attempts import Attempt, bearer, refused
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth, Role
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Answer, Request

WELL_KNOWN = "/.well-known/openid-configuration"


def ask_token(name: str, role: Role, auth: Auth, context: Context, deadline: Deadline) -> Attempt:
    """Asks the token endpoint for a role's token by its grant; raises EvidenceProblem where it could not be asked."""
    grant = role.grant or "client_credentials"
    form: dict[str, str] = {"grant_type": grant}
    _token_endpoint(auth, context, deadline)  # what is missing there is told first
    if grant == "password":
        if role.user is None or role.password is None:
            raise EvidenceProblem(
                Problem("configuration", f"role {name}: the grant `password` needs `user` and `password`")
            )
        form |= {"username": role.user, "password": context.secret(role.password, deadline)}
    elif role.client_id is None or role.client_secret is None:
        raise EvidenceProblem(Problem("configuration", f"role {name} has no `client_id` or no `client_secret`"))
    form |= {key: value for key, value in (("scope", role.scope), ("audience", auth.audience)) if value}
    return redeem(name, role, form, auth, context, deadline).attempt


@dataclass(frozen=True)
class TokenResponse:
    """What the token endpoint gave for a grant; id_token: "" where it gave none."""

    attempt: Attempt
    id_token: str = field(default="", repr=False)


def redeem(
    name: str, role: Role, form: dict[str, str], auth: Auth, context: Context, deadline: Deadline
) -> TokenResponse:
    """The token endpoint's answer to a grant, asked as the role's client."""
    from pytest_prodcheck.evidence.http.messages import Request, basic

    address, methods = _token_endpoint(auth, context, deadline)
    headers = {"Accept": "application/json"}
    if role.client_id is not None and role.client_secret is not None:
        secret = context.secret(role.client_secret, deadline)
        if "client_secret_basic" in methods or "client_secret_post" not in methods:
            headers |= basic(quote_plus(role.client_id), quote_plus(secret), context)
        else:
            form |= {"client_id": role.client_id, "client_secret": secret}
    elif role.client_id is not None:
        form["client_id"] = role.client_id
    answer = _ask(address, Request("POST", address, headers, form=form), auth, context, deadline)
    return _read(name, answer, context)


def _read(name: str, answer: Answer, context: Context) -> TokenResponse:
    status = answer.exchange.status
    try:
        document = answer.json()
    except EvidenceProblem:
        document = None
    if not isinstance(document, dict):
        why = f"the token endpoint answered {status} without a JSON object"
        return TokenResponse(refused(name, answer.exchange, why))
    if status != 200:
        code = document.get("error")
        said = f" ({code})" if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""
        return TokenResponse(refused(name, answer.exchange, f"the token endpoint answered {status}{said}"))
    for extra in ("refresh_token", "id_token"):
        if isinstance(document.get(extra), str) and len(document[extra]) >= 6:
            context.redactor.add(document[extra])
    id_token = document.get("id_token")
    made = bearer(name, answer, document.get("access_token"), "/access_token", context)
    return TokenResponse(made, id_token if isinstance(id_token, str) else "")


def _token_endpoint(auth: Auth, context: Context, deadline: Deadline) -> tuple[str, tuple[str, ...]]:
    """The address of the token endpoint, and how clients may say who they are, where it is told."""
    if auth.kind == "client_credentials":
        if auth.token_url is None:
            raise EvidenceProblem(Problem("configuration", "[auth] of kind client_credentials needs `token_url`"))
        return auth.token_url, ()
    if auth.issuer is None:
        raise EvidenceProblem(Problem("configuration", "[auth] of kind oidc needs `issuer`"))
    document = discovery(auth.issuer, auth, context, deadline)
    methods = document.get("token_endpoint_auth_methods_supported", ())
    found = named_endpoint(document, "token_endpoint", auth, context)
    return found, tuple(str(each) for each in methods) if isinstance(methods, list) else ()


def named_endpoint(document: dict[str, Any], name: str, auth: Auth, context: Context) -> str:
    """An endpoint of the issuer by its discovery document; raises EvidenceProblem for one that is not trusted."""
    found, issuer = document.get(name), str(auth.issuer)
    parts = urlsplit(found) if isinstance(found, str) else None
    if parts is None or parts.scheme not in ("https", urlsplit(issuer).scheme) or not parts.hostname:
        what = f"GET {issuer.rstrip('/')}{WELL_KNOWN}: names no {name} that can be trusted"
        raise EvidenceProblem(Problem("protocol", what))
    refuse_undeclared(str(found), name, auth, context)
    return str(found)


def refuse_undeclared(address: str, what: str, auth: Auth, context: Context) -> None:
    """Raises EvidenceProblem where a discovery document names a server that prodcheck.toml does not."""
    origin = origin_of(address)
    if origin in secret_origins(context.environment):
        return
    shown = plain(f"{origin[0]}://{origin[1]}:{origin[2]}", 300)
    text = (f"the discovery document of {auth.issuer} names {what} at {shown}, which is "
        "not declared: no request was sent to it")
    raise EvidenceProblem(Problem("configuration", text, ("if the address belongs to the provider, "
        "add it to auth.origins")))


def discovery(issuer: str, auth: Auth, context: Context, deadline: Deadline) -> dict[str, Any]:
    """The issuer's discovery document, fetched once in a run; raises EvidenceProblem for one of somebody else."""
    return context.once(("oidc", issuer), lambda: _discover(issuer, auth, context, deadline), deadline)


def _discover(issuer: str, auth: Auth, context: Context, deadline: Deadline) -> dict[str, Any]:
    from pytest_prodcheck.evidence.http.messages import Request

    address = issuer.rstrip("/") + WELL_KNOWN
    answer = _ask(address, Request("GET", address), auth, context, deadline)
    if answer.exchange.status != 200:
        raise EvidenceProblem(
            Problem("protocol", f"GET {address}: answered {answer.exchange.status}", "is `issuer` right?")
        )
    document: Any = answer.json()
    if not isinstance(document, dict) or str(document.get("issuer")).rstrip("/") != issuer.rstrip("/"):
        raise EvidenceProblem(Problem("protocol", f"GET {address}: the document is not about the issuer {issuer}"))
    return document


def _ask(address: str, request: Request, auth: Auth, context: Context, deadline: Deadline) -> Answer:
    # environment headers go along: a firewall in front of the identity provider knows us by them
    return client_at(context, address, auth.tls).ask(request, deadline)
