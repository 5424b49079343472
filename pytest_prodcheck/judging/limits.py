"""Limits: two levels of one quantity, and which of the configured ones holds for a check on a target."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Generic, overload

from pytest_prodcheck.quantities import Quantity, parse_quantity

Level = str | int | float | None


class NoUnit:
    """For type checkers: of a limit of plain numbers."""


class WithUnit:
    """For type checkers: of a limit of texts, such as "500ms"."""


if TYPE_CHECKING:  # Python 3.13 has defaults itself
    from typing_extensions import TypeVar

    Unit = TypeVar("Unit", default=Any)
else:
    from typing import TypeVar

    Unit = TypeVar("Unit")


class LimitError(ValueError):
    """A limit that cannot be compared with the value at hand."""


@dataclass(frozen=True)
class Limit(Generic[Unit]):
    """Two levels of one quantity: past `warn` warns, past `fail` fails.

    Levels carry their unit ("500ms", "25%", "50MB") or are plain numbers in the unit of the judgement.
    off: measured and shown, never failed. Type checkers know of a limit that is written down whether it has a unit.
    """

    warn: Level = None
    fail: Level = None
    off: bool = False

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Limit[NoUnit], warn: float | None = None, fail: float | None = None, off: bool = False
        ) -> None: ...
        @overload
        def __init__(self: Limit[WithUnit], warn: str, fail: Level = None, off: bool = False) -> None: ...
        @overload
        def __init__(self: Limit[WithUnit], warn: float | None = None, fail: str = ..., off: bool = False) -> None: ...
        @overload
        def __init__(self, warn: Level = None, fail: Level = None, off: bool = False) -> None: ...
        def __init__(self, warn: Level = None, fail: Level = None, off: bool = False) -> None: ...

    def __post_init__(self) -> None:
        """Refuses a limit without any level: it could not fail."""
        if self.warn is None and self.fail is None and not self.off:
            raise LimitError('a limit needs warn, fail or both, such as Limit(warn="500ms", fail="2s")')
        for level in (self.warn, self.fail):
            if level is not None:
                _quantity(level)

    def no_higher_than(self, warn: float, fail: float, unit: str) -> Limit:
        """This one, its levels at most so high (both in the unit of the judgement); as it is where they do not go."""
        try:
            mine = number(self.warn, unit), number(self.fail, unit)
        except LimitError:
            return self  # judge() tells what is wrong with it
        levels = [None if own is None else min(own, top) for own, top in zip(mine, (warn, fail), strict=True)]
        return Limit(levels[0], levels[1], self.off)


@dataclass(frozen=True)
class Bounds:
    """A limit in the unit of one judgement."""

    warn: float | None
    fail: float | None
    off: bool


@dataclass(frozen=True)
class Threshold:
    """One line of `[thresholds]`: pattern is id or id@target, globs allowed; layer 0 is global, 1 the environment's."""

    layer: int
    pattern: str
    limit: Limit


_UNITS = {"s": "time", "%": "ratio", "B": "bytes"}


def number(level: Level, unit: str) -> float | None:
    """A level in a judgement's unit; raises LimitError where the units do not go together."""
    if level is None:
        return None
    quantity = _quantity(level)
    if quantity.dimension in (_UNITS.get(unit, "plain"), "plain"):
        return quantity.value
    if unit == "":
        raise LimitError(f"the limit {level!r} has a unit, but the value has none: pass unit= to judge()")
    raise LimitError(f"the limit {level!r} cannot be compared with a value in {unit}")


def _quantity(level: str | int | float) -> Quantity:
    try:
        return parse_quantity(level)
    except ValueError as error:
        raise LimitError(str(error)) from None


def bounds(limit: Limit | float | None, unit: str, direction: str) -> Bounds:
    """The levels to compare with; raises LimitError for units or an order that cannot be meant."""
    if not isinstance(limit, Limit):
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not math.isfinite(limit):
            raise LimitError(f"{limit!r} is not a limit")
        return Bounds(None, float(limit), False)
    warn, fail = number(limit.warn, unit), number(limit.fail, unit)
    if warn is not None and fail is not None and (warn > fail if direction == "at_most" else warn < fail):
        raise LimitError(f"warn {limit.warn} is beyond fail {limit.fail}: exchange the two values")
    return Bounds(warn, fail, limit.off)


def matches(pattern: str, check: str, target: str) -> bool:
    """Whether a pattern "id" or "id@target" covers a check on a target."""
    ids, at, targets = pattern.partition("@")
    return fnmatchcase(check, ids) and (not at or fnmatchcase(target, targets))


def _rank(threshold: Threshold) -> tuple[int, int, int, int]:
    ids, at, targets = threshold.pattern.partition("@")
    literal = sum(character not in "*?[]" for character in ids + targets)
    return (threshold.layer, 1 if at else 0, int(not any(mark in ids for mark in "*?[")), literal)


def limit_for(check: str, target: str, thresholds: Iterable[Threshold], default: Limit | None) -> Limit | None:
    """The limit in force: environment@target before environment id before global @target before global id.

    A `fail` that the configured limit leaves out stays the default's, so that tuning `warn` cannot disarm a check;
    "off" keeps the default's levels for display.
    """
    found = max((each for each in thresholds if matches(each.pattern, check, target)), key=_rank, default=None)
    if found is None:
        return default
    if found.limit.off:
        return Limit(default.warn if default else None, default.fail if default else None, off=True)
    if found.limit.fail is None and default is not None:
        return Limit(found.limit.warn, default.fail)
    return found.limit
