"""What each single result means for a gate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from pytest_prodcheck.gates.findings import Findings, finding_about, findings_of_result
from pytest_prodcheck.gates.policy import Policy
from pytest_prodcheck.gates.waivers import Waivers
from pytest_prodcheck.outcomes import NO_TARGET, ExitCode, Judgement, Outcome, Result, Severity, SkipReason

CLOCK_SLACK = 5.0  # seconds that two clocks may differ
_JUDGED = (Outcome.PASSED, Outcome.WARNED, Outcome.FAILED)


@dataclass
class JudgedResults:
    """What came of all results: evidence times, skips by reason, and whether anything at all speaks for the system."""

    positive: bool = False
    times: list[float] = field(default_factory=list)  # UTC epoch seconds
    skips: dict[str, list[str]] = field(default_factory=dict)

    @property
    def oldest(self) -> float | None:
        """UTC epoch second of the oldest deciding evidence, None where there is none."""
        return min(self.times, default=None)


def judge_results(
    results: Iterable[Result], policy: Policy, now: float, waivers: Waivers, findings: Findings
) -> JudgedResults:
    """Judges the selected results one by one; the order does not matter."""
    judged = JudgedResults()
    for result in results:
        complaints = list(_complaints(result, now))
        for complaint in complaints:
            findings.close(ExitCode.CANNOT_TELL, finding_about(result, complaint))
        _apply_result(result, policy, waivers, findings, judged)
        if result.outcome in _JUDGED and not result.plain and _is_time(result.gathered_at):
            judged.times.append(result.gathered_at)
        if not complaints and _speaks_for(result):
            judged.positive = True
    return judged


def _apply_result(result: Result, policy: Policy, waivers: Waivers, findings: Findings, judged: JudgedResults) -> None:
    if result.outcome == Outcome.FAILED:
        _failed(result, policy, waivers, findings)
    elif result.outcome == Outcome.WARNED:
        findings.warnings.extend(findings_of_result(result))
    elif result.outcome == Outcome.SKIPPED:
        _skipped(result, policy, findings, judged)
    elif result.outcome == Outcome.ERRORED:
        findings.close(
            ExitCode.CANNOT_TELL, finding_about(result, result.reason or "errored without a reason")
        )


def _failed(result: Result, policy: Policy, waivers: Waivers, findings: Findings) -> None:
    waiver = waivers.find(result)
    if waiver is not None:
        extra = f" (waived: {waiver.reason}; {waiver.owner})"
        for each in findings_of_result(result):
            until = waiver.expires.isoformat()
            findings.waived.append(replace(each, text=each.text + extra, ticket=waiver.ticket, expires=until))
        return
    action = "block" if result.plain else policy.actions.get(result.severity, "block")
    if action == "warn":
        findings.warnings.extend(findings_of_result(result))
    elif action == "note":
        findings.notes.extend(findings_of_result(result))
    else:
        findings.close(ExitCode.BLOCKED, *findings_of_result(result))


def _skipped(result: Result, policy: Policy, findings: Findings, judged: JudgedResults) -> None:
    reason = result.skip
    if reason is None or reason == SkipReason.FOREIGN:
        text = f"skipped by something other than prodcheck, so it has no result: {result.reason or 'no reason given'}"
        findings.close(ExitCode.CANNOT_TELL, finding_about(result, text))
        return
    name = result.check if result.target == NO_TARGET else f"{result.check}@{result.target}"
    judged.skips.setdefault(str(reason), []).append(name)
    if reason not in policy.skips:
        text = f"skipped ({reason}), which this gate does not allow: {result.reason or 'no reason given'}"
        findings.close(ExitCode.CANNOT_TELL, finding_about(result, text))


def _complaints(result: Result, now: float) -> Iterable[str]:
    """Why a result cannot be believed, whatever it says."""
    if result.outcome not in set(Outcome):
        yield f"prodcheck does not know its outcome {str(result.outcome)!r}"
    if result.severity not in set(Severity):
        yield f"prodcheck does not know its severity {str(result.severity)!r}"
    if result.outcome not in _JUDGED or result.plain:
        return
    if result.gathered_at is None:
        yield "it used no evidence: the time of gathering is missing"
    elif not _is_time(result.gathered_at):
        yield f"the time of its evidence is {result.gathered_at!r}"
    if not result.judgements:
        yield "it judged nothing"
    yield from (why for each in result.judgements for why in _disagreement(result, each))


def _disagreement(result: Result, judgement: Judgement) -> Iterable[str]:
    """Where a result that did not fail says otherwise than its ledger, or its ledger than its numbers."""
    beside = judgement.outcome == Outcome.ERRORED and result.outcome == Outcome.FAILED  # what failed outweighs it
    if judgement.outcome not in _JUDGED and not beside:
        yield f"its ledger says {judgement.outcome!s} for {judgement.what!r}, the result says {result.outcome!s}"
    if result.outcome == Outcome.FAILED:
        return
    worse = judgement.outcome == Outcome.WARNED and result.outcome == Outcome.PASSED
    if judgement.outcome == Outcome.FAILED or worse:
        yield f"its ledger says {judgement.outcome!s} for {judgement.what!r}, the result says {result.outcome!s}"
    numbers = (judgement.value, judgement.warn, judgement.fail, judgement.margin)
    if judgement.value is None or any(isinstance(each, float) and not math.isfinite(each) for each in numbers):
        yield f"{judgement.what!r} has no finite value: {judgement.value!r}"
    elif judgement.direction and not judgement.off and _exceeds_fail_level(judgement):
        yield f"{judgement.what!r} is {judgement.value!r}, beyond its limit {judgement.fail!r}, but did not fail"


def _exceeds_fail_level(judgement: Judgement) -> bool:
    value, fail = judgement.value, judgement.fail
    if isinstance(value, (bool, str)) or value is None:
        return True  # a text or a yes where a number belongs
    if fail is None:
        return False
    return not (value <= fail if judgement.direction == "at_most" else value >= fail)


def _speaks_for(result: Result) -> bool:
    """Whether a result is positive evidence: a limit that is off, a failure or a plain test prove nothing."""
    good = result.outcome in (Outcome.PASSED, Outcome.WARNED) and not result.plain
    return good and any(not each.off for each in result.judgements)


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
