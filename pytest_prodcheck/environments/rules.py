"""What has to fit together within one environment: names that are named must be declared, files must be there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path as File

from pytest_prodcheck.environments.auth import Auth
from pytest_prodcheck.environments.mistakes import did_you_mean
from pytest_prodcheck.environments.project import KINDS, OTHER_KINDS, Environment
from pytest_prodcheck.environments.services import ANONYMOUS, Endpoint, Service
from pytest_prodcheck.environments.substitution import NAME
from pytest_prodcheck.environments.targets import BUILT_IN_KINDS, declared
from pytest_prodcheck.environments.wording import Complaint
from pytest_prodcheck.environments.workflows import Workflow

CREDENTIAL_HEADERS = ("authorization", "proxy-authorization", "cookie")


def complaints(environment: Environment, root: File) -> Iterator[Complaint]:
    """Everything that does not fit together; key paths are below the environment."""
    yield from _headers(("headers",), environment.headers)
    yield from _absent(environment)
    for name, unit in environment.units.items():
        for position, service in enumerate(unit.services):
            yield from _known(("units", name, "services", f"[{position}]"), service, environment.services, "service")
    for name, service_ in environment.services.items():
        yield from _service(("services", name), service_, environment, root)
    yield from _twice(environment)
    if environment.auth is not None:
        yield from _auth(environment.auth, environment, root)
    for name, workflow in environment.workflows.items():
        yield from _workflow(("workflows", name), workflow, environment)
    yield from _stores(environment, root)
    yield from _slots(environment)
    for name in environment.own:
        if name in BUILT_IN_KINDS:
            yield ("own", name), "is a kind of target of prodcheck itself", "give the collector another name"


def _known(path: tuple[str, ...], name: str, there: Iterable[str], what: str) -> Iterator[Complaint]:
    if name not in set(there):
        yield path, f"there is no {what} `{name}`", did_you_mean(name, there)


def _file(path: tuple[str, ...], name: str | None, root: File) -> Iterator[Complaint]:
    if name is None:
        return
    try:
        there = (root / name).is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        yield path, f"there is no file {name!r} beside prodcheck.toml", "relative paths begin at its folder"


def _headers(path: tuple[str, ...], headers: dict[str, str]) -> Iterator[Complaint]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            yield (*path, name), "is no name of an HTTP header", ""
        if name.lower() in CREDENTIAL_HEADERS:
            yield (*path, name), "credentials in a header would be readable here", "use `authentication` of the service, or `auth`"
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]", value):
            yield (*path, name), "expected plain text in Latin-1 without control characters", ""


def _absent(environment: Environment) -> Iterator[Complaint]:
    for position, kind in enumerate(environment.absent):
        path = ("absent", f"[{position}]")
        yield from _known(path, kind, (*KINDS, *OTHER_KINDS), "kind")
        if kind in (*KINDS, "dependencies") and declared(environment, kind):
            yield path, f"`{kind}` is listed as absent, but declared", ""


def _service(path: tuple[str, ...], service: Service, environment: Environment, root: File) -> Iterator[Complaint]:
    yield from _headers((*path, "headers"), service.headers)
    for key in ("ca", "certificate", "key"):
        yield from _file((*path, "tls", key), getattr(service.tls, key), root)
    if service.tls.key and not service.tls.certificate:
        yield (*path, "tls", "key"), "`key` goes with `certificate`", ""
    if service.proxy and service.connect_to:
        yield (*path, "proxy"), "`proxy` and `connect_to` exclude each other", ""
    if service.redirect is not False and not service.url.startswith("https:"):
        yield (*path, "redirect"), "`redirect` is about http leading to https, but `url` is not https", ""
    for name, endpoint in service.endpoints.items():
        yield from _endpoint((*path, "endpoints", name), name, endpoint, service, environment, root)


def _endpoint(
    path: tuple[str, ...], name: str, endpoint: Endpoint, service: Service, environment: Environment, root: File
) -> Iterator[Complaint]:
    yield from _headers((*path, "headers"), endpoint.headers)
    roles = environment.auth.roles if environment.auth else {}
    if endpoint.as_ is not None:
        yield from _known((*path, "as"), endpoint.as_, roles, "role")
    for position, role in enumerate(endpoint.allow or ()):
        yield from _known((*path, "allow", f"[{position}]"), role, (*roles, ANONYMOUS), "role")
    if endpoint.control == name:
        yield (*path, "control"), "an endpoint cannot be its own control", ""
    elif endpoint.control is not None:
        yield from _known((*path, "control"), endpoint.control, service.endpoints, "endpoint of this service")
    if endpoint.schema_ == "openapi":
        if service.openapi is None:
            yield (*path, "schema"), "the service declares no `openapi`", ""
    else:
        yield from _file((*path, "schema"), endpoint.schema_, root)
    judged = (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_, endpoint.allow)
    if all(each is None for each in judged):
        yield path, "nothing is declared that could be judged", "give `status`, `contains`, `schema` or `allow`"


def _twice(environment: Environment) -> Iterator[Complaint]:
    """Names may hold dots: "a.b" + "c" and "a" + "b.c" would be one target."""
    seen: dict[str, str] = {}
    for service, declared_ in environment.services.items():
        for endpoint in declared_.endpoints:
            full = f"{service}.{endpoint}"
            if full in seen:
                yield ("services", service, "endpoints", endpoint), f"{full} also names an endpoint of {seen[full]}", "rename one"
            seen[full] = service


def _auth(auth: Auth, environment: Environment, root: File) -> Iterator[Complaint]:
    path = ("auth",)
    needed = {"json": ("service", "login"), "form": ("service", "login"), "basic": ("service",)}
    needed |= {"client_credentials": ("token_url",), "oidc": ("issuer",)}
    for key in needed[auth.kind]:
        if getattr(auth, key) is None:
            yield path, f'`{key}` is missing: kind = "{auth.kind}" needs it', ""
    if auth.service is not None:
        yield from _known((*path, "service"), auth.service, environment.services, "service")
    if auth.kind == "json" and auth.token is None and auth.cookie is None:
        yield path, "`token` or `cookie` is missing: where does the answer give the session?", ""
    if auth.logout_revokes and auth.logout is None:
        yield (*path, "logout_revokes"), "`logout` is missing: how does one log out?", ""
    if auth.wrong_password and auth.kind in ("client_credentials", "oidc"):
        yield (*path, "wrong_password"), f'kind = "{auth.kind}" has no password form to give a wrong one to', ""
    for key in ("ca", "certificate", "key"):
        yield from _file((*path, "tls", key), getattr(auth.tls, key), root)
    if auth.protected is not None:
        there = [f"{service}.{name}" for service, each in environment.services.items() for name in each.endpoints]
        yield from _known((*path, "protected"), auth.protected, there, "endpoint")
    for name, role in auth.roles.items():
        oauth = auth.kind in ("client_credentials", "oidc")
        wanted = ("client_id", "client_secret") if oauth and role.grant != "password" else ("user", "password")
        for key in wanted:
            if getattr(role, key) is None:
                yield (*path, "roles", name), f'`{key}` is missing: kind = "{auth.kind}" needs it', ""
    if ANONYMOUS in auth.roles:
        yield (*path, "roles", ANONYMOUS), "`anonymous` is built in and has no credentials", ""


def _workflow(path: tuple[str, ...], workflow: Workflow, environment: Environment) -> Iterator[Complaint]:
    if workflow.unit is not None:
        yield from _known((*path, "unit"), workflow.unit, environment.units, "unit")
    known, names = {"run", "revision"}, set[str]()
    for part, steps in (("steps", workflow.steps), ("cleanup", workflow.cleanup)):
        for position, step in enumerate(steps):
            here = (*path, part, f"[{position}]")
            yield from _headers((*here, "headers"), step.headers)
            yield from _known((*here, "request"), step.service, environment.services, "service")
            if step.as_ is not None and step.as_ != ANONYMOUS:
                yield from _known((*here, "as"), step.as_, environment.auth.roles if environment.auth else (), "role")
            if step.name in names:
                yield (*here, "name"), f"two steps are named `{step.name}`", "name each once"
            names.add(step.name)
            for name in sorted(_asked(step.request, step.json_, step.headers, step.contains) - known):
                yield here, f"{{{name}}} is not captured by an earlier step", did_you_mean(name, known)
            known |= set(step.capture)


def _asked(*values: object) -> set[str]:
    import json

    return {found[2] for found in NAME.finditer(json.dumps(values)) if found[2]}


def _stores(environment: Environment, root: File) -> Iterator[Complaint]:
    for name, postgres in environment.postgres.items():
        path, expect = ("postgres", name), postgres.expect
        for key in ("ca", "certificate", "key"):
            yield from _file((*path, "tls", key), getattr(postgres.tls, key), root)
        yield from _nodes(path, postgres.nodes, {"primaries": expect.primaries, "standbys": expect.standbys})
        if (expect.synchronous or 0) > expect.standbys:
            yield (*path, "expect", "synchronous"), "more synchronous standbys than standbys are expected", ""
    for name, redis in environment.redis.items():
        path = ("redis", name)
        for key in ("ca", "certificate", "key"):
            yield from _file((*path, "tls", key), getattr(redis.tls, key, None), root)
        yield from _nodes(path, redis.nodes, {"primaries": redis.expect.primaries, "replicas": redis.expect.replicas})


def _nodes(path: tuple[str, ...], nodes: tuple[str, ...], expected: dict[str, int]) -> Iterator[Complaint]:
    for position, node in enumerate(nodes):
        if node in nodes[:position]:
            yield (*path, "nodes", f"[{position}]"), f"{node} is listed twice", ""
    if sum(expected.values()) > len(nodes):
        words = " and ".join(f"{count} {what}" for what, count in expected.items())
        yield (*path, "expect"), f"{words} are expected of {len(nodes)} nodes", ""


def _slots(environment: Environment) -> Iterator[Complaint]:
    for name, slot in environment.slots.items():
        if slot.connect_to is None and not slot.services and slot.workload is None:
            yield ("slots", name), "says nothing of where the slot is", "give `connect_to` or `services`"
        for service in slot.services:
            yield from _known(("slots", name, "services", service), service, environment.services, "service")
        for service, declared_ in environment.services.items():
            rewritten = service in slot.services or (slot.connect_to and declared_.vantage == "outside")
            if declared_.proxy and rewritten:
                yield ("slots", name), f"service {service} has a `proxy`, so a slot cannot say where to connect", ""
