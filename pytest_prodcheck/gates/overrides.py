"""Overrides: a person opens a closed gate for a while, with a reason; sealed, scoped, expiring, logged."""

from __future__ import annotations

import json
import os
import time

from pytest_prodcheck.gates import paths, revisions, seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.verdict_files import Document, VerdictQuery, number_of
from pytest_prodcheck.trusted_files import read_regular

SCHEMA = "prodcheck-override/1"
LONGEST = 24 * 3600.0  # seconds
_LARGEST = 64 * 1024 * 1024  # bytes of the log: one that is larger holds nothing
_TEXTS = ("gate", "environment", "unit", "slot", "revision", "reason", "ticket", "by", "project", "boot")


def make(
    ask: VerdictQuery, *, reason: str, ticket: str, seconds: float, now: float, by: str, root: str | None = None
) -> Document:
    """The unsealed document of an override; raises ValueError for an empty reason, a bad name or more than 24 h.

    root: folder of prodcheck.toml, None without one. Projects that share a key do not share overrides.
    """
    paths.verdict_file("", ask.environment, ask.unit, ask.slot, ask.gate)
    if not reason.strip() or not ticket.strip():
        raise ValueError("an override needs a --reason and a --ticket: every answer of the gate shows both")
    if not 0 < seconds <= LONGEST:
        raise ValueError('an override is valid for more than zero and at most "24h": use --for such as "30m"')
    boot, uptime = since_boot()
    return {
        "schema": SCHEMA,
        "project": _project(root),
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
        "boot": boot,
        "uptime": uptime,
    }


def record(state: str, document: Document, key: bytes) -> None:
    """Seals an override and appends it to the log, which is what gates read; raises OSError."""
    from pathlib import Path

    from pytest_prodcheck.gates.files import append_line, make_private

    make_private(Path(state))
    append_line(Path(_log(state)), seal.canonical(seal.sign(document, key)))


def active(state: str, key: bytes | None, ask: VerdictQuery, now: float, root: str | None) -> list[Document]:
    """The overrides that hold for what is asked, its revision too. Damaged lines hold nothing.

    root: folder of prodcheck.toml, None without one.
    """
    try:
        lines = read_regular(_log(state), _LARGEST, follow=False).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if key and isinstance(document, dict) and seal.holds(document, key) and _is_in_force(document, ask, now):
            found.append(document)
    return [each for each in found if each["project"] == _project(root)]


def override_line(document: Document) -> str:
    """One line about an override."""
    ends = number_of(document["expires_at"]) or 0.0
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    scope = f" for revision {document['revision']}" if document["revision"] else ""
    return f"overridden by {document['by']} until {until}{scope}: {document['reason']} ({document['ticket']})"


def _is_in_force(document: Document, ask: VerdictQuery, now: float) -> bool:
    made, ends = number_of(document.get("made_at")), number_of(document.get("expires_at"))
    if document.get("schema") != SCHEMA or not all(isinstance(document.get(name), str) for name in _TEXTS):
        return False
    same = all(document[name] == getattr(ask, name) for name in ("gate", "environment", "unit", "slot"))
    if not same or revisions.differs(document["revision"], ask.revision):
        return False
    if made is None or ends is None:
        return False
    boot, uptime = since_boot()
    passed = uptime - (number_of(document.get("uptime")) or 0.0) if boot and boot == document["boot"] else 0.0
    return made - 5 <= now and max(now, made + passed) < ends <= made + LONGEST  # be the clock set back since


def _project(root: str | None) -> str:
    """The name that prodcheck.toml gives its project; "" for none, or where it cannot be read."""
    from pytest_prodcheck.gates.toml_values import TomlError, tables

    try:
        named = [table.get("project") for _, table in tables(root)] if root is not None else []
    except TomlError:
        return ""
    return next((each for each in named if isinstance(each, str)), "")


def _log(state: str) -> str:
    return os.path.join(state, "overrides.jsonl")
