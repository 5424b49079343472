"""Reads a verdict document, or says why there is none. Light: `prodcheck gate` starts with it."""

from __future__ import annotations

import json
import os
import time

from pytest_prodcheck.gates import newest_run, paths, seal
from pytest_prodcheck.trusted_files import read_regular

CANNOT_TELL = 3
_LARGEST = 64 * 1024 * 1024  # bytes
Document = dict[str, object]
Reasons = list[tuple[int, str]]  # exit code, why


class VerdictQuery:
    """What is asked for: `max_age` in seconds or None, `verdict` a file instead of the store's, `run` its run or "".

    given: the revision as given, None where it was not; `revisions.resolve` makes `revision` of it.
    """

    def __init__(
        self,
        gate: str,
        environment: str,
        *,
        unit: str = "",
        slot: str = "",
        revision: str | None = None,
        max_age: float | None = None,
        verdict: str = "",
        strict: bool = False,
        run: str = "",
    ) -> None:
        self.gate, self.environment, self.unit, self.slot = gate, environment, unit, slot
        self.given, self.revision = revision, revision or ""
        self.max_age, self.verdict, self.strict, self.run = max_age, verdict, strict, run


def read(ask: VerdictQuery, state: str, key: bytes | None) -> tuple[Document | None, Reasons]:
    """The document that is asked for, sealed or not, or why there is none: 3 where nothing readable is there.

    key: of the seals of tickets. A link in the store is not followed: what it leads to is not ours.
    """
    file = ask.verdict or paths.verdict_file(state, ask.environment, ask.unit, ask.slot, ask.gate)
    try:
        content = read_regular(file, _LARGEST, follow=bool(ask.verdict))
    except FileNotFoundError:
        return None, [(CANNOT_TELL, f"there is no file {file}" if ask.verdict else _why_no_verdict(file, ask, key))]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return None, [(CANNOT_TELL, f"the verdict {file} cannot be read: {why}")]
    try:
        document = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return None, [(CANNOT_TELL, f"the verdict {file} is damaged: it is empty, incomplete or not a JSON document")]
    return document, _newer_run_reasons(document, ask, state) if ask.verdict else _newest_run_reasons(
        document, file, ask, state, key
    )


def _newer_run_reasons(document: Document, ask: VerdictQuery, state: str) -> Reasons:
    """Whether a newer run has begun here since a verdict that lies elsewhere was made."""
    try:
        newest = newest_run.newest_known(state, paths.key_text(ask.environment, ask.unit, ask.slot, ask.gate))[1]
    except OSError as error:
        return [(CANNOT_TELL, f"the note about the newest run, {error.filename}: {error.strerror}")]
    made = number_of(document.get("evaluated_at"))
    return [] if made is None or newest <= made else [_not_newest(newest)]


def _not_newest(began: float) -> tuple[int, str]:
    when = age(max(0.0, time.time() - began))
    return CANNOT_TELL, f"the verdict is not from the newest run, which began {when} ago: run the checks again"


def _newest_run_reasons(document: Document, file: str, ask: VerdictQuery, state: str, key: bytes | None) -> Reasons:
    """Whether a verdict of the store is that of the newest run: old files put back must not open."""
    about = paths.key_text(ask.environment, ask.unit, ask.slot, ask.gate)
    ticket = read_ticket(file, about, key)
    if ticket is None:
        return [(CANNOT_TELL, "`.prodcheck` has no record of the run that made this verdict: run the checks again")]
    if ticket["number"] != document.get("ticket"):
        return [(CANNOT_TELL, f"the verdict is not from the newest run: {_why_no_verdict(file, ask, key)}")]
    try:
        newest = newest_run.newest_known(state, about)[1]
    except OSError as error:
        return [(CANNOT_TELL, f"the note about the newest run, {error.filename}: {error.strerror}")]
    if (number_of(ticket["at"]) or 0.0) < newest:
        return [_not_newest(newest)]
    return []


def _why_no_verdict(file: str, ask: VerdictQuery, key: bytes | None) -> str:
    """Why there is no verdict, as well as its ticket tells."""
    ticket = read_ticket(file, paths.key_text(ask.environment, ask.unit, ask.slot, ask.gate), key)
    if ticket is None:
        return "there is no verdict: no run has judged this environment, unit and slot yet"
    run, at = str(ticket.get("run"))[:60], number_of(ticket.get("at"))
    since = "" if at is None else f" {age(max(0.0, time.time() - at))} ago"
    pid, here = ticket.get("pid"), ticket.get("host") == os.uname().nodename
    if here and type(pid) is int and not _alive(pid):
        return f"there is no verdict: run {run}, started{since}, ended without one (killed, crashed or interrupted)"
    return f"there is no verdict yet: run {run}, started{since}, {'is in progress' if here else 'has not finished'}"


def read_ticket(file: str, about: str, key: bytes | None) -> Document | None:
    """The ticket beside a verdict: `number` and `at` of the newest run for the key `about`; None for one not sealed."""
    try:
        found = json.loads(read_regular(paths.ticket_file(file), 65536, follow=False))
    except (OSError, ValueError, RecursionError):
        return None
    if key is None or not isinstance(found, dict) or found.get("key") != about or not seal.holds(found, key):
        return None
    return found if type(found.get("number")) is int and number_of(found.get("at")) is not None else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def age(seconds: float) -> str:
    """A span of time for people, cut to one unit: "40 s", "15 min", "26 h", "4 d"."""
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"


def number_of(value: object) -> float | None:
    """A finite number as float, else None."""
    good = type(value) in (int, float) and value == value and abs(value) < 1e15  # type: ignore[arg-type]
    return float(value) if good else None  # type: ignore[arg-type]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
