from __future__ import annotations

import pytest

from pytest_prodcheck import Limit
from pytest_prodcheck.judging.limits import LimitError, Threshold, limit_for, number

ID, TARGET = "smoke.service.latency", "checkout"
DEFAULT = Limit(warn="500ms", fail="2s")
GLOBAL, HERE = 0, 1


def chosen(*lines: tuple[int, str, Limit]) -> Limit | None:
    return limit_for(ID, TARGET, [Threshold(*line) for line in lines], DEFAULT)


def test_the_default_holds_where_nothing_is_configured() -> None:
    assert chosen() == DEFAULT
    assert chosen((GLOBAL, "smoke.service.health", Limit(fail=1)), (HERE, f"{ID}@cart", Limit(fail=2))) == DEFAULT


def test_the_most_specific_wins() -> None:
    """environment@target > environment id > global @target > global id > default."""
    a, b, c, d, e = (Limit(fail=n) for n in range(5))
    lines = [
        (GLOBAL, "smoke.*", a),
        (GLOBAL, ID, b),
        (GLOBAL, f"{ID}@{TARGET}", c),
        (HERE, ID, d),
        (HERE, f"{ID}@{TARGET}", e),
    ]
    for count in range(1, len(lines) + 1):
        assert chosen(*lines[:count]) == lines[count - 1][2]
        assert chosen(*reversed(lines[:count])) == lines[count - 1][2]


def test_longer_globs_are_more_specific() -> None:
    assert chosen((GLOBAL, "smoke.service.*", Limit(fail=1)), (GLOBAL, "smoke.*", Limit(fail=2))) == Limit(fail=1)


def test_tuning_warn_cannot_disarm_a_check() -> None:
    assert chosen((HERE, ID, Limit(warn="1s"))) == Limit(warn="1s", fail="2s")


def test_off_keeps_the_levels_for_display() -> None:
    limit = chosen((HERE, ID, Limit(off=True)))
    assert limit is not None
    assert limit.off
    assert limit.fail == "2s"


@pytest.mark.parametrize("arguments", [{}, {"warn": None, "fail": None}, {"fail": "2 parsecs"}, {"warn": "nan"}])
def test_a_limit_that_could_not_fail_is_refused(arguments: dict[str, str]) -> None:
    """Row 13."""
    with pytest.raises(LimitError):
        Limit(**arguments)  # type: ignore[call-overload]


def test_units() -> None:
    assert number("500ms", "s") == pytest.approx(0.5)
    assert number(3, "s") == 3
    assert number("25%", "%") == 25
    assert number(25, "%") == 25
    assert number(2, "ct") == 2
    for level, unit in (("25%", "s"), ("1s", "%"), ("1s", "ct"), ("1MB", "s")):
        with pytest.raises(LimitError):
            number(level, unit)
