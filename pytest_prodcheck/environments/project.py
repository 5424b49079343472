"""The whole of `prodcheck.toml`: environments, gates, waivers."""

from __future__ import annotations

import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pytest_prodcheck.environments.sections.base import Address, Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.sections.lazy import module_of, section
from pytest_prodcheck.environments.sections.light import Light

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.approval import Approval
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.environments.sections.delivery import Channel, Pushgateway, Traces
    from pytest_prodcheck.environments.sections.dependencies import Dependency
    from pytest_prodcheck.environments.sections.deploy import Deploy
    from pytest_prodcheck.environments.sections.exposure import Exposure
    from pytest_prodcheck.environments.sections.hosts import Host
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes
    from pytest_prodcheck.environments.sections.load import Load, LoadCaps
    from pytest_prodcheck.environments.sections.memcached import Memcached
    from pytest_prodcheck.environments.sections.monitoring import Alerts, Metric, Prometheus
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.environments.sections.redis import Redis
    from pytest_prodcheck.environments.sections.rollback import Rollback
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.environments.sections.settings import Settings
    from pytest_prodcheck.environments.sections.tls import TlsServer
    from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
    from pytest_prodcheck.environments.sections.workflows import Workflow
else:
    Approval = section("approval:Approval")
    Auth = section("auth:Auth")
    Channel = section("delivery:Channel")
    Pushgateway = section("delivery:Pushgateway")
    Traces = section("delivery:Traces")
    Dependency = section("dependencies:Dependency")
    Deploy = section("deploy:Deploy")
    Exposure = section("exposure:Exposure")
    Host = section("hosts:Host")
    Kubernetes = section("kubernetes:Kubernetes")
    Load = section("load:Load")
    LoadCaps = section("load:LoadCaps")
    Memcached = section("memcached:Memcached")
    Alerts = section("monitoring:Alerts")
    Metric = section("monitoring:Metric")
    Prometheus = section("monitoring:Prometheus")
    Postgres = section("postgres:Postgres")
    Redis = section("redis:Redis")
    Rollback = section("rollback:Rollback")
    Service = section("services:Service")
    Settings = section("settings:Settings")
    TlsServer = section("tls:TlsServer")
    Vulnerabilities = section("vulnerabilities:Vulnerabilities")
    Workflow = section("workflows:Workflow")

# On a protected environment each of these is declared or listed under `absent`. Later kinds are not asked for: files
# that are good today would be refused.
ASKED_OF_PROTECTED = ("services", "auth", "workflows", "postgres", "redis")
FUTURE_KINDS = ("grpc", "graphql")  # kinds that may be listed under `absent` before this version has them
_NO_KINDS = ("prometheus", "load_caps", "light", "deploy")  # sections that are always there, or that others need

SET_BY_LOADER = ("name", "unit", "slot")  # fields of Environment that are no keys of the file

Action = Literal["block", "warn", "note"]
Skip = Literal["not-configured", "out-of-reach", "opt-in", "prerequisite"]


class Threshold(Section):
    """The two levels of a limit; a value carries its unit: "500ms", "1%", 3."""

    warn: str | int | float | None = None  # past this the check warns; none where left out
    fail: str | int | float | None = None  # past this the check fails; where left out, the check's own level stays


Thresholds = dict[str, Literal["off"] | Threshold]


class Unit(Section):
    """A deployable unit: services that share one revision."""

    services: Annotated[tuple[Name, ...], Field(min_length=1)]  # the services that are deployed together
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts, for services without one


class Slot(Section):
    """One of several copies of a unit: same names, other addresses."""

    connect_to: Address | None = None  # for all services in scope
    # name of the workload in this slot, such as "{workload}-green"
    workload: str | None = None
    services: dict[Name, Address] = {}  # service -> HOST:PORT, before `connect_to`


class Gathering(Section):
    """Bounds of the gathering of evidence."""

    deadline: Seconds = 120.0  # for the whole run; what was not gathered by then is errored
    at_once: Annotated[int, Field(ge=1, le=1000)] = 64  # pieces of evidence that are gathered side by side
    per_host: Annotated[int, Field(ge=1, le=1000)] = 16  # requests at once to one host
    # bytes read of one answer; a longer one is errored where its text is judged
    body: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024


class EvidenceSettings(Section):
    """What of the evidence is kept."""

    # whether answers' bodies are saved with the evidence; left out: "never" where protected, else "always"
    bodies: Literal["never", "always"] | None = None
    keep: Seconds = 30 * 86400.0  # how long saved runs are kept; older ones are removed at the end of a run


