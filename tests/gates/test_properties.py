"""Properties of `evaluate` that hold for any run whatever."""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_prodcheck.gates.evaluation import evaluate
from pytest_prodcheck.gates.policy import Policy
from pytest_prodcheck.gates.seal import holds, sign
from pytest_prodcheck.gates.waivers import Waiver
from pytest_prodcheck.outcomes import Judgement, Outcome, PlannedCheck, Result, RunRecord, Severity, SkipReason
from tests.gates.samples import BAD, GOOD, KNOWN, NOW, SLOW, gate, run
from tests.soak import SOAK

# a busy machine is no failure; in the soak the properties of this file see 28,000 cases together
CASES = 4000 if SOAK else 100
PATIENT = settings(deadline=None, max_examples=CASES, suppress_health_check=[HealthCheck.too_slow])
CHECKS = st.sampled_from(KNOWN)
TARGETS = st.sampled_from(["a", "b", "-"])
VALUES = st.sampled_from([0.2, 0.7, 3.0, math.nan, math.inf, None, "0.2", True])
JUDGEMENTS = st.sampled_from([GOOD, SLOW, BAD]) | st.builds(
    replace,
    st.sampled_from([GOOD, SLOW]),
    value=VALUES,
    outcome=st.sampled_from(Outcome),
    off=st.booleans(),
)
RESULTS = st.builds(
    Result,
    CHECKS,
    TARGETS,
    st.sampled_from(Outcome),
    severity=st.sampled_from(Severity),
    suite=st.sampled_from(["", "smoke", "security"]),
    skip=st.none() | st.sampled_from(SkipReason),
    judgements=st.lists(JUDGEMENTS, max_size=3).map(tuple),
    gathered_at=st.none() | st.sampled_from([NOW, NOW - 100, NOW - 899, NOW - 901, NOW + 60, math.nan, 0.0]),
    plain=st.booleans(),
)
HEALTHY = st.builds(
    Result,
    CHECKS,
    TARGETS,
    st.just(Outcome.PASSED),
    judgements=st.just((GOOD,)),
    gathered_at=st.sampled_from([NOW, NOW - 800]),
)
PLANNED = st.lists(st.builds(PlannedCheck, CHECKS, TARGETS), max_size=3).map(tuple)
POLICIES = st.builds(
    gate,
    require=st.lists(st.sampled_from(["smoke.api", "smoke.login@a", "smoke.dns"]), max_size=2).map(tuple),
    skips=st.frozensets(st.sampled_from(SkipReason)),
    strict=st.booleans(),
)


@st.composite
def runs(draw: st.DrawFn) -> RunRecord:
    results = draw(st.lists(HEALTHY, max_size=4)) + draw(st.lists(RESULTS, max_size=3))
    made = run(
        *results,
        problems=draw(st.sampled_from([(), (), (), ("x",)])),
        interrupted=draw(st.sampled_from(["", "", "", "x"])),
        replay_of=draw(st.sampled_from(["", "", "", "x"])),
        revision=draw(st.sampled_from(["", "r1"])),
        protected=draw(st.booleans()),
    )
    return replace(made, planned=made.planned + draw(PLANNED)) if draw(st.booleans()) else made


def in_scope(record: RunRecord, policy: Policy) -> list[Result]:
    return [each for each in record.results if not each.plain and policy.selects(each.check, each.suite)]


@PATIENT
@given(runs(), POLICIES)
def test_opens_only_on_complete_fresh_positive_evidence(record: RunRecord, policy: Policy) -> None:
    """The one law, restated without the code under test."""
    verdict = evaluate(record, policy, NOW)
    if verdict.code != 0:
        return
    results = in_scope(record, policy)
    identities = [each.identity for each in results]
    assert len(identities) == len(set(identities))
    assert {(each.check, each.target) for each in record.planned if policy.selects(each.check)} <= set(identities)
    for required in policy.require:
        check, _, target = required.partition("@")
        found = [each for each in results if each.check == check and target in ("", each.target)]
        assert found
        assert all(each.outcome in (Outcome.PASSED, Outcome.WARNED, Outcome.FAILED) for each in found)
    assert any(each.outcome in (Outcome.PASSED, Outcome.WARNED) for each in results)
    for each in results:
        assert each.outcome is not Outcome.ERRORED
        if each.outcome is Outcome.SKIPPED:
            assert each.skip in policy.skips - {SkipReason.FOREIGN}
            continue
        assert each.gathered_at is not None
        assert NOW - policy.max_age <= each.gathered_at <= NOW + 5
        assert each.judgements
        if each.outcome is Outcome.FAILED:
            assert each.severity in (Severity.MEDIUM, Severity.LOW)
        else:
            assert not any(bad(judgement) for judgement in each.judgements)
    assert not any((record.problems, record.interrupted, record.replay_of))
    assert record.revision or not record.protected
    assert not (policy.strict and verdict.warnings)
    assert verdict.expires_at > NOW or verdict.oldest_evidence == NOW - policy.max_age


