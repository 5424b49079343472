"""What follows from how an environment is declared: from where things are reached, what writes, what a slot moves.

Imports no pydantic: xdist workers read targets too.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.environments.sections.database import Invariant
    from pytest_prodcheck.environments.sections.hosts import Host
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.environments.sections.services import Endpoint, Service
    from pytest_prodcheck.environments.sections.settings import Settings
    from pytest_prodcheck.environments.sections.workflows import Workflow

OUTSIDE = "outside"  # the vantage of whatever declares none, and of a run without --vantage
ANONYMOUS = "anonymous"  # the role of whom nobody knows
LIGHT = "light"  # the target of latency without load, beside the declared scenarios
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def declared(environment: Environment, kind: str) -> bool:
    """Whether anything of a kind (a key of the environment: "services", "auth", …) is declared."""
    return bool(getattr(environment, kind, None))


def endpoints_of(environment: Environment) -> dict[str, tuple[str, Endpoint]]:
    """Full name ("service.endpoint") -> (service, endpoint)."""
    return {
        f"{service}.{name}": (service, endpoint)
        for service, each in environment.services.items()
        for name, endpoint in each.endpoints.items()
    }


def http_services(environment: Environment) -> dict[str, Service]:
    """The services that speak HTTP."""
    return {name: each for name, each in environment.services.items() if each.speaks_http}


def is_port_of_service(environment: Environment, name: str) -> bool:
    """Whether a target of kind `tcp` is a service; else it is a dependency."""
    return name in environment.services and environment.services[name].tcp is not None


def find_endpoint(environment: Environment, full_name: str) -> tuple[str, Endpoint] | None:
    """(service, endpoint) of one full name, without making a table of all; None where it is not declared."""
    parts = full_name.split(".")
    for place in range(1, len(parts)):  # names may hold dots
        service, name = ".".join(parts[:place]), ".".join(parts[place:])
        if service in environment.services and name in environment.services[service].endpoints:
            return service, environment.services[service].endpoints[name]
    return None


def find_invariant(environment: Environment, name: str) -> tuple[str, Invariant] | None:
    """(cluster, invariant) of a name, which only one cluster has; None where it is not declared."""
    for cluster, each in environment.postgres.items():
        if name in each.invariants:
            return cluster, each.invariants[name]
    return None


def postgres_features(postgres: Postgres) -> frozenset[str]:
    """What is declared of a cluster that checks ask for."""
    declared_ = {
        "migrations": postgres.migrations is not None,
        "migration-sql": postgres.migrations is not None and postgres.migrations.has_sql,
        "freshness": bool(postgres.freshness),
        "structure": postgres.structure is not None,
        "columns": bool(postgres.columns),
    }
    declared_ |= {"standbys": postgres.expect.standbys > 0, "content": postgres.content is not None}
    backups = postgres.backups
    if backups is not None:
        declared_ |= {
            "backups": True, "readable": backups.is_readable, "wal": backups.has_wal,
            "restore": backups.restore is not None, "restore-record": backups.restore_record is not None,
        }  # fmt: skip
    return frozenset(name for name, there in declared_.items() if there)


def protected_endpoint(environment: Environment, role: str) -> str:
    """The endpoint that a session of this role must open, `auth.protected` or the first that fits; "" for none."""
    auth, there = environment.auth, endpoints_of(environment)
    if auth is None:
        return ""
    chosen = there.get(auth.protected or "")
    if auth.protected and chosen and (chosen[1].allow is None or role in chosen[1].allow):
        return auth.protected
    return next((name for name, (_, endpoint) in there.items() if _opens_for(endpoint, role)), "")


def _opens_for(endpoint: Endpoint, role: str) -> bool:
    """Whether an endpoint is for sessions of this role, and not for everybody."""
    allow = endpoint.allow or ()
    return role in allow and ANONYMOUS not in allow and endpoint.changes_nothing and endpoint.as_ in (None, role)


def controls(environment: Environment, service: Service, endpoint: Endpoint) -> list[str]:
    """The roles that can prove that a guarded endpoint opens at all; for an unsafe request at its `control`."""
    roles = environment.auth.roles if environment.auth else {}
    control = service.endpoints.get(endpoint.control or "") if not endpoint.changes_nothing else None
    let_in = control.allow if control is not None else None
    return [role for role in endpoint.allow or () if role in roles and (let_in is None or role in let_in)]


def unit_names(environment: Environment) -> tuple[str, ...]:
    """What a run is about may be recorded under any of these names, "" for none: the unit of the run.

    Where only one unit is declared, it and the whole environment are the same.
    """
    single = tuple(environment.units) if len(environment.units) == 1 else ()
    return tuple(dict.fromkeys((environment.unit, *single, *([""] if environment.unit in single else []))))


def settings_format(settings: Settings) -> str:
    """The form of a file of settings: as declared, else as its name ends; "" where that says nothing."""
    endings = {".env": "env", ".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
    name = settings.file or settings.entry or ""
    return settings.format or next((form for ending, form in endings.items() if name.endswith(ending)), "")


def pods_tell(environment: Environment, service: str, vantage: str) -> bool:
    """Whether the pods of a service may be looked at from here."""
    cluster = environment.kubernetes
    in_reach = cluster is not None and cluster.vantage == vantage and "namespace" in cluster.reach
    return in_reach and environment.services[service].workload is not None


def deployments_in_reach(environment: Environment, vantage: str) -> tuple[str, ...]:
    """The services in scope that a Deployment runs, where the cluster's namespace may be read from here."""
    cluster, unit = environment.kubernetes, environment.units.get(environment.unit)
    if cluster is None or cluster.vantage != vantage or "namespace" not in cluster.reach:
        return ()
    return tuple(
        name
        for name, each in environment.services.items()
        if (each.workload or "").startswith("deployment/") and (unit is None or name in unit.services)
    )


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address, as RFC 6454 has it; an empty host for what is none."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0