class Environment(Section):
    """One named target, with `extends` and `{var}` already resolved."""

    name: str = ""  # see SET_BY_LOADER
    unit: str = ""
    slot: str = ""
    # true for production: read-only, a revision is asked for, every kind is declared or listed in `absent`
    protected: bool = False
    abstract: bool = False  # true: only there to inherit from; `--env` cannot name it
    revision: str | None = None  # what is deployed, where neither --revision nor PRODCHECK_REVISION says so
    nameserver: Address | None = None  # resolves the names of this environment instead of the system (UDP DNS)
    # sent with every HTTP request, so that firewalls and analytics know us; `{run}`, `{revision}` and
    # `{traceparent}` (W3C trace context, see `traces`) are filled in; a value may be a secret reference
    headers: dict[str, str | SecretRef] = {}
    # kinds of target that this environment does not have: a section that gets lost is then noticed
    absent: tuple[str, ...] = ()
    # name -> text for `{name}` in the strings of this environment; no expressions, `{{name}}` is the text itself
    vars: dict[str, str] = {}
    evidence: EvidenceSettings = EvidenceSettings.model_construct()  # what is kept
    gathering: Gathering = Gathering.model_construct()  # bounds of gathering
    units: dict[Name, Unit] = {}  # a deployable unit: services that share one revision; `--unit` names one
    slots: dict[Name, Slot] = {}  # copies of a unit at other addresses (blue, green, canary); `--slot` names one
    services: dict[Name, Service] = {}  # HTTP services
    auth: Auth | None = None  # how roles log in
    workflows: dict[Name, Workflow] = {}  # what users do, step by step
    dependencies: dict[Name, Dependency] = {}  # internal and third-party dependencies
    postgres: dict[Name, Postgres] = {}  # PostgreSQL clusters
    redis: dict[Name, Redis] = {}  # Redis groups
    memcached: dict[Name, Memcached] = {}  # memcached servers
    vulnerabilities: dict[Name, Vulnerabilities] = {}  # reports of scanners: of images, packages, clusters
    exposure: dict[Name, Exposure] = {}  # hosts whose open ports are looked for, where it is allowed
    kubernetes: Kubernetes | None = None  # the cluster
    prometheus: Prometheus | None = None  # the Prometheus server to query
    metrics: dict[Name, Metric] = {}  # what users see, over a window; each is a check `smoke.metrics.NAME`
    settings: dict[Name, Settings] = {}  # settings that what is deployed will read
    rollback: Rollback | None = None  # the rollback runbook
    approval: Approval | None = None  # who has to approve a deployment, and when none may be
    deploy: Deploy | None = None  # how `prodcheck deploy` brings a new revision in, and back out
    alerts: Alerts | None = None  # alerting rules that must be loaded, and alerts that must not be firing
    hosts: dict[Name, Host] = {}  # hosts whose processors, memory and disks are looked at before a deployment
    # servers that speak TLS besides services, PostgreSQL and Redis, which are looked at anyway
    tls: dict[Name, TlsServer] = {}
    # before `load`: what is measured without load is measured before there was any
    light: Light = Light.model_construct()  # latency without load
    load: dict[Name, Load] = {}  # scenarios of the performance suite, by name
    # bounds of every load here; where left out: on a protected environment the defaults of the table, else none
    load_caps: LoadCaps | None = None
    own: dict[Name, dict[str, Any]] = {}  # settings of a team's own collectors, by the collector's name
    thresholds: Thresholds = {}  # limits of this environment, before the global ones

    @property
    def keeps_bodies(self) -> bool:
        """Whether answers' bodies may be saved with the evidence."""
        return self.evidence.bodies == "always" or (self.evidence.bodies is None and not self.protected)


@cache
def section_modules() -> dict[str, str]:
    """Key of each section of an environment with a module of its own -> that module, in the order of the fields."""
    return {name: module for name, each in Environment.model_fields.items() if (module := module_of(each.annotation))}


@cache
def kinds() -> tuple[str, ...]:
    """The sections that may be listed under `absent`: those that bring targets where they are declared."""
    return tuple(name for name in section_modules() if name not in _NO_KINDS)


class Need(Section):
    """Another gate that must be open first: "environment:gate"."""

    # environment and gate, such as "staging:smoke"; open for the same unit and revision
    gate: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*$")]
    open_for: Seconds | None = None  # how long it must have been open; no matter how long where left out
    max_age: Seconds | None = None  # how old its evidence may be; where left out, as that gate itself says


