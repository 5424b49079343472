"""Carries a plan out: each change between two lines of the journal, gates between them, and the way back.

Nothing here opens by default: a step is done when its gate answered 0, or its change was seen; all else leads back, or
to a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_prodcheck.deploy.deployment_state import (
    DeploymentState,
    expected_revisions,
    past_point_of_no_return,
    replay,
    resume_step,
    rollback_changes,
)
from pytest_prodcheck.deploy.drivers import Driver, DriverProblem, apply, observe_with_migrations
from pytest_prodcheck.deploy.gate_client import BLOCKED, CANNOT_TELL, CODE_NAMES, OPEN, REFUSED, GateAnswer, GateClient
from pytest_prodcheck.deploy.plan import CONTRACT, Change, ObservedState, Plan, Shares, Step

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.journal import Journal

DONE, ROLLED_BACK, NEEDS_PERSON, WAITING_FOR_APPROVAL, BUSY = 0, 20, 21, 22, 23
_OBSERVATION_ATTEMPTS, _OBSERVATION_INTERVAL = 3, 1.0  # at what is; seconds between them
_T = TypeVar("_T")


class CanaryComparison(Protocol):
    """Compares a canary with the baseline."""

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        """0: no worse, with enough samples; 1: worse; 3: cannot tell. repetition: 0 for the first comparison."""


class StepReporter(Protocol):
    """Shows the progress; must not raise."""

    def step(self, number: int, of: int, text: str) -> None:
        """A step begins."""

    def result(self, text: str, more: str = "") -> None:
        """The result of the step."""


class PauseFunction(Protocol):
    """Waits during monitoring; `remaining` seconds of it are left."""

    def __call__(self, seconds: float, remaining: float) -> None:
        """Waits for so many seconds."""


class Deployer:
    """Runs one deployment, from the state in its journal."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        driver: Driver,
        gates: GateClient,
        comparison: CanaryComparison,
        reporter: StepReporter,
        *,
        hold: bool = False,
        ready: float = 60.0,
        every: float = 30.0,
        pause: PauseFunction | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.journal, self.driver, self.gates, self.comparison = plan, journal, driver, gates, comparison
        self.reporter, self.hold, self.ready, self.every, self.clock = reporter, hold, ready, every, clock
        self.pause: PauseFunction = pause or (lambda seconds, remaining: time.sleep(seconds))

    @property
    def state(self) -> DeploymentState:
        """The state by the journal."""
        return replay(self.journal.lines)[1]

    def run(self) -> int:
        """Continues the deployment; returns the exit code."""
        state = self.state
        if state.rolling_back:
            return self.undo("")
        try:
            reason = self._observed_problem(lambda observed: _unexpected_traffic(observed, self.plan, state))
        except DriverProblem as error:
            reason = f"the current state cannot be observed: {error}"
            if state.last_begun >= 0:
                return self._need_person(reason)
            self.reporter.result(reason)
            return CANNOT_TELL
        if reason:
            self.reporter.result(reason)
            return REFUSED
        self.journal.add("going")
        rest = range(resume_step(state), len(self.plan.steps))
        for number in self._gates_to_repeat(state, rest):
            answer = self._evaluate_and_record(number, self.plan.steps[number])
            if answer.code != OPEN:
                return self._handle_closed_gate(self.plan.steps[number], answer)
        for number in rest:
            step = self.plan.steps[number]
            final = "; cannot be undone from here" if number == self.plan.point_of_no_return else ""
            self.reporter.step(number + 1, len(self.plan.steps), step.describe() + final)
            code = self._run_change_step(number, step) if step.change is not None else self._run_gate_step(number, step)
            if code is not None:
                return code
        if reason := self._incomplete_rollout():
            self.reporter.result("failed", reason)
            return self.undo(reason)
        self.journal.add("done")
        return DONE

    def _gates_to_repeat(self, state: DeploymentState, rest: range) -> list[int]:
        """The steps before the rest that are judged again: no change follows an answer from before a pause."""
        if state.last_begun < 0:
            return []
        found = [] if self._may_have_traffic(state) else [0]
        if not any(self.plan.steps[number].gate for number in rest):
            found += [number for number, step in enumerate(self.plan.steps) if step.kind == "gate"][-1:]
        return list(dict.fromkeys(found))

    def _incomplete_rollout(self) -> str:
        """Why the new revision does not have all traffic at the end, "" where it does."""
        shares = self.plan.shares_before(len(self.plan.steps))

        def find_problem(observed: ObservedState) -> str:
            if observed.problem or observed.shares != shares:
                return observed.problem or f"traffic was changed from outside: {_format_shares(observed.shares)}"
            wrong_slot = next(
                (slot for slot in observed.slots_with_traffic if observed.revisions.get(slot) != self.plan.revision), ""
            )
            return f"{wrong_slot} shows {observed.revisions.get(wrong_slot) or '-'}" if wrong_slot else ""

        try:
            return self._observed_problem(find_problem)
        except DriverProblem as error:
            return f"the current state cannot be observed: {error}"

    def undo(self, reason: str) -> int:
        """Rolls back all changes, and proves it by the gate of the old revision; returns the exit code."""
        state = self.state
        if state.last_begun < 0:
            self.journal.add("closed", why=reason)
            return REFUSED
        if past_point_of_no_return(self.plan, state.last_begun):
            return self._need_person(
                f"the deployment is past the point of no return: {reason}"
                if reason
                else "the deployment is past the point of no return and cannot be undone"
            )
        if not state.rolling_back:
            self.journal.add("undoing", why=reason)
        changes = rollback_changes(self.plan, state.last_begun)
        first = self.state.undone_changes
        for number, (change, step) in enumerate(changes[first:], first):
            self.reporter.step(number + 1, len(changes), f"undo: {change.describe()}")
            self.journal.add("undo-begun", number=number)
            try:
                self._guard(change, expected_revisions(self.plan, step - 1))
                self._apply(change)
            except DriverProblem as error:
                return self._need_person(f"{change.describe()}: {error}")
            self.journal.add("undo-finished", number=number)
            self.reporter.result("done")
        return self._verify_rollback()

    def _verify_rollback(self) -> int:
        """A rollback is complete only if the old revision has all traffic and its gate is open."""

        def find_problem(observed: ObservedState) -> str:
            other = any(observed.revisions.get(slot) != self.plan.old for slot in observed.slots_with_traffic)
            back = observed.shares == self.plan.shares and not other
            return observed.problem or ("" if back else "the old revision does not have all traffic")

        try:
            reason = self._observed_problem(find_problem)
        except DriverProblem as error:
            reason = f"the current state cannot be observed: {error}"
        if reason:
            return self._need_person(reason)
        gate = self.plan.after_gate
        self.reporter.step(1, 1, f"gate {gate} of {self.plan.old}")
        answer = self._ask_with_retry(gate, "", self.plan.old)
        self.journal.add("judged", step=-1, code=answer.code)
        self.reporter.result(_format_answer(answer), answer.text if answer.code else "")
        if answer.code != OPEN or answer.observed:
            return self._need_person(f"the gate {gate} of the old revision {self.plan.old} is {_format_answer(answer)}")
        self.journal.add("undone", why=self.state.reason)
        return ROLLED_BACK

    def _run_change_step(self, number: int, step: Step) -> int | None:
        assert step.change is not None
        self.journal.add("begun", step=number)
        try:
            self._guard(step.change, expected_revisions(self.plan, number), self.state.possible_shares(self.plan))
            self._apply(step.change)
        except DriverProblem as error:
            self.reporter.result("failed", str(error))
            return self.undo(f"{step.change.describe()}: {error}")
        self.journal.add("finished", step=number)
        self.reporter.result("done")
        return None

    def _run_gate_step(self, number: int, step: Step) -> int | None:
        """Runs the gate; None if it is open, else the exit code of the deployment."""
        answer = self._monitor(number, step) if step.kind == "watch" else self._evaluate_and_record(number, step)
        if answer.code == OPEN:
            return None
        return self._handle_closed_gate(step, answer)

    def _handle_closed_gate(self, step: Step, answer: GateAnswer) -> int:
        reason = f"{step.describe()}: {CODE_NAMES[answer.code]}"
        if self.state.last_begun < 0:
            self.journal.add("closed", why=reason, code=answer.code)
            return answer.code
        if self.hold and step.loaded and answer.code != BLOCKED:
            return self._need_person(f'{reason}; the deployment is on hold (cannot_tell = "hold")')
        return self.undo(reason)

    def _evaluate_and_record(self, number: int, step: Step) -> GateAnswer:
        """One answer, written to the journal."""
        answer = self._evaluate(number, step)
        self.journal.add("judged", step=number, code=answer.code)
        return answer

    def _evaluate(self, number: int, step: Step) -> GateAnswer:
        """One answer; with traffic on the new revision "cannot tell" is asked once more."""
        if step.kind == "compare":
            answer = self._compare(number, step)
            if answer.code == CANNOT_TELL:
                self.journal.add("judged", step=number, code=answer.code)
                answer = self._compare(number, step)
        elif step.loaded:
            answer = self._ask_with_retry(step.gate, step.slot, self.plan.revision)
        else:
            wait = self.ready if step.slot else 0.0
            answer = _call_gate(lambda: self.gates.ask(step.gate, step.slot, self.plan.revision, wait))
        self.reporter.result(_format_answer(answer), answer.text if answer.code or step.kind == "compare" else "")
        return answer

    def _compare(self, number: int, step: Step) -> GateAnswer:
        """One comparison; what it may be wrong with depends on how many were repeated in all calls."""
        judged_steps = [line["step"] for line in self.journal.lines if line["event"] == "judged" and line["step"] >= 0]
        comparisons = [each for each in judged_steps if self.plan.steps[each].kind == "compare"]
        repetition = len(comparisons) - len(set(comparisons)) + 1 if number in comparisons else 0
        return _call_gate(lambda: self.comparison.compare(step.slot, step.beside, repetition))

    def _ask_with_retry(self, gate: str, slot: str, revision: str) -> GateAnswer:
        answer = _call_gate(lambda: self.gates.ask(gate, slot, revision))
        return _call_gate(lambda: self.gates.ask(gate, slot, revision)) if answer.code == CANNOT_TELL else answer

    def _monitor(self, number: int, step: Step) -> GateAnswer:
        """Runs the gate repeatedly until the time is over; the last answer is not older than the end.

        The journal has the first and the last answer only, so that it stays small.
        """
        end, first = self.clock() + step.seconds, True
        while True:
            remaining = end - self.clock()
            if remaining > 0:
                self.pause(min(self.every, remaining), remaining)
            answer = self._evaluate(number, step)
            over = answer.code != OPEN or self.clock() >= end
            if first or over:
                self.journal.add("judged", step=number, code=answer.code)
            first = False
            if over:
                return answer

    def _observed_problem(self, find_problem: Callable[[ObservedState], str], change: Change | None = None) -> str:
        """Why what is there is not as it has to be, "" where it is; raises DriverProblem where nobody can see.

        Looks a few times, for a copy may be slow to answer once. change: which it is about, if about one.
        """
        migrates = change is not None and change.kind == "migrate"
        observe = partial(observe_with_migrations, self.driver) if migrates else self.driver.observe
        reason = ""
        for attempt in range(_OBSERVATION_ATTEMPTS):
            if attempt:
                self.pause(_OBSERVATION_INTERVAL, 0.0)
            try:
                reason = find_problem(_call_driver(observe))
            except DriverProblem:
                if attempt == _OBSERVATION_ATTEMPTS - 1:
                    raise
                continue
            if not reason:
                break
        return reason

    def _guard(self, change: Change, revisions: dict[str, str], allowed: tuple[Shares, ...] = ()) -> None:
        """Raises DriverProblem where a change may not be. allowed: how traffic may be shared, () for any way."""
        if reason := self._observed_problem(
            lambda observed: _foreign_traffic(observed, allowed) or _unsafe_change(change, observed, revisions), change
        ):
            raise DriverProblem(reason)

    def _apply(self, change: Change) -> None:
        """Applies a change and observes the result, whatever the driver reported; raises DriverProblem."""
        _call_driver(lambda: apply(self.driver, change))
        if reason := self._observed_problem(lambda observed: _unfinished_change(change, observed), change):
            raise DriverProblem(reason)

    def _may_have_traffic(self, state: DeploymentState) -> bool:
        """Whether the new revision has, or may have, traffic."""
        steps = self.plan.steps[: state.last_begun + 1]
        return any(step.change is not None and step.change.kind in ("share", "roll") and step.loaded for step in steps)

    def _need_person(self, reason: str) -> int:
        self.journal.add("person", why=reason)
        self.reporter.result(f"a person must act: {reason}")
        return NEEDS_PERSON


