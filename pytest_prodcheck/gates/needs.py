"""Other gates that must be open first, as for a promotion from staging."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_prodcheck.gates.findings import Findings
from pytest_prodcheck.gates.policy import Need, Policy
from pytest_prodcheck.gates.verdict import NeedState, Verdict
from pytest_prodcheck.outcomes import ExitCode, RunRecord
from pytest_prodcheck.quantities import format_quantity

Neighbours = Mapping[tuple[str, str], Verdict | str]  # (environment, gate) -> its verdict, or why there is none


def check_needs(
    run: RunRecord, policy: Policy, now: float, neighbours: Neighbours, findings: Findings
) -> tuple[NeedState, ...]:
    """The state of every needed gate; what is not open for the same unit and revision keeps this one closed."""
    states = tuple(_state(need, run, now, neighbours) for need in policy.needs)
    for state in states:
        if state.code != ExitCode.OPEN:
            findings.close(ExitCode(state.code), f"needs {state.environment}:{state.gate}: {state.text}")
    return states


def needs_expire(policy: Policy, neighbours: Neighbours) -> list[float]:
    """UTC epoch seconds at which each needed gate's verdict is too old for this one."""
    found = []
    for need in policy.needs:
        verdict = neighbours.get((need.environment, need.gate))
        if isinstance(verdict, Verdict):
            found.append(_expiry_of_need(need, verdict))
    return found


def _state(need: Need, run: RunRecord, now: float, neighbours: Neighbours) -> NeedState:
    verdict = neighbours.get((need.environment, need.gate), "it has no verdict here")
    if isinstance(verdict, str):
        return NeedState(need.environment, need.gate, int(ExitCode.CANNOT_TELL), verdict)
    code, text = _judge(need, verdict, run, now)
    return NeedState(
        need.environment,
        need.gate,
        int(code),
        text,
        revision=verdict.revision,
        open_since=verdict.open_since,
        oldest_evidence=verdict.oldest_evidence,
    )


def _judge(need: Need, verdict: Verdict, run: RunRecord, now: float) -> tuple[ExitCode, str]:
    cannot_tell = ExitCode.CANNOT_TELL
    if (verdict.environment, verdict.gate, verdict.unit) != (need.environment, need.gate, run.unit):
        return cannot_tell, f"its verdict is about {verdict.environment}:{verdict.gate}, unit {verdict.unit or '-'}"
    if verdict.revision != run.revision:
        return cannot_tell, f"it judged revision {verdict.revision or '-'}, this run judges {run.revision or '-'}"
    if verdict.observation is not None and verdict.observation.code != ExitCode.OPEN:
        return cannot_tell, f"it is only observed; it would be {verdict.observation.status}"
    if verdict.code == ExitCode.BLOCKED:
        return ExitCode.BLOCKED, "it is blocked"
    if verdict.code != ExitCode.OPEN or verdict.open_since is None or verdict.oldest_evidence is None:
        return cannot_tell, f"it is not open but {verdict.status}"
    if verdict.evaluated_at > now + 5 or not now < _expiry_of_need(need, verdict):
        return cannot_tell, f"its evidence is {format_quantity(now - verdict.oldest_evidence, 's')} old"
    open_for = now - verdict.open_since
    if need.open_for is not None and not open_for >= need.open_for:
        wanted = format_quantity(need.open_for, "s")
        return cannot_tell, f"it has been open for {format_quantity(max(0.0, open_for), 's')} ; {wanted} is required"
    return ExitCode.OPEN, f"open for {format_quantity(max(0.0, open_for), 's')}"


def _expiry_of_need(need: Need, verdict: Verdict) -> float:
    """The need's own max_age counts from the neighbour's oldest evidence; without one its verdict's expiry holds."""
    if need.max_age is None or verdict.oldest_evidence is None:
        return verdict.expires_at
    cut_short = verdict.expires_at < verdict.oldest_evidence + verdict.max_age  # by a waiver, or by a need of its own
    ends = verdict.oldest_evidence + need.max_age
    return min(ends, verdict.expires_at) if cut_short else ends
