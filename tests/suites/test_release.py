"""What the checks of one release make of what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.evidence.records import EvidenceProblem
from pytest_prodcheck.evidence.records.release import Approval, Change, Decision, Freeze
from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome
from suites.pre_deploy.test_release import test_somebody_else_let_it as judge_approval

NOW, HOUR = 1_800_000_000.0, 3600.0
GOOD = Change("live", "shop", "3f9c2ab", ("ada",), (Decision("grace", "approved", NOW - HOUR),), "CHG-1")
FOUND = Approval("change.json", "live", ("shop",), "3f9c2ab", (GOOD,), (), NOW, 24 * HOUR)
FROZEN = Freeze("sales", NOW - HOUR, NOW + HOUR)


def outcome(found: Approval) -> Outcome:
    open_ledger()
    try:
        judge_approval(found)
    except EvidenceProblem:
        close_ledger()
        return Outcome.ERRORED
    return close_ledger().outcome


def changed(**values: Any) -> Approval:
    return replace(FOUND, changes=(replace(GOOD, **values),))


def said(*decisions: tuple[str, str]) -> tuple[Decision, ...]:
    return tuple(Decision(by, what, NOW - HOUR) for by, what in decisions)  # type: ignore[arg-type]


GRACE = ("grace", "approved")


@pytest.mark.parametrize(
    "found",
    [
        FOUND,
        changed(revision="3f9c2ab" + "0" * 33),
        changed(begins=NOW - 1, ends=NOW + HOUR),
        changed(decisions=said(("ada", "approved"), GRACE)),
        changed(decisions=said(("eve", "pending"), GRACE)),
        replace(FOUND, units=("", "shop")),
        replace(FOUND, freezes=(replace(FROZEN, excepted=True),)),
        replace(FOUND, freezes=(replace(FROZEN, begins=NOW + HOUR / 2),)),
    ],
)
def test_may_go(found: Approval) -> None:
    assert outcome(found) is Outcome.PASSED


@pytest.mark.parametrize(
    "found",
    [
        replace(FOUND, changes=()),
        changed(revision="3f9c2ac"),
        changed(revision="3f9c"),
        changed(revision="demo-10"),
        changed(unit="billing"),
        changed(unit=""),
        changed(environment="staging"),
        changed(decisions=()),
        changed(decisions=said(("ADA", "approved"))),
        changed(decisions=said(("grace", "pending"))),
        changed(decisions=said(GRACE, ("eve", "rejected"))),
        changed(begins=NOW + 1),
        changed(ends=NOW),
        changed(decisions=(Decision("grace", "approved", NOW - 25 * HOUR),)),
        changed(decisions=(Decision("grace", "approved", NOW + HOUR),)),
        replace(FOUND, freezes=(FROZEN,)),
        replace(changed(emergency=True), freezes=(FROZEN,)),
        replace(changed(emergency=True, ticket=""), freezes=(replace(FROZEN, emergency=True),)),
        replace(FOUND, freezes=(replace(FROZEN, emergency=True),)),
        replace(FOUND, changes=(GOOD, replace(GOOD, decisions=()))),  # the last one about it counts
    ],
)
def test_may_not_go(found: Approval) -> None:
    assert outcome(found) is Outcome.FAILED


@pytest.mark.parametrize(
    "found",
    [
        changed(ends=NOW + 600),
        replace(FOUND, freezes=(replace(FROZEN, begins=NOW + 600),)),
        replace(changed(emergency=True), freezes=(replace(FROZEN, emergency=True),)),
    ],
)
def test_may_go_and_is_told(found: Approval) -> None:
    assert outcome(found) is Outcome.WARNED


def test_an_approval_without_any_time_cannot_be_told() -> None:
    assert outcome(changed(decisions=(Decision("grace", "approved", None),))) is Outcome.ERRORED
    assert outcome(changed(decisions=(Decision("grace", "approved", None),), ends=NOW + HOUR)) is Outcome.PASSED
