from __future__ import annotations

import contextvars
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck import Limit, judge
from pytest_prodcheck.judging.ledger import STRAYS, Ledger, close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome


def ledger_of(*calls: dict[str, Any]) -> Ledger:
    open_ledger()
    try:
        for call in calls:
            judge("thing", **call)
    finally:
        ledger = close_ledger()
    return ledger


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ({"value": 1.0, "at_most": Limit(warn=2, fail=3)}, Outcome.PASSED),
        ({"value": 2, "at_most": Limit(warn=2, fail=3)}, Outcome.PASSED),
        ({"value": 2.5, "at_most": Limit(warn=2, fail=3)}, Outcome.WARNED),
        ({"value": 3.1, "at_most": Limit(warn=2, fail=3)}, Outcome.FAILED),
        ({"value": 30, "at_least": Limit(warn="25%", fail="10%"), "unit": "%"}, Outcome.PASSED),
        ({"value": 20, "at_least": Limit(warn="25%", fail="10%"), "unit": "%"}, Outcome.WARNED),
        ({"value": 5.0, "at_least": Limit(warn="25%", fail="10%"), "unit": "%"}, Outcome.FAILED),
        ({"value": 0.6, "at_most": Limit(warn="500ms", fail="2s"), "unit": "s"}, Outcome.WARNED),
        ({"value": 0.6, "at_most": Limit(warn=1), "unit": "s"}, Outcome.PASSED),
        ({"value": 9.0, "at_most": Limit(warn=1, fail=2, off=True)}, Outcome.PASSED),
        ({"value": 1, "at_most": 0}, Outcome.FAILED),
        ({"value": True}, Outcome.PASSED),
        ({"value": False}, Outcome.FAILED),
        ({"value": False, "warn_only": True}, Outcome.WARNED),
        ({"value": 0, "at_least": 1, "warn_only": True}, Outcome.WARNED),
        ({"value": 1, "at_least": 1, "warn_only": True}, Outcome.PASSED),
        ({"value": 3, "at_most": Limit(warn=1, fail=2), "warn_only": True}, Outcome.WARNED),
        ({"value": 3, "at_most": math.nan, "warn_only": True}, Outcome.ERRORED),
        ({"value": "a", "equals": "a"}, Outcome.PASSED),
        ({"value": "a", "equals": "b"}, Outcome.FAILED),
        ({"value": 404, "one_of": (401, 403)}, Outcome.FAILED),
        # row 11: what cannot be compared is errored, never compared
        ({"value": math.nan, "at_most": 1}, Outcome.ERRORED),
        ({"value": math.inf, "at_most": 1}, Outcome.ERRORED),
        ({"value": -math.inf, "at_least": 1}, Outcome.ERRORED),
        ({"value": None, "at_most": 1}, Outcome.ERRORED),
        ({"value": "5", "at_most": 1}, Outcome.ERRORED),
        ({"value": [], "at_most": 1}, Outcome.ERRORED),
        ({"value": True, "at_most": 1}, Outcome.ERRORED),
        ({"value": None, "equals": None}, Outcome.ERRORED),
        ({"value": None, "one_of": (None,)}, Outcome.ERRORED),
        ({"value": 3}, Outcome.ERRORED),
        ({"value": 3, "at_most": 1, "at_least": 2}, Outcome.ERRORED),
        ({"value": 3, "at_most": math.nan}, Outcome.ERRORED),
        # a call that cannot be meant
        ({"value": 1, "equals": True}, Outcome.ERRORED),
        ({"value": True, "equals": 1}, Outcome.ERRORED),
        ({"value": 1, "one_of": (True,)}, Outcome.ERRORED),
        ({"value": True, "one_of": [0, 1]}, Outcome.ERRORED),
        ({"value": True, "one_of": (1, True)}, Outcome.PASSED),
        ({"value": True, "one_of": range(2)}, Outcome.ERRORED),
        ({"value": 1, "one_of": range(2)}, Outcome.PASSED),
        ({"value": [0, True], "equals": [0, 1]}, Outcome.ERRORED),
        ({"value": {"open": {"a": 1}}, "equals": {"open": {"a": True}}}, Outcome.ERRORED),
        ({"value": {1, 5}, "equals": {True, 5}}, Outcome.ERRORED),
        ({"value": (1, "a"), "one_of": ((True, "a"),)}, Outcome.ERRORED),
        ({"value": {"a": [1, 2]}, "equals": {"a": [1, 2]}}, Outcome.PASSED),
        ({"value": "", "one_of": "primary"}, Outcome.ERRORED),
        ({"value": "up", "one_of": "startup"}, Outcome.ERRORED),
        ({"value": b"", "one_of": b"x"}, Outcome.ERRORED),
        ({"value": True, "equals": None}, Outcome.ERRORED),
        ({"value": True, "one_of": None}, Outcome.ERRORED),
        ({"value": True, "at_most": None}, Outcome.ERRORED),
        ({"value": 1.0, "equals": math.nan}, Outcome.ERRORED),
        ({"value": None}, Outcome.ERRORED),
        # units and order that cannot be meant
        ({"value": 3, "at_most": Limit(fail="1s"), "unit": "B"}, Outcome.ERRORED),
        ({"value": 3, "at_most": Limit(fail="10s"), "unit": "%"}, Outcome.ERRORED),
        ({"value": 0.9, "at_most": Limit(fail="1%")}, Outcome.ERRORED),
        ({"value": 60_000, "at_most": Limit(fail="50MB")}, Outcome.ERRORED),
        ({"value": 40, "at_most": Limit(warn=3, fail="1h")}, Outcome.ERRORED),
        ({"value": 40, "at_most": Limit(fail="50 x")}, Outcome.PASSED),
        ({"value": 3, "at_most": Limit(warn=10, fail=5)}, Outcome.ERRORED),
        ({"value": 3, "at_least": Limit(warn=1, fail=5)}, Outcome.ERRORED),
    ],
)
def test_one_judgement(call: dict[str, Any], outcome: Outcome) -> None:
    ledger = ledger_of(call)
    assert ledger.outcome is outcome
    assert bool(ledger.judgements[0].reason) == (outcome not in (Outcome.PASSED,))


