"""Symbols of outcomes and gates, letters where there is no UTF-8, colour where there is a terminal that wants it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

from pytest_prodcheck.outcomes import Outcome

# outcome -> symbol, letters, colour
_OUTCOMES = {
    Outcome.PASSED: ("✅", "PASS", "green"),
    Outcome.FAILED: ("❌", "FAIL", "red"),
    Outcome.WARNED: ("⚠️", "WARN", "yellow"),
    Outcome.SKIPPED: ("⏭️", "SKIP", "blue"),
    Outcome.ERRORED: ("❓", "ERR", "magenta"),
}
# status of a verdict -> symbol, words, colour
_GATES = {
    "open": ("🟢", "OPEN", "green"),
    "blocked": ("⛔", "BLOCKED", "red"),
    "usage-error": ("🔧", "USAGE ERROR", "yellow"),
    "cannot-tell": ("❓", "CANNOT TELL", "magenta"),
    "refused": ("🚫", "REFUSED", "red"),
}
_UNKNOWN = ("❓", "CANNOT TELL", "magenta")
STATUSES = {0: "open", 1: "blocked", 2: "usage-error", 3: "cannot-tell", 4: "refused"}
ACTIONS = {
    Outcome.PASSED: "go on",
    Outcome.FAILED: "stop, fix it",
    Outcome.WARNED: "go on, look into it",
    Outcome.SKIPPED: "check whether that is intended",
    Outcome.ERRORED: "find out why, run again",
}
_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "bold": "1", "dim": "2"}


def outcome_symbol(outcome: str, *, unicode: bool = True) -> str:
    """✅ ❌ ⚠️ ⏭️ ❓, or PASS FAIL WARN SKIP ERR; what is no outcome is shown as errored."""
    symbol, letters, _ = _OUTCOMES.get(_outcome(outcome), _OUTCOMES[Outcome.ERRORED])
    return symbol if unicode else letters


def outcome_color(outcome: str) -> str:
    """The name of an outcome's colour."""
    return _OUTCOMES[_outcome(outcome)][2]


def gate_symbol(status: str, *, unicode: bool = True) -> str:
    """The symbol of a verdict's status; "" without UTF-8, where `gate_words` say it all."""
    return _GATES.get(status, _UNKNOWN)[0] if unicode else ""


def gate_words(status: str) -> str:
    """OPEN, BLOCKED, CANNOT TELL, REFUSED or USAGE ERROR."""
    return _GATES.get(status, _UNKNOWN)[1]


def gate_color(status: str) -> str:
    """The name of the colour of a verdict's status."""
    return _GATES.get(status, _UNKNOWN)[2]


def takes_unicode(stream: TextIO) -> bool:
    """Whether a stream can write the symbols."""
    try:
        "✅⚠️".encode(stream.encoding or "ascii")
    except (AttributeError, LookupError, UnicodeEncodeError):
        return False
    return True


def takes_color(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream is a terminal that may be coloured; never where NO_COLOR is set to anything (no-color.org).

    FORCE_COLOR set to anything (force-color.org) colours what is no terminal, too: the logs of CI systems.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    if environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def paint(text: str, color: str, *, on: bool) -> str:
    """Text in a colour, or as it is."""
    return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if on and text else text


def _outcome(outcome: str) -> Outcome:
    try:
        return Outcome(outcome)
    except ValueError:
        return Outcome.ERRORED
