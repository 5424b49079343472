"""What is known of one release before it happens: who approved it, and whether anything may change now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_HEX = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Decision:
    """What one person said of a change."""

    by: str
    said: Literal["approved", "rejected", "pending"]
    at: float | None  # epoch seconds; None where it is not told


@dataclass(frozen=True)
class Change:
    """One change record: what is to be deployed where, who made it, who let it."""

    environment: str
    unit: str  # "" where it is about the whole environment
    revision: str
    authors: tuple[str, ...]
    decisions: tuple[Decision, ...]
    ticket: str = ""
    emergency: bool = False
    begins: float | None = None  # of its window, epoch seconds
    ends: float | None = None

    def is_of(self, revision: str) -> bool:
        """Whether it is about a revision: the same, or one an abbreviation of the other as git makes them."""
        short, long = sorted((self.revision.lower(), revision.lower()), key=len)
        return self.revision == revision or (
            bool(_HEX.fullmatch(short)) and bool(_HEX.fullmatch(long)) and long.startswith(short)
        )

    @property
    def approvals(self) -> tuple[Decision, ...]:
        """The approvals of others than its authors."""
        authors = {each.casefold() for each in self.authors}
        return tuple(each for each in self.decisions if each.said == "approved" and each.by.casefold() not in authors)

    def __str__(self) -> str:
        """What it is about, such as "revision 3f9c2ab of storefront in production"."""
        return f"revision {self.revision} of {self.unit or 'everything'} in {self.environment}"


@dataclass(frozen=True)
class Freeze:
    """A time in which nothing may be deployed: it is on, or begins within a day."""

    name: str
    begins: float  # epoch seconds
    ends: float
    reason: str = ""
    excepted: bool = False  # what is to be deployed is excepted
    emergency: bool = False  # an emergency with a ticket may pass

    def lets_pass(self, change: Change | None) -> bool:
        """Whether it allows emergencies, and a change is one with a ticket."""
        return self.emergency and change is not None and change.emergency and bool(change.ticket)


@dataclass(frozen=True)
class Approval:
    """`change-approval` (approval): the change records that were found, and the freezes that matter now."""

    source: str  # the file, the address without its secrets, the repository
    environment: str  # what this run is about
    units: tuple[str, ...]  # names under which that may be recorded; "" for the whole environment
    revision: str
    changes: tuple[Change, ...]
    freezes: tuple[Freeze, ...]
    now: float  # epoch seconds
    holds: float  # seconds that an approval holds where its record has no end of a window

    @property
    def change(self) -> Change | None:
        """The last record about the very environment, unit and revision; None where there is none."""
        mine = [each for each in self.changes if each.environment == self.environment and each.unit in self.units
                and each.is_of(self.revision)]  # fmt: skip
        return mine[-1] if mine else None

    @property
    def valid_until(self) -> float | None:
        """Epoch second at which the window ends, the approval is too old or a freeze begins; None for none of these."""
        change, times = self.change, list[float]()
        for each in self.freezes:
            if each.begins > self.now and not each.excepted and not each.lets_pass(change):
                times.append(each.begins)
        approved = [each.at for each in change.approvals if each.at is not None] if change is not None else []
        if change is not None and change.ends is not None:
            times.append(change.ends)
        elif approved:
            times.append(max(approved) + self.holds)
        return min(times, default=None)


@dataclass(frozen=True)
class DependencyAnswer:
    """`dependency` (dependency): whether a dependency of the environment answered."""

    kind: str  # "dns", "tcp", "http", "postgres" or "redis"
    where: str  # who was asked
    answered: bool  # as it has to; a refusal or a time-out is an answer, not a problem of ours
    seconds: float  # until its answer, or until none was waited for any more
    reason: str = ""  # why not, in words
