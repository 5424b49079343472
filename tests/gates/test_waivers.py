"""Waivers: dated exceptions that stay visible. Row 22 of the fail-open table."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.gates.evaluation import evaluate
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.gates.waivers import Waiver
from pytest_prodcheck.outcomes import Outcome, Result
from tests.gates.samples import BAD, NOW, gate, result, run, texts

TODAY = datetime.datetime.fromtimestamp(NOW, datetime.UTC).date()
WAIVER = Waiver("smoke.api", "shop", "staging", "widget", "team-web", "WEB-1", TODAY + datetime.timedelta(days=60))
FAILED = result(outcome=Outcome.FAILED)


def judge(*results: Result, waivers: tuple[Waiver, ...] = (WAIVER,), now: float = NOW) -> Verdict:
    return evaluate(run(*results), gate(), now, waivers=waivers)


def days(number: int) -> Waiver:
    return replace(WAIVER, expires=TODAY + datetime.timedelta(days=number))


def test_a_waived_failure_does_not_block_and_is_shown() -> None:
    verdict = judge(FAILED, result("smoke.login"))
    assert verdict.code == 0
    (shown,) = verdict.waived
    assert (shown.check, shown.ticket, shown.expires) == ("smoke.api", "WEB-1", WAIVER.expires.isoformat())
    assert "widget" in shown.text
    assert not verdict.warnings


def test_a_waived_failure_speaks_for_nothing() -> None:
    assert judge(FAILED).code == 3


@pytest.mark.parametrize("changes", [{"check": "smoke.*"}, {"target": "*"}, {"environment": "s*"}])
def test_globs(changes: dict[str, Any]) -> None:
    assert judge(FAILED, result("smoke.login"), waivers=(replace(WAIVER, **changes),)).code == 0


@pytest.mark.parametrize("changes", [{"target": "billing"}, {"environment": "production"}, {"check": "smoke.dns"}])
def test_out_of_scope(changes: dict[str, Any]) -> None:
    assert judge(FAILED, result("smoke.login"), waivers=(replace(WAIVER, **changes),)).code == 1


@pytest.mark.parametrize(
    "spoilt", [{"outcome": Outcome.ERRORED, "judgements": ()}, {"judgements": ()}, {"gathered_at": None}]
)
def test_it_covers_failures_only(spoilt: dict[str, Any]) -> None:
    assert judge(replace(FAILED, **spoilt), result("smoke.login")).code == 3


def test_expiry() -> None:
    last_day = judge(FAILED, result("smoke.login"), waivers=(days(0),))
    assert last_day.code == 0
    assert last_day.expires_at <= days(0).ends
    assert "is valid only until" in last_day.warnings[0].text
    over = judge(FAILED, result("smoke.login"), waivers=(days(-1),))
    assert over.code == 1
    assert "expired" in over.warnings[0].text


def test_warning_14_days_before() -> None:
    assert judge(FAILED, result("smoke.login"), waivers=(days(14),)).warnings == ()
    assert len(judge(FAILED, result("smoke.login"), waivers=(days(13),)).warnings) == 1


def test_an_unknown_id_is_a_usage_error_and_an_unused_one_a_note() -> None:
    verdict = judge(result(), waivers=(replace(WAIVER, check="smoke.ap"),))
    assert verdict.code == 2
    assert "did you mean smoke.api" in texts(verdict)
    unused = judge(result())
    assert unused.code == 0
    assert "was not needed" in unused.notes[0].text


def test_the_one_that_lasts_longest_counts() -> None:
    verdict = judge(FAILED, result("smoke.login"), waivers=(days(-5), days(3), days(90)))
    assert verdict.code == 0
    assert verdict.waived[0].expires == days(90).expires.isoformat()


@pytest.mark.parametrize("protected", [True, False])
def test_one_for_all_of_a_gate(protected: bool) -> None:
    """Row 114: another suite's checks do not make an exception of it."""
    whole = replace(WAIVER, check="smoke.*", target="*")
    record = replace(run(FAILED, result("smoke.login")), known=("smoke.api", "smoke.login", "security.tls"))
    verdict = evaluate(replace(record, protected=protected), gate(), NOW, waivers=(whole,))
    assert verdict.code == (2 if protected else 0)
    assert "covers every check of this gate" in (texts(verdict) if protected else verdict.warnings[0].text)
    named = replace(WAIVER, target="*")
    assert evaluate(replace(record, protected=protected), gate(), NOW, waivers=(named,)).code == 0


SETTINGS: dict[str, object] = {
    "check": "a.b", "target": "*", "environment": "staging", "reason": "r", "owner": "o", "ticket": "t",
    "expires": datetime.date(2027, 1, 31),
}  # fmt: skip


def test_from_settings() -> None:
    made = Waiver.from_settings(SETTINGS)
    assert made.ends == datetime.datetime(2027, 2, 1, tzinfo=datetime.UTC).timestamp()
    assert Waiver.from_settings({**SETTINGS, "expires": "2027-01-31"}) == made


@pytest.mark.parametrize("changes", [{"owner": ""}, {"expires": "soon"}, {"expires": 5}, {"until": "x"}, {"reason": 3}])
def test_mistakes(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid isoformat"):
        Waiver.from_settings({**SETTINGS, **changes})


def test_every_object_is_waived() -> None:
    many = result(outcome=Outcome.FAILED, judgements=tuple(replace(BAD, of=str(number)) for number in range(30)))
    assert len(judge(many, result("smoke.login")).waived) == 21
