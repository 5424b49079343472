"""`judge` and its ledger: what was measured, against which limit, and what became of it.

A judgement is recorded, not raised, so that every pod is judged; the plugin raises once, after the check's body.
The outcome comes from this ledger, so a check that swallows exceptions still fails.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from pytest_prodcheck.judging.limits import Limit, LimitError, bounds
from pytest_prodcheck.outcomes import Judgement, Outcome
from pytest_prodcheck.quantities import format_quantity

_WORST = (Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED, Outcome.PASSED)


@dataclass
class Ledger:
    """All judgements of one check on one target."""

    judgements: list[Judgement] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """The worst of the judgements; errored where there is none: a check that judged nothing proves nothing."""
        found = {judgement.outcome for judgement in self.judgements}
        return next((outcome for outcome in _WORST if outcome in found), Outcome.ERRORED)

    def reasons(self) -> list[str]:
        """What was not passed, worst first, in words; further lines of one are marked, so that none looks like ours."""
        if not self.judgements:
            return ["the check judged nothing"]
        rank = {outcome: place for place, outcome in enumerate(_WORST)}
        bad = [judgement for judgement in self.judgements if judgement.outcome is not Outcome.PASSED]
        worst_first = sorted(bad, key=lambda each: rank[each.outcome])
        return [judgement.reason.replace("\n", "\n  | ") for judgement in worst_first]


_open: list[Ledger] = []


def open_ledger() -> Ledger:
    """Starts a new ledger that `judge` writes into until `close_ledger`."""
    _open.append(Ledger())
    return _open[-1]


def close_ledger() -> Ledger:
    """Ends the newest ledger and returns it."""
    return _open.pop()


def judge(
    what: str,
    value: Any,
    *,
    at_most: Limit | float | None = None,
    at_least: Limit | float | None = None,
    equals: Any = None,
    one_of: Container[Any] | None = None,
    unit: str = "",
    of: str = "",
    warn_only: bool = False,
    reason: str = "",
) -> bool:
    """Records one judgement and returns whether it is good (passed or warned).

    Give exactly one of `at_most`, `at_least` (a number against a Limit or a number), `equals`, `one_of`; or none, and a
    bool as value. unit: "s" (seconds), "%" (50.0 is 50 %), "B" (bytes) or any other word.
    of: one object of many found at run time. warn_only: what is not good warns. reason: said where it is not good.
    NaN, infinity, None, text or an empty collection where a number belongs are errored, never compared.
    """
    if not _open:
        raise RuntimeError("judge() works only inside a check that pytest runs with --env")
    limits = sum(given is not None for given in (at_most, at_least, equals, one_of))
    if limits > 1 or (limits == 0 and not isinstance(value, bool)):
        judgement = _errored(
            what, value, of, "judge() takes a bool, or exactly one of at_most, at_least, equals, one_of"
        )
    elif at_most is not None or at_least is not None:
        judgement = _measured(what, value, at_most, at_least, unit, of, reason)
    else:
        judgement = _yes_or_no(what, value, equals, one_of, unit, of, reason)
    if warn_only and judgement.outcome is Outcome.FAILED:
        judgement = Judgement(**{**judgement.__dict__, "outcome": Outcome.WARNED})
    _open[-1].judgements.append(judgement)
    return judgement.outcome in (Outcome.PASSED, Outcome.WARNED)


def _plain(value: Any) -> float | str | bool | None:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else str(value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)


def _subject(what: str, of: str) -> str:
    return f"{what} of {of}" if of else what


def _errored(what: str, value: Any, of: str, why: str) -> Judgement:
    return Judgement(what, _plain(value), Outcome.ERRORED, of=of, reason=f"{_subject(what, of)}: {why}")


def _yes_or_no(
    what: str, value: Any, equals: Any, one_of: Container[Any] | None, unit: str, of: str, reason: str
) -> Judgement:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _errored(what, value, of, f"there is no value to judge ({reason or repr(value)})")
    if one_of is not None:
        good, wanted = value in one_of, f"expected one of {_plain(one_of)}"
    elif equals is not None:
        good, wanted = (
            value == equals and isinstance(value, bool) == isinstance(equals, bool),
            f"expected {_plain(equals)}",
        )
    else:
        good, wanted = bool(value), ""
    said = reason or (f"is {_plain(value)}, {wanted}" if wanted else "no")
    why = "" if good else f"{_subject(what, of)}: {said}"
    return Judgement(what, _plain(value), Outcome.PASSED if good else Outcome.FAILED, unit=unit, of=of, reason=why)


def _measured(
    what: str,
    value: Any,
    at_most: Limit | float | None,
    at_least: Limit | float | None,
    unit: str,
    of: str,
    reason: str,
) -> Judgement:
    if value is None and reason:
        return _errored(what, value, of, f"there is no value to judge ({reason})")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        said = f" ({reason})" if reason else ""
        return _errored(what, value, of, f"{value!r} is no number that could be compared{said}")
    direction = "at_most" if at_most is not None else "at_least"
    try:
        limit = bounds(at_most if at_most is not None else at_least, unit, direction)
    except LimitError as error:
        return _errored(what, value, of, str(error))
    sign = 1 if direction == "at_most" else -1
    over_fail = limit.fail is not None and sign * value > sign * limit.fail
    over_warn = limit.warn is not None and sign * value > sign * limit.warn
    outcome = Outcome.PASSED
    if not limit.off:
        outcome = Outcome.FAILED if over_fail else Outcome.WARNED if over_warn else Outcome.PASSED
    crossed = limit.fail if over_fail else limit.warn
    why = ""
    if outcome is not Outcome.PASSED and crossed is not None:
        words = "more than" if sign > 0 else "less than"
        shown, against = format_quantity(value, unit), format_quantity(crossed, unit)
        why = f"{_subject(what, of)}: {shown} is {words} {against}" + (f" ({reason})" if reason else "")
    margin = None if limit.fail is None else sign * (limit.fail - value)
    return Judgement(what, float(value), outcome, unit, direction, limit.warn, limit.fail, margin, of, limit.off, why)
