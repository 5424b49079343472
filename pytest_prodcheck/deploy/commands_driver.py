"""The driver `commands`: a team's own programs move copies and traffic, and say what is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.child_processes import child_environment
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import ObservedState, Shares
from pytest_prodcheck.trusted_files import refuse_foreign

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import DriverContext
    from pytest_prodcheck.environments.sections.deploy import CopyCommands, ShareCommands

POLL_INTERVAL = 0.2  # seconds between two looks at what is
_MAX_SHOWN = 300  # characters of what a program said


class DriverPrograms:
    """Runs the declared programs with their placeholders filled in; what they print may be shown, so no secrets."""

    def __init__(self, context: DriverContext) -> None:
        self.context = context

    def run(self, command: Sequence[str], seconds: float, **names: str) -> str:
        """What it printed; raises DriverProblem where it failed, could not start or took too long."""
        command_line = [self._substitute(word, names) for word in command]
        if "/" in command_line[0]:
            try:
                refuse_foreign(str(self.context.root / command_line[0]), "the program")
            except ValueError as error:
                raise DriverProblem(str(error)) from None
        result = self.context.runner.run(
            command_line, seconds, child_environment(command_line[0], self.context.passed_environment)
        )
        if result.code == 0:
            return result.text
        how = f"took longer than {seconds:g} s" if result.code is None else f"ended with {result.code}"
        output = " ".join(result.text.split())[-_MAX_SHOWN:]
        raise DriverProblem(f"{command_line[0]} {how}" + (f": {output}" if output else ""))

    def _substitute(self, word: str, names: dict[str, str]) -> str:
        for name, value in {"unit": self.context.unit, **names}.items():
            word = word.replace(f"{{{name}}}", value)
        return word


class ProgramCopies:
    """Starts, stops and observes copies by programs."""

    def __init__(self, context: DriverContext) -> None:
        assert context.settings.commands is not None
        self._programs, self._slots = DriverPrograms(context), context.settings.slots
        self._commands: CopyCommands = context.settings.commands.copy_

    def revisions(self) -> dict[str, str]:
        """Slot -> revision, "" for a copy that does not answer well."""
        values = parse_slot_values(
            self._programs.run(self._commands.observe, self._commands.timeout), self._slots, "commands.copy.observe"
        )
        return {slot: "" if value == "-" else value for slot, value in values.items()}

    def start(self, slot: str, revision: str) -> None:
        """Starts it and waits until it is seen."""
        self._programs.run(self._commands.start, self._commands.timeout, slot=slot, revision=revision)
        wait_until(
            lambda: self.revisions()[slot] == revision, self._commands.timeout, f"{slot} does not show {revision}"
        )

    def stop(self, slot: str) -> None:
        """Stops it and waits until it is seen."""
        if self._commands.stop is None:
            raise DriverProblem(f"{slot} cannot be stopped: declare `commands.copy.stop`")
        self._programs.run(self._commands.stop, self._commands.timeout, slot=slot)
        wait_until(lambda: self.revisions()[slot] == "", self._commands.timeout, f"{slot} still responds")


class CommandsDriver:
    """Everything by programs."""

    def __init__(self, context: DriverContext) -> None:
        assert context.settings.commands is not None
        assert context.settings.commands.share is not None
        self._copies, self._programs, self._slots = (
            ProgramCopies(context),
            DriverPrograms(context),
            context.settings.slots,
        )
        self._share: ShareCommands = context.settings.commands.share
        self.start, self.stop = self._copies.start, self._copies.stop

    def observe(self) -> ObservedState:
        """What each slot runs and how traffic is shared."""
        return ObservedState(self._copies.revisions(), self._shares())

    def share(self, shares: Shares) -> None:
        """Shares the traffic and waits until it is seen."""
        slot, percent = shares[1]
        text = ",".join(f"{name}={part}" for name, part in shares)
        self._programs.run(self._share.do, self._share.timeout, shares=text, slot=slot, percent=str(percent))
        wait_until(lambda: self._shares() == shares, self._share.timeout, f"the traffic shares are not {text}")

    def _shares(self) -> Shares:
        output = self._programs.run(self._share.observe, self._share.timeout)
        values = parse_slot_values(output, self._slots, "commands.share.observe")
        if not all(is_percent(value) for value in values.values()):
            raise DriverProblem(f"commands.share.observe: expected whole percentages, got {str(values)[:_MAX_SHOWN]}")
        return tuple((slot, int(values[slot])) for slot in self._slots)


def is_percent(text: str) -> bool:
    """Whether it is a whole percent."""
    return len(text) <= 3 and text.isascii() and text.isdigit() and int(text) <= 100


def parse_slot_values(text: str, slots: Sequence[str], what: str) -> dict[str, str]:
    """The value of each slot in lines "SLOT VALUE"; raises DriverProblem unless each slot is there exactly once."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise DriverProblem(f'{what}: expected lines "SLOT VALUE", got {" ".join(wrong)[:_MAX_SHOWN]!r}')
    names = [slot for slot, _ in rows]
    if sorted(names) != sorted(slots):
        named = ", ".join(names)[:_MAX_SHOWN]
        raise DriverProblem(f"{what}: expected one line for each of {', '.join(slots)}, got {named}")
    return {row[0]: row[1] for row in rows}


def wait_until(condition: Callable[[], bool], seconds: float, timeout_message: str) -> None:
    """Looks until it is so; raises DriverProblem with the last trouble where it is not so in time."""
    end, trouble = time.monotonic() + seconds, ""
    while True:
        try:
            if condition():
                return
            trouble = ""
        except DriverProblem as error:
            trouble = f" ({error})"
        if time.monotonic() > end:
            raise DriverProblem(f"{timeout_message} within {seconds:g} s{trouble}")
        time.sleep(POLL_INTERVAL)
