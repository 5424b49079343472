"""Workflows: what a user does, step by step, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.records import WorkflowRun


@check("smoke.workflow.*", severity="critical", runbook="workflow")
def test_user_gets_through(workflow: WorkflowRun) -> None:
    """Every declared step answers as declared, and the clean-up succeeds."""
    first = next((step.problem for step in workflow.steps if step.problem is not None), None)
    if first is not None and first.at and first.kind != "denied" and not any(step.exchange for step in workflow.steps):
        raise EvidenceProblem(first)  # nothing was answered at all: smoke.service.addresses tells whose fault that is
    for step in workflow.steps:
        kind = "clean-up" if step.cleanup else "step"
        why = (
            str(step.problem) if step.problem else "; ".join(step.reasons) or "not sent because an earlier step failed"
        )
        if step.exchange is not None and step.reasons:
            why = step.exchange.wrong(why)
        good = step.problem is None and not step.reasons and not (step.skipped and not step.cleanup)
        judge(f"{kind} succeeds", good, of=step.name, reason=why)
