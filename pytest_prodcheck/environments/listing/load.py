"""The targets of kind `load`: the declared scenarios, and latency without load."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.environments.kinds import EnvironmentView, Target
from pytest_prodcheck.environments.queries import LIGHT, light_endpoints, services_of_load


def light_targets(looking: EnvironmentView) -> Iterator[Target]:
    """One, where there is an endpoint to ask."""
    if light_endpoints(looking.environment, looking.vantage):
        yield Target("load", LIGHT)


def load_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The scenarios; those about other units' services are left out."""
    environment = looking.environment
    for name, load in environment.load.items():
        services = services_of_load(environment, name)
        if looking.unit and services and not set(services) & set(looking.services):
            continue
        told = [looking.reach_service(each, environment.services[each]) for each in services]
        skip, detail = next((each for each in told if each[0]), ("", ""))
        if not skip and environment.protected and name not in looking.allow_load:
            sent = f"about {load.requests} requests" if load.requests else f"{load.users} users"
            skip, detail = "opt-in", f"sends {sent} to a protected environment: give --allow-load {name}"
        features = {"run"} | ({"stress"} if load.stress else set()) | ({"resources"} if load.resources else set())
        yield Target("load", name, frozenset(features), skip, detail, load.owner)
