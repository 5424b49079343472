"""Carries a plan out: each change between two lines of the journal, gates between them, and the way back.

Nothing here opens by default: a step is done when its gate answered 0, or its change was seen; all else leads back, or
to a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_prodcheck.deploy.asking import BLOCKED, CANNOT_TELL, OPEN, REFUSED, WORDS, Answer, Gates
from pytest_prodcheck.deploy.drivers import Driver, DriverProblem, apply, observe_with_migrations
from pytest_prodcheck.deploy.plan import CONTRACT, Change, Plan, Shares, Step, World
from pytest_prodcheck.deploy.position import Position, expected, is_final, position, start_again, way_back

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.journal import Journal

DONE, UNDONE, PERSON, WAITS, BUSY = 0, 20, 21, 22, 23
_LOOKS, _BETWEEN = 3, 1.0  # at what is; seconds between them
_T = TypeVar("_T")


class Compares(Protocol):
    """Whoever compares a canary with the copy beside it."""

    def compare(self, slot: str, beside: str, again: int) -> Answer:
        """0: no worse, with enough samples; 1: worse; 3: cannot tell. again: which repetition it is, 0 for none."""


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
        try:
            why = self._settled(lambda world: _moved(world, self.plan, now))
        except DriverProblem as error:
            why = f"what is there cannot be observed: {error}"
            if now.begun >= 0:
                return self._person(why)
            self.tells.result(why)
            return CANNOT_TELL
        if why:
            self.tells.result(why)
            return REFUSED
        self.journal.add("going")
        rest = range(start_again(now), len(self.plan.steps))
        for number in self._again(now, rest):
            answer = self._judged(number, self.plan.steps[number])
            if answer.code != OPEN:
                return self._closed(self.plan.steps[number], answer)
        for number in rest:
            step = self.plan.steps[number]
            final = "; no way back from here" if number == self.plan.point_of_no_return else ""
            self.tells.step(number + 1, len(self.plan.steps), step.told() + final)
            code = self._change(number, step) if step.change is not None else self._judge(number, step)
            if code is not None:
                return code
        if why := self._not_there():
            self.tells.result("failed", why)
            return self.undo(why)
        self.journal.add("done")
        return DONE

    def _again(self, now: Position, rest: range) -> list[int]:
        """The steps before the rest that are judged again: no change follows an answer from before a pause."""
        if now.begun < 0:
            return []
        found = [] if self._loaded(now) else [0]
        if not any(self.plan.steps[number].gate for number in rest):
            found += [number for number, step in enumerate(self.plan.steps) if step.kind == "gate"][-1:]
        return list(dict.fromkeys(found))

    def _not_there(self) -> str:
        """Why the new revision does not have all traffic at the end, "" where it does."""
        shares = self.plan.shares_before(len(self.plan.steps))

        def wrong(world: World) -> str:
            if world.trouble or world.shares != shares:
                return world.trouble or f"traffic was moved: it is {_told(world.shares)}"
            other = next((slot for slot in world.carrying if world.revisions.get(slot) != self.plan.revision), "")
            return f"{other} shows {world.revisions.get(other) or '-'}" if other else ""

        try:
            return self._settled(wrong)
        except DriverProblem as error:
            return f"what is there cannot be observed: {error}"

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
                self._apply(change)
            except DriverProblem as error:
                return self._person(f"{change.told()}: {error}")
            self.journal.add("undo-finished", number=number)
            self.tells.result("done")
        return self._prove()

    def _prove(self) -> int:
        """A way back counts only when the old revision carries all traffic and its gate is open."""

        def wrong(world: World) -> str:
            other = any(world.revisions.get(slot) != self.plan.old for slot in world.carrying)
            back = world.shares == self.plan.shares and not other
            return world.trouble or ("" if back else "traffic is not back on the old revision")

        try:
            why = self._settled(wrong)
        except DriverProblem as error:
            why = f"what is there cannot be observed: {error}"
        if why:
            return self._person(why)
        gate = self.plan.after_gate
        self.tells.step(1, 1, f"gate {gate} of {self.plan.old}")
        answer = self._ask_twice(gate, "", self.plan.old)
        self.journal.add("judged", step=-1, code=answer.code)
        self.tells.result(WORDS[answer.code], answer.text if answer.code else "")
        if answer.code != OPEN:
            return self._person(f"the gate {gate} of the old revision {self.plan.old} is {WORDS[answer.code]}")
        self.journal.add("undone", why=self.now.why)
        return UNDONE

    def _change(self, number: int, step: Step) -> int | None:
        assert step.change is not None
        self.journal.add("begun", step=number)
        try:
            self._guard(step.change, expected(self.plan, number), self.now.shares(self.plan))
            self._apply(step.change)
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
        """One answer, noted."""
        answer = self._asked(number, step)
        self.journal.add("judged", step=number, code=answer.code)
        return answer

    def _asked(self, number: int, step: Step) -> Answer:
        """One answer; with traffic on the new revision "cannot tell" is asked once more."""
        if step.kind == "compare":
            answer = self._looked(number, step)
            if answer.code == CANNOT_TELL:
                self.journal.add("judged", step=number, code=answer.code)
                answer = self._looked(number, step)
        elif step.loaded:
            answer = self._ask_twice(step.gate, step.slot, self.plan.revision)
        else:
            wait = self.ready if step.slot else 0.0
            answer = _answered(lambda: self.gates.ask(step.gate, step.slot, self.plan.revision, wait))
        self.tells.result(WORDS[answer.code], answer.text if answer.code or step.kind == "compare" else "")
        return answer

    def _looked(self, number: int, step: Step) -> Answer:
        """One comparison; what it may be wrong with depends on how many were repeated in all calls."""
        before = [line["step"] for line in self.journal.lines if line["event"] == "judged" and line["step"] >= 0]
        looks = [each for each in before if self.plan.steps[each].kind == "compare"]
        again = len(looks) - len(set(looks)) + 1 if number in looks else 0
        return _answered(lambda: self.compares.compare(step.slot, step.beside, again))

    def _ask_twice(self, gate: str, slot: str, revision: str) -> Answer:
        answer = _answered(lambda: self.gates.ask(gate, slot, revision))
        return _answered(lambda: self.gates.ask(gate, slot, revision)) if answer.code == CANNOT_TELL else answer

    def _watch(self, number: int, step: Step) -> Answer:
        """Asks again and again; the last answer is given when the time is over, so that none is older than the end.

        The first and the last answer are noted: a journal that grows with each one would be full some day.
        """
        end, first = self.clock() + step.seconds, True
        while True:
            left = end - self.clock()
            if left > 0:
                self.pause(min(self.every, left), left)
            answer = self._asked(number, step)
            over = answer.code != OPEN or self.clock() >= end
            if first or over:
                self.journal.add("judged", step=number, code=answer.code)
            first = False
            if over:
                return answer

    def _settled(self, wrong: Callable[[World], str], change: Change | None = None) -> str:
        """Why what is there is not as it has to be, "" where it is; raises DriverProblem where nobody can see.

        Looks a few times, for a copy may be slow to answer once. change: which it is about, if about one.
        """
        migrates = change is not None and change.kind == "migrate"
        observe = partial(observe_with_migrations, self.driver) if migrates else self.driver.observe
        why = ""
        for attempt in range(_LOOKS):
            if attempt:
                self.pause(_BETWEEN, 0.0)
            try:
                why = wrong(_driven(observe))
            except DriverProblem:
                if attempt == _LOOKS - 1:
                    raise
                continue
            if not why:
                break
        return why

    def _guard(self, change: Change, revisions: dict[str, str], allowed: tuple[Shares, ...] = ()) -> None:
        """Raises DriverProblem where a change may not be. allowed: how traffic may be shared, () for any way."""
        if why := self._settled(lambda world: _foreign(world, allowed) or _unsafe(change, world, revisions), change):
            raise DriverProblem(why)

    def _apply(self, change: Change) -> None:
        """Does it, and looks whether it is so, whatever the driver said; raises DriverProblem."""
        _driven(lambda: apply(self.driver, change))
        if why := self._settled(lambda world: _unseen(change, world), change):
            raise DriverProblem(why)

    def _loaded(self, now: Position) -> bool:
        """Whether the new revision has, or may have, traffic."""
        steps = self.plan.steps[: now.begun + 1]
        return any(step.change is not None and step.change.kind in ("share", "roll") and step.loaded for step in steps)

    def _person(self, why: str) -> int:
        self.journal.add("person", why=why)
        self.tells.result(f"a person is needed: {why}")
        return PERSON


def _driven(call: Callable[[], _T]) -> _T:
    """What a driver answers; whatever it did not foresee is a trouble like any other, which leads back."""
    try:
        return call()
    except DriverProblem:
        raise
    except Exception as error:
        raise DriverProblem(_unforeseen(error)) from error


def _answered(ask: Callable[[], Answer]) -> Answer:
    """The answer of a gate or comparison; one that fails, or answers with no code of a gate, cannot tell."""
    try:
        answer = ask()
    except Exception as error:
        return Answer(CANNOT_TELL, _unforeseen(error))
    return answer if answer.code in WORDS else Answer(CANNOT_TELL, answer.text)


def _unforeseen(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _told(shares: Shares) -> str:
    return ", ".join(f"{slot} {percent} %" for slot, percent in shares)


def _moved(world: World, plan: Plan, now: Position) -> str:
    """Why traffic is not as the journal left it, "" where it is."""
    if why := _foreign(world, now.shares(plan)):
        return f"{why}; `--undo` brings the old revision back" if now.begun >= 0 else why
    if now.begun >= 0:
        return ""
    planned = dict(plan.revisions)
    other = next((slot for slot in world.carrying if world.revisions.get(slot) != planned.get(slot)), "")
    shown = world.revisions.get(other) or "-"
    return f"{other} shows {shown}, not {planned.get(other) or '-'} as planned" if other else ""


def _foreign(world: World, allowed: tuple[Shares, ...]) -> str:
    """Why traffic is not shared as we left it; () allows any way."""
    good = not allowed or world.shares in allowed
    return "" if good else f"traffic is not as it was left: {world.trouble or f'it is {_told(world.shares)}'}"


def _unseen(change: Change, world: World) -> str:
    """Why a change is not done, "" where it is."""
    if change.kind == "migrate":
        left = [each for each in world.pending if each.startswith(f"{change.phase} ")]
        return f"{left[0]} is still pending" if left else ""
    shown = world.revisions.get(change.slot)
    if change.kind == "share":
        return world.trouble or ("" if world.shares == change.shares else "traffic is not shared so")
    if change.kind in ("start", "roll"):
        return "" if shown == change.revision else f"{change.slot} shows {shown or '-'}"
    return f"{change.slot} still shows {shown}" if shown else ""


def _unsafe(change: Change, world: World, revisions: dict[str, str]) -> str:
    """Why a change may not be.

    Traffic goes only to copies that show the revision they have to; those with traffic are neither started nor stopped,
    but rolled out where there is no other copy.
    """
    if change.kind == "roll":
        return ""
    if change.kind == "migrate":
        return _unsafe_to_migrate(change, world, revisions)
    if change.kind != "share":
        if world.trouble and not world.carrying:
            return f"nobody can tell whether {change.slot} has traffic: {world.trouble}"
        return f"{change.slot} has traffic" if change.slot in world.carrying else ""
    for slot, percent in change.shares:
        shown, wanted = world.revisions.get(slot), revisions.get(slot)
        if percent and (not shown or shown != wanted):
            return f"{slot} shows {shown or '-'}, not {wanted or '-'}: it gets no traffic"
    return ""


def _unsafe_to_migrate(change: Change, world: World, revisions: dict[str, str]) -> str:
    """Why migrations may not be applied: others than planned are pending, or what goes is needed by what is live."""
    here = tuple(each.partition(" ")[2] for each in world.pending if each.startswith(f"{change.phase} "))
    if not set(here) <= set(change.names):
        other = next(each for each in here if each not in change.names)
        return f"the migration {other} was not planned"
    if changed := next((name for name, sql in world.sql if name in here and (name, sql) not in change.sql), ""):
        return f"the SQL of the migration {changed} was changed since it was planned"
    old = next((slot for slot in world.carrying if world.revisions.get(slot) != revisions.get(slot)), "")
    if change.phase == CONTRACT and old:
        return f"{old} has traffic and shows {world.revisions.get(old) or '-'}: nothing may be taken away from it"
    return ""


def noted(plan: Plan) -> dict[str, Any]:
    """What the first line of a journal holds."""
    return {"plan": plan.dump(), "digest": plan.digest}
