"""The driver `commands`: a team's own programs move copies and traffic, and say what is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.child_processes import child_environment
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import Shares, World
from pytest_prodcheck.trusted_files import refuse_foreign

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import Site
    from pytest_prodcheck.environments.sections.deploy import CopyCommands, ShareCommands

PAUSE = 0.2  # seconds between two looks at what is
_SHOWN = 300  # characters of what a program said


class Programs:
    """Runs the declared programs with their placeholders filled in; what they print may be shown, so no secrets."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def run(self, command: Sequence[str], seconds: float, **names: str) -> str:
        """What it printed; raises DriverProblem where it failed, could not start or took too long."""
        words = [self._filled(word, names) for word in command]
        if "/" in words[0]:
            try:
                refuse_foreign(str(self.site.root / words[0]), "the program")
            except ValueError as error:
                raise DriverProblem(str(error)) from None
        done = self.site.runner.run(words, seconds, child_environment(words[0], self.site.passed))
        if done.code == 0:
            return done.text
        how = f"took longer than {seconds:g} s" if done.code is None else f"ended with {done.code}"
        said = " ".join(done.text.split())[-_SHOWN:]
        raise DriverProblem(f"{words[0]} {how}" + (f": {said}" if said else ""))

    def _filled(self, word: str, names: dict[str, str]) -> str:
        for name, value in {"unit": self.site.unit, **names}.items():
            word = word.replace(f"{{{name}}}", value)
        return word


class Copies:
    """Starts, stops and observes copies by programs."""

    def __init__(self, site: Site) -> None:
        assert site.settings.commands is not None
        self._programs, self._slots = Programs(site), site.settings.slots
        self._with: CopyCommands = site.settings.commands.copy_

    def revisions(self) -> dict[str, str]:
        """Slot -> revision, "" for a copy that does not answer well."""
        told = table(self._programs.run(self._with.observe, self._with.timeout), self._slots, "commands.copy.observe")
        return {slot: "" if value == "-" else value for slot, value in told.items()}

    def start(self, slot: str, revision: str) -> None:
        """Starts it and waits until it is seen."""
        self._programs.run(self._with.start, self._with.timeout, slot=slot, revision=revision)
        wait(lambda: self.revisions()[slot] == revision, self._with.timeout, f"{slot} does not show {revision}")

    def stop(self, slot: str) -> None:
        """Stops it and waits until it is seen."""
        if self._with.stop is None:
            raise DriverProblem(f"no `commands.copy.stop` is declared: {slot} cannot be stopped")
        self._programs.run(self._with.stop, self._with.timeout, slot=slot)
        wait(lambda: self.revisions()[slot] == "", self._with.timeout, f"{slot} still answers")


class CommandsDriver:
    """Everything by programs."""

    def __init__(self, site: Site) -> None:
        assert site.settings.commands is not None
        assert site.settings.commands.share is not None
        self._copies, self._programs, self._slots = Copies(site), Programs(site), site.settings.slots
        self._share: ShareCommands = site.settings.commands.share
        self.start, self.stop = self._copies.start, self._copies.stop

    def observe(self) -> World:
        """What each slot runs and how traffic is shared."""
        return World(self._copies.revisions(), self._shares())

    def share(self, shares: Shares) -> None:
        """Shares the traffic and waits until it is seen."""
        slot, percent = shares[1]
        text = ",".join(f"{name}={part}" for name, part in shares)
        self._programs.run(self._share.do, self._share.timeout, shares=text, slot=slot, percent=str(percent))
        wait(lambda: self._shares() == shares, self._share.timeout, f"traffic is not shared as {text}")

    def _shares(self) -> Shares:
        said = self._programs.run(self._share.observe, self._share.timeout)
        told = table(said, self._slots, "commands.share.observe")
        if not all(is_percent(value) for value in told.values()):
            raise DriverProblem(f"commands.share.observe: expected whole percents, it said {str(told)[:_SHOWN]}")
        return tuple((slot, int(told[slot])) for slot in self._slots)


def is_percent(text: str) -> bool:
    """Whether it is a whole percent."""
    return len(text) <= 3 and text.isascii() and text.isdigit() and int(text) <= 100


def table(text: str, slots: Sequence[str], what: str) -> dict[str, str]:
    """The value of each slot in lines "SLOT VALUE"; raises DriverProblem unless each slot is there exactly once."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise DriverProblem(f'{what}: expected lines "SLOT VALUE", it said {" ".join(wrong)[:_SHOWN]!r}')
    names = [slot for slot, _ in rows]
    if sorted(names) != sorted(slots):
        named = ", ".join(names)[:_SHOWN]
        raise DriverProblem(f"{what}: expected one line for each of {', '.join(slots)}, it named {named}")
    return {row[0]: row[1] for row in rows}


def wait(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Looks until it is so; raises DriverProblem with the last trouble where it is not so in time."""
    end, trouble = time.monotonic() + seconds, ""
    while True:
        try:
            if is_so():
                return
            trouble = ""
        except DriverProblem as error:
            trouble = f" ({error})"
        if time.monotonic() > end:
            raise DriverProblem(f"{otherwise} within {seconds:g} s{trouble}")
        time.sleep(PAUSE)