def test_a_check_that_judged_nothing_is_errored() -> None:
    """Row 24."""
    assert Ledger().outcome is Outcome.ERRORED
    assert Ledger().reasons() == ["nothing was judged: the check did not call judge()"]


def test_the_worst_wins_and_all_are_listed() -> None:
    """Row 43."""
    ledger = ledger_of({"value": True, "of": "a"}, {"value": False, "of": "b"}, {"value": False, "of": "c"})
    assert ledger.outcome is Outcome.FAILED
    assert [judgement.of for judgement in ledger.judgements] == ["a", "b", "c"]
    assert len(ledger.reasons()) == 2


def test_proven_bad_goes_before_could_not_tell() -> None:
    assert ledger_of({"value": None, "at_most": 1}, {"value": False}).outcome is Outcome.FAILED
    assert ledger_of({"value": None, "at_most": 1}, {"value": True}).outcome is Outcome.ERRORED


def test_judge_returns_whether_it_is_good() -> None:
    open_ledger()
    assert judge("a", 1, at_most=2)
    assert not judge("a", 3, at_most=2)
    assert not judge("a", math.nan, at_most=2)
    close_ledger()


def test_judge_outside_a_check_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="inside a check"):
        judge("a", True)


def test_margin_is_the_distance_to_failing() -> None:
    judgement = ledger_of({"value": 1.5, "at_most": Limit(warn=1, fail=4)}).judgements[0]
    assert judgement.margin == pytest.approx(2.5)
    assert ledger_of({"value": 0.5, "at_least": Limit(fail=2)}).judgements[0].margin == pytest.approx(-1.5)


def test_a_call_that_cannot_be_meant_names_its_line() -> None:
    for call in ({"value": "a", "one_of": "abc"}, {"value": 1, "at_most": Limit(fail="1%")}):
        assert "(test_ledger.py:23)" in ledger_of(call).reasons()[0]


def test_why_there_is_nothing_to_judge_is_told() -> None:
    assert "it may not be read" in ledger_of({"value": None, "reason": "it may not be read"}).reasons()[0]


