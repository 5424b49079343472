"""The targets of kind `tls`: HTTPS services, PostgreSQL, Redis, and the servers declared under `tls`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.kinds import EnvironmentView, KeyPath, Target
from pytest_prodcheck.environments.tls_targets import NAMED, encrypted, policy

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment


def tls_targets(looking: EnvironmentView) -> Iterator[Target]:
    """What speaks TLS; features: "profile" where one is declared, "name" where clients look at the name."""
    environment = looking.environment
    for target, (key, name) in encrypted(environment).items():
        features = {"profile"} if policy(environment, target).profile is not None else set()
        if key == "services":
            if name in looking.services:
                yield _of_service(looking, name, features | {"name"})
            continue
        table = getattr(environment, key)[name]
        if key == "tls" and not looking.in_scope(table.unit):
            continue
        if key != "postgres" or table.tls.mode in NAMED:
            features.add("name")
        yield Target("tls", target, frozenset(features), *looking.reach(table.vantage), owner=table.owner)


def tls_path(environment: Environment, name: str) -> KeyPath:
    """Where what speaks TLS is declared."""
    return encrypted(environment).get(name, ("tls", name))


def _of_service(looking: EnvironmentView, name: str, features: set[str]) -> Target:
    skip, detail = looking.reach_service(name, looking.services[name])
    if not skip and looking.services[name].proxy is not None:
        skip, detail = "out-of-reach", "is reached through a proxy, but TLS is checked only on direct connections"
    return Target("tls", name, frozenset(features), skip, detail, looking.owners[name])
