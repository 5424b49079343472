"""The state of a deployment, from its journal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_prodcheck.deploy.journal import JournalDamaged
from pytest_prodcheck.deploy.plan import Change, Plan, Shares

DONE, ROLLED_BACK, GATE_CLOSED, NEEDS_PERSON, IN_PROGRESS, ROLLING_BACK, PLANNED, APPROVED = (
    "done", "undone", "closed", "person", "going", "undoing", "planned", "approved",
)  # fmt: skip
FINISHED = (DONE, ROLLED_BACK, GATE_CLOSED)  # nothing is left to do; what is not finished is resumed or undone


@dataclass(frozen=True)
class DeploymentState:
    """last_begun, last_finished: numbers of the last step that changes something; -1 for none. reason: of the status.

    undone_changes: how many changes are undone; undo_in_progress: whether the next undo was begun.
    rolling_back: never becomes False again.
    """

    status: str
    last_begun: int = -1
    last_finished: int = -1
    undone_changes: int = 0
    undo_in_progress: bool = False
    rolling_back: bool = False
    reason: str = ""

    def possible_shares(self, plan: Plan) -> tuple[Shares, ...]:
        """How traffic may be shared now: as the last change of it left it, or as one that was begun leaves it."""
        result = [plan.shares_before(self.last_finished + 1)]
        if self.last_begun > self.last_finished:
            result.append(plan.shares_before(self.last_begun + 1))
        if self.rolling_back:
            changes = rollback_changes(plan, self.last_begun)
            for change, _ in changes[: self.undone_changes]:
                if change.kind == "share":
                    result = [change.shares]
            if (
                self.undo_in_progress
                and self.undone_changes < len(changes)
                and changes[self.undone_changes][0].kind == "share"
            ):
                result.append(changes[self.undone_changes][0].shares)
        return tuple(dict.fromkeys(result))


def replay(lines: Sequence[dict[str, Any]]) -> tuple[Plan, DeploymentState]:
    """The plan of a journal and its state; raises JournalDamaged for inconsistent lines."""
    if not lines or lines[0].get("event") != "planned":
        raise JournalDamaged("the journal does not begin with a plan")
    try:
        plan = Plan.parse(lines[0]["plan"])
        if plan.digest != lines[0]["digest"]:
            raise ValueError("its plan does not match the recorded digest")
        result = DeploymentState(PLANNED)
        for line in lines[1:]:
            result = _apply_event(result, line, len(plan.steps))
    except (KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(f"the journal is inconsistent: {error}") from None
    return plan, result


def _apply_event(state: DeploymentState, line: dict[str, Any], steps: int) -> DeploymentState:
    event = line["event"]
    status_of_event = {
        "approved": APPROVED, "judged": state.status,
        "going": IN_PROGRESS, "begun": IN_PROGRESS, "finished": IN_PROGRESS,
        "undoing": ROLLING_BACK, "undo-begun": ROLLING_BACK, "undo-finished": ROLLING_BACK,
        "done": DONE, "undone": ROLLED_BACK, "closed": GATE_CLOSED, "person": NEEDS_PERSON,
    }  # fmt: skip
    if event not in status_of_event:
        raise ValueError(f"unknown event {event!r}")
    changed: dict[str, Any] = {"status": status_of_event[event]}
    if event in ("begun", "finished"):
        step = int(line["step"])
        if not 0 <= step < steps or state.rolling_back:
            raise ValueError(f"step {step} cannot be {event} here")
        changed[f"last_{event}"] = step
    if event == "undoing":
        changed["rolling_back"] = True
    if event == "undo-begun":
        changed["undo_in_progress"] = True
    if event == "undo-finished":
        changed |= {"undo_in_progress": False, "undone_changes": int(line["number"]) + 1}
    if "why" in line:
        changed["reason"] = str(line["why"])
    return DeploymentState(**{**vars(state), **changed})


def rollback_changes(plan: Plan, last_begun: int) -> list[tuple[Change, int]]:
    """The changes that lead back from the last step that was begun, each with the number of the step that it undoes.

    None exists twice in a row: a canary gets nothing at once.
    """
    result: list[tuple[Change, int]] = []
    for number in range(last_begun, -1, -1):
        undo = plan.steps[number].undo
        if undo is not None and (not result or undo != result[-1][0]):
            result.append((undo, number))
    return result


def past_point_of_no_return(plan: Plan, last_begun: int) -> bool:
    """Whether the point of no return was passed, or may have been."""
    return plan.point_of_no_return is not None and last_begun >= plan.point_of_no_return


def expected_revisions(plan: Plan, last_begun: int) -> dict[str, str]:
    """Slot -> the revision it has to run to be given traffic, once the steps up to `begun` were done."""
    result = dict(plan.revisions)
    for step in plan.steps[: last_begun + 1]:
        if step.change is not None and step.change.kind in ("start", "roll"):
            result[step.change.slot] = step.change.revision
    return result


def resume_step(state: DeploymentState) -> int:
    """The step to go on with: all that was judged since the last finished change is judged again, from zero.

    A change that was begun and not finished is done again; it says where to arrive.
    """
    return state.last_finished + 1
