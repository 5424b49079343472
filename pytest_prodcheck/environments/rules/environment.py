"""What has to fit together within one environment: names that are named must be declared, files must be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as File
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.project import KINDS, OTHER_KINDS, Environment
from pytest_prodcheck.environments.reach import ANONYMOUS, controls, declared
from pytest_prodcheck.environments.rules.backups import backup_complaints
from pytest_prodcheck.environments.rules.common import file, headers, known
from pytest_prodcheck.environments.rules.database import database_complaints
from pytest_prodcheck.environments.rules.load import light_complaints, load_complaints
from pytest_prodcheck.environments.rules.logins import auth_complaints, workflow_complaints
from pytest_prodcheck.environments.rules.monitoring import monitoring_complaints
from pytest_prodcheck.environments.rules.release import release_complaints
from pytest_prodcheck.environments.targets import BUILT_IN_KINDS
from pytest_prodcheck.environments.tls_targets import encrypted, policy, twice
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Endpoint, Service


def complaints(environment: Environment, root: File) -> Iterator[Complaint]:
    """Everything that does not fit together; key paths are below the environment."""
    yield from headers(("headers",), environment.headers)
    yield from _absent(environment)
    for name, unit in environment.units.items():
        for position, service in enumerate(unit.services):
            yield from known(("units", name, "services", f"[{position}]"), service, environment.services, "service")
    for name, service_ in environment.services.items():
        yield from _service(("services", name), service_, environment, root)
    yield from _twice(environment)
    if environment.auth is not None:
        yield from auth_complaints(environment.auth, environment, root)
    for name, workflow in environment.workflows.items():
        yield from workflow_complaints(("workflows", name), workflow, environment)
    yield from _stores(environment, root)
    for name, report in environment.vulnerabilities.items():
        from pytest_prodcheck.environments.sections.vulnerabilities import complaints as report_complaints

        yield from report_complaints(("vulnerabilities", name), report)
        yield from file(("vulnerabilities", name, "ca"), report.ca, root)
        if report.unit is not None:
            yield from known(("vulnerabilities", name, "unit"), report.unit, environment.units, "unit")
    yield from _tls(environment, root)
    yield from database_complaints(environment)
    for name, load in environment.load.items():
        yield from load_complaints(("load", name), load, environment, root)
    yield from light_complaints(environment)
    yield from monitoring_complaints(environment, root)
    yield from _slots(environment)
    yield from release_complaints(environment, root)
    if environment.kubernetes is not None:
        yield from file(("kubernetes", "kubeconfig"), environment.kubernetes.kubeconfig, root)
    for name in environment.own:
        if name in BUILT_IN_KINDS:
            yield ("own", name), "is a kind of target of prodcheck itself", "give the collector another name"


def _absent(environment: Environment) -> Iterator[Complaint]:
    for position, kind in enumerate(environment.absent):
        path = ("absent", f"[{position}]")
        yield from known(path, kind, (*KINDS, *OTHER_KINDS), "kind")
        if declared(environment, kind):
            yield path, f"`{kind}` is listed as absent, but declared", ""


def _service(path: tuple[str, ...], service: Service, environment: Environment, root: File) -> Iterator[Complaint]:
    yield from headers((*path, "headers"), service.headers)
    for key in ("ca", "certificate", "key"):
        yield from file((*path, "tls", key), getattr(service.tls, key), root)
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
    yield from headers((*path, "headers"), endpoint.headers)
    roles = environment.auth.roles if environment.auth else {}
    if endpoint.as_ is not None:
        yield from known((*path, "as"), endpoint.as_, roles, "role")
    for position, role in enumerate(endpoint.allow or ()):
        yield from known((*path, "allow", f"[{position}]"), role, (*roles, ANONYMOUS), "role")
    if endpoint.control == name:
        yield (*path, "control"), "an endpoint cannot be its own control", ""
    elif endpoint.control is not None:
        yield from known((*path, "control"), endpoint.control, service.endpoints, "endpoint of this service")
    if endpoint.allow is not None and ANONYMOUS not in endpoint.allow and not controls(environment, service, endpoint):
        text = "no role could prove that it opens at all: a refusal alone proves nothing"
        yield (*path, "allow"), text, "allow a role, for an unsafe request one that `control` allows too"
    if endpoint.schema_ == "openapi":
        if service.openapi is None:
            yield (*path, "schema"), "the service declares no `openapi`", ""
    else:
        yield from file((*path, "schema"), endpoint.schema_, root)
    judged = (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_, endpoint.allow)
    if endpoint.budget is not None and all(each is None for each in judged[:-1]):
        yield (*path, "budget"), "a budget needs an answer that is judged", "give `status` or `contains`"
    if all(each is None for each in judged):
        yield path, "nothing is declared that could be judged", "give `status`, `contains`, `schema` or `allow`"


def _twice(environment: Environment) -> Iterator[Complaint]:
    """Names may hold dots: "a.b" + "c" and "a" + "b.c" would be one target."""
    seen: dict[str, str] = {}
    for service, declared_ in environment.services.items():
        for endpoint in declared_.endpoints:
            full = f"{service}.{endpoint}"
            if full in seen:
                yield (
                    ("services", service, "endpoints", endpoint),
                    f"{full} also names an endpoint of {seen[full]}",
                    "rename one",
                )
            seen[full] = service


def _stores(environment: Environment, root: File) -> Iterator[Complaint]:
    for name, postgres in environment.postgres.items():
        path, expect = ("postgres", name), postgres.expect
        for key in ("ca", "certificate", "key"):
            yield from file((*path, "tls", key), getattr(postgres.tls, key), root)
        yield from _nodes(path, postgres.nodes, {"primaries": expect.primaries, "standbys": expect.standbys})
        if (expect.synchronous or 0) > expect.standbys:
            yield (*path, "expect", "synchronous"), "more synchronous standbys than standbys are expected", ""
        yield from backup_complaints(path, postgres, root)
    for name, redis in environment.redis.items():
        path = ("redis", name)
        for key in ("ca", "certificate", "key"):
            yield from file((*path, "tls", key), getattr(redis.tls, key, None), root)
        yield from _nodes(path, redis.nodes, {"primaries": redis.expect.primaries, "replicas": redis.expect.replicas})


def _tls(environment: Environment, root: File) -> Iterator[Complaint]:
    for name, server in environment.tls.items():
        path = ("tls", name)
        for key in ("ca", "certificate", "key"):
            yield from file((*path, key), getattr(server, key), root)
        if server.key and not server.certificate:
            yield (*path, "key"), "`key` goes with `certificate`", ""
        if server.unit is not None:
            yield from known((*path, "unit"), server.unit, environment.units, "unit")
    for name in twice(environment):
        yield ("tls", name), f"{name} is looked at already, as a service or a store of that name", "rename it"
    for target in encrypted(environment):
        expiry, (key, name) = policy(environment, target).expiry, encrypted(environment)[target]
        if expiry.fail > expiry.warn:
            below = ("tls", name) if key == "tls" else (key, name, "tls")
            yield (*below, "expiry", "fail"), "fails earlier than it warns", ""


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
            yield from known(("slots", name, "services", service), service, environment.services, "service")
        for service, declared_ in environment.services.items():
            rewritten = service in slot.services or (slot.connect_to and declared_.vantage == "outside")
            if declared_.proxy and rewritten:
                yield ("slots", name), f"service {service} has a `proxy`, so a slot cannot say where to connect", ""
