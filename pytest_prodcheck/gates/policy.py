"""What a gate asks for: which results it looks at, which it requires, and what each severity's failure does."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase

from pytest_prodcheck.gates.paths import is_name
from pytest_prodcheck.gates.policy_settings import ACTIONS, MAX_AGE, SKIPS, PolicyError, PolicyReader
from pytest_prodcheck.outcomes import Severity, SkipReason


@dataclass(frozen=True)
class Need:
    """Another gate that must be open for the same unit and revision; times in seconds, None where not asked."""

    environment: str
    gate: str
    open_for: float | None = None
    max_age: float | None = None


@dataclass(frozen=True)
class Policy:
    """One gate. `max_age` and `window` are seconds; `environments` () means every one.

    `suite` is set for the gate that every suite has by its own name: it takes the results of that suite, whatever
    their ids, so that a check of ours with `suite="smoke"` counts for the gate `smoke`.
    """

    name: str
    environments: tuple[str, ...] = ()
    slot: str = ""  # "required" or ""
    select: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    actions: Mapping[Severity, str] = field(default_factory=lambda: dict(ACTIONS))
    skips: frozenset[SkipReason] = SKIPS
    max_age: float = MAX_AGE
    needs: tuple[Need, ...] = ()
    observe_until: datetime.date | None = None
    window: float | None = None
    strict: bool = False
    suite: str = ""

    def __post_init__(self) -> None:
        """Refuses what `from_settings` would, however the policy was made."""
        if not is_name(self.name):
            raise PolicyError(f"gate {self.name!r}: expected a name of letters, digits, '.', '_', '-', such as smoke")
        for key, value in (("max_age", self.max_age), ("window", self.window)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise PolicyError(f'gate {self.name}: {key}: expected a duration greater than zero, such as "15m"')
        for required in self.require:
            if any(fnmatchcase(required.partition("@")[0], pattern) for pattern in self.without):
                raise PolicyError(f"gate {self.name}: {required} is required, but `without` excludes it")

    @classmethod
    def from_settings(cls, name: str, settings: Mapping[str, object], defaults: Mapping[str, object]) -> Policy:
        """From one table of `[gates]` and `[gates.defaults]` as plain data; None stands for a key left out.

        Durations are seconds or texts such as "15m". A gate without `select` is its suite's. Raises PolicyError.
        """
        reader = PolicyReader(name, settings, defaults)
        select = settings.get("select")
        return cls(
            name=name,
            environments=reader.texts("environments"),
            slot=reader.slot(),
            select=reader.texts("select"),
            without=reader.texts("without"),
            require=reader.required(),
            actions={severity: reader.action(severity) for severity in Severity},
            skips=reader.skips(),
            max_age=reader.seconds("max_age") or MAX_AGE,
            needs=tuple(Need(*each) for each in reader.needs()),
            observe_until=reader.date("observe_until"),
            window=reader.seconds("window"),
            strict=reader.flag("strict"),
            suite=name if select is None else "",
        )

    @property
    def digest(self) -> str:
        """SHA-256 hex over everything this policy says."""
        plain = asdict(self) | {
            "actions": {str(severity): action for severity, action in sorted(self.actions.items())},
            "skips": sorted(self.skips),
            "observe_until": self.observe_until.isoformat() if self.observe_until else None,
        }
        return hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest()

    @property
    def required_ids(self) -> frozenset[str]:
        """The check ids that are required, without their targets."""
        return frozenset(each.partition("@")[0] for each in self.require)

    def selects(self, check_id: str, suite: str = "") -> bool:
        """Whether this gate looks at a check; what it requires it also looks at. `suite`: the check's own, if known."""
        if check_id in self.required_ids:
            return True
        if any(fnmatchcase(check_id, pattern) for pattern in self.without):
            return False
        if self.suite:
            return self.suite == (suite or check_id.partition(".")[0])
        return any(fnmatchcase(check_id, pattern) for pattern in self.select)


def suite_policy(suite: str, defaults: Mapping[str, object]) -> Policy:
    """The gate that a suite has without being written down."""
    return Policy.from_settings(suite, {}, defaults)
