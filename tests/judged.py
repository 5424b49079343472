"""One check on one piece of evidence, without pytest around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_prodcheck.judging.checks import definition_of
from pytest_prodcheck.judging.ledger import Ledger, close_ledger, open_ledger
from pytest_prodcheck.records import EvidenceProblem


def judged(check: Callable[..., None], record: object, **more: Any) -> Ledger:
    """The ledger of one check at its own limit."""
    definition = definition_of(check)
    assert definition is not None
    if definition.limit is not None:
        more.setdefault("limit", definition.limit)
    ledger = open_ledger()
    try:
        check(record, **more)
    finally:
        close_ledger()
    return ledger


def outcomes(check: Callable[..., None], record: object, **more: Any) -> str:
    """Passed, or the outcome and the reasons; errored where the check finds no evidence to judge."""
    try:
        ledger = judged(check, record, **more)
    except EvidenceProblem as error:
        return f"errored: {error.problem}"
    said = [each.reason for each in ledger.judgements if each.reason]
    return str(ledger.outcome) if str(ledger.outcome) == "passed" else f"{ledger.outcome}: " + "; ".join(said)
