"""A deployment as a list of steps, each with its undo: plain data, made once and never changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Shares = tuple[tuple[str, int], ...]  # slot -> percent of the traffic, in the order of the slots; 100 together
SCHEMA = "prodcheck-plan/1"
EXPAND, CONTRACT = "expand", "contract"  # phases of migrations


class PlanProblem(ValueError):
    """No plan can be made or read; the message says why. code: 2 for a mistake, 4 where things are not as planned."""

    def __init__(self, text: str, code: int = 4) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class ObservedState:
    """What was observed. revisions: slot -> what it runs, "" for a copy that does not answer well.

    problem: why it would not stay so, "" where nothing speaks against it. pending: migrations that are not applied,
    in their order, "expand NAME" or "contract NAME". sql: name and digest of the SQL of each, where it is declared.
    """

    revisions: dict[str, str]
    shares: Shares
    problem: str = ""
    pending: tuple[str, ...] = ()
    sql: tuple[tuple[str, str], ...] = ()

    @property
    def slots_with_traffic(self) -> list[str]:
        """The slots with traffic."""
        return [slot for slot, percent in self.shares if percent]


@dataclass(frozen=True)
class Change:
    """Where to arrive: one slot runs a revision, does not run ("stop"), or traffic is shared ("share").

    "start": without traffic; "roll": in place, with traffic on it. "migrate": migrations of a phase are applied; names
    are those that were pending when it was planned, sql are digests of what they were.
    """

    kind: Literal["start", "roll", "stop", "share", "migrate"]
    slot: str = ""
    revision: str = ""
    shares: Shares = ()
    phase: str = ""
    names: tuple[str, ...] = ()
    sql: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """For people."""
        if self.kind == "migrate":
            return f"migrate, {self.phase}: {', '.join(self.names)}"
        if self.kind == "share":
            return "traffic: " + ", ".join(f"{slot} {percent} %" for slot, percent in self.shares)
        if self.kind == "roll":
            return f"roll out {self.revision} in {self.slot}"
        return f"start {self.revision} in {self.slot}" if self.kind == "start" else f"stop {self.slot}"


@dataclass(frozen=True)
class Step:
    """One step. A "change" has an undo, unless there is no way back after it (`final`).

    "gate": asks `gate` about `slot` ("" for what is live). "compare": `slot` with `beside`. "watch": `gate` again and
    again for `seconds`. loaded: whether the new revision has traffic by then.
    """

    kind: Literal["change", "gate", "compare", "watch"]
    change: Change | None = None
    undo: Change | None = None
    final: bool = False
    gate: str = ""
    slot: str = ""
    beside: str = ""
    seconds: float = 0.0
    loaded: bool = False

    def describe(self) -> str:
        """For people."""
        of_slot = f" of {self.slot}" if self.slot else ""
        if self.change is not None:
            return self.change.describe()
        if self.kind == "compare":
            return f"compare {self.slot} with {self.beside}"
        return f"gate {self.gate}{of_slot}" if self.kind == "gate" else f"watch gate {self.gate} for {self.seconds:g} s"


@dataclass(frozen=True)
class Plan:
    """Everything that a deployment will do. old: the revision that has all traffic before; digest binds approvals.

    configuration: SHA-256 of the resolved environment. allow: options of `prodcheck run` that its gates are given.
    """

    environment: str
    unit: str
    revision: str
    old: str
    strategy: str
    revisions: tuple[tuple[str, str], ...]  # slot -> revision, before
    shares: Shares  # before
    steps: tuple[Step, ...]
    configuration: str = ""
    allow: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 hex of all of it."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def changes_something(self) -> bool:
        """False where the revision has all traffic already."""
        return any(step.change is not None for step in self.steps)

    @property
    def point_of_no_return(self) -> int | None:
        """The step after which there is no way back, None where there always is one."""
        return next((number for number, step in enumerate(self.steps) if step.final), None)

    @property
    def after_gate(self) -> str:
        """The gate that is asked last: with all traffic on the new revision, and about the old one after a rollback."""
        return next(step.gate for step in reversed(self.steps) if step.gate)

    @property
    def comparison_count(self) -> int:
        """How often a canary is compared."""
        return sum(step.kind == "compare" for step in self.steps)

    def shares_before(self, number: int) -> Shares:
        """How traffic is shared when the step with this number begins."""
        found = self.shares
        for step in self.steps[:number]:
            if step.change is not None and step.change.kind == "share":
                found = step.change.shares
        return found

    def dump(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Plan:
        """From `dump`; raises KeyError, TypeError or ValueError for what is none."""
        steps = tuple(
            Step(**{**each, "change": _change(each["change"]), "undo": _change(each["undo"])}) for each in data["steps"]
        )
        revisions = tuple((str(slot), str(revision)) for slot, revision in data["revisions"])
        return cls(**{**data, "steps": steps, "revisions": revisions, "shares": _shares(data["shares"]),
                      "allow": tuple(data["allow"])})  # fmt: skip


def _change(data: dict[str, Any] | None) -> Change | None:
    if data is None:
        return None
    sql = tuple((str(name), str(digest)) for name, digest in data["sql"])
    return Change(**{**data, "shares": _shares(data["shares"]), "names": tuple(map(str, data["names"])), "sql": sql})


def _shares(data: Any) -> Shares:
    return tuple((str(slot), int(percent)) for slot, percent in data)


def is_safe_revision(revision: str) -> bool:
    """Whether programs can be given a revision and show it: one word, no option, nothing that a shell would take apart.

    A branch can be named by strangers, and programs may hand it on to a shell, as ssh does.
    """
    start = revision[:1]
    return (start.isalnum() or start == "_") and all(each.isalnum() or each in "._/:@+=~^-" for each in revision)


def even_shares(slots: tuple[str, ...], serving: frozenset[str]) -> Shares:
    """Traffic shared evenly by some of the slots, in whole percents."""
    each, rest = divmod(100, len(serving)) if serving else (0, 0)
    found = []
    for slot in slots:
        extra = 1 if slot in serving and rest > 0 else 0
        rest -= extra
        found.append((slot, each + extra if slot in serving else 0))
    return tuple(found)