def bad(judgement: Judgement) -> bool:
    value = judgement.value
    number = isinstance(value, float) and math.isfinite(value) and (judgement.off or value <= 1.0)
    text_off = judgement.off and isinstance(value, (str, bool))
    return judgement.outcome in (Outcome.FAILED, Outcome.ERRORED) or not (number or text_off)


@PATIENT
@given(runs(), POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_results_does_not_matter(record: RunRecord, policy: Policy, chance: random.Random) -> None:
    shuffled = list(record.results)
    chance.shuffle(shuffled)
    assert evaluate(replace(record, results=tuple(shuffled)), policy, NOW) == evaluate(record, policy, NOW)


@PATIENT
@given(runs(), POLICIES, st.sampled_from(Severity))
def test_adding_a_failure_never_opens(record: RunRecord, policy: Policy, severity: Severity) -> None:
    """Where nothing waits for it: a failure of low severity may complete a run, but speaks for nothing."""
    closed = evaluate(record, policy, NOW).code
    for check in KNOWN:
        if any(check == each.partition("@")[0] for each in policy.require):
            continue
        failure = Result(check, "new", Outcome.FAILED, severity, judgements=(BAD,), gathered_at=NOW)
        worse = evaluate(replace(record, results=(*record.results, failure)), policy, NOW).code
        assert worse != 0 or closed == 0


@PATIENT
@given(runs(), POLICIES, st.integers(0, 10))
def test_turning_a_result_bad_never_opens(record: RunRecord, policy: Policy, place: int) -> None:
    if not record.results:
        return
    before = evaluate(record, policy, NOW).code
    results = list(record.results)
    victim = results[place % len(results)]
    results[place % len(results)] = replace(victim, outcome=Outcome.ERRORED, judgements=())
    after = evaluate(replace(record, results=tuple(results)), policy, NOW).code
    assert after != 0 or before == 0


@PATIENT
@given(runs(), POLICIES)
def test_the_verdict_can_be_written_and_read(record: RunRecord, policy: Policy) -> None:
    from pytest_prodcheck.gates.verdict import Verdict

    verdict = evaluate(record, policy, NOW)
    assert Verdict.from_document(verdict.to_document()) == verdict


TODAY = datetime.datetime.fromtimestamp(NOW, datetime.UTC).date()
WAIVERS = st.lists(
    st.builds(
        Waiver,
        check=CHECKS | st.just("smoke.*"),
        target=TARGETS | st.just("*"),
        environment=st.sampled_from(["staging", "s*", "production"]),
        reason=st.just("known"),
        owner=st.just("team"),
        ticket=st.sampled_from(["T-1", "T-2"]),
        expires=st.sampled_from([TODAY + datetime.timedelta(days=days) for days in (-400, -1, 0, 1, 400)]),
    ),
    max_size=3,
).map(tuple)


@PATIENT
@given(runs(), POLICIES, WAIVERS)
def test_a_waiver_excuses_only_failures_that_it_names(
    record: RunRecord, policy: Policy, waivers: tuple[Waiver, ...]
) -> None:
    """What is open with waivers would be open without them, but for failures each of which a valid one names."""
    verdict = evaluate(record, policy, NOW, waivers=waivers)
    if verdict.code != 0 or evaluate(record, policy, NOW).code == 0:
        return
    excused = [each for each in in_scope(record, policy) if each.outcome is Outcome.FAILED and is_waived(each, waivers)]
    assert excused
    assert {(each.check, each.target) for each in verdict.waived} >= {each.identity for each in excused}
    for each in in_scope(record, policy):
        assert each.outcome is not Outcome.ERRORED
        if each.outcome is Outcome.FAILED and each.severity in (Severity.CRITICAL, Severity.HIGH):
            assert is_waived(each, waivers), each
    assert min(waiver.ends for waiver in waivers if waiver.ends > NOW) > NOW


def is_waived(result: Result, waivers: tuple[Waiver, ...]) -> bool:
    return any(
        waiver.check in (result.check, "smoke.*")
        and waiver.target in (result.target, "*")
        and waiver.environment in ("staging", "s*")
        and waiver.expires >= TODAY
        for waiver in waivers
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@PATIENT
@given(runs(), POLICIES, st.data())
def test_no_change_of_a_sealed_verdict_keeps_its_seal(record: RunRecord, policy: Policy, data: st.DataObject) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    sealed = sign(evaluate(record, policy, NOW).to_document(), key)
    assert holds(sealed, key)
    changed: dict[str, Any] = dict(sealed)
    name = data.draw(st.sampled_from(sorted(changed)))
    how = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "remove":
        del changed[name]
    else:
        changed[name if how == "replace" else f"{name}x"] = data.draw(JSON)
    if repr(changed) != repr(sealed):
        assert not holds(changed, key)
