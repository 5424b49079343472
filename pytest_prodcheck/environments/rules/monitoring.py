"""What has to fit together in what watches an environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.rules.common import headers, tls_files, unknown_name
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.monitoring import Metric


def prometheus_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about Prometheus."""
    if environment.prometheus is not None:
        yield from headers(("prometheus", "headers"), environment.prometheus.headers)
        yield from tls_files(("prometheus", "tls"), environment.prometheus.tls, root)


def alerts_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about alerts."""
    alertmanager = environment.alerts.alertmanager if environment.alerts else None
    if alertmanager is not None:
        yield from headers(("alerts", "alertmanager", "headers"), alertmanager.headers)
        yield from tls_files(("alerts", "alertmanager", "tls"), alertmanager.tls, root)
    if environment.alerts is not None and environment.prometheus is None:
        yield ("alerts",), "no server is declared to query", "declare `prometheus`"


def metric_complaints(environment: Environment, _root: Path) -> Iterator[Complaint]:
    """Everything about metrics."""
    for name, metric in environment.metrics.items():
        if environment.prometheus is None:
            yield ("metrics", name), "no server is declared to query", "declare `prometheus`"
        yield from _metric(("metrics", name), metric, environment)


def host_complaints(environment: Environment, _root: Path) -> Iterator[Complaint]:
    """Everything about hosts."""
    for name, host in environment.hosts.items():
        if host.source == "prometheus" and environment.prometheus is None:
            yield ("hosts", name), "no server is declared to query", "declare `prometheus`"
        reach = environment.kubernetes.reach if environment.kubernetes else ()
        if host.source == "kubernetes" and "nodes" not in reach:
            yield ("hosts", name), "the cluster's nodes are not in reach", 'declare `kubernetes` with reach = ["nodes"]'


def _metric(path: tuple[str, ...], metric: Metric, environment: Environment) -> Iterator[Complaint]:
    for position, service in enumerate(metric.services):
        yield from unknown_name((*path, "services", f"[{position}]"), service, environment.services, "service")
    for key, query in (("query", metric.query), ("samples", metric.samples)):
        if "{service}" in query and metric.per is None:
            yield (*path, key), '{service} is filled in with `per = "service"`', ""
        if "{service}" not in query and metric.per is not None:
            yield (
                (*path, key),
                "does not contain {service}, so the result would be the same for all services",
                'such as service="{service}"',
            )
        if "{revision}" not in query and not metric.any_revision:
            hint = 'such as revision="{revision}"; or set `any_revision = true`'
            yield (*path, key), "does not contain {revision}, so it would also count the previous revision", hint
    if "{window}" not in metric.samples:
        yield (*path, "samples"), "does not contain {window}", "such as increase(requests_total[{window}])"


def metrics_without_limit(environment: Environment, thresholds: Iterable[str]) -> Iterator[str]:
    """The names of the metrics that neither declare a limit nor have one in thresholds (`id`, `id@target`)."""
    ids = [pattern.partition("@")[0] for pattern in (*thresholds, *environment.thresholds)]
    for name, metric in environment.metrics.items():
        own = metric.at_most is not None or metric.at_least is not None
        if not own and not any(fnmatchcase(f"smoke.metrics.{name}", each) for each in ids):
            yield name
