"""The table of collectors: a name, the module that holds it. Modules are imported at first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pytest_prodcheck.evidence.collectors import OWN, Collector

_HERE = "pytest_prodcheck.evidence."

COLLECTORS = {
    "http-health": _HERE + "services.health",
    "http-version": _HERE + "services.version",
    "http-addresses": _HERE + "services.addresses",
    "http-redirect": _HERE + "services.redirect",
    "http-openapi": _HERE + "services.openapi",
    "http-endpoint": _HERE + "services.endpoint",
    "http-budget": _HERE + "services.endpoint",
    "http-contract": _HERE + "services.contract",
    "auth-login": _HERE + "access.logins",
    "auth-session": _HERE + "access.logins",
    "auth-rejections": _HERE + "access.logins",
    "auth-required": _HERE + "access.logins",
    "workflow": _HERE + "services.workflow",
    "dns-name": _HERE + "network.dns",
    "tcp-port": _HERE + "network.tcp",
    "tls-certificate": _HERE + "tls.certificate",
    "tls-name": _HERE + "tls.certificate",
    "tls-suites": _HERE + "tls.sslyze_scans",
    "tls-attacks": _HERE + "tls.sslyze_scans",
    "tls-profile": _HERE + "tls.sslyze_scans",
    "postgres-cluster": _HERE + "postgres.cluster",
    "postgres-migrations": _HERE + "migrations.applied",
    "postgres-migration-lint": _HERE + "migrations.squawk",
    "postgres-schema": _HERE + "postgres.schema",
    "postgres-orphans": _HERE + "postgres.orphans",
    "postgres-invariant": _HERE + "postgres.rows",
    "postgres-freshness": _HERE + "postgres.rows",
    "postgres-checksums": _HERE + "postgres.activity",
    "postgres-activity": _HERE + "postgres.activity",
    "postgres-structure": _HERE + "postgres.structure",
    "redis-group": _HERE + "redis.group",
    "redis-writes": _HERE + "redis.writes",
    "vulnerabilities-running": _HERE + "vulnerabilities.reports",
    "vulnerabilities-to-deploy": _HERE + "vulnerabilities.reports",
    "kube-bench": _HERE + "vulnerabilities.reports",
    "gatekeeper": _HERE + "vulnerabilities.reports",
    "http-pages": _HERE + "web.pages",
    "http-secure": _HERE + "web.pages",
    "http-html": _HERE + "web.pages",
    "http-private": _HERE + "web.pages",
    "http-cookies": _HERE + "web.pages",
    "http-errors": _HERE + "web.errors",
    "http-cors": _HERE + "web.cors",
    "http-exposure": _HERE + "web.exposure",
    "http-methods": _HERE + "web.methods",
    "tcp-ports": _HERE + "network.open_ports",
    "kubernetes-api": _HERE + "kubernetes.cluster",
    "kubernetes-pods": _HERE + "kubernetes.cluster",
    "kubernetes-nodes": _HERE + "kubernetes.cluster",
    "kubernetes-rollout": _HERE + "kubernetes.cluster",
    "kubernetes-capacity": _HERE + "kubernetes.capacity",
    "kubernetes-quota": _HERE + "kubernetes.capacity",
    "kubernetes-volumes": _HERE + "kubernetes.namespace_objects",
    "kubernetes-disruption": _HERE + "kubernetes.namespace_objects",
    "kubernetes-ingress": _HERE + "kubernetes.namespace_objects",
    "kubernetes-storage": _HERE + "kubernetes.namespace_objects",
    "kubernetes-manifests": _HERE + "kubernetes.dry_run",
    "manifest-facts": _HERE + "kubernetes.manifest_facts",
    "change-approval": _HERE + "release.approval",
    "configured-settings": _HERE + "release.settings",
    "rollback-plan": _HERE + "release.rollback",
    "dependency": _HERE + "release.dependency",
    "redis-replication": _HERE + "redis.replication",
    "auth-matrix": _HERE + "access.matrix",
    "auth-ownership": _HERE + "access.ownership",
    "auth-tokens": _HERE + "access.tokens",
    "auth-cookie": _HERE + "access.cookie",
    "auth-throttling": _HERE + "access.throttling",
    "postgres-encryption": _HERE + "postgres.encryption",
    "postgres-columns": _HERE + "postgres.columns",
    "redis-encryption": _HERE + "redis.encryption",
    "metric": _HERE + "monitoring.metrics",
    "host-use": _HERE + "hosts.usage",
    "host-mounts": _HERE + "hosts.usage",
    "alert-rules": _HERE + "monitoring.alerts",
    "alerts-firing": _HERE + "monitoring.alerts",
    "load-run": _HERE + "load.run",
    "load-latency": _HERE + "load.run",
    "load-stress": _HERE + "load.run",
    "load-resources": _HERE + "load.resources",
    "load-baseline": _HERE + "load.baseline",
    "postgres-backups": _HERE + "backups.inventory",
    "postgres-archiving": _HERE + "backups.inventory",
    "postgres-backup-verification": _HERE + "backups.verification",
    "postgres-wal-archive": _HERE + "backups.wal_archive",
    "postgres-restore": _HERE + "restore.restoring",
    "postgres-restore-record": _HERE + "restore.record",
    "postgres-replication": _HERE + "postgres.replication",
    "postgres-slots": _HERE + "postgres.slots",
    "postgres-content": _HERE + "content.comparing",
}
ALSO_KNOWN_AS = {"endpoint": "http-endpoint"}


def names() -> tuple[str, ...]:
    """The names of the built-in collectors."""
    return tuple(COLLECTORS)


def own_names() -> tuple[str, ...]:
    """The names of the collectors that teams' own modules registered so far."""
    return tuple(OWN)


def find(name: str) -> Collector:
    """The collector of a name ("http-health", "http_health", "endpoint", an own one); raises KeyError."""
    if name in OWN:
        return OWN[name]
    plain = name.replace("_", "-")
    plain = ALSO_KNOWN_AS.get(plain, plain)
    if plain in OWN:
        return OWN[plain]
    return _built_in(plain)


@cache
def _built_in(name: str) -> Collector:
    module = import_module(COLLECTORS[name])
    return next(each for each in vars(module).values() if isinstance(each, Collector) and each.name == name)
