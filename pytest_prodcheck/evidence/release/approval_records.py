"""Change records in JSON, from a file or an address: one, or a list of them."""

from __future__ import annotations

import datetime
import json
from typing import Any, Literal

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.release import Change, Decision

FORMAT = "prodcheck-approval/1"
MOST = 1000  # records in one list
_KEYS = {"format", "environment", "unit", "revision", "author", "approvals", "ticket", "emergency", "window"}


def read(content: str, name: str) -> tuple[Change, ...]:
    """All records; raises EvidenceProblem (protocol) where one of them is not of the form: none is guessed at."""
    try:
        document = json.loads(content)
        records = document if isinstance(document, list) else [document]
        if len(records) > MOST:
            raise ValueError(f"more than {MOST} records")
        return tuple(map(_change, records))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else plain(str(error))
        hint = "docs/pre-deploy.md shows what it has to hold"
        raise EvidenceProblem(Problem("protocol", f"{name} is no change record: {what}", hint)) from None


def _change(record: Any) -> Change:
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    if unknown := sorted(set(record) - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}")
    author, emergency = record["author"], record.get("emergency", False)
    authors = [_text(each, "author") for each in (author if isinstance(author, list) else [author])]
    if not authors or not all(authors):
        raise ValueError("it names no author")
    if not isinstance(emergency, bool):
        raise ValueError("emergency is neither true nor false")
    begins, ends = window(record.get("window"))
    decisions = record["approvals"]
    if not isinstance(decisions, list):
        raise ValueError("approvals is no list")
    revision = _text(record["revision"], "revision")
    if not revision:
        raise ValueError("it names no revision")
    return Change(
        _text(record["environment"], "environment"), _text(record.get("unit", ""), "unit"), revision, tuple(authors),
        tuple(map(_decision, decisions)), _text(record.get("ticket", ""), "ticket"), emergency, begins, ends,
    )  # fmt: skip


def _decision(record: dict[str, Any]) -> Decision:
    by, said, at = _text(record["by"], "by"), record.get("decision", "approved"), record.get("at")
    if not by or said not in ("approved", "rejected"):
        raise ValueError('an approval has `by`, and a `decision` of "approved" or "rejected"')
    chosen: Literal["approved", "rejected"] = "approved" if said == "approved" else "rejected"
    return Decision(by, chosen, None if at is None else epoch_seconds(at))


def window(record: object) -> tuple[float | None, float | None]:
    """Begin and end of a window as epoch seconds, None for what it leaves open; raises ValueError."""
    if record is None:
        return None, None
    if not isinstance(record, dict) or not record or set(record) - {"start", "end"}:
        raise ValueError("a window has `start`, `end` or both")
    begins, ends = (epoch_seconds(record[key]) if key in record else None for key in ("start", "end"))
    if begins is not None and ends is not None and not begins < ends:
        raise ValueError("its window ends before it begins")
    return begins, ends


def epoch_seconds(value: object) -> float:
    """Epoch seconds of a time with its zone (RFC 3339); raises ValueError."""
    found = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    if found is None or found.tzinfo is None:
        raise ValueError(f"{plain(str(value), 60)!r} is no time with a zone, such as 2026-11-24T10:00:00Z")
    return found.timestamp()


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return plain(value.strip())
