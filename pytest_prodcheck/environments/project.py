"""The whole of `prodcheck.toml`: environments, gates, waivers."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_prodcheck.environments.auth import Auth
from pytest_prodcheck.environments.base import Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.services import Address, Service
from pytest_prodcheck.environments.stores import Dependency, Postgres, Redis
from pytest_prodcheck.environments.workflows import Workflow

# Every kind of target. On a protected environment each of the first tuple is declared or listed under `absent`.
KINDS = ("services", "auth", "workflows", "postgres", "redis")
OTHER_KINDS = ("dependencies", "grpc", "graphql", "kubernetes", "metrics", "load")

SET_BY_LOADER = ("name", "unit", "slot")  # fields of Environment that are no keys of the file

Action = Literal["block", "warn", "note"]
Skip = Literal["not-configured", "out-of-reach", "opt-in", "prerequisite"]


class Threshold(Section):
    """The two levels of a limit; a value carries its unit: "500ms", "1%", 3."""

    warn: str | int | float | None = None
    fail: str | int | float | None = None


Thresholds = dict[str, Literal["off"] | Threshold]


class Unit(Section):
    """What is deployed together and so has one revision."""

    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    owner: str = ""


class Slot(Section):
    """One of several copies of a unit: same names, other addresses."""

    connect_to: Address | None = None  # for all services in scope
    workload: str | None = None
    services: dict[Name, Address] = {}  # service -> HOST:PORT, before `connect_to`


class Gathering(Section):
    """Bounds of the gathering of evidence."""

    deadline: Seconds = 120.0  # for the whole run
    at_once: Annotated[int, Field(ge=1, le=1000)] = 64
    per_host: Annotated[int, Field(ge=1, le=1000)] = 16
    body: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024  # bytes read of one answer


class EvidenceSettings(Section):
    """What of the evidence is kept."""

    bodies: Literal["never", "always"] | None = None  # none: never where protected
    keep: Seconds = 30 * 86400.0


class Environment(Section):
    """One named target, with `extends` and `{var}` already resolved."""

    name: str = ""  # see SET_BY_LOADER
    unit: str = ""
    slot: str = ""
    protected: bool = False
    abstract: bool = False
    revision: str | None = None
    nameserver: Address | None = None  # resolves the names of this environment instead of the system (UDP DNS)
    headers: dict[str, str | SecretRef] = {}
    absent: tuple[str, ...] = ()
    vars: dict[str, str] = {}
    evidence: EvidenceSettings = EvidenceSettings()
    gathering: Gathering = Gathering()
    units: dict[Name, Unit] = {}
    slots: dict[Name, Slot] = {}
    services: dict[Name, Service] = {}
    auth: Auth | None = None
    workflows: dict[Name, Workflow] = {}
    dependencies: dict[Name, Dependency] = {}
    postgres: dict[Name, Postgres] = {}
    redis: dict[Name, Redis] = {}
    own: dict[Name, dict[str, Any]] = {}  # settings of a team's own collectors, by the collector's name
    thresholds: Thresholds = {}

    @property
    def keeps_bodies(self) -> bool:
        """Whether answers' bodies may be saved with the evidence."""
        return self.evidence.bodies == "always" or (self.evidence.bodies is None and not self.protected)


class Need(Section):
    """Another gate that must be open first: "environment:gate"."""

    gate: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*$")]
    open_for: Seconds | None = None
    max_age: Seconds | None = None


class GateDefaults(Section):
    """What all gates do unless they say otherwise."""

    critical: Action = "block"
    high: Action = "block"
    medium: Action = "warn"
    low: Action = "note"
    skips: tuple[Skip, ...] = ("not-configured", "out-of-reach")
    max_age: Seconds = 900.0
    strict: bool = False


class Gate(Section):
    """A policy over check results. Keys left out come from `[gates.defaults]`."""

    environments: tuple[Name, ...] = ()  # none: every environment
    slot: Literal["required"] | None = None
    select: tuple[str, ...] | None = None  # none: the checks of the suite of the same name
    without: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    critical: Action | None = None
    high: Action | None = None
    medium: Action | None = None
    low: Action | None = None
    skips: tuple[Skip, ...] | None = None
    max_age: Seconds | None = None
    window: Seconds | None = None
    strict: bool | None = None
    observe_until: datetime.date | None = None


class Waiver(Section):
    """A reviewed, dated exception for one check on one target; globs allowed."""

    check: str
    target: str
    environment: str
    reason: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    ticket: Annotated[str, Field(min_length=1)]
    expires: datetime.date


class Seal(Section):
    """Whose key seals the verdicts, where it is not PRODCHECK_KEY or `.prodcheck/key`."""

    key: SecretRef


class Project(Section):
    """The whole file, includes merged, environments resolved (abstract ones left out)."""

    version: Literal[1]
    project: str = ""
    checks: tuple[str, ...] = ()
    runbooks: str = ""  # "https://runbooks.example/{runbook}"
    include: tuple[str, ...] = ()
    thresholds: Thresholds = {}
    environments: dict[Name, Environment] = {}
    gates: dict[Name, Gate] = {}
    gate_defaults: GateDefaults = GateDefaults()  # from [gates.defaults]
    waivers: tuple[Waiver, ...] = ()
    seal: Seal | None = None
