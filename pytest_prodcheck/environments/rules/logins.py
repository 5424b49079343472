"""What has to fit together in logins and workflows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import ANONYMOUS, endpoints_of
from pytest_prodcheck.environments.rules.common import file, headers, tls_files, unknown_http_service, unknown_name
from pytest_prodcheck.environments.toml.error_collector import Complaint
from pytest_prodcheck.environments.toml.errors import did_you_mean
from pytest_prodcheck.environments.toml.substitution import NAME

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.environments.sections.workflows import Workflow


PASSWORDLESS = ("token", "client_credentials", "oidc")  # kinds without a password login
_NOT_FOR_TOKENS = ("token", "cookie", "login_form", "csrf", "logout", "logout_revokes")
_FORBIDDEN_HEADERS = ("cookie", "host", "content-length", "content-type", "transfer-encoding", "connection")


def auth_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about `auth`."""
    path, auth = ("auth",), environment.auth
    if auth is None:
        return
    fixed = auth.kind == "token"
    needed = {"client_credentials": ("token_url",), "oidc": ("issuer",)}
    for key in needed.get(auth.kind, ("service", "login")):
        if getattr(auth, key) is None:
            hint = 'a request that needs the token, such as "GET /orders"' if key == "login" and fixed else ""
            yield path, f'`{key}` is missing: kind = "{auth.kind}" needs it', hint
    yield from _fixed_token_complaints(path, auth, environment)
    if auth.sent_to_issuer:
        for key in ("service", "login"):
            if getattr(auth, key) is None:
                yield path, f"`{key}` is missing: `cookie` needs the service to which the login returns", ""
        if auth.login is not None and not auth.login.startswith("GET "):
            yield (*path, "login"), 'expected the request that redirects to the issuer, such as "GET /login"', ""
    if auth.service is not None:
        yield from unknown_http_service((*path, "service"), auth.service, environment.services)
    if auth.kind in ("json", "form") and auth.token is None and auth.cookie is None:
        yield path, "`token` or `cookie` is missing: it tells where the answer contains the session", ""
    if auth.logout_revokes and auth.logout is None:
        yield (*path, "logout_revokes"), "`logout` is missing: the request that ends a session", ""
    if auth.wrong_password and auth.kind in PASSWORDLESS:
        yield (*path, "wrong_password"), f'kind = "{auth.kind}" has no password login to try a wrong password on', ""
    if auth.wrong_password and not auth.roles:
        yield (*path, "wrong_password"), "`roles` is empty: refusals prove nothing if no login works", ""
    yield from _token_complaints(path, auth)
    yield from tls_files((*path, "tls"), auth.tls, root)
    if auth.protected is not None:
        there = endpoints_of(environment)
        yield from unknown_name((*path, "protected"), auth.protected, there, "endpoint")
        if auth.protected in there and not there[auth.protected][1].changes_nothing:
            yield (*path, "protected"), "expected an endpoint whose request changes nothing", ""
    for name, role in auth.roles.items():
        if role.grant == "authorization_code" and (auth.kind != "oidc" or auth.redirect_uri is None):
            yield (*path, "roles", name), 'the grant authorization_code needs kind = "oidc" and `redirect_uri`', ""
        for key in _credentials(auth, role.grant):
            if getattr(role, key) is None:
                yield (*path, "roles", name), f'`{key}` is missing: kind = "{auth.kind}" needs it', ""
    if ANONYMOUS in auth.roles:
        yield (*path, "roles", ANONYMOUS), "`anonymous` is built in and has no credentials", ""


def _credentials(auth: Auth, grant: str | None) -> tuple[str, ...]:
    """The keys that a role needs."""
    if auth.kind == "token":
        return ("token",)
    if auth.kind not in ("client_credentials", "oidc") or grant == "password" or auth.sent_to_issuer:
        return ("user", "password")
    return ("client_id", "user", "password") if grant == "authorization_code" else ("client_id", "client_secret")


