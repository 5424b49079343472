"""What one run is about, as plain data: the same in the controller and, sent as JSON, in each xdist worker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_prodcheck.environments.targets import Target
from pytest_prodcheck.judging.limits import Limit, Threshold
from pytest_prodcheck.outcomes import NO_TARGET


@dataclass(frozen=True)
class Scope:
    """One environment, unit, slot and vantage.

    settings: "kind:name" -> the declared table, plain JSON. select/without: the check ids to run, () for all.
    shared: folder through which workers read evidence. patience: seconds one fact is waited for.
    """

    environment: str
    run: str
    targets: tuple[Target, ...]
    thresholds: tuple[Threshold, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runbooks: str = ""
    select: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    shared: str = ""
    patience: float = 180.0

    def of_kind(self, kind: str, features: Iterable[str] = ()) -> list[Target]:
        """The targets of a kind that have all features; one stand-in `-` where there is none."""
        wanted = {feature for feature in features if feature}
        found = [each for each in self.targets if each.kind == kind and wanted <= each.features]
        return found or [Target(kind, NO_TARGET, skip="not-configured", detail=f"no {kind} is declared for it")]

    def find(self, kind: str, name: str) -> Target | None:
        """One target, None where it is not declared in scope."""
        return next((each for each in self.targets if (each.kind, each.name) == (kind, name)), None)

    def dump(self) -> str:
        """This as JSON text."""
        plain = asdict(self)
        plain["targets"] = [{**asdict(each), "features": sorted(each.features)} for each in self.targets]
        return json.dumps(plain)

    @classmethod
    def parse(cls, text: str) -> Scope:
        """From `dump`'s text."""
        plain = json.loads(text)
        plain["targets"] = tuple(Target(**{**each, "features": frozenset(each["features"])}) for each in plain["targets"])
        plain["thresholds"] = tuple(
            Threshold(each["layer"], each["pattern"], Limit(**each["limit"])) for each in plain["thresholds"]
        )
        plain["select"], plain["without"] = tuple(plain["select"]), tuple(plain["without"])
        return cls(**plain)
