"""The truth table of the gates: each rule, and each row of the fail-open table that is decided here."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.gates.evaluation import evaluate
from pytest_prodcheck.gates.policy import Need, Policy
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Judgement, Outcome, PlannedCheck, Severity, SkipReason
from tests.gates.samples import BAD, GOOD, NOW, SLOW, gate, judge, result, run, texts

PASSED, WARNED, FAILED = Outcome.PASSED, Outcome.WARNED, Outcome.FAILED
SKIPPED, ERRORED = Outcome.SKIPPED, Outcome.ERRORED


def test_all_passed_opens() -> None:
    verdict = judge(result(), result("smoke.dns", "-", SKIPPED))
    assert (verdict.code, verdict.status, verdict.reasons) == (0, "open", ())
    assert verdict.skips == {"not-configured": ("smoke.dns",)}
    assert (verdict.oldest_evidence, verdict.expires_at, verdict.open_since) == (NOW - 10, NOW - 10 + 900, NOW)
    assert verdict.counts == {"passed": 1, "warned": 0, "failed": 0, "skipped": 1, "errored": 0}
    assert verdict.digests["policy"] == gate().digest


@pytest.mark.parametrize(
    ("outcome", "severity", "code", "place"),
    [
        (FAILED, Severity.CRITICAL, 1, "reasons"),
        (FAILED, Severity.HIGH, 1, "reasons"),
        (FAILED, Severity.MEDIUM, 0, "warnings"),
        (FAILED, Severity.LOW, 0, "notes"),
        (WARNED, Severity.CRITICAL, 0, "warnings"),
        (ERRORED, Severity.CRITICAL, 3, "reasons"),
        (ERRORED, Severity.LOW, 3, "reasons"),
    ],
)
def test_severity_decides(outcome: Outcome, severity: Severity, code: int, place: str) -> None:
    verdict = judge(result(), result("smoke.login", "shop", outcome, severity=severity))
    assert verdict.code == code
    assert [each.check for each in getattr(verdict, place)] == ["smoke.login"]


def test_a_verdict_is_valid_no_longer_than_what_it_rests_on() -> None:
    """A window that ends, a freeze that begins: a gate that may be an hour old would open after it."""
    hour = gate(max_age=3600.0)
    assert judge(result(valid_until=NOW + 60), result("smoke.login"), policy=hour).expires_at == NOW + 60
    assert judge(result("smoke.login", "shop", WARNED, valid_until=NOW + 60), policy=hour).expires_at == NOW + 60
    ended = judge(result(valid_until=NOW - 2), policy=hour)
    assert (ended.code, ended.status) == (4, "refused")
    assert "its evidence was valid until 2 s ago" in texts(ended)


def test_a_blocked_verdict_says_what_against_which_limit_and_how_to_mend_it() -> None:
    """Row 43: every object that failed is listed."""
    pods = tuple(replace(BAD, of=f"pod-{number}") for number in range(3))
    (first, *others) = judge(result(outcome=FAILED, judgements=pods)).reasons
    assert (first.check, first.target, first.value, first.limit, first.unit) == ("smoke.api", "shop", 3.0, 1.0, "s")
    assert (first.margin, first.owner, first.runbook, first.text) == (
        -2.0,
        "team-shop",
        "http://rb",
        "3 s is more than 1 s",
    )
    assert [first.of, *(each.of for each in others)] == ["pod-0", "pod-1", "pod-2"]


CLOSED: list[tuple[str, dict[str, Any], dict[str, Any], int, str]] = [
    ("row 5: a planned check has no result", {"planned": (PlannedCheck("smoke.login", "shop"),)}, {}, 3, "did not run"),
    ("row 3: a required check has no result", {}, {"require": ("smoke.login",)}, 3, "smoke.login"),
    ("row 35: a required target is gone", {}, {"require": ("smoke.api@billing",)}, 3, "billing"),
    ("row 13: a required check that does not exist", {}, {"require": ("smoke.lgin",)}, 2, "did you mean smoke.login"),
    ("row 13: a pattern that matches nothing", {}, {"select": ("smoke.*", "smoek.*")}, 2, "did you mean"),
    ("row 13: an empty selection", {}, {"select": ()}, 2, "selects nothing"),
    ("row 13: all left out", {}, {"select": ("smoke.*",), "without": ("smoke.*",)}, 2, "removes every check"),
    ("no catalogue", {"known": ()}, {}, 3, "does not list its checks"),
    ("row 32: a complaint of the mechanism", {"problems": ("a worker died",)}, {}, 3, "a worker died"),
    ("row 5: ended early", {"interrupted": "-x after 1 failure"}, {}, 3, "ended early"),
    ("row 34: a replay", {"replay_of": "run-0"}, {}, 4, "replay"),
    ("row 8: another environment", {}, {"environments": ("production",)}, 2, "not for staging"),
    ("row 36: a slot is required", {}, {"slot": "required"}, 2, "--slot"),
    ("protected without revision", {"protected": True, "revision": ""}, {}, 2, "--revision"),
    ("row 35: a deleted section", {"protected": True, "undeclared": ("redis",)}, {}, 3, "redis"),
    ("row 45: off where protected", {"protected": True, "limits_off": ("smoke.api@shop",)}, {}, 2, "smoke.api@shop"),
]


@pytest.mark.parametrize(
    ("changes", "policy", "code", "words"), [each[1:] for each in CLOSED], ids=[each[0] for each in CLOSED]
)
def test_closed_though_all_passed(changes: dict[str, Any], policy: dict[str, Any], code: int, words: str) -> None:
    verdict = judge(result(), policy=gate(**policy), **changes)
    assert verdict.code == code
    assert words in texts(verdict)


UNBELIEVABLE: list[tuple[str, dict[str, Any]]] = [
    ("row 24: judged nothing", {"judgements": ()}),
    ("no evidence", {"gathered_at": None}),
    ("row 11: NaN time", {"gathered_at": math.nan}),
    ("row 38: its ledger failed", {"judgements": (GOOD, BAD)}),
    ("row 38: its ledger warned", {"judgements": (SLOW,)}),
    ("row 38: its ledger could not tell", {"judgements": (replace(GOOD, outcome=ERRORED),)}),
    ("row 11: a value is NaN", {"judgements": (replace(GOOD, value=math.nan),)}),
    ("row 11: a value is infinite", {"judgements": (replace(GOOD, value=math.inf),)}),
    ("row 11: a value is None", {"judgements": (replace(GOOD, value=None),)}),
    ("row 11: a text where a number belongs", {"judgements": (replace(GOOD, value="0.2"),)}),
    ("row 11: the limit is NaN", {"judgements": (replace(GOOD, fail=math.nan),)}),
    ("beyond its own limit", {"judgements": (replace(GOOD, value=1.1),)}),
    ("below its own limit", {"judgements": (replace(GOOD, direction="at_least"),)}),
    ("row 45: its only limit is off", {"judgements": (replace(GOOD, off=True),)}),
    ("an outcome nobody knows", {"outcome": "splendid"}),
    ("a severity nobody knows", {"severity": "mild"}),
]


@pytest.mark.parametrize("changes", [each[1] for each in UNBELIEVABLE], ids=[each[0] for each in UNBELIEVABLE])
def test_a_pass_that_cannot_be_believed(changes: dict[str, Any]) -> None:
    assert judge(result(**changes)).code == 3
    (judgement,) = changes.get("judgements", ()) if len(changes.get("judgements", ())) == 1 else (GOOD,)
    with_another = judge(result(**changes), result("smoke.login"))
    assert with_another.code == (0 if judgement.off else 3)  # a limit that is off closes nothing, it proves nothing


def test_what_failed_beside_what_could_not_be_told_is_honest() -> None:
    """Of two nodes one failed and one did not answer: the result failed, and its ledger does not contradict it."""
    mixed = result(outcome=FAILED, judgements=(replace(GOOD, outcome=ERRORED), BAD))
    verdict = judge(mixed, result("smoke.login"))
    assert verdict.code == 1
    assert "its ledger says" not in texts(verdict)
    lied = judge(result(judgements=(replace(GOOD, outcome=ERRORED),)), result("smoke.login"))
    assert "its ledger says" in texts(lied)


@pytest.mark.parametrize(
    ("results", "row"),
    [
        ((), "1: nothing collected"),
        ((result(outcome=SKIPPED),), "2: all skipped"),
        ((result(check="test:a", plain=True, suite="", judgements=()),), "a plain test proves nothing"),
        ((result("security.tls"),), "another suite's check"),
        ((result(outcome=FAILED, severity=Severity.LOW),), "only a note"),
    ],
)
def test_nothing_speaks_for_the_system(results: tuple[Any, ...], row: str) -> None:
    verdict = judge(*results)
    assert verdict.code == 3, row
    assert "no positive evidence" in texts(verdict)


@pytest.mark.parametrize(
    ("reason", "skips", "code"),
    [
        (SkipReason.NOT_CONFIGURED, None, 0),
        (SkipReason.OUT_OF_REACH, None, 0),
        (SkipReason.OPT_IN, None, 3),
        (SkipReason.PREREQUISITE, None, 3),
        (SkipReason.FOREIGN, None, 3),
        (None, None, 3),
        (SkipReason.OPT_IN, {SkipReason.OPT_IN}, 0),
        (SkipReason.NOT_CONFIGURED, {SkipReason.OPT_IN}, 3),
        (SkipReason.FOREIGN, set(SkipReason), 3),
    ],
)
def test_skips(reason: SkipReason | None, skips: set[SkipReason] | None, code: int) -> None:
    policy = gate() if skips is None else gate(skips=frozenset(skips))
    assert judge(result(), result("smoke.login", "shop", SKIPPED, skip=reason), policy=policy).code == code


def test_a_required_check_is_never_skipped() -> None:
    policy = gate(require=("smoke.login",))
    assert judge(result(), result("smoke.login", "shop", SKIPPED), policy=policy).code == 3
    assert judge(result(), result("smoke.login"), policy=policy).code == 0
    two = (result(), result("smoke.login", "a"), result("smoke.login", "b", SKIPPED))
    assert judge(*two, policy=policy).code == 3
    assert judge(*two, policy=gate(require=("smoke.login@a",))).code == 0


def test_one_result_each() -> None:
    """Row 37: the later result does not hide the earlier."""
    assert judge(result(), result()).code == 3
    assert judge(result(outcome=FAILED), result()).code == 1


def test_results_that_were_not_planned_are_judged_too() -> None:
    assert (
        judge(result(), result("smoke.login", "shop", FAILED), planned=(PlannedCheck("smoke.api", "shop"),)).code == 1
    )


def test_a_check_of_the_suite_by_another_id_counts() -> None:
    own = result("mail.relay", "relay", FAILED, suite="smoke")
    assert judge(result(), own).code == 1
    missing = (PlannedCheck("smoke.api", "shop"), PlannedCheck("mail.relay", "relay", suite="smoke"))
    assert judge(result(), planned=missing).code == 3


@pytest.mark.parametrize(
    ("outcome", "suite", "code"),
    [(FAILED, "", 1), (FAILED, "smoke", 1), (FAILED, "security", 0), (ERRORED, "", 3), (PASSED, "", 0)],
)
def test_plain_tests(outcome: Outcome, suite: str, code: int) -> None:
    plain = result("test:x", "-", outcome, plain=True, suite=suite, judgements=(), severity=Severity.LOW)
    assert judge(result(), plain).code == code


@pytest.mark.parametrize(
    ("age", "code"), [(0, 0), (899, 0), (900, 0), (901, 4), (-4, 0), (-6, 4)], ids=lambda value: str(value)
)
def test_age_counts_from_the_oldest_evidence(age: float, code: int) -> None:
    """Rows 9 and 34: stale, from the future."""
    verdict = judge(result(gathered_at=NOW - age), result("smoke.login"))
    assert verdict.code == code
    assert verdict.oldest_evidence == min(NOW - age, NOW - 10)


def test_strict_blocks_on_warnings() -> None:
    verdict = judge(result(outcome=WARNED), policy=gate(strict=True))
    assert (verdict.code, verdict.reasons[0].check) == (1, "smoke.api")
    assert judge(result(), policy=gate(strict=True)).code == 0


def test_precedence_is_usage_refused_blocked_cannot_tell() -> None:
    worst: dict[str, Any] = {"problems": ("x",), "replay_of": "run-0"}
    failed, errored = result(outcome=FAILED), result("smoke.login", "shop", ERRORED)
    assert judge(failed, errored).code == 1
    assert judge(failed, errored, **worst).code == 4
    assert judge(failed, errored, **worst, protected=True, revision="").code == 2


def test_fewer_targets_than_at_the_last_open_verdict_warns() -> None:
    """Row 35."""
    before = judge(result(), targets={"service": ("a", "b"), "redis": ("x",)})
    verdict = evaluate(run(result()), gate(), NOW, previous=before)
    assert (verdict.code, len(verdict.warnings)) == (0, 2)


def test_what_is_off_or_unverified_is_listed() -> None:
    """Rows 26 and 45."""
    verdict = judge(result(), limits_off=("smoke.api@shop",), unverified=("shop.example",))
    assert (verdict.limits_off, verdict.unverified) == (("smoke.api@shop",), ("shop.example",))


OBSERVED = gate(observe_until=datetime.datetime.fromtimestamp(NOW + 100000, datetime.UTC).date())


@pytest.mark.parametrize(("outcome", "status"), [(FAILED, "blocked"), (ERRORED, "cannot-tell"), (PASSED, "open")])
def test_observation_answers_0_and_says_so(outcome: Outcome, status: str) -> None:
    verdict = judge(result(outcome=outcome), policy=OBSERVED)
    assert verdict.code == 0
    assert verdict.observation is not None
    assert verdict.observation.status == status
    assert (verdict.open_since is not None) == (status == "open")
    assert verdict.expires_at <= NOW + 100000


def test_observation_ends_and_softens_no_mistake() -> None:
    """Row 45: from the date on it blocks."""
    ended = gate(observe_until=datetime.datetime.fromtimestamp(NOW, datetime.UTC).date())
    assert judge(result(outcome=FAILED), policy=ended).code == 1
    assert judge(result(), policy=OBSERVED, replay_of="run-0").code == 4
    assert judge(result(), policy=replace(OBSERVED, environments=("production",))).code == 2


def needing(neighbour: Verdict | str | None, **asked: float) -> Verdict:
    policy: Policy = gate(needs=(Need("test", "soak", **asked),))
    neighbours = {} if neighbour is None else {("test", "soak"): neighbour}
    return evaluate(run(result()), policy, NOW, neighbours=neighbours)


def neighbour(*results: Any, age: float = 0.0, **changes: Any) -> Verdict:
    made = judge(*(results or (result(gathered_at=NOW - age - 10),)), now=NOW - age, environment="test", **changes)
    return replace(made, gate="soak")


def test_needs() -> None:
    assert needing(neighbour()).code == 0
    assert needing(neighbour()).needs[0].code == 0
    assert needing(None).code == 3
    assert needing("its seal is not valid").code == 3
    assert needing(neighbour(revision="r0")).code == 3
    assert needing(neighbour(unit="buying")).code == 3
    assert needing(neighbour(result(outcome=FAILED))).code == 1
    assert needing(neighbour(result(outcome=ERRORED))).code == 3
    assert needing(neighbour(result(outcome=FAILED), policy=OBSERVED)).code == 3


def test_needs_soak_and_age() -> None:
    assert needing(neighbour(age=600), open_for=600).code == 0
    assert needing(neighbour(age=599), open_for=600).code == 3
    assert needing(neighbour(age=1000)).code == 3
    held = needing(neighbour(age=1000), max_age=2000)
    assert (held.code, held.expires_at) == (0, NOW - 10 + 900)
    assert needing(neighbour(age=1000), max_age=1011).expires_at == NOW + 1


def test_the_words_of_a_verdict_do_not_depend_on_the_order_of_results() -> None:
    results = [
        result(),
        result("smoke.dns", "a", FAILED),
        result("smoke.login", "b", ERRORED),
        result("smoke.dns", "c", FAILED),
    ]
    assert judge(*results, planned=()) == judge(*reversed(results), planned=())


def test_judging_changes_nothing() -> None:
    record = run(result(), result("smoke.login", "shop", FAILED))
    before = repr(record)
    assert evaluate(record, gate(), NOW) == evaluate(record, gate(), NOW)
    assert repr(record) == before


@pytest.mark.parametrize(
    ("more", "protected", "told"),
    [
        ((), True, True),
        ((), False, False),
        ((("smoke.service.health", "shop"),), True, False),
        ((("smoke.api.endpoint", "shop.cart"),), True, False),
        ((("smoke.service.health", "other"),), True, True),
    ],
)
def test_addresses_alone_are_told_where_protected(more: Any, protected: bool, told: bool) -> None:
    """Row 66: any answer below 500 satisfies that check, a default page's too."""
    known = ("smoke.service.addresses", "smoke.service.health", "smoke.api.endpoint")
    results = [result("smoke.service.addresses"), *(result(check, target) for check, target in more)]
    verdict = judge(*results, known=known, protected=protected, revision="r1")
    assert verdict.code == 0
    assert any("only the addresses of" in each.text for each in verdict.warnings) is told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), True),
        ((result("smoke.kubernetes.rollout", "mail"),), False),
        ((result("smoke.metrics.queue", "queue", kind="metric",
                 judgements=(Judgement("value", 1.0, PASSED, of="mail"),)),), False),
        ((result("smoke.metrics.queue", "queue", kind="metric",
                 judgements=(Judgement("value", 1.0, PASSED, of="other"),)),), True),
    ],
)  # fmt: skip
def test_a_port_alone_is_told_where_protected(more: Any, told: bool) -> None:
    """Any program that listens has an open port; that of a dependency proves what it has to."""
    known = ("smoke.tcp.open", "smoke.kubernetes.rollout", "smoke.metrics.queue")
    ports = (result("smoke.tcp.open", "mail"), result("smoke.tcp.open", "relay"))
    targets = {"dependency": ("relay",)}
    verdict = judge(*ports, *more, known=known, protected=True, revision="r1", targets=targets)
    assert verdict.code == 0
    assert ["only the port of mail" in each.text for each in verdict.warnings if "only" in each.text] == [True] * told