def _fixed_token_complaints(path: tuple[str, ...], auth: Auth, environment: Environment) -> Iterator[Complaint]:
    if auth.kind != "token":
        for key in ("header", "scheme"):
            if key in auth.model_fields_set:
                yield (*path, key), f'only kind = "token" has it, and this is "{auth.kind}"', ""
        for name, role in auth.roles.items():
            if role.token is not None:
                yield (*path, "roles", name, "token"), f'only kind = "token" has it, and this is "{auth.kind}"', ""
        return
    for key in _NOT_FOR_TOKENS:
        if getattr(auth, key):
            yield (*path, key), 'kind = "token" has neither a login nor a logout: each role has a fixed token', ""
    for name, role in auth.roles.items():
        if "grant" in role.model_fields_set:
            yield (*path, "roles", name, "grant"), 'kind = "token" has no OAuth grant', ""
    if auth.header.lower() in _FORBIDDEN_HEADERS:
        yield (*path, "header"), f"{auth.header} cannot carry a token", 'such as "X-API-Key"'
    elif auth.header.lower() != "authorization":
        yield from ((p[:-1], what, hint) for p, what, hint in headers((*path, "header"), {auth.header: ""}))
    always: list[tuple[tuple[str, ...], Mapping[str, object]]] = [(("headers",), environment.headers)]
    always += [(("services", name, "headers"), each.headers) for name, each in environment.services.items()]
    for where, sent in always:
        for name in sent:
            if name.lower() == auth.header.lower():
                what = "is sent with every request, so nobody is ever without the token of [auth]"
                yield (*where, name), what, "leave it out, and name the role by `as` or `allow`"


def _token_complaints(path: tuple[str, ...], auth: Auth) -> Iterator[Complaint]:
    if auth.kind == "basic" and auth.tokens.model_fields_set:
        yield (*path, "tokens"), 'kind = "basic" has no tokens', ""
    if (auth.tokens.jwks or "").startswith("/") and auth.service is None:
        yield (*path, "tokens", "jwks"), "a path needs a `service` to which it belongs", "write the full URL"
    if auth.throttling is None:
        return
    if auth.kind in PASSWORDLESS:
        yield (*path, "throttling"), f'kind = "{auth.kind}" has no password login to try a wrong password on', ""
    if not auth.throttling.user and not auth.wrong_password:
        yield (*path, "throttling"), "`user` is missing: a user reserved for wrong passwords", ""
    users = {role.user for role in auth.roles.values()}
    if auth.throttling.user in users or (auth.wrong_password and auth.wrong_password.user in users):
        yield (
            (*path, "throttling"),
            ("this user belongs to a role; a lockout would stop that role's checks"),
            "name another user",
        )


def workflow_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about workflows."""
    for name, workflow in environment.workflows.items():
        yield from _workflow(("workflows", name), workflow, environment, root)


def _workflow(path: tuple[str, ...], workflow: Workflow, environment: Environment, root: Path) -> Iterator[Complaint]:
    if workflow.unit is not None:
        yield from unknown_name((*path, "unit"), workflow.unit, environment.units, "unit")
    every, caught, names = workflow.names, set(workflow.values), set[str]()
    for part, steps in (("steps", workflow.steps), ("cleanup", workflow.cleanup)):
        for position, step in enumerate(steps):
            here = (*path, part, f"[{position}]")
            yield from headers((*here, "headers"), step.headers, references=False)
            yield from unknown_http_service((*here, "request"), step.service, environment.services)
            if step.as_ is not None and step.as_ != ANONYMOUS:
                roles = environment.auth.roles if environment.auth else ()
                yield from unknown_name((*here, "as"), step.as_, roles, "role")
            if step.json_ is not None and (step.form is not None or step.files):
                yield here, "`json` excludes `form` and `files`: a request has one body", ""
            for field, upload in step.files.items():
                if upload.file is not None:
                    yield from file((*here, "files", field, "file"), upload.file, root)
            if step.name in names:
                yield (*here, "name"), f"two steps are named `{step.name}`", "name each once"
            names.add(step.name)
            asked = _placeholder_names(step.request, step.json_, step.form, step.headers, step.contains)
            for name in sorted((asked & every) - caught):
                yield here, f"{{{name}}} is not captured by an earlier step", did_you_mean(name, caught)
            for name in step.capture:
                if not NAME.fullmatch(f"{{{name}}}"):
                    yield (*here, "capture", name), "expected a name of letters, digits, `_` and `-`", "as in {cart_id}"
            caught |= set(step.capture)


def _placeholder_names(*values: object) -> set[str]:
    return {found[2] for found in NAME.finditer(json.dumps(values)) if found[2]}
