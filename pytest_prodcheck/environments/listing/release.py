"""The targets of what one release needs: its approval, the rollback plan, dependencies, settings, the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.kinds import EnvironmentView, KeyPath, Target
from pytest_prodcheck.environments.queries import deployments_in_reach, is_port_of_service

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.settings import Settings

REACHES = ("namespace", "secrets", "nodes", "storage")  # what of a cluster may be in reach


def approval_targets(looking: EnvironmentView) -> Iterator[Target]:
    """One, named as the unit, or as the environment."""
    approval = looking.environment.approval
    if approval is not None:
        name = looking.unit or looking.environment.name
        yield Target("approval", name, frozenset(), *looking.reach(approval.vantage), owner=approval.owner)


def rollback_targets(looking: EnvironmentView) -> Iterator[Target]:
    """One, named as the unit or environment, where a rollback plan is declared or Deployments keep earlier versions."""
    environment = looking.environment
    rollback, ways = environment.rollback, deployments_in_reach(environment, looking.vantage)
    if rollback is not None or ways:
        owner = rollback.owner if rollback is not None else looking.owners[ways[0]]
        yield Target("rollback", looking.unit or environment.name, owner=owner)


def dependency_targets(looking: EnvironmentView) -> Iterator[Target]:
    """Names and ports, each a kind of its own, ports of services too; then all dependencies, which answer or do not."""
    environment = looking.environment
    for name, each in environment.dependencies.items():
        if each.dns is not None or each.tcp is not None:
            kind = "dns" if each.dns is not None else "tcp"
            yield Target(kind, name, frozenset(), *looking.reach(each.vantage), owner=each.owner)
    for name, service in looking.services.items():
        if service.tcp is not None:
            yield Target("tcp", name, frozenset(), *looking.reach_service(name, service), owner=looking.owners[name])
    for name, each in environment.dependencies.items():
        vantage = each.vantage
        if each.postgres is not None or each.redis is not None:
            stores = environment.postgres if each.postgres else environment.redis
            vantage = stores[each.postgres or each.redis or ""].vantage
        yield Target("dependency", name, frozenset(), *looking.reach(vantage), owner=each.owner)


def tcp_path(environment: Environment, name: str) -> KeyPath:
    """Where a port is declared: at a service or a dependency."""
    return ("services" if is_port_of_service(environment, name) else "dependencies", name)


def settings_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The settings that units in scope read."""
    for name, settings in looking.environment.settings.items():
        if looking.in_scope(settings.unit):
            owner = looking.owner_of(settings.owner, settings.unit)
            yield Target("settings", name, frozenset(), *_reach_settings(looking, settings), owner=owner)


def _reach_settings(looking: EnvironmentView, settings: Settings) -> tuple[str, str]:
    """A ConfigMap is reached from where the cluster is."""
    cluster = looking.environment.kubernetes
    if settings.configmap is None or cluster is None:
        return "", ""
    if "namespace" not in cluster.reach:
        return "out-of-reach", "prodcheck may not read the namespace here (kubernetes.reach)"
    return looking.reach(cluster.vantage)


def kubernetes_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The namespace, and the workload of each service in scope that names one."""
    cluster = looking.environment.kubernetes
    if cluster is None:
        return
    reach = looking.reach(cluster.vantage)
    features = {*cluster.reach, *(("manifests",) if cluster.manifests else ())}
    beyond = frozenset(REACHES) - features
    yield Target("kubernetes", cluster.namespace, frozenset(features), *reach, owner=cluster.owner, beyond=beyond)
    for name, service in looking.services.items():
        if service.workload is not None:
            yield Target("workload", name, frozenset(features), *reach, owner=looking.owners[name], beyond=beyond)
