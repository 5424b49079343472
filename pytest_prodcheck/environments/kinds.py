"""What a kind of target says of itself: one `Kind` a section of prodcheck.toml, beside the section's model.

`environments/sections/NAME.py` holds the model and `KINDS`; `environments/targets.py` finds them by a loop over the
fields of `Environment`, and imports those alone that a file has. Imports no pydantic: xdist workers read targets too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import in_slot

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.environments.toml.error_collector import Complaint

KeyPath = tuple[str, ...]
# kinds of target that are named otherwise than their section; a team's own collector has none of these names
NAMED_OTHERWISE = (
    "service", "endpoint", "role", "workflow", "dns", "tcp", "invariant", "scan", "workload", "metric", "dependency",
    "host", "environment",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One thing that checks are about.

    kind: `service`, `endpoint` ("service.endpoint"), `auth` (one, named "auth"), `role`, `workflow`, `dns`, `tcp`,
    `dependency` (those two, and others), `postgres`, `invariant`, `redis`, `tls` (whatever speaks TLS), `scan` (a
    scanner's report), `exposure`, `kubernetes` (one, named as the namespace), `workload` (a service's, named as the
    service), `load` (a scenario, or "light": latency without load), `metric`, `settings`, `alerts` (one, named
    "alerts"), `host` (or several of a kind), `approval` and `rollback` (one each, named as the unit, or as the
    environment), `environment` (one, named as the environment), another section's name, or the name of a team's own
    collector.
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


class EnvironmentView:
    """One environment as one run looks at it: for a unit, from a vantage, with what it may do."""

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

    def in_scope(self, unit: str | None) -> bool:
        """Whether something is in scope that belongs to a unit, None for every unit."""
        return not self.unit or unit in (None, self.unit)

    def owner_of(self, owner: str, unit: str | None) -> str:
        """Whoever is declared with a thing itself, else with its unit."""
        there = self.environment.units.get(unit or "")
        return owner or (there.owner if there else "")

    def reach(self, vantage: str) -> tuple[str, str]:
        """`skip` and `detail` of what is reached from a vantage."""
        if vantage == self.vantage:
            return "", ""
        return (
            "out-of-reach",
            f'can be reached from "{vantage}", this run probes from "{self.vantage}" (--vantage {vantage})',
        )

    def reach_service(self, name: str, service: Service) -> tuple[str, str]:
        """`skip` and `detail` of a service."""
        slot = self.environment.slot
        if slot and not in_slot(self.environment, name, slot):
            return "out-of-reach", f"slot {slot} declares no address for this service (slots.{slot}.services.{name})"
        return self.reach(service.vantage)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one section of an environment declares.

    section: its key. awaited: kind of target -> the collectors whose evidence `--wait` asks for again and again, ()
    for a kind that shows nothing of a deployment that is still rolling. targets: those in scope. rules: what does not
    fit together. paths: kind of target -> where a name of it is declared, where that is not `section.NAME`.
    single: there is one, declared as `section`. brings: further sections whose targets follow from this one too;
    brings_where: those that do so only in some environments.
    only: the one target of its kind that is declared here, where another section declares the others.
    """

    section: str
    awaited: Mapping[str, tuple[str, ...]]
    targets: Callable[[EnvironmentView], Iterator[Target]]
    rules: Callable[[Environment, Path], Iterator[Complaint]]
    paths: Mapping[str, Callable[[Environment, str], KeyPath]] = field(default_factory=dict)
    single: bool = False
    brings: tuple[str, ...] = ()
    brings_where: Mapping[str, Callable[[Environment], bool]] = field(default_factory=dict)
    only: str = ""

    def __post_init__(self) -> None:
        """Enters it in the table of kinds of target; ValueError for one that is there, or that nobody reserved."""
        for kind in self.awaited:
            if kind != self.section and kind not in NAMED_OTHERWISE and not self.only:
                raise ValueError(f"kind of target {kind!r}: name it as its section, or enter it in NAMED_OTHERWISE")
            if (kind, self.only) in _DECLARED_BY:
                raise ValueError(f"kind of target {kind!r}: two sections declare it")
            _DECLARED_BY[kind, self.only] = self

    def path(self, environment: Environment, target: Target) -> KeyPath:
        """Where a target is declared, below its environment."""
        if target.kind in self.paths:
            return self.paths[target.kind](environment, target.name)
        return (self.section,) if self.single else (self.section, target.name)


_DECLARED_BY: dict[tuple[str, str], Kind] = {}


def kind_of(target: Target) -> Kind | None:
    """The kind that declares a target, among those of the sections that are imported; None for others."""
    return _DECLARED_BY.get((target.kind, target.name)) or _DECLARED_BY.get((target.kind, ""))


def awaited(kind: str) -> tuple[str, ...]:
    """The collectors whose evidence about a kind of target `--wait` asks for."""
    found = [declared.awaited[kind] for (each, _), declared in _DECLARED_BY.items() if each == kind]
    return tuple(name for names in found for name in names)


def declared_at(environment: Environment, path: KeyPath) -> Any:
    """What is declared at a key path below an environment, None where nothing is."""
    found: Any = environment
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else getattr(found, step, None)
    return found


def no_rules(_environment: Environment, _root: Path) -> Iterator[Complaint]:
    """`rules` of a section whose model says it all."""
    return iter(())


def no_targets(_looking: EnvironmentView) -> Iterator[Target]:
    """`targets` of a section that others need."""
    return iter(())
