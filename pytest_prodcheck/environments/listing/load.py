"""The targets of kind `load`: the declared scenarios, and latency without load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.kinds import EnvironmentView, Target
from pytest_prodcheck.environments.queries import LIGHT, find_endpoint, light_endpoints, services_of_load, writes

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.load import Load


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
            skip, detail = "opt-in", f"sends {sent} to a protected environment: allow it with --allow-load {name}"
        writing = [each for each in _writing(load, environment) if each not in looking.allow_write]
        if not skip and environment.protected and writing:
            options = " ".join(f"--allow-write {each}" for each in writing)
            skip, detail = "opt-in", f"writes to a protected environment many times: allow it with {options}"
        features = {"run"} | ({"stress"} if load.stress else set()) | ({"resources"} if load.resources else set())
        yield Target("load", name, frozenset(features), skip, detail, load.owner)


def _writing(load: Load, environment: Environment) -> Iterator[str]:
    """The endpoints and flows of a scenario that leave traces; of a Locust file nobody knows, `--allow-load` is all."""
    for name in load.mix:
        found = find_endpoint(environment, name)
        if found is not None and not found[1].changes_nothing:
            yield name
    yield from (name for name in load.flows if writes(environment.workflows[name]))
