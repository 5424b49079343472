"""The reference: what gates must answer, for a person to check by reading. No I/O, nothing of prodcheck's own.

A gate opens for what was judged good, whole, under the very same files, for the same revision, with the same key, and
not too long ago; or where a person has overridden it for that revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

MAX_AGE, OVERRIDDEN_FOR, SLACK = 900.0, 1800.0, 5.0  # seconds
GATES = {"dev": "smoke", "live": "smoke", "prod": "before"}  # before needs dev:smoke
OPEN, CLOSED, USAGE = "open", "closed", "usage"
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


EXTRAS = ("", "passes", "fails", "not collected", "suite hidden")


@dataclass(frozen=True)
class Judged:
    """What the newest run of a gate published."""

    files: Files
    revision: str
    key: int
    at: float
    good: bool
    why: str = ""  # it is not good


@dataclass(frozen=True)
class Overridden:
    """What a person let pass."""

    environment: str
    revision: str
    key: int
    at: float


@dataclass
class World:
    """Everything there is. now: seconds of the wall clock, from any beginning."""

    files: Files = field(default_factory=Files)
    judged: dict[str, Judged] = field(default_factory=dict)  # by environment
    overrides: list[Overridden] = field(default_factory=list)
    key: int = 0
    now: float = 0.0
    why: str = ""  # the last answer is not "open"

    def revision(self, given: str | None, variable: str) -> str:
        """The one that is meant: given, the variable's, the file's."""
        return given or variable or self.files.written

    def run(self, environment: str, given: str | None, variable: str, meddled: str, edited: Files | None) -> None:
        """A run withdraws what it is about; what it publishes is good only if it was whole and nothing changed."""
        if given == "":
            return  # refused before anything is touched
        revision = self.revision(given, variable)
        if environment == "live" and not revision:
            return
        before, good, why = self.files, self.files.good(environment), "not good"
        if self.files.extra in ("not collected", "suite hidden"):
            good, why = False, "25: a check that nobody collects"
        if edited is not None:  # be it that it says the same again
            self.files, good, why = edited, False, "04: edited during the run"
        if meddled in ("killed", "narrowed"):
            good, why = False, meddled
        if environment == "prod" and good:
            good, why = self.answer("dev", revision or None, "", overridden=False) == OPEN, f"02: needs dev: {self.why}"
        if before.waived == "all" and environment == "live" and meddled != "killed":
            good, why = False, UNWAIVABLE
        self.judged[environment] = Judged(before, revision, self.key, self.now, good, why)

    def override(self, environment: str, given: str | None, variable: str) -> None:
        """Holds for the revision that is meant when it is made."""
        revision = self.revision(given, variable)
        if given != "" and not (environment == "live" and not revision):
            self.overrides.append(Overridden(environment, revision, self.key, self.now))

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
        if self.why == "" or (overridden and self.why != UNWAIVABLE and self._overridden(environment, revision)):
            return OPEN
        return CLOSED

    def _why_closed(self, environment: str, revision: str) -> str:
        found = self.judged.get(environment)
        if found is None:
            return "01: never judged"
        if not found.good:
            return found.why
        if replace(found.files, extra="", conftest="", helper="", limit=0) != replace(
            self.files, extra="", conftest="", helper="", limit=0
        ):
            return "other configuration"
        if found.files != self.files:
            return "05: other checks"
        if found.revision != revision:
            return "01: other revision"
        if found.key != self.key:
            return "other key"
        return "" if -SLACK <= self.now - found.at <= MAX_AGE else "too old"

    def _overridden(self, environment: str, revision: str) -> bool:
        return any(
            each.environment == environment
            and each.revision == revision
            and each.key == self.key
            and -SLACK <= self.now - each.at < OVERRIDDEN_FOR
            for each in self.overrides
        )
