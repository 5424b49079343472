"""Turns what happened in one test's phases into one result. Pure but for the ledger it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_prodcheck.evidence.records import EvidenceProblem
from pytest_prodcheck.outcomes import Outcome, Result, Severity, SkipReason

if TYPE_CHECKING:
    from pytest_prodcheck.judging.ledger import Ledger
    from pytest_prodcheck.plugin.binding import Bound


class Judged(AssertionError):
    """Raised once, after a check's body, for what its judgements found failed."""


class CannotTell(Exception):
    """Raised after a check's body that judged nothing, or whose judgements could not be made."""


@dataclass
class Reading:
    """What one item did in the current try: the evidence it read, its ledger, when it began."""

    started: float
    read: dict[str, float] = field(default_factory=dict)  # evidence key -> gathered_at
    used: set[str] = field(default_factory=set)  # names of our fixtures that were really ours
    notes: list[str] = field(default_factory=list)
    ledger: Ledger | None = None


READING = pytest.StashKey[Reading]()


def raise_for(ledger: Ledger) -> None:
    """Raises for a ledger that is not good: Judged for failed, CannotTell for errored."""
    outcome = ledger.outcome
    if outcome is Outcome.FAILED:
        raise Judged("\n".join(ledger.reasons()))
    if outcome is Outcome.ERRORED:
        raise CannotTell("\n".join(ledger.reasons()))


def result_of(bound: Bound, item: pytest.Item, reading: Reading, error: BaseException | None, runbooks: str) -> Result:
    """The result of one check on one target, from its ledger and the exception that ended it."""
    outcome, reason, skip = _judge(bound, reading, error)
    unread = _unread(bound, reading)
    if unread and outcome is not Outcome.SKIPPED and not isinstance(error, EvidenceProblem):
        outcome, reason = Outcome.ERRORED, f"{', '.join(unread)} did not come from prodcheck: a conftest overrides it"
    definition = bound.definition
    return Result(
        check=bound.id,
        target=bound.target.name,
        outcome=outcome,
        severity=definition.severity,
        suite=definition.suite,
        title=definition.title,
        reason=reason,
        skip=skip,
        judgements=tuple(reading.ledger.judgements) if reading.ledger else (),
        evidence=tuple(sorted(reading.read)),
        gathered_at=min(reading.read.values(), default=None if bound.needs else reading.started),
        notes=tuple(dict.fromkeys(reading.notes)),
        runbook=runbook_address(runbooks, definition.runbook),
        owner=definition.owner or bound.target.owner,
        nodeid=item.nodeid,
    )


def runbook_address(template: str, name: str) -> str:
    """The page that says how to mend it: the organisation's address filled in, or the bare name."""
    return template.replace("{runbook}", name) if template and name else name


def _unread(bound: Bound, reading: Reading) -> list[str]:
    owed = {need.argument for need in bound.needs}
    if bound.definition.limit is not None:
        owed.add("limit")
    return sorted(owed - reading.used)


def _judge(bound: Bound, reading: Reading, error: BaseException | None) -> tuple[Outcome, str, SkipReason | None]:
    ledger = reading.ledger
    if isinstance(error, pytest.skip.Exception):
        if bound.target.skip and ledger is None:
            return Outcome.SKIPPED, bound.target.detail, SkipReason(bound.target.skip)
        return Outcome.SKIPPED, f"skipped by the test itself: {error}", SkipReason.FOREIGN
    if ledger is None:
        return Outcome.ERRORED, _words(error) if error else "the check was never run", None
    failed = ledger.outcome is Outcome.FAILED
    if error is None or isinstance(error, (Judged, CannotTell)):
        return ledger.outcome, "\n".join(ledger.reasons()), None
    reasons = ledger.reasons() if ledger.judgements else []
    reasons.insert(0, _words(error))
    proven = failed or isinstance(error, (AssertionError, pytest.fail.Exception))
    return Outcome.FAILED if proven else Outcome.ERRORED, "\n".join(reasons), None


def _words(error: BaseException) -> str:
    if isinstance(error, EvidenceProblem):
        return str(error.problem)
    text = str(error).strip().partition("\nassert ")[0]
    if isinstance(error, AssertionError):
        return text or "assertion failed"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain_result(item: pytest.Item, error: BaseException | None, started: float) -> Result:
    """The result of a test without @check: its failure counts, its success proves nothing."""
    outcome, skip = Outcome.PASSED, None
    if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
        outcome, skip = Outcome.SKIPPED, SkipReason.FOREIGN
    elif isinstance(error, (AssertionError, pytest.fail.Exception)):
        outcome = Outcome.FAILED
    elif error is not None:
        outcome = Outcome.ERRORED
    return Result(
        check=f"test:{item.nodeid}",
        target="-",
        outcome=outcome,
        severity=Severity.HIGH,
        title="a test without @check: its success proves nothing",
        reason=_words(error) if error else "",
        skip=skip,
        gathered_at=started,
        nodeid=item.nodeid,
        plain=True,
    )
