"""What is left above the declared load. Collected last: the search for the knee must not meet what is judged before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.load_validity import answered_well, client_flaws, knee_of, short_step
from pytest_prodcheck.judging.statistics import samples_needed
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import LoadStress


@check(
    "performance.stress",
    severity="low",
    limit=Limit(warn="1.5 x", fail="1.1 x"),
    runbook="stress",
    opt_in="raises the request rate above the declared one until answers get slow or fail",
)
def test_there_is_headroom(load_stress: LoadStress, limit: Limit) -> None:
    """The saturation point (knee), in multiples of the declared rate, and the recovery after it."""
    found = list(client_flaws(load_stress.run))
    if found or not load_stress.steps:
        raise EvidenceProblem(Problem("invalid", "; ".join(found) or "no step was begun"))
    if (short := short_step(load_stress)) is not None:
        sent, needed = short.good + short.failed, samples_needed(95)
        few = f"{sent} requests at {short.rate:.4g}/s are too few for P95: it needs {needed}"
        raise EvidenceProblem(Problem("invalid", few, "raise `hold` of `stress`"))
    knee = knee_of(load_stress)
    told = f"{knee:.4g}/s is the last step with good answers, the declared rate is {load_stress.own_rate:.4g}/s"
    judge("headroom", knee / load_stress.own_rate, at_least=limit, unit="x", reason=told)
    after = load_stress.recovery
    if after is None or after.good + after.failed < samples_needed(95):
        raise EvidenceProblem(Problem("invalid", "too few requests were sent after the last step to measure recovery"))
    slow = (
        f"after the last step: P95 {after.p95 or 0:.3f} s and {after.failed} of "
        f"{after.begun} failed at the declared rate"
    )
    judge("recovers afterwards", answered_well(after, load_stress.p95_allowed), reason=slow)
