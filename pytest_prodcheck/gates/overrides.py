"""Overrides: a person opens a closed gate for a while, with a reason; sealed, scoped, expiring, logged."""

from __future__ import annotations

import json
import os
import time

from pytest_prodcheck.gates import paths, revisions, seal
from pytest_prodcheck.gates.verdict_files import Document, VerdictQuery, number_of

SCHEMA = "prodcheck-override/1"
LONGEST = 24 * 3600.0  # seconds
_TEXTS = ("gate", "environment", "unit", "slot", "revision", "reason", "ticket", "by")


def make(ask: VerdictQuery, *, reason: str, ticket: str, seconds: float, now: float, by: str) -> Document:
    """The unsealed document of an override; raises ValueError for an empty reason, a bad name or more than 24 h."""
    paths.verdict_file("", ask.environment, ask.unit, ask.slot, ask.gate)
    if not reason.strip() or not ticket.strip():
        raise ValueError("an override needs a --reason and a --ticket: both are shown to whoever asks the gate")
    if not 0 < seconds <= LONGEST:
        raise ValueError('an override holds at most "24h" and longer than nothing: give --for such as "30m"')
    return {
        "schema": SCHEMA,
        "gate": ask.gate,
        "environment": ask.environment,
        "unit": ask.unit,
        "slot": ask.slot,
        "revision": ask.revision,
        "reason": reason.strip(),
        "ticket": ticket.strip(),
        "by": by,
        "made_at": now,
        "expires_at": now + seconds,
    }


def record(state: str, document: Document, key: bytes) -> None:
    """Seals an override and appends it to the log, which is what gates read; raises OSError."""
    from pathlib import Path

    from pytest_prodcheck.gates.files import append_line, make_private

    make_private(Path(state))
    append_line(Path(_log(state)), seal.canonical(seal.sign(document, key)))


def active(state: str, key: bytes | None, ask: VerdictQuery, now: float) -> list[Document]:
    """The overrides that hold for what is asked, its revision too. Damaged lines hold nothing."""
    try:
        with open(_log(state), "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if key and isinstance(document, dict) and seal.holds(document, key) and _holds(document, ask, now):
            found.append(document)
    return found


def override_line(document: Document) -> str:
    """One line about an override."""
    ends = number_of(document["expires_at"]) or 0.0
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    scope = f" for revision {document['revision']}" if document["revision"] else ""
    return f"overridden by {document['by']} until {until}{scope}: {document['reason']} ({document['ticket']})"


def _holds(document: Document, ask: VerdictQuery, now: float) -> bool:
    made, ends = number_of(document.get("made_at")), number_of(document.get("expires_at"))
    if document.get("schema") != SCHEMA or not all(isinstance(document.get(name), str) for name in _TEXTS):
        return False
    same = all(document[name] == getattr(ask, name) for name in ("gate", "environment", "unit", "slot"))
    if not same or revisions.differs(document["revision"], ask.revision):
        return False
    return made is not None and ends is not None and made - 5 <= now < ends <= made + LONGEST


def _log(state: str) -> str:
    return os.path.join(state, "overrides.jsonl")
