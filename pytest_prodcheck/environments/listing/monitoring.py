"""The targets of what watches: alerts, hosts, metrics."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.environments.kinds import EnvironmentView, Target
from pytest_prodcheck.environments.queries import host_vantage, services_of_metric


def alerts_targets(looking: EnvironmentView) -> Iterator[Target]:
    """One, where somebody can be asked."""
    prometheus, alerts = looking.environment.prometheus, looking.environment.alerts
    if prometheus is not None and alerts is not None:
        features = frozenset({"quiet"} if alerts.quiet else ())
        yield Target("alerts", "alerts", features, *looking.reach(prometheus.vantage), owner=alerts.owner)


def host_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The hosts, with "mounts" where somebody tells of their disks."""
    for name, host in looking.environment.hosts.items():
        features = frozenset({"mounts"} if host.mounts and host.source != "kubernetes" else ())
        reach = looking.reach(host_vantage(looking.environment, host))
        yield Target("host", name, features, *reach, owner=host.owner)


def metric_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The metrics; one that is asked by service, of none in scope, is left out."""
    prometheus = looking.environment.prometheus
    for name, metric in looking.environment.metrics.items():
        if prometheus is not None and services_of_metric(looking.environment, name):
            reach = looking.reach(prometheus.vantage)
            yield Target("metric", name, frozenset(), *reach, owner=metric.owner, severity=metric.severity)