def secret_origins(environment: Environment) -> frozenset[tuple[str, str, int]]:
    """Where the environment's secret headers and the roles' credentials may go: its services, and where one logs in.

    Not by plain HTTP to a host that is declared by HTTPS too.
    """
    urls = [service.url for service in http_services(environment).values()]
    if (auth := environment.auth) is not None:
        urls += [url for url in (auth.issuer, auth.token_url, auth.tokens.jwks, *auth.origins) if url and "://" in url]
    found = {origin_of(url) for url in urls}
    encrypted = {host for scheme, host, _ in found if scheme == "https"}
    return frozenset(each for each in found if each[0] != "http" or each[1] not in encrypted or is_loopback(each[1]))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: a proxy beside us speaks TLS with the server, and none with us."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        return bool(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return False


def private_roles(environment: Environment, endpoint: Endpoint) -> list[str]:
    """The roles whose GET of an endpoint is answered with what is theirs alone: its `as`, else those in `allow`."""
    roles = environment.auth.roles if environment.auth else {}
    allow = endpoint.allow or ()
    if endpoint.method != "GET" or ANONYMOUS in allow or endpoint.as_ == ANONYMOUS:
        return []
    return [role for role in ((endpoint.as_,) if endpoint.as_ else allow) if role in roles]


def reads_privately(environment: Environment, endpoint: Endpoint) -> bool:
    """Whether an endpoint gives one role an answer (not a refusal) that is not for everybody."""
    good = endpoint.status is None or any(200 <= status < 300 for status in endpoint.status)
    return good and bool(private_roles(environment, endpoint))


def token_endpoint(environment: Environment, service: str) -> str:
    """The endpoint of a service at which forged tokens are tried, `auth.protected` or the first that fits; "" for none.

    It is guarded, its request changes nothing, and a role can prove that it opens at all.
    """
    auth, each = environment.auth, environment.services[service]
    if auth is None or auth.kind == "basic":
        return ""
    fitting = [
        f"{service}.{name}"
        for name, endpoint in each.endpoints.items()
        if guarded(endpoint) and endpoint.changes_nothing and controls(environment, each, endpoint)
    ]
    return auth.protected if auth.protected in fitting else next(iter(fitting), "")


def guarded(endpoint: Endpoint) -> bool:
    """Whether an endpoint is declared to be closed to some."""
    return endpoint.allow is not None and ANONYMOUS not in endpoint.allow


def has_matrix(environment: Environment, service: Service, endpoint: Endpoint) -> bool:
    """Whether it can be judged who gets in: by `allow`, else by the OpenAPI document, with a role to prove it by."""
    proof = service.endpoints.get(endpoint.control or "") if not endpoint.changes_nothing else endpoint
    if environment.auth is None or proof is None or (proof.status and min(proof.status) >= 400):
        return False  # one that has to be refused proves nothing
    if endpoint.allow is not None:
        return guarded(endpoint) and bool(controls(environment, service, endpoint))
    return service.openapi is not None and proof.as_ in environment.auth.roles