def _call_driver(call: Callable[[], _T]) -> _T:
    """What a driver answers; whatever it did not foresee is a trouble like any other, which leads back."""
    try:
        return call()
    except DriverProblem:
        raise
    except Exception as error:
        raise DriverProblem(_unexpected_error(error)) from error


def _call_gate(ask: Callable[[], GateAnswer]) -> GateAnswer:
    """The answer of a gate or comparison; one that fails, or answers with no code of a gate, cannot tell."""
    try:
        answer = ask()
    except Exception as error:
        return GateAnswer(CANNOT_TELL, _unexpected_error(error))
    return answer if answer.code in CODE_NAMES else GateAnswer(CANNOT_TELL, answer.text)


def _format_answer(answer: GateAnswer) -> str:
    return f"only observed, otherwise {answer.observed}" if answer.observed else CODE_NAMES[answer.code]


def _unexpected_error(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _format_shares(shares: Shares) -> str:
    return ", ".join(f"{slot} {percent} %" for slot, percent in shares)


def _unexpected_traffic(observed: ObservedState, plan: Plan, state: DeploymentState) -> str:
    """Why traffic is not as the journal left it, "" where it is."""
    if reason := _foreign_traffic(observed, state.possible_shares(plan)):
        return f"{reason}; `--undo` rolls back" if state.last_begun >= 0 else reason
    if state.last_begun >= 0:
        return ""
    planned = dict(plan.revisions)
    wrong_slot = next(
        (slot for slot in observed.slots_with_traffic if observed.revisions.get(slot) != planned.get(slot)), ""
    )
    running = observed.revisions.get(wrong_slot) or "-"
    return f"{wrong_slot} shows {running}; the plan expects {planned.get(wrong_slot) or '-'}" if wrong_slot else ""


def _foreign_traffic(observed: ObservedState, allowed: tuple[Shares, ...]) -> str:
    """Why traffic is not shared as we left it; () allows any way."""
    good = not allowed or observed.shares in allowed
    return "" if good else f"traffic was changed from outside: {observed.problem or _format_shares(observed.shares)}"


def _unfinished_change(change: Change, observed: ObservedState) -> str:
    """Why a change is not done, "" where it is."""
    if change.kind == "migrate":
        remaining = [each for each in observed.pending if each.startswith(f"{change.phase} ")]
        return f"{remaining[0]} is still pending" if remaining else ""
    running = observed.revisions.get(change.slot)
    if change.kind == "share":
        return observed.problem or (
            "" if observed.shares == change.shares else f"the traffic shares are {_format_shares(observed.shares)}"
        )
    if change.kind in ("start", "roll"):
        return "" if running == change.revision else f"{change.slot} shows {running or '-'}"
    return f"{change.slot} still shows {running}" if running else ""


def _unsafe_change(change: Change, observed: ObservedState, revisions: dict[str, str]) -> str:
    """Why a change may not be.

    Traffic goes only to copies that show the revision they have to; those with traffic are neither started nor stopped,
    but rolled out where there is no other copy.
    """
    if change.kind == "roll":
        return ""
    if change.kind == "migrate":
        return _unsafe_migration(change, observed, revisions)
    if change.kind != "share":
        if observed.problem and not observed.slots_with_traffic:
            return f"cannot tell whether {change.slot} has traffic: {observed.problem}"
        return f"{change.slot} has traffic" if change.slot in observed.slots_with_traffic else ""
    for slot, percent in change.shares:
        running, expected = observed.revisions.get(slot), revisions.get(slot)
        if percent and (not running or running != expected):
            return f"{slot} shows {running or '-'}, not {expected or '-'}: no traffic is sent to it"
    return ""


def _unsafe_migration(change: Change, observed: ObservedState, revisions: dict[str, str]) -> str:
    """Why migrations may not be applied: others than planned are pending, or what goes is needed by what is live."""
    pending = tuple(each.partition(" ")[2] for each in observed.pending if each.startswith(f"{change.phase} "))
    if not set(pending) <= set(change.names):
        unplanned = next(each for each in pending if each not in change.names)
        return f"the migration {unplanned} is not in the plan"
    if changed := next((name for name, sql in observed.sql if name in pending and (name, sql) not in change.sql), ""):
        return f"the SQL of the migration {changed} has changed since the plan was made"
    old_slot = next(
        (slot for slot in observed.slots_with_traffic if observed.revisions.get(slot) != revisions.get(slot)), ""
    )
    if change.phase == CONTRACT and old_slot:
        running = observed.revisions.get(old_slot) or "-"
        return f"{old_slot} has traffic and shows {running}: a contract migration could break it"
    return ""


def plan_entry(plan: Plan) -> dict[str, Any]:
    """What the first line of a journal holds."""
    return {"plan": plan.dump(), "digest": plan.digest}
