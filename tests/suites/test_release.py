"""What the checks of one release make of what was found."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.evidence.release.plan_documents import dated, mentions
from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.release import Approval, Change, Decision, Freeze
from pytest_prodcheck.records.rollback import DeploymentHistory, PlanDocument, RollbackPlan
from suites.pre_deploy.test_release import test_somebody_else_let_it as judge_approval
from suites.pre_deploy.test_release import test_there_is_a_way_back as judge_plan

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
        changed(decisions=(Decision("grace", "approved", NOW - 25 * HOUR), Decision("ada", "approved", NOW - HOUR))),
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


@pytest.mark.parametrize(
    ("found", "until"),
    [
        (FOUND, NOW + 23 * HOUR),
        (changed(ends=NOW + HOUR), NOW + HOUR),
        (replace(FOUND, freezes=(replace(FROZEN, begins=NOW + 600),)), NOW + 600),
        (replace(FOUND, freezes=(replace(FROZEN, begins=NOW + 600, excepted=True),)), NOW + 23 * HOUR),
        (replace(FOUND, freezes=(replace(FROZEN, begins=NOW + 600, emergency=True),)), NOW + 600),
        (replace(changed(emergency=True), freezes=(replace(FROZEN, begins=NOW + 9, emergency=True),)), NOW + 23 * HOUR),
        (changed(decisions=(Decision("grace", "approved", None), Decision("ada", "approved", NOW))), None),
    ],
)
def test_how_long_it_lets_one_go(found: Approval, until: float | None) -> None:
    assert found.valid_until == until


def test_an_approval_without_any_time_cannot_be_told() -> None:
    assert outcome(changed(decisions=(Decision("grace", "approved", None),))) is Outcome.ERRORED
    assert outcome(changed(decisions=(Decision("grace", "approved", None),), ends=NOW + HOUR)) is Outcome.PASSED


PLAN = RollbackPlan(PlanDocument("plan.md", True, ("shop",), True, NOW - 30 * 24 * HOUR), (), NOW)
WAY = DeploymentHistory("deployment/shop", 7, 3, 10, ("registry.test/shop:v7",))


def way_back(found: RollbackPlan) -> Outcome:
    open_ledger()
    judge_plan(found, Limit(fail="180d"))
    return close_ledger().outcome


def plan_with(**values: Any) -> RollbackPlan:
    assert PLAN.document is not None
    return replace(PLAN, document=replace(PLAN.document, **values))


def kept(**values: Any) -> RollbackPlan:
    return replace(PLAN, document=None, ways=(replace(WAY, **values),))


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (PLAN, Outcome.PASSED),
        (kept(), Outcome.PASSED),
        (kept(revision=1, kept=1), Outcome.PASSED),  # deployed once: what runs now is what one would go back to
        (kept(revision=0, kept=0, images=()), Outcome.PASSED),  # the first deployment
        (kept(images=("registry.test:5000/shop@sha256:12",)), Outcome.PASSED),
        (plan_with(there=False), Outcome.FAILED),
        (plan_with(named=False), Outcome.FAILED),
        (plan_with(dated=None), Outcome.FAILED),
        (plan_with(dated=NOW - 181 * 24 * HOUR), Outcome.FAILED),
        (kept(limit=0), Outcome.FAILED),
        (kept(kept=1), Outcome.FAILED),
        (kept(images=()), Outcome.FAILED),
        (kept(images=("registry.test:5000/shop",)), Outcome.FAILED),
        (kept(images=("shop:latest",)), Outcome.FAILED),
        (replace(PLAN, document=None), Outcome.ERRORED),
    ],
)
def test_the_way_back(found: RollbackPlan, outcome: Outcome) -> None:
    assert way_back(found) is outcome


DAY = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Last tested: 2026-10-01. Next review: 2026-11-01.", "2026-10-01"),
        ("Reviewed 2026-01-01\nIncident of 2026-10-10", "2026-01-01"),
        ("| Next review | 2026-11-01 |\n| Reviewed | 2026-02-03 |", "2026-02-03"),
        ("Incident of 2025-10-10, again 2026-01-10", "2026-01-10"),
        ("Last updated: 2027-01-01", None),
        ("valid until 2026-10-01", None),
        ("Tested 2026-13-01 and 2026-02-30", None),
        ("build 12026-10-011", None),
        ("no date of its last review", None),
        ("", None),
    ],
)
def test_when_a_plan_was_last_looked_at(text: str, day: str | None) -> None:
    found = dated(text, DAY)
    assert (datetime.datetime.fromtimestamp(found, datetime.UTC).strftime("%Y-%m-%d") if found else None) == day


def test_a_name_is_a_word_of_its_own() -> None:
    assert mentions("# Rolling back: Shop", ("shop",))
    assert mentions("for shop, and others", ("shop",))
    assert not mentions("for shop-api and webshop", ("shop",))
