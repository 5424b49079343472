"""Carries a plan out: each change between two lines of the journal, gates between them, and the way back.

Nothing here opens by default: a step is done when its gate answered 0, or its change was seen; all else leads back, or
to a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pytest_prodcheck.deploy.asking import BLOCKED, CANNOT_TELL, OPEN, REFUSED, WORDS, Answer, Gates
from pytest_prodcheck.deploy.drivers import Driver, DriverProblem, apply
from pytest_prodcheck.deploy.plan import Change, Plan, Step, World
from pytest_prodcheck.deploy.position import Position, expected, is_final, position, start_again, way_back

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.journal import Journal

DONE, UNDONE, PERSON, WAITS, BUSY = 0, 20, 21, 22, 23
_LOOKS, _BETWEEN = 3, 1.0  # at what is, before a change; seconds between them


class Compares(Protocol):
    """Whoever compares a canary with the copy beside it."""

    def compare(self, slot: str, beside: str, look: int) -> Answer:
        """0: no worse, with enough samples; 1: worse; 3: cannot tell."""


class Tells(Protocol):
    """Progress for whoever watches; must not raise."""

    def step(self, number: int, of: int, text: str) -> None:
        """A step begins."""

    def result(self, text: str, more: str = "") -> None:
        """How it ended."""


class Pause(Protocol):
    """Waits, in a watch; `left` seconds of it are to come."""

    def __call__(self, seconds: float, left: float) -> None:
        """Waits so long."""


class Deployer:
    """One deployment, from wherever its journal says it stands."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        driver: Driver,
        gates: Gates,
        compares: Compares,
        tells: Tells,
        *,
        hold: bool = False,
        ready: float = 60.0,
        every: float = 30.0,
        pause: Pause | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.journal, self.driver, self.gates, self.compares = plan, journal, driver, gates, compares
        self.tells, self.hold, self.ready, self.every, self.clock = tells, hold, ready, every, clock
        self.pause: Pause = pause or (lambda seconds, left: time.sleep(seconds))

    @property
    def now(self) -> Position:
        """Where the journal says it stands."""
        return position(self.journal.lines)[1]

    def go(self) -> int:
        """Goes forward from where it stands; returns the exit code."""
        now = self.now
        if now.backwards:
            return self.undo("")
        if why := self._moved(now):
            self.tells.result(why)
            return REFUSED
        self.journal.add("going")
        if now.begun >= 0 and not self._loaded(now):
            before = self.plan.steps[0]
            answer = self._judged(0, before)
            if answer.code != OPEN:
                return self._closed(before, answer)
        for number in range(start_again(now), len(self.plan.steps)):
            step = self.plan.steps[number]
            self.tells.step(number + 1, len(self.plan.steps), step.told())
            code = self._change(number, step) if step.change is not None else self._judge(number, step)
            if code is not None:
                return code
        self.journal.add("done")
        return DONE

    def undo(self, why: str) -> int:
        """Goes back as far as it came, and proves it by the gate of the old revision; returns the exit code."""
        now = self.now
        if now.begun < 0:
            self.journal.add("closed", why=why)
            return REFUSED
        if is_final(self.plan, now.begun):
            return self._person(f"the point of no return was passed: {why}" if why else "it only goes forward now")
        if not now.backwards:
            self.journal.add("undoing", why=why)
        way = way_back(self.plan, now.begun)
        first = self.now.undone
        for number, (change, step) in enumerate(way[first:], first):
            self.tells.step(number + 1, len(way), f"back: {change.told()}")
            self.journal.add("undo-begun", number=number)
            try:
                self._guard(change, expected(self.plan, step - 1))
                apply(self.driver, change)
                self._seen(change)
            except DriverProblem as error:
                return self._person(f"{change.told()}: {error}")
            self.journal.add("undo-finished", number=number)
            self.tells.result("done")
        return self._prove()

    def _prove(self) -> int:
        """A way back counts only when the old revision carries all traffic and its gate is open."""
        try:
            world = self.driver.observe()
        except DriverProblem as error:
            return self._person(f"what is there cannot be observed: {error}")
        wrong = [slot for slot in world.carrying if world.revisions[slot] != self.plan.old]
        if world.trouble or world.shares != self.plan.shares or wrong:
            return self._person(world.trouble or "traffic is not back on the old revision")
        gate = self._after_gate()
        self.tells.step(1, 1, f"gate {gate} of {self.plan.old}")
        answer = self._ask_twice(gate, "", self.plan.old)
        self.journal.add("judged", step=-1, code=answer.code)
        self.tells.result(WORDS[answer.code], answer.text if answer.code else "")
        if answer.code != OPEN:
            return self._person(f"the gate {gate} of the old revision {self.plan.old} is {WORDS[answer.code]}")
        self.journal.add("undone", why=self.now.why)
        return UNDONE

    def _after_gate(self) -> str:
        return next(step.gate for step in reversed(self.plan.steps) if step.gate)

    def _change(self, number: int, step: Step) -> int | None:
        assert step.change is not None
        self.journal.add("begun", step=number)
        try:
            self._guard(step.change, expected(self.plan, number))
            apply(self.driver, step.change)
            self._seen(step.change)
        except DriverProblem as error:
            self.tells.result("failed", str(error))
            return self.undo(f"{step.change.told()}: {error}")
        self.journal.add("finished", step=number)
        self.tells.result("done")
        return None

    def _judge(self, number: int, step: Step) -> int | None:
        """Asks; None where it is open, else what became of the deployment."""
        answer = self._watch(number, step) if step.kind == "watch" else self._judged(number, step)
        if answer.code == OPEN:
            return None
        return self._closed(step, answer)

    def _closed(self, step: Step, answer: Answer) -> int:
        why = f"{step.told()}: {WORDS[answer.code]}"
        if self.now.begun < 0:
            self.journal.add("closed", why=why, code=answer.code)
            return answer.code
        if self.hold and step.loaded and answer.code != BLOCKED:
            return self._person(f"{why}; everything stays as it is (cannot_tell = hold)")
        return self.undo(why)

    def _judged(self, number: int, step: Step) -> Answer:
        """One answer, noted; with traffic on the new revision "cannot tell" is asked once more."""
        if step.kind == "compare":
            look = sum(each.kind == "compare" for each in self.plan.steps[:number])
            answer = self.compares.compare(step.slot, step.beside, look)
            if answer.code == CANNOT_TELL:
                answer = self.compares.compare(step.slot, step.beside, look)
        elif step.loaded:
            answer = self._ask_twice(step.gate, step.slot, self.plan.revision)
        else:
            answer = self.gates.ask(step.gate, step.slot, self.plan.revision, self.ready if step.slot else 0.0)
        if answer.code not in WORDS:
            answer = Answer(CANNOT_TELL, answer.text)
        self.journal.add("judged", step=number, code=answer.code)
        self.tells.result(WORDS[answer.code], answer.text if answer.code or step.kind == "compare" else "")
        return answer

    def _ask_twice(self, gate: str, slot: str, revision: str) -> Answer:
        answer = self.gates.ask(gate, slot, revision)
        return self.gates.ask(gate, slot, revision) if answer.code == CANNOT_TELL else answer

    def _watch(self, number: int, step: Step) -> Answer:
        """Asks again and again; the last answer is given when the time is over, so that none is older than the end."""
        end = self.clock() + step.seconds
        while True:
            left = end - self.clock()
            if left > 0:
                self.pause(min(self.every, left), left)
            answer = self._judged(number, step)
            if answer.code != OPEN or self.clock() >= end:
                return answer

    def _guard(self, change: Change, revisions: dict[str, str]) -> None:
        """Raises DriverProblem where a change may not be; looks a few times, for a copy may be slow to answer once."""
        for attempt in range(_LOOKS):
            try:
                why = _unsafe(change, self.driver.observe(), revisions)
            except DriverProblem as error:
                why = str(error)
            if not why:
                return
            if attempt < _LOOKS - 1:
                self.pause(_BETWEEN, 0.0)
        raise DriverProblem(why)

    def _seen(self, change: Change) -> None:
        """Whether it is so, whatever the driver said; raises DriverProblem."""
        world = self.driver.observe()
        if change.kind == "share" and (world.shares != change.shares or world.trouble):
            raise DriverProblem(world.trouble or "traffic is not shared so")
        if change.kind == "start" and world.revisions.get(change.slot) != change.revision:
            raise DriverProblem(f"{change.slot} shows {world.revisions.get(change.slot) or '-'}")
        if change.kind == "stop" and world.revisions.get(change.slot):
            raise DriverProblem(f"{change.slot} still shows {world.revisions[change.slot]}")

    def _moved(self, now: Position) -> str:
        """Why traffic is not as the journal left it, "" where it is; raises DriverProblem."""
        world = self.driver.observe()
        allowed = now.shares(self.plan)
        if world.shares in allowed:
            return ""
        shown = ", ".join(f"{slot} {percent} %" for slot, percent in world.shares)
        return f"traffic is not as it was left: it is {shown}; `--undo` brings the old revision back"

    def _loaded(self, now: Position) -> bool:
        """Whether the new revision has, or may have, traffic."""
        steps = self.plan.steps[: now.begun + 1]
        return any(step.change is not None and step.change.kind == "share" and step.loaded for step in steps)

    def _person(self, why: str) -> int:
        self.journal.add("person", why=why)
        self.tells.result(f"a person is needed: {why}")
        return PERSON


def _unsafe(change: Change, world: World, revisions: dict[str, str]) -> str:
    """Why a change may not be.

    Traffic goes only to copies that show the revision they have to; those with traffic are neither started nor stopped.
    """
    if change.kind != "share":
        return f"{change.slot} has traffic" if change.slot in world.carrying else ""
    for slot, percent in change.shares:
        shown, wanted = world.revisions.get(slot), revisions.get(slot)
        if percent and (not shown or shown != wanted):
            return f"{slot} shows {shown or '-'}, not {wanted or '-'}: it gets no traffic"
    return ""


def noted(plan: Plan) -> dict[str, Any]:
    """What the first line of a journal holds."""
    return {"plan": plan.dump(), "digest": plan.digest}
