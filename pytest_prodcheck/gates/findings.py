"""Collects what decides a gate, and what its reader must know."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pytest_prodcheck.gates.root_causes import layer
from pytest_prodcheck.gates.verdict import Finding, Value
from pytest_prodcheck.outcomes import ExitCode, Judgement, Outcome, Result

_PLACE = {ExitCode.USAGE: 0, ExitCode.REFUSED: 1, ExitCode.BLOCKED: 2, ExitCode.CANNOT_TELL: 3, ExitCode.OPEN: 4}
_SEVERITIES = ("critical", "high", "medium", "low", "")
_MOST_OBJECTS = 20  # of one check and target; the report lists them all


@dataclass
class Findings:
    """Everything one evaluation found; `by_gravity` puts it in the order in which a person should read it."""

    reasons: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    waived: list[Finding] = field(default_factory=list)

    def close(self, code: ExitCode, *why: str | Finding) -> None:
        """What keeps the gate closed, in words or with the check and the values that it is about."""
        found = (Finding(each) if isinstance(each, str) else each for each in why)
        self.reasons.extend(replace(each, code=int(code)) for each in found)

    def follow(self, causes: Mapping[tuple[str, str], tuple[str, str]]) -> None:
        """Notes which reasons follow from which, by (check, target)."""
        for place, each in enumerate(self.reasons):
            root = causes.get((each.check, each.target))
            if root is not None and each.outcome == Outcome.ERRORED:
                self.reasons[place] = replace(each, because="@".join(root))

    def warn(self, text: str) -> None:
        """Something that is not right; blocks only where strict."""
        self.warnings.append(Finding(text))

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self.notes.append(Finding(text))


def by_gravity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By code, what others follow from, severity, layer, check, target, text: whatever the order of the results was."""
    findings = list(findings)
    roots = {each.because for each in findings if each.because}
    return tuple(sorted(findings, key=lambda each: _sort_key(each, roots)))


def _sort_key(finding: Finding, roots: set[str]) -> tuple[int, bool, int, int, str, str, str, str, str]:
    severity = finding.severity if finding.severity in _SEVERITIES else ""
    place = _PLACE.get(ExitCode(finding.code), 0)
    order = (layer(finding.check), finding.check, finding.target, finding.of, finding.what, finding.text)
    return (place, f"{finding.check}@{finding.target}" not in roots, _SEVERITIES.index(severity), *order)


def finding_about(result: Result, text: str) -> Finding:
    """A finding about a result as a whole."""
    return Finding(
        text=text,
        check=result.check,
        target=result.target,
        outcome=str(result.outcome),
        severity=str(result.severity),
        owner=result.owner,
        runbook=result.runbook,
    )


def findings_of_result(result: Result) -> list[Finding]:
    """What a failed or warned result has to say: one finding for each judgement that is not passed."""
    bad = [each for each in result.judgements if each.outcome == result.outcome]
    if not bad:
        return [finding_about(result, result.reason or result.title or str(result.outcome))]
    shown = [_measured(result, each) for each in bad[:_MOST_OBJECTS]]
    if len(bad) > _MOST_OBJECTS:
        shown.append(
            finding_about(result, f"and {len(bad) - _MOST_OBJECTS} more of the same check, listed in the report")
        )
    return shown


def _measured(result: Result, judgement: Judgement) -> Finding:
    limit = judgement.fail if judgement.outcome == Outcome.FAILED or judgement.warn is None else judgement.warn
    return replace(
        finding_about(result, judgement.reason or result.reason or judgement.what),
        what=judgement.what,
        of=judgement.of,
        value=_writable(judgement.value),
        unit=judgement.unit,
        direction=judgement.direction,
        limit=_finite(limit),
        margin=_finite(judgement.margin),
    )


def _writable(value: Value) -> Value:
    """A value that JSON can hold: NaN and infinity as their names."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
