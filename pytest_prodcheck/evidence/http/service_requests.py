"""What the HTTP collectors share: whom they ask, what that looks like in a plan, JSON pointers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import find_endpoint
from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service


def declared(environment: Environment, name: str) -> Service:
    """One declared service; raises EvidenceProblem (configuration) for another name."""
    if name not in environment.services:
        raise EvidenceProblem(Problem("configuration", f"no service {name!r} is declared"))
    return environment.services[name]


def endpoint(environment: Environment, target: str) -> tuple[Service, Endpoint, str]:
    """Service, endpoint and the service's name of "service.endpoint"; raises EvidenceProblem (configuration)."""
    found = find_endpoint(environment, target)
    if found is None:
        raise EvidenceProblem(Problem("configuration", f"no endpoint {target!r} is declared"))
    name, declared = found
    return environment.services[name], declared, name


def host_of(service: Service) -> str:
    """Whom requests to a service go to: "shop.example:443"."""
    return service.connect_to or f"{service.host}:{service.port}"


def service_host(target: str, environment: Environment) -> str:
    """`host` of the collectors about a service."""
    return host_of(declared(environment, target))


def endpoint_host(target: str, environment: Environment) -> str:
    """`host` of the collectors about an endpoint."""
    return host_of(endpoint(environment, target)[0])


def asks(path: Callable[[Service], str | None], times: int = 1) -> Callable[[str, Environment], tuple[Sending, ...]]:
    """`sends` of a collector that gets one path of a service, so many times."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        service = declared(environment, target)
        found = path(service)
        return (Sending(host_of(service), f"GET {found}", times),) if found else ()

    return sends


def bounded_seconds(factor: float, extra: float = 5.0) -> Callable[[str, Environment], float]:
    """`seconds` of a collector about a service: so many times the service's own timeout."""

    def seconds(target: str, environment: Environment) -> float:
        return environment.services[target].timeout * factor + extra

    return seconds
