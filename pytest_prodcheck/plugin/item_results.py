"""Turns what happened in one test's phases into one result. Pure but for the ledger it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck import runbooks
from pytest_prodcheck.evidence.gathering.copies import identical, own_copy
from pytest_prodcheck.outcomes import Judgement, Outcome, Result, Severity, SkipReason
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.judging.checks import Definition
    from pytest_prodcheck.judging.ledger import Ledger
    from pytest_prodcheck.plugin.parametrization import BoundCheck


class JudgementFailed(AssertionError):
    """Raised once, after a check's body, for what its judgements found failed."""


class Inconclusive(Exception):
    """Raised after a check's body that judged nothing, or whose judgements could not be made."""


@dataclass
class ItemState:
    """What one item did in the current try: the evidence it read, its ledger, when it began.

    given: argument -> the very object that we gave. inside: the test's body is running.
    """

    started: float
    read: dict[str, float] = field(default_factory=dict)  # evidence key -> gathered_at
    given: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  # when evidence that it read is not valid any more
    ledger: Ledger | None = None
    inside: bool = False
    _originals: dict[str, object] = field(default_factory=dict)  # argument -> what its copy has to equal

    def give_copy(self, argument: str, original: Any) -> Any:
        """A copy of one's own for a check: what it does with it changes nothing for the next one."""
        self._originals[argument] = original
        copied = self.given[argument] = own_copy(original)
        return copied

    def changed(self) -> list[str]:
        """The arguments that no longer say what was gathered."""
        return [name for name, original in self._originals.items() if not identical(self.given[name], original)]


ITEM_STATE = pytest.StashKey[ItemState]()
BAD_TRIES = pytest.StashKey[int]()  # how often the body of one item ended badly before


def raise_for(ledger: Ledger) -> None:
    """Raises for a ledger that is not good: Judged for failed, CannotTell for errored."""
    outcome = ledger.outcome
    if outcome is Outcome.FAILED:
        raise JudgementFailed("\n".join(ledger.reasons()))
    if outcome is Outcome.ERRORED:
        raise Inconclusive("\n".join(ledger.reasons()))


def record_subtest(ledger: Ledger, error: BaseException | None) -> None:
    """Records what a subtest that ended inside the body means: one that failed, skipped or broke is no success."""
    if error is not None:
        failed = isinstance(error, (AssertionError, pytest.fail.Exception))
        outcome = Outcome.FAILED if failed else Outcome.ERRORED
        ledger.judgements.append(Judgement("subtest", False, outcome, reason=f"subtest: {_error_text(error)}"))


def result_of(
    bound: BoundCheck,
    item: pytest.Item,
    reading: ItemState,
    error: BaseException | None,
    addresses: str,
    seconds: float,
) -> Result:
    """The result of one check on one target, from its ledger and the exception that ended it."""
    outcome, reason, skip = _judge(bound, reading, error)
    unread = _unread_arguments(bound, item, reading)
    if unread and reading.ledger is not None and outcome is not Outcome.SKIPPED:
        outcome, reason = Outcome.ERRORED, f"{', '.join(unread)} did not come from prodcheck: a conftest overrides it"
    bad_tries = item.stash.get(BAD_TRIES, 0)
    if outcome is Outcome.PASSED and bad_tries:  # some plugin tried again, whether or not it says so
        outcome, reason = Outcome.WARNED, f"flaky: passed on attempt {bad_tries + 1}"
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
        seconds=seconds,
        gathered_at=min(reading.read.values(), default=None if bound.needs else reading.started),
        valid_until=min(reading.ends, default=None),
        notes=tuple(dict.fromkeys(reading.notes)),
        runbook=how_to_fix(addresses, definition),
        owner=definition.owner or bound.target.owner,
        nodeid=item.nodeid,
        kind=bound.target.kind,
        unreached=error.problem.at if isinstance(error, EvidenceProblem) and outcome is Outcome.ERRORED else "",
    )


def how_to_fix(template: str, definition: Definition) -> str:
    """Where it says how to fix it: the organisation's page; else, of a bundled check, the command that explains it."""
    if template and definition.runbook:
        return template.replace("{runbook}", definition.runbook)
    name = runbooks.find(definition.id.removesuffix(".*"))
    return f"prodcheck explain {name}" if name else definition.runbook


def _unread_arguments(bound: BoundCheck, item: pytest.Item, reading: ItemState) -> list[str]:
    """The arguments that are not the very objects that were gathered for this target, or its limit."""
    owed = {need.argument for need in bound.needs} | bound.without
    owed |= {"declared"} & set(getattr(item, "fixturenames", ()))
    if bound.definition.limit is not None:
        owed.add("limit")
    given: dict[str, object] = getattr(item, "funcargs", {})
    foreign = {name for name, value in reading.given.items() if given.get(name, value) is not value}
    elsewhere = {need.argument for need in bound.needs if need.key not in reading.read}
    return sorted((owed - set(reading.given)) | (owed & foreign) | elsewhere)


def _judge(
    bound: BoundCheck, reading: ItemState, error: BaseException | None
) -> tuple[Outcome, str, SkipReason | None]:
    ledger = reading.ledger
    if isinstance(error, pytest.skip.Exception):
        if bound.target.skip and ledger is None:
            return Outcome.SKIPPED, bound.target.detail, SkipReason(bound.target.skip)
        return Outcome.SKIPPED, f"skipped by the test itself: {error}", SkipReason.FOREIGN
    if ledger is None:
        return Outcome.ERRORED, _error_text(error) if error else "the check was never run", None
    failed = ledger.outcome is Outcome.FAILED
    if error is None or isinstance(error, (JudgementFailed, Inconclusive)):
        return ledger.outcome, "\n".join(ledger.reasons()), None
    reasons = ledger.reasons() if ledger.judgements else []
    reasons.insert(0, _error_text(error))
    proven = failed or isinstance(error, (AssertionError, pytest.fail.Exception))
    return Outcome.FAILED if proven else Outcome.ERRORED, "\n".join(reasons), None


def _error_text(error: BaseException) -> str:
    if isinstance(error, EvidenceProblem):
        return str(error.problem)
    text = str(error).strip().partition("\nassert ")[0]
    if isinstance(error, AssertionError):
        return text or "assertion failed"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain_result(item: pytest.Item, error: BaseException | None, started: float, seconds: float) -> Result:
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
        title="a test without @check: its success is not evidence",
        reason=_error_text(error) if error else "",
        skip=skip,
        seconds=seconds,
        gathered_at=started,
        nodeid=item.nodeid,
        plain=True,
    )
