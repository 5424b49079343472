"""Reads one table of `[gates]` strictly: every mistake says which key of which gate, and what was expected."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping

from pytest_prodcheck.gates.paths import is_name
from pytest_prodcheck.outcomes import Severity, SkipReason
from pytest_prodcheck.quantities import parse_duration

MAX_AGE = 900.0  # seconds
ACTIONS: Mapping[Severity, str] = {
    Severity.CRITICAL: "block",
    Severity.HIGH: "block",
    Severity.MEDIUM: "warn",
    Severity.LOW: "note",
}
SKIPS = frozenset({SkipReason.NOT_CONFIGURED, SkipReason.OUT_OF_REACH})
_DEFAULT_KEYS = frozenset({*(str(each) for each in Severity), "skips", "max_age", "strict"})
_KEYS = _DEFAULT_KEYS | {
    "environments", "slot", "select", "without", "require", "needs", "window", "observe_until",
}  # fmt: skip
RawNeed = tuple[str, str, float | None, float | None]


class PolicyError(ValueError):
    """A policy that cannot be meant; the message says which key of which gate, and what was expected."""


class PolicyReader:
    """Reads the keys of one gate strictly."""

    def __init__(self, name: str, settings: Mapping[str, object], defaults: Mapping[str, object]) -> None:
        wrong = sorted((set(settings) - _KEYS) | (set(defaults) - _DEFAULT_KEYS))
        if wrong:
            raise PolicyError(f"gate {name}: unknown key {wrong[0]!r}; there are {', '.join(sorted(_KEYS))}")
        self.name, self.settings, self.defaults = name, settings, defaults

    def value(self, key: str) -> object:
        """The gate's own value, else the default's, else None."""
        own = self.settings.get(key)
        return own if own is not None else self.defaults.get(key)

    def wrong(self, key: str, expected: str) -> PolicyError:
        """What to raise for a key."""
        return PolicyError(f"gate {self.name}: {key}: expected {expected}, not {self.value(key)!r}")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; () where left out."""
        value = self.value(key)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self.wrong(key, 'a list of strings such as ["smoke.*"]')
        found = tuple(value)
        if not all(isinstance(each, str) and each.strip() for each in found):
            raise self.wrong(key, 'a list of strings such as ["smoke.*"]')
        return found

    def required(self) -> tuple[str, ...]:
        """Ids, or id@target; no globs, because a glob that matches less than was meant would not be noticed."""
        for each in (found := self.texts("require")):
            check, at, target = each.partition("@")
            if not check or (at and not target) or any(mark in each for mark in "*?["):
                raise self.wrong("require", 'ids without globs, such as "smoke.api.status" or "smoke.api.status@shop"')
        return found

    def slot(self) -> str:
        """Either "required" or nothing."""
        value = self.value("slot") or ""
        if value not in ("", "required"):
            raise self.wrong("slot", '"required"')
        return str(value)

    def action(self, severity: Severity) -> str:
        """What a failure of this severity does."""
        value = self.value(str(severity)) or ACTIONS[severity]
        if value not in ("block", "warn", "note"):
            raise self.wrong(str(severity), '"block", "warn" or "note"')
        return str(value)

    def skips(self) -> frozenset[SkipReason]:
        """Which reasons to skip a check are allowed."""
        allowed = [str(each) for each in SkipReason if each is not SkipReason.FOREIGN]
        if self.value("skips") is None:
            return SKIPS
        found = self.texts("skips")
        if any(each not in allowed for each in found):
            raise self.wrong("skips", f"some of {', '.join(allowed)}")
        return frozenset(SkipReason(each) for each in found)

    def seconds(self, key: str) -> float | None:
        """Seconds, None where left out."""
        return _seconds(self.value(key), f"gate {self.name}: {key}")

    def flag(self, key: str) -> bool:
        """True or false; false where left out."""
        value = self.value(key)
        if not isinstance(value, bool | None):
            raise self.wrong(key, "true or false")
        return bool(value)

    def date(self, key: str) -> datetime.date | None:
        """A date, None where left out."""
        value = self.value(key)
        if isinstance(value, str):
            try:
                return datetime.date.fromisoformat(value)
            except ValueError:
                raise self.wrong(key, "a date such as 2027-02-01") from None
        if value is None or (isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)):
            return value
        raise self.wrong(key, "a date such as 2027-02-01")

    def needs(self) -> tuple[RawNeed, ...]:
        """The other gates: environment, gate, open for, at most this old."""
        value = self.value("needs")
        if value is None:
            return ()
        expected = 'tables such as { gate = "staging:smoke", open_for = "30m" }'
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self.wrong("needs", expected)
        return tuple(self._need(each, expected) for each in value)

    def _need(self, entry: object, expected: str) -> RawNeed:
        gate = entry.get("gate") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(gate, str) or set(entry) - {"gate", "open_for", "max_age"}:
            raise self.wrong("needs", expected)
        environment, _, name = gate.partition(":")
        if not is_name(environment) or not is_name(name):
            raise self.wrong("needs", expected)
        times = {key: _seconds(entry.get(key), f"gate {self.name}: needs: {key}") for key in ("open_for", "max_age")}
        return environment, name, times["open_for"], times["max_age"]


def _seconds(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise PolicyError(f'{where}: expected a duration such as "15m", not {value!r}')
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except ValueError as error:
        raise PolicyError(f"{where}: {error}") from None
    if not (math.isfinite(seconds) and seconds > 0):
        raise PolicyError(f'{where}: expected a duration greater than zero, such as "15m", not {value!r}')
    return seconds
