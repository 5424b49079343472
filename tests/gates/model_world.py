"""The reference: what gates must answer, for a person to check by reading. No I/O, nothing of prodcheck's own.

A gate opens for what was judged good, whole, under the very same files, for the same revision, with the same key, and
not too long ago; or where a person has overridden it for that revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

MAX_AGE, OVERRIDDEN_FOR, SLACK = 900.0, 1800.0, 5.0  # seconds; the gate before needs dev:smoke
GATES, OPEN, CLOSED, USAGE = {"dev": "smoke", "live": "smoke", "prod": "before"}, "open", "closed", "usage"
UNWAIVABLE = "24: all is waived where protected"  # a usage error, which no override helps


@dataclass(frozen=True)
class Files:
    """A project's files, as far as they decide anything."""

    values: tuple[tuple[str, float], ...] = (("dev", 1.0), ("live", 1.0), ("prod", 1.0))  # what is measured
    written: str = "r1"  # the revision in prodcheck.toml; "" for none
    limit: int = 10  # in the own check
    extra: str = ""  # one of EXTRAS: another own check
    conftest: str = ""  # a comment in checks/conftest.py
    helper: str = ""  # a comment in checks/helper.py
    included: str = ""  # a comment in an included file
    waived: str = ""  # one of "", "one", "all"

    def good(self, environment: str) -> bool:
        """Whether all checks there are pass, or are waived one by one, and every one of them is sure to be missed."""
        measured = dict(self.values)[environment] <= self.limit or self.waived != ""
        return measured and (self.extra in ("", "passes") or (self.extra == "fails" and self.waived == "all"))


EXTRAS = ("", "passes", "fails", "not collected", "suite hidden")  # the last two: case 25


@dataclass(frozen=True)
class Judged:
    """What a run published."""

    files: Files
    revision: str
    key: int
    at: float
    good: bool
    why: str = ""  # it is not good
    ticket: float = 0.0  # when its run began; two never begin at a time


@dataclass(frozen=True)
class State:
    """What lies in `.prodcheck`: anyone can copy it, and put it back."""

    judged: dict[str, Judged] = field(default_factory=dict)  # by environment
    tickets: dict[str, float] = field(default_factory=dict)  # by environment: when its newest run began
    overrides: tuple[tuple[str, str, int, float], ...] = ()  # environment, revision, key, when
    key: int = 0


@dataclass
class World:
    """Everything there is. now: seconds of the wall clock, from any beginning."""

    files: Files = field(default_factory=Files)
    state: State = field(default_factory=State)
    place: int = 0  # the checkout in which all happens
    elsewhere: dict[int, tuple[Files, State]] = field(default_factory=dict)  # the other checkouts
    noted: dict[tuple[int, str], float] = field(default_factory=dict)  # where nobody reaches: newest run
    now: float = 0.0
    count: int = 0
    why: str = ""  # the last answer is not "open"

    def revision(self, given: str | None, variable: str) -> str:
        return given or variable or self.files.written

    def go(self, place: int, carry: bool) -> None:
        """To another checkout, at first a copy of this one; carry: with the state of this one."""
        self.elsewhere[self.place] = (self.files, self.state)
        self.files, there = self.elsewhere.get(place, (self.files, self.state))
        self.state, self.place = self.state if carry else there, place

    def begin(self, environment: str, given: str | None, variable: str) -> Judged | None:
        """A run takes away what it is about; None for one that is refused before anything is touched."""
        revision, key = self.revision(given, variable), (self.place, environment)
        if given == "" or (environment == "live" and not revision):
            return None
        self.count += 1
        before = max(self.noted.get(key, -1e9), self.state.tickets.get(environment, -1e9))
        ticket = self.noted[key] = max(self.now + self.count / 1000, before + 0.001)
        judged = {name: each for name, each in self.state.judged.items() if name != environment}
        self.state = replace(self.state, judged=judged, tickets={**self.state.tickets, environment: ticket})
        return Judged(self.files, revision, self.state.key, self.now, True, "", ticket)

    def end(self, environment: str, begun: Judged | None, meddled: str = "", edited: Files | None = None) -> None:
        """What it publishes is good only if it was whole and nothing changed; a run that began later stays."""
        if begun is None or meddled == "killed" or self.state.tickets.get(environment) != begun.ticket:
            return
        good, why = begun.files.good(environment), "not good"
        if edited is not None:  # be it that it says the same again
            self.files, good, why = edited, False, "04: edited during the run"
        good = good and meddled != "narrowed"
        if environment == "prod" and good:
            good = self.answer("dev", begun.revision or None, "", overridden=False) == OPEN
            why = f"02: needs dev: {self.why}"
        if begun.files.waived == "all" and environment == "live":
            good, why = False, UNWAIVABLE
        judged = {**self.state.judged, environment: replace(begun, good=good, why=why)}
        self.state = replace(self.state, judged=judged)

    def override(self, environment: str, given: str | None, variable: str) -> None:
        """Holds for the revision that is meant when it is made."""
        revision = self.revision(given, variable)
        if given != "" and not (environment == "live" and not revision):
            made = (environment, revision, self.state.key, self.now)
            self.state = replace(self.state, overrides=(*self.state.overrides, made))

    def answer(self, environment: str, given: str | None, variable: str, overridden: bool = True) -> str:
        """What `gate`, `exec` and `needs` must say."""
        revision = self.revision(given, variable)
        if given == "":
            self.why = "28: an empty revision"
            return USAGE
        if environment == "live" and not revision:
            self.why = "28: no revision where protected"
            return CLOSED
        self.why = self._why_closed(environment, revision)
        about = (environment, revision, self.state.key)
        times = [self.now - at for *scope, at in self.state.overrides if tuple(scope) == about]
        let = overridden and self.why != UNWAIVABLE and any(-SLACK <= age < OVERRIDDEN_FOR for age in times)
        return OPEN if self.why == "" or let else CLOSED

    def _why_closed(self, environment: str, revision: str) -> str:
        found = self.state.judged.get(environment)
        if found is None:
            return "01: never judged, or a run goes on or was killed"
        if found.key != self.state.key:
            return "other key"
        if not found.good:
            return found.why
        if found.ticket != self.state.tickets[environment]:
            return "an old verdict was put back"
        if found.ticket < self.noted.get((self.place, environment), found.ticket):
            return "an old state was put back"
        if found.files != self.files:
            return "02, 05: other files"
        if found.revision != revision:
            return "01: other revision"
        return "" if -SLACK <= self.now - found.at <= MAX_AGE else "too old"
