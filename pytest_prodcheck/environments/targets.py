"""What a run is about: the declared targets of one environment, as plain data that also travels to xdist workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.reach import (
    LIGHT,
    OUTSIDE,
    auth_vantage,
    controls,
    declared,
    deployments_in_reach,
    find_endpoint,
    find_invariant,
    guarded,
    has_matrix,
    host_vantage,
    in_slot,
    is_address,
    is_ownership_pair,
    light_endpoints,
    pods_tell,
    postgres_features,
    protected_endpoint,
    reads_privately,
    refuse_unknown,
    services_of_load,
    services_of_metric,
    token_endpoint,
    workflow_vantage,
    writes,
)
from pytest_prodcheck.environments.tls_targets import NAMED, encrypted, policy

if TYPE_CHECKING:
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service
    from pytest_prodcheck.environments.sections.settings import Settings
    from pytest_prodcheck.environments.sections.workflows import Workflow

REACHES = ("namespace", "secrets", "nodes", "storage")  # what of a cluster may be in reach
BUILT_IN_KINDS = (
    "service",
    "endpoint",
    "auth",
    "role",
    "workflow",
    "dns",
    "tcp",
    "postgres",
    "invariant",
    "redis",
    "tls",
    "scan",
    "exposure",
    "kubernetes",
    "workload",
    "load",
    "metric",
    "approval",
    "dependency",
    "alerts",
    "settings",
    "rollback",
    "host",
    "environment",
)


@dataclass(frozen=True)
class Target:
    """One thing that checks are about.

    kind: `service`, `endpoint` ("service.endpoint"), `auth` (one, named "auth"), `role`, `workflow`, `dns`, `tcp`,
    `dependency` (those two, and others), `postgres`, `invariant`, `redis`, `tls` (whatever speaks TLS), `scan` (a
    scanner's report), `exposure`, `kubernetes` (one, named as the namespace), `workload` (a service's, named as the
    service), `load` (a scenario, or "light": latency without load), `metric`, `settings`, `alerts` (one, named
    "alerts"), `host` (or several of a kind), `approval` and `rollback` (one each, named as the unit, or as the
    environment), `environment` (one, named as the environment), or the name of a team's own collector.
    features: what of it is declared ("health", "version", …): evidence asks for a feature of its kind. beyond: what of
    it is there, but declared to be out of our reach.
    skip: why it cannot be judged in this run ("out-of-reach", "opt-in"), "" otherwise; detail says it in words.
    severity: of its results, where it is declared with the target; the check's own otherwise.
    """

    kind: str
    name: str
    features: frozenset[str] = frozenset()
    skip: str = ""
    detail: str = ""
    owner: str = ""
    beyond: frozenset[str] = frozenset()
    severity: str = ""


def targets(
    environment: Environment,
    configuration: Configuration,
    *,
    unit: str = "",
    vantage: str = OUTSIDE,
    allow_write: set[str] | frozenset[str] = frozenset(),
    allow_load: set[str] | frozenset[str] = frozenset(),
    revision: str = "",
) -> tuple[Target, ...]:
    """All targets in scope. A unit narrows services with their endpoints, and workflows; the rest stays.

    Raises ConfigurationError for a vantage, or a name in `allow_write` or `allow_load`, that nothing declared has.
    Without a revision `version` stays a feature: the check itself says that it has nothing to compare with.
    """
    scope = _Scope(environment, unit, vantage, frozenset(allow_write), frozenset(allow_load))
    found = (*scope.all(), Target("environment", environment.name))
    refuse_unknown(configuration.path.name, environment, vantage, allow_write, allow_load)
    return found


def undeclared_kinds(environment: Environment) -> tuple[str, ...]:
    """The kinds that a protected environment neither declares nor lists under `absent`; () for others."""
    from pytest_prodcheck.environments.project import KINDS

    if not environment.protected:
        return ()
    return tuple(kind for kind in KINDS if not declared(environment, kind) and kind not in environment.absent)


def settings_of(environment: Environment, target: Target) -> dict[str, Any]:
    """The declared table of a target as JSON data, keys as in the file, secrets as references; {} for `environment`."""
    if target.kind == "endpoint":
        found: Any = (find_endpoint(environment, target.name) or (None, None))[1]
    elif target.kind == "kubernetes":
        found = environment.kubernetes
    elif target.kind in ("auth", "rollback", "approval", "alerts"):
        found = getattr(environment, target.kind)
    elif target.kind == "role":
        found = environment.auth.roles.get(target.name) if environment.auth else None
    elif target.kind in ("dns", "tcp", "dependency"):
        found = environment.dependencies.get(target.name)
    elif target.kind == "scan":
        found = environment.vulnerabilities.get(target.name)
    elif target.kind in ("service", "workflow", "workload", "metric", "host"):
        kind = "services" if target.kind == "workload" else f"{target.kind}s"
        found = getattr(environment, kind).get(target.name)
    elif target.kind == "tls":
        key, name = encrypted(environment).get(target.name, ("tls", target.name))
        found = getattr(environment, key).get(name)
    elif target.kind == "invariant":
        found = (find_invariant(environment, target.name) or (None, None))[1]
    elif target.kind == "load" and target.name == LIGHT:
        found = environment.light
    elif target.kind in ("postgres", "redis", "exposure", "settings", "load"):
        found = getattr(environment, target.kind).get(target.name)
    else:
        return dict(environment.own.get(target.name, {})) if target.kind in environment.own else {}
    plain: dict[str, Any] = found.model_dump(mode="json", by_alias=True) if found is not None else {}
    return plain


_TABLES = {
    "service": "services", "role": "auth.roles", "workflow": "workflows", "dns": "dependencies", "tcp": "dependencies",
    "dependency": "dependencies", "scan": "vulnerabilities", "workload": "services", "metric": "metrics",
    "host": "hosts",
}  # fmt: skip


def key_path(environment: Environment, target: Target) -> tuple[str, ...]:
    """Where a target is declared, below its environment; () where it is the environment itself."""
    kind, name = target.kind, target.name
    if kind == "environment":
        return ()
    if kind in ("auth", "kubernetes", "rollback", "approval", "alerts"):
        return (kind,)
    if kind == "endpoint":
        service = (find_endpoint(environment, name) or ("", None))[0]
        return ("services", service, "endpoints", name.removeprefix(f"{service}."))
    if kind == "invariant":
        return ("postgres", (find_invariant(environment, name) or ("", None))[0], "invariants", name)
    if kind == "tls":
        return encrypted(environment).get(name, ("tls", name))
    if kind in environment.own:
        return ("own", name)
    return (*_TABLES.get(kind, kind).split("."), name)


class _Scope:
    def __init__(
        self,
        environment: Environment,
        unit: str,
        vantage: str,
        allow_write: frozenset[str],
        allow_load: frozenset[str],
    ) -> None:
        self.environment, self.unit, self.vantage, self.allow_write = environment, unit, vantage, allow_write
        self.allow_load = allow_load
        units = [environment.units[unit]] if unit in environment.units else list(environment.units.values())
        in_units = {name: each.owner for each in reversed(units) for name in each.services}
        self.services = {name: each for name, each in environment.services.items() if not unit or name in in_units}
        self.owners = {name: each.owner or in_units.get(name, "") for name, each in environment.services.items()}

    def all(self) -> Iterator[Target]:
        for name, service in self.services.items():
            yield self._service(name, service)
        for name, service in self.services.items():
            for key, endpoint in service.endpoints.items():
                yield self._endpoint(name, service, key, endpoint)
        yield from self._auth()
        for name, workflow in self.environment.workflows.items():
            if not self.unit or workflow.unit in (None, self.unit):
                yield self._workflow(name, workflow)
        for name, each in self.environment.dependencies.items():
            if each.dns is not None or each.tcp is not None:
                kind = "dns" if each.dns is not None else "tcp"
                yield Target(kind, name, frozenset(), *self._reach(each.vantage), owner=each.owner)
        for name, postgres in self.environment.postgres.items():
            features = postgres_features(postgres)
            yield Target("postgres", name, features, *self._reach(postgres.vantage), owner=postgres.owner)
        for postgres in self.environment.postgres.values():
            for name, invariant in postgres.invariants.items():
                owner, reach = invariant.owner or postgres.owner, self._reach(postgres.vantage)
                yield Target("invariant", name, frozenset(), *reach, owner=owner, severity=invariant.severity)
        for name, redis in self.environment.redis.items():
            features = frozenset({"replicas"} if redis.expect.replicas else ())
            features |= {"writes"} if redis.try_writes and redis.expect.primaries else set()
            yield Target("redis", name, features, *self._reach(redis.vantage), owner=redis.owner)
        yield from self._scans()
        for name, exposure in self.environment.exposure.items():
            yield Target("exposure", name, frozenset(), *self._reach(exposure.vantage), owner=exposure.owner)
        yield from self._kubernetes()
        yield from self._tls()
        yield from self._release()
        yield from self._loads()
        yield from self._monitoring()
        for name, table in self.environment.own.items():
            vantage, owner = str(table.get("vantage", OUTSIDE)), str(table.get("owner", ""))
            yield Target(name, name, frozenset(), *self._reach(vantage), owner=owner)

    def _scans(self) -> Iterator[Target]:
        other = {"kube-bench": "benchmark", "gatekeeper": "policies"}
        for name, report in self.environment.vulnerabilities.items():
            if not self.unit or report.unit in (None, self.unit):
                features = frozenset([other[report.format]] if report.format in other else report.about)
                unit = self.environment.units.get(report.unit or "")
                owner = report.owner or (unit.owner if unit else "")
                yield Target("scan", name, features, *self._reach(report.vantage), owner=owner)

    def _tls(self) -> Iterator[Target]:
        """What speaks TLS; features: "profile" where one is declared, "name" where clients look at the name."""
        for target, (key, name) in encrypted(self.environment).items():
            features = {"profile"} if policy(self.environment, target).profile is not None else set()
            if key == "services":
                if name in self.services:
                    yield self._tls_of_service(name, features | {"name"})
                continue
            table = getattr(self.environment, key)[name]
            if key == "tls" and self.unit and table.unit not in (None, self.unit):
                continue
            if key != "postgres" or table.tls.mode in NAMED:
                features.add("name")
            yield Target("tls", target, frozenset(features), *self._reach(table.vantage), owner=table.owner)

    def _tls_of_service(self, name: str, features: set[str]) -> Target:
        skip, detail = self._reach_service(name, self.services[name])
        if not skip and self.services[name].proxy is not None:
            skip, detail = "out-of-reach", "is reached through a proxy, and its TLS is looked at only directly"
        return Target("tls", name, frozenset(features), skip, detail, self.owners[name])

    def _reach(self, vantage: str) -> tuple[str, str]:
        if vantage == self.vantage:
            return "", ""
        return (
            "out-of-reach",
            f'can be reached from "{vantage}", this run looks from "{self.vantage}" (--vantage {vantage})',
        )

    def _reach_service(self, name: str, service: Service) -> tuple[str, str]:
        slot = self.environment.slot
        if slot and not in_slot(self.environment, name, slot):
            return "out-of-reach", f"slot {slot} names no address for it (slots.{slot}.services.{name})"
        return self._reach(service.vantage)

    def _service(self, name: str, service: Service) -> Target:
        features = {key for key in ("health", "version", "openapi") if getattr(service, key) is not None}
        if service.connect_to is None and not self.environment.slot:
            features.add("addresses")
        if service.redirect is not False and not self.environment.slot:  # a slot says nothing of plain HTTP
            features.add("redirect")
        features |= {"html"} if service.html else set()
        features |= {"https"} if service.url.startswith("https:") and not is_address(service.host) else set()
        shipped = self.environment.kubernetes is not None and bool(self.environment.kubernetes.manifests)
        if shipped and pods_tell(self.environment, name, self.vantage):
            features.add("version")  # by the images of its pods
        if token_endpoint(self.environment, name):
            features.add("tokens")
        return Target(
            "service", name, frozenset(features), *self._reach_service(name, service), owner=self.owners[name]
        )

    def _endpoint(self, service_name: str, service: Service, key: str, endpoint: Endpoint) -> Target:
        name, features = f"{service_name}.{key}", set()
        answers = (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_)
        if any(each is not None for each in answers):
            features |= (
                {"answer"} | ({"budget"} if endpoint.budget else set()) | ({"schema"} if endpoint.schema_ else set())
            )
        if guarded(endpoint) and controls(self.environment, service, endpoint):
            features.add("guarded")
        if reads_privately(self.environment, endpoint):
            features.add("private")
        if has_matrix(self.environment, service, endpoint):
            features.add("matrix")
        if is_ownership_pair(service, endpoint):
            features.add("ownership")
        skip, detail = self._reach_service(service_name, service)
        if not skip and self.environment.protected and not endpoint.changes_nothing and name not in self.allow_write:
            skip = "opt-in"
            detail = (
                f"sends {endpoint.method} to a protected environment: declare `safe = true` if it changes nothing, "
                f"or give --allow-write {name}"
            )
        return Target("endpoint", name, frozenset(features), skip, detail, self.owners[service_name])

    def _kubernetes(self) -> Iterator[Target]:
        cluster = self.environment.kubernetes
        if cluster is None:
            return
        reach = self._reach(cluster.vantage)
        features = {*cluster.reach, *(("manifests",) if cluster.manifests else ())}
        beyond = frozenset(REACHES) - features
        yield Target("kubernetes", cluster.namespace, frozenset(features), *reach, owner=cluster.owner, beyond=beyond)
        for name, service in self.services.items():
            if service.workload is not None:
                yield Target("workload", name, frozenset(features), *reach, owner=self.owners[name], beyond=beyond)

    def _release(self) -> Iterator[Target]:
        """What one release needs: its approval, and the dependencies, which answer or do not."""
        name = self.unit or self.environment.name
        approval = self.environment.approval
        if approval is not None:
            yield Target("approval", name, frozenset(), *self._reach(approval.vantage), owner=approval.owner)
        rollback, ways = self.environment.rollback, deployments_in_reach(self.environment, self.vantage)
        if rollback is not None or ways:
            owner = rollback.owner if rollback is not None else self.owners[ways[0]]
            yield Target("rollback", name, owner=owner)
        for key, each in self.environment.dependencies.items():
            vantage = each.vantage
            if each.postgres is not None or each.redis is not None:
                stores = self.environment.postgres if each.postgres else self.environment.redis
                vantage = stores[each.postgres or each.redis or ""].vantage
            yield Target("dependency", key, frozenset(), *self._reach(vantage), owner=each.owner)
        for key, settings in self.environment.settings.items():
            if not self.unit or settings.unit in (None, self.unit):
                unit = self.environment.units.get(settings.unit or "")
                owner = settings.owner or (unit.owner if unit else "")
                yield Target("settings", key, frozenset(), *self._reach_settings(settings), owner=owner)

    def _reach_settings(self, settings: Settings) -> tuple[str, str]:
        """A ConfigMap is reached from where the cluster is."""
        cluster = self.environment.kubernetes
        if settings.configmap is None or cluster is None:
            return "", ""
        if "namespace" not in cluster.reach:
            return "out-of-reach", "namespace may not be read here (kubernetes.reach)"
        return self._reach(cluster.vantage)

    def _auth(self) -> Iterator[Target]:
        auth = self.environment.auth
        if auth is None:
            return
        reach = self._reach(auth_vantage(self.environment, auth))
        owner = auth.owner or self.owners.get(auth.service or "", "")
        features = {"login"} if auth.roles else set()
        features |= {name for name in ("wrong_password", "throttling") if getattr(auth, name)}
        yield Target("auth", "auth", frozenset(features), *reach, owner=owner)
        for role in auth.roles:
            session = {"session"} if protected_endpoint(self.environment, role) else set()
            if session and auth.cookie and auth.logout and auth.kind in ("json", "form"):
                session.add("cookie")
            yield Target("role", role, frozenset({"login"} | session), *reach, owner=owner)

    def _workflow(self, name: str, workflow: Workflow) -> Target:
        skip, detail = self._reach(workflow_vantage(self.environment, workflow))
        if not skip and self.environment.protected and writes(workflow) and name not in self.allow_write:
            skip, detail = "opt-in", f"writes to a protected environment: give --allow-write {name}"
        unit = self.environment.units.get(workflow.unit or "")
        return Target("workflow", name, frozenset(), skip, detail, workflow.owner or (unit.owner if unit else ""))

    def _loads(self) -> Iterator[Target]:
        """Latency without load, and the scenarios; those about other units' services are left out."""
        if light_endpoints(self.environment, self.vantage):
            yield Target("load", LIGHT)
        for name, load in self.environment.load.items():
            services = services_of_load(self.environment, name)
            if self.unit and services and not set(services) & set(self.services):
                continue
            told = [self._reach_service(each, self.environment.services[each]) for each in services]
            skip, detail = next((each for each in told if each[0]), ("", ""))
            if not skip and self.environment.protected and name not in self.allow_load:
                sent = f"about {load.requests} requests" if load.requests else f"{load.users} users"
                skip, detail = "opt-in", f"sends {sent} to a protected environment: give --allow-load {name}"
            features = {"run"} | ({"stress"} if load.stress else set()) | ({"resources"} if load.resources else set())
            yield Target("load", name, frozenset(features), skip, detail, load.owner)

    def _monitoring(self) -> Iterator[Target]:
        """What is asked of Prometheus; a metric that is asked by service, of none in scope, is left out."""
        prometheus, alerts = self.environment.prometheus, self.environment.alerts
        if prometheus is not None and alerts is not None:
            features = frozenset({"quiet"} if alerts.quiet else ())
            yield Target("alerts", "alerts", features, *self._reach(prometheus.vantage), owner=alerts.owner)
        for name, host in self.environment.hosts.items():
            features = frozenset({"mounts"} if host.mounts and host.source != "kubernetes" else ())
            yield Target("host", name, features, *self._reach(host_vantage(self.environment, host)), owner=host.owner)
        for name, metric in self.environment.metrics.items():
            if prometheus is not None and services_of_metric(self.environment, name):
                reach = self._reach(prometheus.vantage)
                yield Target("metric", name, frozenset(), *reach, owner=metric.owner, severity=metric.severity)