def test_a_ledger_is_its_checks_alone() -> None:
    """Row 118: whatever comes late, from another thread or from a child is noted, and counts for nobody."""
    STRAYS.take()
    ledger = open_ledger()
    here = contextvars.copy_context()

    def from_a_thread() -> None:
        with pytest.raises(RuntimeError, match="own thread"):
            judge("elsewhere", True)
        with pytest.raises(RuntimeError, match="own thread"):
            here.run(judge, "with our context", True)

    thread = threading.Thread(target=from_a_thread)
    thread.start()
    thread.join()
    if (child := os.fork()) == 0:
        try:
            judge("in a child", True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    close_ledger()
    other = open_ledger()
    with pytest.raises(RuntimeError, match="inside a check"):
        here.run(judge, "late", True)
    close_ledger()
    assert ledger.judgements == other.judgements == []
    found = "\n".join(STRAYS.take())
    assert all(f"judge({what!r})" in found for what in ("elsewhere", "with our context", "in a child", "late"))


TYPED = """\
from enum import Enum
from http import HTTPStatus
from typing import Any
from pytest_prodcheck import Limit, judge
class Role(Enum):
    PRIMARY = "p"
def calls(n: int, f: float, yes: bool, s: str, may: int | None, both: int | str, a: Any, lim: Limit, ns: list[int]) -> None:
    def refused() -> None:
"""  # noqa: E501
REFUSED = """\
judge("True for 1", True, equals=1)
judge("x", yes, equals=1.0)
judge("x", 1, equals=True)
judge("x", n, equals=yes)
judge("x", True, at_most=1)
judge("x", yes, at_least=lim)
judge("x", yes, one_of=(1, 0))
judge("x", yes, one_of=ns)
judge("x", yes, one_of={1, 0})
judge("x", yes, one_of=range(2))
judge("x", n, one_of=(True, False))
judge("no unit against a limit with one", 5, at_most=Limit(fail="1s"))
judge("x", f, at_most=Limit(warn="1%", fail="2%"))
judge("x", f, at_least=Limit("1 GB"))
judge("x", f, at_least=Limit(3, "1 GB"))
judge("x", f, at_least=Limit("1 GB", 3))
judge("a text as a set", s, one_of="primary")
judge("x", n, one_of="primary")
judge("x", a, one_of="primary")
judge("nothing to compare with", yes, equals=None)
judge("x", a, equals=None)
judge("x", True, equals={"a": True}.get("a"))
judge("x", n, at_most=None)
judge("no number", s, at_most=1)
judge("x", [1], at_most=1)
judge("nothing asked", n)
judge("x", s)
"""
TAKEN = """\
judge("x", yes)
judge("x", a)
judge("x", None, reason="it may not be read")
judge("x", yes, equals=True, of="node-1")
judge("x", n, at_most=lim)
judge("x", f, at_most=lim, unit="s", warn_only=True)
judge("x", may, at_least=10)
judge("x", len(ns), at_most=1.5)
judge("x", n, at_most=Limit(1, 10))
judge("x", n, at_most=Limit(off=True))
judge("x", a, at_most=Limit(warn=1, fail=10))
judge("x", 0.2, at_most=Limit(fail="1s"), unit="s")
judge("x", 0.2, at_least=Limit("1s", "2s"), unit="s")
judge("x", HTTPStatus.OK, at_most=299)
judge("x", HTTPStatus.OK, equals=200)
judge("x", n, equals=1)
judge("x", f, equals=1)
judge("x", may, equals=n)
judge("x", s, equals="a")
judge("x", both, equals=1)
judge("x", both, equals="a")
judge("x", a, equals=a)
judge("x", ns, equals=[1])
judge("x", {"a": 1}, equals={"a": 1})
judge("x", Role.PRIMARY, equals=Role.PRIMARY)
judge("x", Role.PRIMARY, one_of=(Role.PRIMARY,))
judge("x", yes, one_of=(True, False))
judge("x", n, one_of=(1, 2))
judge("x", n, one_of=ns)
judge("x", may, one_of={1: "a", 2: "b"})
judge("x", 200, one_of=range(200, 300))
judge("x", f, one_of=(1, 2.5))
judge("x", s, one_of=("primary",))
judge("x", s, one_of=frozenset({"primary"}))
judge("x", a, one_of=(1, 2))
"""


def test_the_types_refuse_them_too(tmp_path: Path) -> None:
    """mypy, as a team would run it, reports each line of REFUSED and none of TAKEN."""
    refused, taken = REFUSED.splitlines(), TAKEN.splitlines()
    lines = [*TYPED.splitlines(), *("        " + each for each in refused), *("    " + each for each in taken)]
    file = tmp_path / "calls.py"
    file.write_text("\n".join(lines) + "\n")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(root / ".mypy_cache"), str(file)],
        cwd=root, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    wrong = {lines[int(line.split(":")[1]) - 1].strip() for line in done.stdout.splitlines() if ": error:" in line}
    assert wrong == set(refused), done.stdout + done.stderr


def test_far_more_than_a_hundred_percent_reads_as_a_factor() -> None:
    ledger = ledger_of({"value": 3939.0, "at_most": Limit(fail="25%"), "unit": "%"},
                       {"value": 120.0, "at_most": Limit(fail="25%"), "unit": "%"})  # fmt: skip
    assert [each.reason for each in ledger.judgements] == [
        "thing: 39.39 times is more than 25 %", "thing: 120 % is more than 25 %",
    ]  # fmt: skip
