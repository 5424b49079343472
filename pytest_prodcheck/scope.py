"""What one run is about, as plain data: the same in the controller and, sent as JSON, in each xdist worker."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.targets import Target
from pytest_prodcheck.judging.limits import Limit, LimitError, Threshold
from pytest_prodcheck.outcomes import NO_TARGET

if TYPE_CHECKING:
    from pytest_prodcheck.demo import Demo
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.judging.checks import Definition

DEMO = "demo"  # the environment that is embedded where no prodcheck.toml declares one of that name


@dataclass(frozen=True)
class NamedCheck:
    """A check that an argument names. target: "" for all. place: the file or folder that pytest collects for it.

    id: as the catalogue has it, `smoke.workflow.*` for all workflows.
    """

    word: str  # as it was typed
    id: str
    target: str
    place: str

    def is_about(self, check: str, target: str) -> bool:
        """Whether a check on a target is meant."""
        stem = self.id.removesuffix(".*")
        meant = {self.id} if stem == self.id else {stem, f"{stem}.{target}"}
        return check in meant and self.target in ("", target)


@dataclass(frozen=True)
class Scope:
    """One environment, unit, slot and vantage.

    settings: "kind:name" -> the declared table, plain JSON. select: the check ids to run, () for all;
    plain_suites: with them, the suites whose tests without @check, marked so, are run too.
    named: the checks that the command line names, () for all.
    elsewhere: "kind:name" of what other environments declare, for checks that ask for it by name.
    folders: what to collect where no path is given. shared: folder through which workers read evidence.
    patience: seconds one fact is waited for. protected: whether checks with an `opt_in` need to be allowed;
    allowed: their ids that are. root: the folder of prodcheck.toml.
    secrets: where workers find those that they must not show, `(env or file, name)`.
    """

    environment: str
    run: str
    targets: tuple[Target, ...]
    thresholds: tuple[Threshold, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runbooks: str = ""
    select: tuple[str, ...] = ()
    plain_suites: tuple[str, ...] = ()
    named: tuple[NamedCheck, ...] = ()
    folders: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    shared: str = ""
    patience: float = 180.0
    protected: bool = False
    allowed: tuple[str, ...] = ()
    root: str = ""
    secrets: tuple[tuple[str, str], ...] = ()

    def of_kind(self, kind: str, features: Iterable[str] = ()) -> list[Target]:
        """The targets of a kind that have all features; one stand-in `-` where there is none."""
        wanted = {feature for feature in features if feature}
        found = [
            _target_in_reach(each, wanted)
            for each in self.targets
            if each.kind == kind and wanted <= each.features | each.beyond
        ]
        return found or [Target(kind, NO_TARGET, skip="not-configured", detail=f"no {kind} is declared for it")]

    def find(self, kind: str, name: str) -> Target | None:
        """One target, None where it is not declared in scope."""
        return next((each for each in self.targets if (each.kind, each.name) == (kind, name)), None)

    def for_check(self, definition: Definition, target: Target) -> Target:
        """The target as one check finds it: skipped where the check needs an opt-in that was not given."""
        if target.skip or not definition.opt_in or not self.protected or definition.id in self.allowed:
            return target
        detail = f"{definition.opt_in}, and the environment is protected: give --allow-check {definition.id}"
        return replace(target, skip="opt-in", detail=detail)

    def dump(self) -> str:
        """This as JSON text."""
        plain = asdict(self)
        plain["targets"] = [
            {**asdict(each), "features": sorted(each.features), "beyond": sorted(each.beyond)} for each in self.targets
        ]
        return json.dumps(plain)

    @classmethod
    def parse(cls, text: str) -> Scope:
        """From `dump`'s text."""
        plain = json.loads(text)
        plain["targets"] = tuple(
            Target(**{**each, "features": frozenset(each["features"]), "beyond": frozenset(each["beyond"])})
            for each in plain["targets"]
        )
        plain["thresholds"] = tuple(
            Threshold(each["layer"], each["pattern"], Limit(**each["limit"])) for each in plain["thresholds"]
        )
        for name in ("select", "plain_suites", "folders", "elsewhere", "allowed"):
            plain[name] = tuple(plain[name])
        plain["named"] = tuple(NamedCheck(**each) for each in plain["named"])
        plain["secrets"] = tuple((kind, name) for kind, name in plain["secrets"])
        return cls(**plain)


def _target_in_reach(target: Target, wanted: set[str]) -> Target:
    """The target for one who asks for these features: skipped where one of them is out of reach."""
    far = wanted & target.beyond
    if not far or target.skip:
        return target
    detail = f"{', '.join(sorted(far))} may not be read here (kubernetes.reach)"
    return replace(target, skip="out-of-reach", detail=detail)


class ScopeError(ValueError):
    """A run that cannot be about what it was asked to be about; the message says what to do."""


