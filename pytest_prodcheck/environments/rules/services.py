"""What has to fit together in services and their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import ANONYMOUS, controls, services_of_metric
from pytest_prodcheck.environments.rules.common import file, headers, tls_files, unknown_name
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service

_WITHOUT_HTTP = {"tcp", "workload", "owner", "vantage", "timeout"}  # what may be said of a service without `url`


def service_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about the services of one environment."""
    for name, service in environment.services.items():
        yield from _service(("services", name), service, environment, root)
    yield from _duplicate_names(environment)


def _service(path: tuple[str, ...], service: Service, environment: Environment, root: Path) -> Iterator[Complaint]:
    if not service.speaks_http:
        yield from _without_http(path, service, environment)
        return
    if service.tcp is not None:
        yield (*path, "tcp"), "`tcp` is for a service without `url`", "declare the other port as a service of its own"
    yield from headers((*path, "headers"), service.headers)
    yield from tls_files((*path, "tls"), service.tls, root)
    if service.tls.key and not service.tls.certificate:
        yield (*path, "tls", "key"), "`key` needs `certificate`", ""
    if service.proxy and service.connect_to:
        yield (*path, "proxy"), "`proxy` and `connect_to` exclude each other", ""
    if service.redirect is not False and not service.url.startswith("https:"):
        yield (*path, "redirect"), "`redirect` checks the redirect from http to https, but `url` is not https", ""
    for name, endpoint in service.endpoints.items():
        yield from _endpoint((*path, "endpoints", name), name, endpoint, service, environment, root)


def _without_http(path: tuple[str, ...], service: Service, environment: Environment) -> Iterator[Complaint]:
    """Complains about keys that only HTTP has a meaning for, and about a service that no check is about."""
    if keys := sorted(service.model_fields_set - _WITHOUT_HTTP):
        yield path, f"`url` is missing: {', '.join(f'`{key}`' for key in keys)} cannot be judged without it", ""
        return
    cluster, name = environment.kubernetes, path[1]
    read = service.workload is not None and cluster is not None and "namespace" in cluster.reach
    if not (read or service.tcp or any(name in services_of_metric(environment, each) for each in environment.metrics)):
        what = "nothing about this service can be checked"
        yield path, what, "declare `url`, `tcp`, `workload` with [kubernetes], or a metric with per = \"service\""
    if service.tcp is not None and name in environment.dependencies:
        yield (*path, "tcp"), f"the dependency `{name}` has the same name", "rename one"


def _endpoint(
    path: tuple[str, ...], name: str, endpoint: Endpoint, service: Service, environment: Environment, root: Path
) -> Iterator[Complaint]:
    yield from headers((*path, "headers"), endpoint.headers, references=False)
    if endpoint.json_ is not None and endpoint.form is not None:
        yield path, "`json` excludes `form`: a request has one body", ""
    roles = environment.auth.roles if environment.auth else {}
    if endpoint.as_ is not None:
        yield from unknown_name((*path, "as"), endpoint.as_, roles, "role")
    for position, role in enumerate(endpoint.allow or ()):
        yield from unknown_name((*path, "allow", f"[{position}]"), role, (*roles, ANONYMOUS), "role")
    if endpoint.control == name:
        yield (*path, "control"), "an endpoint cannot be its own control", ""
    elif endpoint.control is not None:
        yield from unknown_name((*path, "control"), endpoint.control, service.endpoints, "endpoint of this service")
    if endpoint.allow is not None and ANONYMOUS not in endpoint.allow and not controls(environment, service, endpoint):
        text = "no role has access (positive control), and a refusal alone proves nothing"
        yield (*path, "allow"), text, "add a role to `allow`; for an unsafe request, one that `control` allows too"
    if endpoint.schema_ == "openapi":
        if service.openapi is None:
            yield (*path, "schema"), "the service declares no `openapi`", ""
    else:
        yield from file((*path, "schema"), endpoint.schema_, root)
    judged = (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_, endpoint.allow)
    if endpoint.budget is not None and all(each is None for each in judged[:-1]):
        yield (*path, "budget"), "a budget needs a check of the answer", "set `status` or `contains`"
    if all(each is None for each in judged):
        yield path, "nothing to check is declared", "set `status`, `contains`, `schema` or `allow`"


def _duplicate_names(environment: Environment) -> Iterator[Complaint]:
    """Names may hold dots: "a.b" + "c" and "a" + "b.c" would be one target."""
    seen: dict[str, str] = {}
    for service, declared_ in environment.services.items():
        for endpoint in declared_.endpoints:
            full = f"{service}.{endpoint}"
            if full in seen:
                yield (
                    ("services", service, "endpoints", endpoint),
                    f"{full} is also an endpoint of {seen[full]}",
                    "rename one",
                )
            seen[full] = service
