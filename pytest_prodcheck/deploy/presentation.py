"""The plan and the state of a deployment, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.deployment_state import (
    DONE,
    GATE_CLOSED,
    NEEDS_PERSON,
    PLANNED,
    ROLLED_BACK,
    ROLLING_BACK,
    DeploymentState,
)

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan, Step


def plan_lines(plan: Plan, comparison_lines: Iterable[str] = ()) -> Iterator[str]:
    """The plan: each step with its undo, and the point of no return. comparison_lines: what they can detect."""
    unit = f", unit {plan.unit}" if plan.unit else ""
    yield f"plan {plan.digest[:16]}: {plan.environment}{unit}, {plan.strategy}, {plan.old} -> {plan.revision}"
    if not plan.changes_something:
        yield f"  {plan.revision} already has all traffic: only its gate is run, nothing is changed"
    for number, step in enumerate(plan.steps, 1):
        if plan.point_of_no_return == number - 1:
            yield "      ---- point of no return: the following steps cannot be undone ----"
        yield f"{number:4}  {step.describe():52}{_undo_text(step)}".rstrip()
    if plan.changes_something:
        status = f"after a rollback, gate {plan.after_gate} is run for {plan.old}"
        yield f"{status}; the rollback is complete only if it is open"
        if plan.point_of_no_return is None:
            yield "no point of no return: `prodcheck deploy --undo` rolls back, also after the deployment"
    for line in comparison_lines:
        yield f"  {line}"


def _undo_text(step: Step) -> str:
    if step.change is None:
        return ""
    if step.undo is None and step.change.kind == "migrate" and not step.final:
        return "undo: not needed, it only adds"
    return "undo: none" if step.undo is None else f"undo: {step.undo.describe()}"


def status_lines(plan: Plan, state: DeploymentState, *, running: bool) -> Iterator[str]:
    """The state of a deployment, and what to do."""
    unit = f", unit {plan.unit}" if plan.unit else ""
    yield f"{plan.environment}{unit}: {plan.old} -> {plan.revision}, {plan.strategy}, plan {plan.digest[:16]}"
    reason = f": {state.reason}" if state.reason else ""
    nothing_begun = state.last_begun < 0 and not running
    status = {
        DONE: "done", ROLLED_BACK: f"rolled back{reason}", GATE_CLOSED: f"nothing was changed{reason}",
        NEEDS_PERSON: f"a person must act{reason}", PLANNED: "waiting for approval",
    }.get(
        state.status,
        "rolling back" if state.status == ROLLING_BACK
        else "interrupted before anything was changed" if nothing_begun else "in progress",
    )  # fmt: skip
    yield f"  {status}" + ("; a deployment is running" if running else "")
    if state.last_begun >= 0:
        percent = ", ".join(f"{slot} {part} %" for slot, part in state.possible_shares(plan)[-1])
        yield f"  step {state.last_begun + 1} of {len(plan.steps)} was started; traffic by the journal: {percent}"
    if not running and not nothing_begun and state.status not in (DONE, ROLLED_BACK, GATE_CLOSED, PLANNED):
        yield "  continue with `prodcheck deploy --resume`, or roll back with `prodcheck deploy --undo`"


def status_document(
    plan: Plan | None, state: DeploymentState | None, comparison_lines: Iterable[str] = ()
) -> dict[str, Any]:
    """The plan and the state for programs, as far as there are any. Steps count from 1."""
    found: dict[str, Any] = {"state": state.status if state else "", "why": state.reason if state else ""}
    if state is not None and plan is not None and state.last_begun >= 0:
        found |= {"begun": state.last_begun + 1, "traffic": [dict(shares) for shares in state.possible_shares(plan)]}
    if plan is not None:
        final = plan.point_of_no_return
        found["plan"] = {
            "digest": plan.digest, "strategy": plan.strategy, "old": plan.old, "revision": plan.revision,
            "point_of_no_return": None if final is None else final + 1, "after_rollback": plan.after_gate,
            "steps": [_step_document(step) for step in plan.steps], "comparison": list(comparison_lines),
        }  # fmt: skip
    return found


def _step_document(step: Step) -> dict[str, Any]:
    undo = step.undo.describe() if step.undo else None
    return {
        "kind": step.kind,
        "does": step.describe(),
        "undo": undo,
        "gate": step.gate or None,
        "slot": step.slot or None,
    }
