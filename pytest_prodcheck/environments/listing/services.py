"""The targets of `services`: the services themselves, and their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.kinds import EnvironmentView, KeyPath, Target
from pytest_prodcheck.environments.queries import (
    controls,
    find_endpoint,
    guarded,
    has_matrix,
    is_address,
    is_ownership_pair,
    pods_tell,
    reads_privately,
    token_endpoint,
)

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service


def service_targets(looking: EnvironmentView) -> Iterator[Target]:
    """All services in scope, then all endpoints."""
    for name, service in looking.services.items():
        if service.speaks_http or _version_in_pods(looking, name):
            yield _service(looking, name, service)
    for name, service in looking.services.items():
        for key, endpoint in service.endpoints.items():
            yield _endpoint(looking, name, service, key, endpoint)


def has_ports(environment: Environment) -> bool:
    """Whether a service is declared by its port: that is a target of the kind of dependencies' ports."""
    return any(each.tcp is not None for each in environment.services.values())


def endpoint_path(environment: Environment, name: str) -> KeyPath:
    """Where an endpoint "service.endpoint" is declared."""
    service = (find_endpoint(environment, name) or ("", None))[0]
    return ("services", service, "endpoints", name.removeprefix(f"{service}."))


def _service(looking: EnvironmentView, name: str, service: Service) -> Target:
    environment = looking.environment
    features = {key for key in ("health", "version", "openapi") if getattr(service, key) is not None}
    if service.speaks_http:
        features.add("http")
    if service.redirect is not False and not environment.slot:  # a slot says nothing of plain HTTP
        features.add("redirect")
    features |= {"html"} if service.html else set()
    if service.speaks_http and service.url.startswith("https:") and not is_address(service.host):
        features.add("https")
    if _version_in_pods(looking, name):
        features.add("version")
    if token_endpoint(environment, name):
        features.add("tokens")
    reach = looking.reach_service(name, service) if service.speaks_http else ("", "")
    return Target("service", name, frozenset(features), *reach, owner=looking.owners[name])


def _version_in_pods(looking: EnvironmentView, name: str) -> bool:
    """Whether the images of a service's pods can be compared with those in the manifests."""
    cluster = looking.environment.kubernetes
    return cluster is not None and bool(cluster.manifests) and pods_tell(looking.environment, name, looking.vantage)


def _endpoint(looking: EnvironmentView, service_name: str, service: Service, key: str, endpoint: Endpoint) -> Target:
    environment = looking.environment
    name, features = f"{service_name}.{key}", set()
    answers = (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_)
    if any(each is not None for each in answers):
        features |= (
            {"answer"} | ({"budget"} if endpoint.budget else set()) | ({"schema"} if endpoint.schema_ else set())
        )
    if guarded(endpoint) and controls(environment, service, endpoint):
        features.add("guarded")
    if reads_privately(environment, endpoint):
        features.add("private")
    if has_matrix(environment, service, endpoint):
        features.add("matrix")
    if is_ownership_pair(service, endpoint):
        features.add("ownership")
    skip, detail = looking.reach_service(service_name, service)
    if not skip and environment.protected and not endpoint.changes_nothing and name not in looking.allow_write:
        skip = "opt-in"
        detail = (
            f"sends {endpoint.method} to a protected environment: declare `safe = true` if it changes nothing, "
            f"or allow it with --allow-write {name}"
        )
    return Target("endpoint", name, frozenset(features), skip, detail, looking.owners[service_name])
