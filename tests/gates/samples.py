"""Runs, results and policies that are in order, to be spoilt one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_prodcheck.gates.evaluation import evaluate
from pytest_prodcheck.gates.policy import Policy, suite_policy
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Judgement, Outcome, PlannedCheck, Result, RunRecord, Severity, SkipReason

NOW = 1_800_000_000.0
GOOD = Judgement("answered in", 0.2, Outcome.PASSED, "s", "at_most", 0.5, 1.0, 0.8)
SLOW = Judgement("answered in", 0.7, Outcome.WARNED, "s", "at_most", 0.5, 1.0, 0.3, reason="0.7 s is more than 0.5 s")
BAD = Judgement("answered in", 3.0, Outcome.FAILED, "s", "at_most", 0.5, 1.0, -2.0, reason="3 s is more than 1 s")
_LEDGER = {Outcome.PASSED: (GOOD,), Outcome.WARNED: (SLOW,), Outcome.FAILED: (BAD,)}
KNOWN = ("smoke.api", "smoke.dns", "smoke.login", "security.tls")


def result(check: str = "smoke.api", target: str = "shop", outcome: Outcome = Outcome.PASSED, **changes: Any) -> Result:
    """A result as a check on good evidence makes it."""
    made = Result(
        check, target, outcome, Severity.HIGH, check.partition(".")[0], owner="team-shop", runbook="http://rb"
    )
    if outcome in _LEDGER:
        made = replace(made, judgements=_LEDGER[outcome], gathered_at=NOW - 10)
    if outcome is Outcome.SKIPPED:
        made = replace(made, skip=SkipReason.NOT_CONFIGURED, reason="nothing declared")
    return replace(made, **changes)


def run(*results: Result, **changes: Any) -> RunRecord:
    """A run in which these results were all that was planned."""
    planned = tuple(PlannedCheck(check, target) for check, target in dict.fromkeys(each.identity for each in results))
    made = RunRecord(
        "run-1",
        "staging",
        project="shop",
        revision="r1",
        started_at=NOW - 20,
        ended_at=NOW,
        results=results,
        planned=planned,
        known=KNOWN,
        targets={"service": ("shop",)},
        digests={"environment": "e" * 64, "catalogue": "c" * 64},
    )
    return replace(made, **changes)


def gate(**changes: Any) -> Policy:
    """The gate `smoke`, or one with its own `select` if that is changed."""
    if "select" in changes:
        changes["suite"] = ""
    return replace(suite_policy("smoke", {}), **changes)


def judge(*results: Result, policy: Policy | None = None, now: float = NOW, **changes: Any) -> Verdict:
    """The verdict on such a run."""
    return evaluate(run(*results, **changes), policy or gate(), now)


def texts(verdict: Verdict) -> str:
    """All the reasons in one text."""
    return "\n".join(f"{each.check} {each.target} {each.text}" for each in verdict.reasons)


STAGING = 'version = 1\n[environments.staging.services.shop]\nurl = "http://127.0.0.1:9"\n'


def configuration(root: Path, text: str = STAGING) -> dict[str, str]:
    """Writes prodcheck.toml and returns what a verdict made from it carries."""
    from hashlib import sha256

    (root / "prodcheck.toml").write_text(text)
    return {"prodcheck.toml": sha256(text.encode()).hexdigest()}
