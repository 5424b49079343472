"""`judge`: compares one value and records what became of it; what cannot be compared is errored, never compared."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Any, Final, Unpack, overload

from pytest_prodcheck.judging.comparison_types import (
    AmountDetails,
    Choices,
    Details,
    Member,
    Number,
    OneOf,
    OneOfTwo,
    Plain,
    Real,
    Text,
)
from pytest_prodcheck.judging.ledger import ledger_here
from pytest_prodcheck.judging.limits import Bounds, Limit, LimitError, NoUnit, WithUnit, bounds
from pytest_prodcheck.outcomes import Judgement, Outcome
from pytest_prodcheck.quantities import format_quantity

FACTOR: Final = 1000.0  # percent from which on a factor is easier to read
_NOTHING: Final[Any] = type("Nothing", (), {"__repr__": lambda self: "nothing"})()  # an argument that was left out


@overload
def judge(what: str, value: bool | None, **more: Unpack[Details]) -> bool: ...
@overload
def judge(what: str, value: Real, *, at_most: Limit[NoUnit] | float, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: Real, *, at_most: Limit[WithUnit], unit: str, **more: Unpack[Details]) -> bool: ...
@overload
def judge(what: str, value: Real, *, at_least: Limit[NoUnit] | float, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: Real, *, at_least: Limit[WithUnit], unit: str, **more: Unpack[Details]) -> bool: ...
@overload
def judge(what: str, value: bool | None, *, equals: bool, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: Real | Plain, *, equals: Number | IntEnum, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: object, *, equals: Text | Choices, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: bool | None, *, one_of: OneOfTwo, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: Real, *, one_of: OneOf[Member] | range, **more: Unpack[AmountDetails]) -> bool: ...
@overload
def judge(what: str, value: Plain | Choices, *, one_of: Choices, **more: Unpack[AmountDetails]) -> bool: ...
def judge(
    what: str,
    value: Any,
    *,
    at_most: Limit | float = _NOTHING,
    at_least: Limit | float = _NOTHING,
    equals: Any = _NOTHING,
    one_of: Any = _NOTHING,
    unit: str = "",
    of: str = "",
    warn_only: bool = False,
    reason: str = "",
) -> bool:
    """Records one judgement and returns whether it is good (passed or warned).

    Give exactly one of `at_most`, `at_least` (a number against a Limit or a number), `equals`, `one_of`; or none, and a
    bool as value. unit: "s" (seconds), "%" (50.0 is 50 %), "B" (bytes) or another word; a limit with a unit wants one.
    of: one object of many found at run time. warn_only: what is not good warns. reason: said where it is not good.
    NaN, infinity, None, text or an empty collection where a number belongs are errored, never compared; so are True
    for 1, a text as `one_of`, and None to compare with.
    """
    ledger = ledger_here(what)
    if equals is _NOTHING and one_of is _NOTHING and (at_most is _NOTHING) != (at_least is _NOTHING):
        direction, limit = ("at_most", at_most) if at_least is _NOTHING else ("at_least", at_least)
        judgement = _measured(what, value, direction, limit, unit, of, reason, warn_only)
    else:
        given = {"at_most": at_most, "at_least": at_least, "equals": equals, "one_of": one_of}
        given = {name: each for name, each in given.items() if each is not _NOTHING}
        wrong = _why_invalid(value, given)
        if wrong:
            judgement = _errored(what, value, of, f"{wrong} ({_line_of_check()})")
        else:
            judgement = _yes_or_no(what, value, given, unit, of, reason)
    if warn_only and judgement.outcome is Outcome.FAILED:
        judgement = Judgement(**{**judgement.__dict__, "outcome": Outcome.WARNED})
    ledger.judgements.append(judgement)
    return judgement.outcome in (Outcome.PASSED, Outcome.WARNED)


def _why_invalid(value: Any, given: Mapping[str, Any]) -> str:
    """What is wrong with the call itself, "" for nothing: such a judgement is never made."""
    if len(given) > 1 or (not given and not isinstance(value, bool | None)):
        return "judge() takes a bool, or exactly one of at_most, at_least, equals, one_of"
    for name, against in given.items():
        if against is None or (isinstance(against, float) and math.isnan(against)):
            return f"{name}={against} cannot be compared with a value"
        if name == "one_of":
            if isinstance(against, (str, bytes)) or not hasattr(against, "__contains__"):
                return f"one_of={against!r} is not a collection: use a tuple, such as ({against!r},)"
            equal = [each for each in _members(against) if each == value]
            if equal and all(_bool_for_number(value, each) for each in equal):
                plain, other = _to_plain_value(value), _to_plain_value(against)
                return f"{plain} is compared with {other}: True is not equal to 1, nor False to 0"
        elif name == "equals" and _bool_for_number(value, against):
            return (
                f"{_to_plain_value(value)} is compared with {_to_plain_value(against)}: "
                "True is not equal to 1, nor False to 0"
            )
    return ""


def _bool_for_number(value: Any, other: Any) -> bool:
    """Whether one is a bool and the other a number, or what they hold is, at any depth."""
    if isinstance(value, bool) or isinstance(other, bool):
        numbers = isinstance(value, (int, float)) and isinstance(other, (int, float))
        return numbers and isinstance(value, bool) != isinstance(other, bool)
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return any(_bool_for_number(each, other[name]) for name, each in value.items() if name in other)
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return any(map(_bool_for_number, value, other))
    if isinstance(value, AbstractSet) and isinstance(other, AbstractSet):
        mine, theirs = ([each for each in one if each in (0, 1)] for one in (value, other))
        return any(_bool_for_number(each, also) for each in mine for also in theirs if each == also)
    return False


def _members(choices: Any) -> Any:
    """Those that could be mistaken; a range may be long."""
    return [each for each in (0, 1) if each in choices] if isinstance(choices, range) else choices


def _line_of_check() -> str:
    """Where the newest caller outside of this module is: "test_shop.py:12"."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