class GateDefaults(Section):
    """What all gates do unless they say otherwise."""

    critical: Action = "block"  # what a failed check of severity critical does
    high: Action = "block"  # what a failed check of severity high does
    medium: Action = "warn"  # what a failed check of severity medium does
    low: Action = "note"  # what a failed check of severity low does
    # reasons to skip that keep the gate open; a required check may never be skipped
    skips: tuple[Skip, ...] = ("not-configured", "out-of-reach")
    max_age: Seconds = 900.0  # how old the oldest deciding evidence may be
    strict: bool = False  # true: warnings block too


class Gate(Section):
    """A policy over check results. Keys left out come from `[gates.defaults]`."""

    environments: tuple[Name, ...] = ()  # where it may be judged; every environment where left out
    slot: Literal["required"] | None = None  # "required": a run for this gate has to name a slot
    # ids of checks, globs allowed; where left out, the checks of the suite of the same name
    select: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()  # ids of checks to leave out of `select`, globs allowed
    require: tuple[str, ...] = ()  # results that must be there: `id` (all its targets) or `id@target`; no globs
    needs: tuple[Need, ...] = ()  # other gates that must be open first
    critical: Action | None = None  # what a failed check of severity critical does
    high: Action | None = None  # what a failed check of severity high does
    medium: Action | None = None  # what a failed check of severity medium does
    low: Action | None = None  # what a failed check of severity low does
    # reasons to skip that keep the gate open; a required check may never be skipped
    skips: tuple[Skip, ...] | None = None
    max_age: Seconds | None = None  # how old the oldest deciding evidence may be
    # span that `smoke.metrics.NAME` is judged over, such as "10m"; where left out, as each metric itself says
    window: Seconds | None = None
    strict: bool | None = None  # true: warnings block too
    # until this day (UTC) judged and shown, but answers 0: the way to adopt a gate, such as 2027-02-01
    observe_until: datetime.date | None = None


class Waiver(Section):
    """A reviewed, dated exception for one check on one target; globs allowed."""

    check: str  # id of the check, globs allowed
    target: str  # name of the target, globs allowed
    environment: str  # name of the environment, globs allowed
    reason: Annotated[str, Field(min_length=1)]  # why; shown wherever the failure is
    owner: Annotated[str, Field(min_length=1)]  # who has to end it
    ticket: Annotated[str, Field(min_length=1)]  # where it is written up
    expires: datetime.date  # last day (UTC) on which it helps; warns from 14 days before


class Seal(Section):
    """Whose key seals the verdicts, where it is not PRODCHECK_KEY or `.prodcheck/key`."""

    key: SecretRef  # where the key lies: { env = … } or { file = … }; `prodcheck gate` runs no command


class Events(Section):
    """The event log in PostgreSQL, for several machines or pipelines; without it a file in `.prodcheck`."""

    dsn: SecretRef  # connection string of libpq; the role has to be allowed to create the table `events` once
    keep: Seconds = 13 * 30 * 86400.0  # older events are removed; drills and incidents stay


class Project(Section):
    """The whole file, includes merged, environments resolved (abstract ones left out)."""

    version: Literal[1]  # version of the file's format
    project: str = ""  # name of the project, shown in reports and verdicts
    checks: tuple[str, ...] = ()  # folders with checks of your own, relative to prodcheck.toml
    runbooks: str = ""  # address of runbooks, such as "https://runbooks.example/{runbook}"; shown beside what failed
    # environment variables that programs we start (scanners, secret commands, Locust files) may see beside the usual
    # ones, globs allowed, such as ["TRIVY_*", "REGISTRY_TOKEN"]
    pass_environment: tuple[str, ...] = ()
    # further files, globs allowed, relative to this one; a key set in two of them is an error
    include: tuple[str, ...] = ()
    # limits: `id` or `id@target`, globs allowed; the most specific wins. "off" measures and shows, never fails
    thresholds: Thresholds = {}
    environments: dict[Name, Environment] = {}  # what can be judged, by name
    gates: dict[Name, Gate] = {}  # policies, by name; every suite has one of its own name without being written here
    gate_defaults: GateDefaults = GateDefaults.model_construct()  # from [gates.defaults]
    waivers: tuple[Waiver, ...] = ()  # reviewed, dated exceptions, as [[waivers]]
    events: Events | None = None  # where the event log lies, where that is not the state folder
    notify: dict[Name, Channel] = {}  # who is told of runs, by name
    pushgateway: Pushgateway | None = None  # a Prometheus Pushgateway that gets the figures of each run
    traces: Traces | None = None  # an OpenTelemetry collector that gets a trace of each run
    seal: Seal | None = None  # whose key seals the verdicts, where it is not PRODCHECK_KEY or `.prodcheck/key`