def make_scope(
    configuration: Configuration,
    environment: Environment,
    *,
    run: str,
    revision: str = "",
    unit: str = "",
    vantage: str = "outside",
    allow_write: set[str] | None = None,
    allow_check: set[str] | None = None,
    allow_load: set[str] | None = None,
    wait: float = 0.0,
) -> Scope:
    """The scope of one run; raises ScopeError for thresholds that no check has."""
    from pytest_prodcheck.environments.targets import settings_of, targets

    found = targets(
        environment,
        configuration,
        unit=unit,
        vantage=vantage,
        allow_write=allow_write or set(),
        allow_load=allow_load or set(),
        revision=revision,
    )
    thresholds = tuple(_threshold(*line) for line in configuration.thresholds(environment))
    return Scope(
        environment=environment.name,
        run=run,
        targets=found,
        thresholds=thresholds,
        settings={f"{target.kind}:{target.name}": settings_of(environment, target) for target in found},
        runbooks=configuration.project.runbooks,
        patience=environment.gathering.deadline + wait + 30 + load_seconds(environment, found),
        protected=environment.protected,
        allowed=tuple(sorted(allow_check or ())),
    )


def load_seconds(environment: Environment, found: Iterable[Target]) -> float:
    """How long the loads among the targets take, one after the other, which the run's deadline does not count."""
    loads = [each.name for each in found if each.kind == "load" and not each.skip]
    if not loads:
        return 0.0
    from pytest_prodcheck.environments.sections.load import seconds_of

    return sum(seconds_of(name, environment) for name in loads)


def read_configuration(name: str, folder: Path) -> tuple[Configuration, Path, Demo | None]:
    """The configuration that holds an environment, the folder of `.prodcheck`, the demo where it is the embedded one.

    The demo is started where none is running: the caller stops it if it is `owned`.
    Raises ScopeError, ConfigurationError.
    """
    from pytest_prodcheck.environments.loading import find_configuration, load

    path = find_configuration(folder)
    configuration = load(path) if path is not None else None
    if configuration is not None and (name != DEMO or DEMO in configuration.project.environments):
        return configuration, configuration.root, None
    if name != DEMO:
        raise ScopeError(
            f"there is no prodcheck.toml in {folder} or above it: `prodcheck init` writes one (--env demo needs none)"
        )
    from pytest_prodcheck.demo import DemoError, find_running, start

    try:
        asked = os.environ.get("PRODCHECK_DEMO_FAULTS")  # one that runs has its own faults
        demo = (None if asked else find_running()) or start()
    except DemoError as error:
        raise ScopeError(f"--env demo: {error}") from None
    return load(demo.configuration), (configuration.root if configuration else folder), demo


def read_scope(
    name: str,
    folder: Path,
    *,
    unit: str = "",
    slot: str = "",
    vantage: str = "outside",
    allow_write: set[str] | None = None,
    allow_check: set[str] | None = None,
    allow_load: set[str] | None = None,
) -> tuple[Scope, Environment, Configuration]:
    """The scope that a run here would have, for commands that only tell. Raises ScopeError, ConfigurationError."""
    configuration, _, demo = read_configuration(name, folder)
    try:
        environment = configuration.environment(name, unit=unit, slot=slot)
        scope = make_scope(
            configuration,
            environment,
            run="",
            unit=unit,
            vantage=vantage,
            allow_write=allow_write,
            allow_check=allow_check,
            allow_load=allow_load,
        )
    finally:
        if demo is not None and demo.owned:
            demo.stop()
    return scope, environment, configuration


def _threshold(layer: int, pattern: str, value: object) -> Threshold:
    if value == "off":
        return Threshold(layer, pattern, Limit(off=True))
    try:
        warn, fail = getattr(value, "warn", None), getattr(value, "fail", None)
        return Threshold(layer, pattern, Limit(warn, fail))
    except LimitError as error:
        raise ScopeError(f'thresholds: "{pattern}": {error}') from None


def declared_elsewhere(configuration: Configuration) -> tuple[str, ...]:
    """What any environment declares, as "kind:name"."""
    from pytest_prodcheck.environments.targets import targets

    found = {
        f"{target.kind}:{target.name}"
        for environment in configuration.project.environments.values()
        for target in targets(
            environment, configuration, unit="", vantage="outside", allow_write=frozenset(), revision=""
        )
    }
    return tuple(sorted(found))


def limits_off(scope: Scope) -> tuple[str, ...]:
    """The patterns of the thresholds that switch a limit off."""
    return tuple(sorted({each.pattern for each in scope.thresholds if each.limit.off}))


def refuse_unknown(scope: Scope, known: set[str]) -> None:
    """Raises ScopeError for a threshold that is for no check there is: it would change nothing, in silence."""
    for threshold in scope.thresholds:
        ids = threshold.pattern.partition("@")[0]
        if not any(fnmatchcase(check, ids) for check in known):
            close = get_close_matches(ids, sorted(known), 1)
            hint = f"; did you mean {close[0]!r}?" if close else "; `prodcheck checks` lists those there are"
            raise ScopeError(f'thresholds: there is no check "{ids}"{hint}')


def refuse_unknown_opt_ins(scope: Scope, wanting: Iterable[str], others: Iterable[str]) -> None:
    """Raises ScopeError for an allowed check (of `--allow-check`) that does not exist or asks for no opt-in.

    wanting: ids of the bundled checks with an opt-in. others: a team's own ids, of which it is not known yet.
    """
    known = sorted({*wanting, *others})
    for name in scope.allowed:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
            raise ScopeError(f"--allow-check {name}: no check of that id needs an opt-in; {hint}")
