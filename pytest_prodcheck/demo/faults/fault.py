"""One thing that the demo can break, or do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """A switchable fault.

    breaks: what it does, one line. notices: ids of checks of which each must turn red. also: ids that may turn red too,
    as real consequences. outcome: what the noticing checks say at least, "warned" for faults that are degradations.
    part: faults of one part exclude each other ("" excludes nothing). suites: of a benign one, who must stay silent.
    """

    name: str
    breaks: str
    notices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    outcome: Literal["failed", "warned"] = "failed"
    part: str = ""
    suites: tuple[str, ...] = ("smoke",)

    @cached_property
    def judged_by(self) -> tuple[str, ...]:
        """The suites of the checks that notice it; of a benign one, `suites`."""
        return tuple(dict.fromkeys(check.partition(".")[0] for check in self.notices)) or self.suites
