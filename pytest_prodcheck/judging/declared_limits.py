"""Limits that are declared with a target: which holds, and in which unit its value is compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.quantities import parse_quantity

# dimension of a level -> unit of the judgement, and what a value in base units is multiplied by
_UNITS = {"time": ("s", 1.0), "ratio": ("%", 100.0), "bytes": ("B", 1.0)}


def limit_in_force(levels: Mapping[str, Any], configured: Limit | None) -> Limit:
    """As declared with the target, unless `[thresholds]` says otherwise; what that leaves out stays."""
    if configured is None:
        return Limit(levels["warn"], levels["fail"])
    if configured.off:
        return Limit(levels["warn"], levels["fail"], off=True)
    return Limit(configured.warn, configured.fail if configured.fail is not None else levels["fail"])


def base_unit(limit: Limit) -> tuple[str, float]:
    """The unit that a limit's levels have, and the factor from base units (seconds, bytes, a ratio of 1) to it."""
    levels = [each for each in (limit.fail, limit.warn) if each is not None]
    return _UNITS.get(parse_quantity(levels[0]).dimension, ("", 1.0)) if levels else ("", 1.0)


def is_at_most(value: float, limit: Limit) -> bool:
    """Whether a value in the unit of `base_unit` does not fail an upper limit (does not warn, where none fails)."""
    level = limit.fail if limit.fail is not None else limit.warn
    return level is None or value <= parse_quantity(level).value
