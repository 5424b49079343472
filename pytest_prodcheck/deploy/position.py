"""Where a deployment stands, from its journal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_prodcheck.deploy.journal import Damaged
from pytest_prodcheck.deploy.plan import Change, Plan, Shares

DONE, UNDONE, CLOSED, PERSON, GOING, UNDOING, PLANNED, APPROVED = (
    "done", "undone", "closed", "person", "going", "undoing", "planned", "approved",
)  # fmt: skip
FINISHED = (DONE, UNDONE, CLOSED)  # nothing is left to do; what is not finished is resumed or undone


@dataclass(frozen=True)
class Position:
    """begun, finished: numbers of the last step that changes something; -1 for none. why: of the last state.

    undone: how many changes of the way back are done; undo_begun: whether another one was begun.
    backwards: undoing is one way.
    """

    state: str
    begun: int = -1
    finished: int = -1
    undone: int = 0
    undo_begun: bool = False
    backwards: bool = False
    why: str = ""

    def shares(self, plan: Plan) -> tuple[Shares, ...]:
        """How traffic may be shared now: as the last change of it left it, or as one that was begun leaves it."""
        found = [plan.shares_before(self.finished + 1)]
        if self.begun > self.finished:
            found.append(plan.shares_before(self.begun + 1))
        if self.backwards:
            way = way_back(plan, self.begun)
            for change, _ in way[: self.undone]:
                if change.kind == "share":
                    found = [change.shares]
            if self.undo_begun and self.undone < len(way) and way[self.undone][0].kind == "share":
                found.append(way[self.undone][0].shares)
        return tuple(dict.fromkeys(found))


def position(lines: Sequence[dict[str, Any]]) -> tuple[Plan, Position]:
    """The plan of a journal and where it stands; raises Damaged for lines that make no sense."""
    if not lines or lines[0].get("event") != "planned":
        raise Damaged("the journal does not begin with a plan")
    try:
        plan = Plan.parse(lines[0]["plan"])
        if plan.digest != lines[0]["digest"]:
            raise ValueError("the plan is not the one that was noted")
        found = Position(PLANNED)
        for line in lines[1:]:
            found = _after(found, line, len(plan.steps))
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the journal makes no sense: {error}") from None
    return plan, found


def _after(now: Position, line: dict[str, Any], steps: int) -> Position:
    event = line["event"]
    known = {
        "approved": APPROVED, "going": GOING, "judged": now.state, "begun": GOING, "finished": GOING,
        "undoing": UNDOING, "undo-begun": UNDOING, "undo-finished": UNDOING, "done": DONE, "undone": UNDONE,
        "closed": CLOSED, "person": PERSON,
    }  # fmt: skip
    if event not in known:
        raise ValueError(f"there is no event {event!r}")
    changed: dict[str, Any] = {"state": known[event]}
    if event in ("begun", "finished"):
        changed[event] = int(line["step"])
        if not 0 <= changed[event] < steps or now.backwards:
            raise ValueError(f"step {changed[event]} cannot be {event} here")
    if event == "undoing":
        changed["backwards"] = True
    if event == "undo-begun":
        changed["undo_begun"] = True
    if event == "undo-finished":
        changed |= {"undo_begun": False, "undone": int(line["number"]) + 1}
    if "why" in line:
        changed["why"] = str(line["why"])
    return Position(**{**vars(now), **changed})


def way_back(plan: Plan, begun: int) -> list[tuple[Change, int]]:
    """The changes that lead back from the last step that was begun, each with the number of the step that it undoes.

    None exists twice in a row: a canary gets nothing at once.
    """
    found: list[tuple[Change, int]] = []
    for number in range(begun, -1, -1):
        undo = plan.steps[number].undo
        if undo is not None and (not found or undo != found[-1][0]):
            found.append((undo, number))
    return found


def is_final(plan: Plan, begun: int) -> bool:
    """Whether the point of no return was passed, or may have been."""
    return plan.point_of_no_return is not None and begun >= plan.point_of_no_return


def expected(plan: Plan, begun: int) -> dict[str, str]:
    """Slot -> the revision it has to run to be given traffic, once the steps up to `begun` were done."""
    found = dict(plan.revisions)
    for step in plan.steps[: begun + 1]:
        if step.change is not None and step.change.kind in ("start", "roll"):
            found[step.change.slot] = step.change.revision
    return found


def start_again(now: Position) -> int:
    """The step to go on with: all that was judged since the last finished change is judged again, from zero.

    A change that was begun and not finished is done again; it says where to arrive.
    """
    return now.finished + 1
