"""What differs between two runs: results that became worse or better, checks that came or went, values that moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.gates.root_causes import layer
from pytest_prodcheck.outcomes import Judgement, Outcome, Result, RunRecord
from pytest_prodcheck.reports.measurement_text import decisive, measured_text, rank
from pytest_prodcheck.reports.symbols import outcome_symbol
from pytest_prodcheck.reports.verdict_documents import finite, subject_of

Kind = Literal["worse", "better", "new", "gone", "moved"]
ORDER: tuple[Kind, ...] = ("worse", "new", "gone", "moved", "better")
MOVED = 0.25  # a measured value that differs by less than this share is not told
NOTABLE = 0.1  # nor one that differs by less than this share of its limit
WORDS: dict[Kind, str] = {
    "worse": "became worse", "new": "new", "gone": "gone", "moved": "other value", "better": "became better",
}  # fmt: skip
_GOOD = (Outcome.PASSED, Outcome.SKIPPED)


@dataclass(frozen=True)
class Change:
    """One check on one target in two runs; a result is None where that run has none."""

    kind: Kind
    before: Result | None
    now: Result | None

    @property
    def result(self) -> Result:
        """The newer one of both."""
        found = self.now or self.before
        assert found is not None
        return found


def changes(before: RunRecord, now: RunRecord) -> list[Change]:
    """What differs, the worst first; what is as it was is left out."""
    old, new = ({each.identity: each for each in run.results} for run in (before, now))
    found = [_change(old.get(key), new.get(key)) for key in dict.fromkeys([*new, *old])]
    told = [each for each in found if each is not None]
    return sorted(told, key=_sort_key)


def _sort_key(change: Change) -> tuple[int, int, int, tuple[str, str]]:
    """Causes before what they break, as everywhere."""
    result = change.result
    return (ORDER.index(change.kind), rank(result.outcome), layer(result.check), result.identity)


def _change(before: Result | None, now: Result | None) -> Change | None:
    if before is None or now is None:
        return Change("new" if before is None else "gone", before, now)
    if before.outcome is not now.outcome:
        worse = rank(now.outcome) < rank(before.outcome) and now.outcome not in _GOOD
        lost = before.outcome is Outcome.PASSED and now.outcome is Outcome.SKIPPED
        return Change("worse" if worse or lost else "better", before, now)
    return Change("moved", before, now) if _has_moved(decisive(before), decisive(now)) else None


def _has_moved(before: Judgement | None, now: Judgement | None) -> bool:
    """Whether a value with a limit is another one; values of one kind only."""
    if before is None or now is None or (before.what, before.of, before.unit) != (now.what, now.of, now.unit):
        return False
    if now.fail is None and now.warn is None:
        return False
    old, new = finite(before.value), finite(now.value)
    if old is None or new is None:
        return False
    limit = finite(now.fail if now.fail is not None else now.warn) or 0.0
    return abs(new - old) > max(MOVED * max(abs(old), abs(new)), NOTABLE * abs(limit))


def result_text(result: Result | None, *, unicode: bool = True) -> str:
    """One of the two results, such as "❌ failed, 2.4 s"; "–" for none."""
    if result is None:
        return "–" if unicode else "-"
    measured = measured_text(result)
    return f"{outcome_symbol(result.outcome, unicode=unicode)} {result.outcome}" + (f", {measured}" if measured else "")


def line(change: Change, *, unicode: bool = True) -> str:
    """One change as a line for a terminal."""
    about = subject_of(change.result)
    arrow = "→" if unicode else "->"
    sides = f"{result_text(change.before, unicode=unicode)} {arrow} {result_text(change.now, unicode=unicode)}"
    return f"{WORDS[change.kind]:14} {about}: {sides}"


def counted(found: Iterable[Change]) -> dict[Kind, int]:
    """How many changes there are of each kind; every kind is a key."""
    made = dict.fromkeys(ORDER, 0)
    for each in found:
        made[each.kind] += 1
    return made