def _to_plain_value(value: Any) -> float | str | bool | None:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else str(value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)


def _subject(what: str, of: str) -> str:
    return f"{what} of {of}" if of else what


def _value_text(value: float, unit: str) -> str:
    """The value for people; far more than a hundred percent reads as a factor: 3939 % is 39.39 times."""
    factor = unit == "%" and abs(value) >= FACTOR
    return f"{format_quantity(value / 100)} times" if factor else format_quantity(value, unit)


def _errored(what: str, value: Any, of: str, why: str) -> Judgement:
    return Judgement(what, _to_plain_value(value), Outcome.ERRORED, of=of, reason=f"{_subject(what, of)}: {why}")


def _yes_or_no(what: str, value: Any, given: Mapping[str, Any], unit: str, of: str, reason: str) -> Judgement:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _errored(what, value, of, f"there is no value to compare ({reason or repr(value)})")
    if "one_of" in given:
        good, wanted = value in given["one_of"], f"expected one of {_to_plain_value(given['one_of'])}"
    elif "equals" in given:
        good, wanted = value == given["equals"], f"expected {_to_plain_value(given['equals'])}"
    else:
        good, wanted = bool(value), ""
    said = reason or (f"is {_to_plain_value(value)}, {wanted}" if wanted else "no")
    why = "" if good else f"{_subject(what, of)}: {said}"
    return Judgement(
        what, _to_plain_value(value), Outcome.PASSED if good else Outcome.FAILED, unit=unit, of=of, reason=why
    )


def _measured(
    what: str,
    value: Any,
    direction: str,
    given: Limit | float,
    unit: str,
    of: str,
    reason: str,
    warn_only: bool,
) -> Judgement:
    if value is None and reason:
        return _errored(what, value, of, f"there is no value to compare ({reason})")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        said = f" ({reason})" if reason else ""
        return _errored(what, value, of, f"{value!r} is not a number that can be compared{said}")
    try:
        limit = bounds(given, unit, direction)
    except LimitError as error:
        return _errored(what, value, of, f"{error} ({_line_of_check()})")
    if warn_only:  # what warned lies within its limit for failing: there is none
        limit = Bounds(limit.fail if limit.warn is None else limit.warn, None, limit.off)
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
        shown, against = _value_text(value, unit), format_quantity(crossed, unit)
        why = f"{_subject(what, of)}: {shown} is {words} {against}" + (f" ({reason})" if reason else "")
    margin = None if limit.fail is None else sign * (limit.fail - value)
    return Judgement(what, float(value), outcome, unit, direction, limit.warn, limit.fail, margin, of, limit.off, why)