def is_ownership_pair(service: Service, endpoint: Endpoint) -> bool:
    """Whether an endpoint asks as a stranger for what another role, that of its `control`, may see."""
    control = service.endpoints.get(endpoint.control or "")
    return (
        control is not None
        and None not in (endpoint.as_, control.as_)
        and endpoint.as_ != control.as_
        and bool(endpoint.status)
        and set(endpoint.status or ()) <= {401, 403, 404}
    )


def auth_vantage(environment: Environment, auth: Auth) -> str:
    """From where one can log in: as declared, else from where the service that holds the login answers."""
    service = environment.services.get(auth.service or "")
    return auth.vantage if "vantage" in auth.model_fields_set or service is None else service.vantage


def workflow_vantage(environment: Environment, workflow: Workflow) -> str:
    """From where a workflow can run: as declared, else from where its least reachable service answers."""
    if "vantage" in workflow.model_fields_set:
        return workflow.vantage
    names = {step.service for step in (*workflow.steps, *workflow.cleanup)}
    inner = sorted({environment.services[name].vantage for name in names if name in environment.services} - {OUTSIDE})
    return inner[0] if inner else OUTSIDE


def writes(workflow: Workflow) -> bool:
    """Whether a workflow leaves traces: as it says itself, or because a step's method is not a safe one."""
    return workflow.writes or any(step.method not in _SAFE_METHODS for step in (*workflow.steps, *workflow.cleanup))


def in_slot(environment: Environment, service: str, slot: str) -> bool:
    """Whether a slot says where a service is: by name, or by `connect_to` for those that answer outside."""
    there = environment.slots[slot]
    if not environment.services[service].speaks_http:  # `connect_to` leads to what answers by HTTP
        return service in there.services
    return service in there.services or (
        there.connect_to is not None and environment.services[service].vantage == OUTSIDE
    )


def services_of_load(environment: Environment, name: str) -> tuple[str, ...]:
    """The services that a scenario loads, () for those of a Locust file, which only it knows."""
    there = endpoints_of(environment)
    load = environment.load[name]
    found = [there[endpoint][0] for endpoint in load.mix if endpoint in there]
    flows = (environment.workflows[flow] for flow in load.flows if flow in environment.workflows)
    found += [step.service for flow in flows for step in (*flow.steps, *flow.cleanup)]
    return tuple(dict.fromkeys(found))


def longest_of_flow(name: str, load: Load, environment: Environment) -> float:
    """Seconds that a user of a load may take for a workflow: each request as long as its service's, pauses between."""
    workflow = environment.workflows.get(name)
    if workflow is None:
        return 0.0
    services = [environment.services.get(step.service) for step in (*workflow.steps, *workflow.cleanup)]
    return sum(each.timeout for each in services if each is not None) + load.think * (len(workflow.steps) - 1)


def host_vantage(environment: Environment, host: Host) -> str:
    """From where a host's numbers are reached: as declared, else from where whoever tells them is."""
    teller = {"prometheus": environment.prometheus, "kubernetes": environment.kubernetes}.get(host.source)
    return host.vantage if "vantage" in host.model_fields_set or teller is None else teller.vantage


def services_of_metric(environment: Environment, name: str) -> tuple[str, ...]:
    """The services in scope that a metric is asked of one by one; ("",) where it is asked once."""
    metric, unit = environment.metrics[name], environment.units.get(environment.unit)
    if metric.per is None:
        return ("",)
    wanted = metric.services or tuple(environment.services)
    return tuple(each for each in wanted if unit is None or each in unit.services)


def light_endpoints(environment: Environment, vantage: str = OUTSIDE) -> tuple[str, ...]:
    """The endpoints that the light mode asks: those declared, else all in scope that are judged and change nothing."""
    light, unit = environment.light, environment.units.get(environment.unit)
    if not light.enabled:
        return ()
    return tuple(
        name
        for name, (service, endpoint) in endpoints_of(environment).items()
        if (light.endpoints is None or name in light.endpoints)
        and (unit is None or service in unit.services)
        and environment.services[service].vantage == vantage
        and (not environment.slot or in_slot(environment, service, environment.slot))
        and (light.endpoints is not None or _tells_of_latency(endpoint))
    )


def _tells_of_latency(endpoint: Endpoint) -> bool:
    """Whether an endpoint's good answer is judged, is no refusal, and changes nothing."""
    judged = any(
        each is not None for each in (endpoint.status, endpoint.content_type, endpoint.contains, endpoint.schema_)
    )
    return judged and endpoint.changes_nothing and (endpoint.status is None or min(endpoint.status) < 400)
