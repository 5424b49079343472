"""What people see: the plan before anything happens, and where a deployment stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.position import CLOSED, DONE, PERSON, PLANNED, UNDOING, UNDONE, Position

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan, Step


def lines_of(plan: Plan, looks: Iterable[str] = ()) -> Iterator[str]:
    """The plan: each step with its undo, and where the way back ends. looks: of the comparisons, what they find."""
    unit = f", unit {plan.unit}" if plan.unit else ""
    yield f"plan {plan.digest[:16]}: {plan.environment}{unit}, {plan.strategy}, {plan.old} -> {plan.revision}"
    if not plan.changes_something:
        yield f"  {plan.revision} has all traffic already: its gate is asked, nothing is changed"
    for number, step in enumerate(plan.steps, 1):
        if plan.point_of_no_return == number - 1:
            yield "      ---- point of no return: what follows cannot be undone ----"
        yield f"{number:4}  {step.told():52}{_way_back(step)}".rstrip()
    if plan.changes_something:
        told = f"after a rollback, gate {plan.after_gate} is asked about {plan.old}"
        yield f"{told}; only where it is open, the rollback counts"
        if plan.point_of_no_return is None:
            yield "no point of no return: `prodcheck deploy --undo` brings the old revision back, also afterwards"
    for line in looks:
        yield f"  {line}"


def _way_back(step: Step) -> str:
    if step.change is None:
        return ""
    if step.undo is None and step.change.kind == "migrate" and not step.final:
        return "undo: none, it only adds"
    return "undo: none" if step.undo is None else f"undo: {step.undo.told()}"


def standing(plan: Plan, now: Position, *, running: bool) -> Iterator[str]:
    """Where a deployment stands, and what to do."""
    unit = f", unit {plan.unit}" if plan.unit else ""
    yield f"{plan.environment}{unit}: {plan.old} -> {plan.revision}, {plan.strategy}, plan {plan.digest[:16]}"
    why = f": {now.why}" if now.why else ""
    before = now.begun < 0 and not running
    told = {
        DONE: "done", UNDONE: f"undone{why}", CLOSED: f"nothing was changed{why}",
        PERSON: f"a person is needed{why}", PLANNED: "waits for approval",
    }.get(
        now.state,
        "on its way back" if now.state == UNDOING else "cut off before anything was changed" if before else "under way",
    )  # fmt: skip
    yield f"  {told}" + ("; a deployer is at it" if running else "")
    if now.begun >= 0:
        percent = ", ".join(f"{slot} {part} %" for slot, part in now.shares(plan)[-1])
        yield f"  step {now.begun + 1} of {len(plan.steps)} was begun; traffic by the journal: {percent}"
    if not running and not before and now.state not in (DONE, UNDONE, CLOSED, PLANNED):
        yield "  go on with `prodcheck deploy --resume`, or back with `prodcheck deploy --undo`"


def document(plan: Plan | None, now: Position | None, looks: Iterable[str] = ()) -> dict[str, Any]:
    """The same for programs: of the plan and of where it stands, as far as there is any. Steps count from 1."""
    found: dict[str, Any] = {"state": now.state if now else "", "why": now.why if now else ""}
    if now is not None and plan is not None and now.begun >= 0:
        found |= {"begun": now.begun + 1, "traffic": [dict(shares) for shares in now.shares(plan)]}
    if plan is not None:
        final = plan.point_of_no_return
        found["plan"] = {
            "digest": plan.digest, "strategy": plan.strategy, "old": plan.old, "revision": plan.revision,
            "point_of_no_return": None if final is None else final + 1, "after_rollback": plan.after_gate,
            "steps": [_step(step) for step in plan.steps], "comparison": list(looks),
        }  # fmt: skip
    return found


def _step(step: Step) -> dict[str, Any]:
    undo = step.undo.told() if step.undo else None
    return {"kind": step.kind, "does": step.told(), "undo": undo, "gate": step.gate or None, "slot": step.slot or None}
