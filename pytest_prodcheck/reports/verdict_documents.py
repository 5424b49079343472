"""Reads verdict documents for display. A document may be edited or broken: what is wrong is left out, never raised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from pytest_prodcheck.outcomes import NO_TARGET, Result
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.symbols import STATUSES


class _Verdict(Protocol):
    def to_document(self) -> dict[str, object]: ...


AnyVerdict = _Verdict | Mapping[str, object]
LEVELS = ("info", "warning", "critical", "emergency")


class View:
    """A table of JSON data, read by type; texts come out harmless."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self.data = data

    def text(self, name: str) -> str:
        """A text as one line, "" for anything else."""
        value = self.data.get(name)
        return safe(value) if isinstance(value, str) else ""

    def raw(self, name: str) -> str:
        """A text as it is, "" for anything else."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """A finite number, None for anything else."""
        return finite(self.data.get(name))

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        return self.data.get(name) is True

    def texts(self, name: str) -> list[str]:
        """A list's members as one line each."""
        value = self.data.get(name)
        return [safe(each) for each in value] if isinstance(value, (list, tuple)) else []

    def views(self, name: str) -> list[View]:
        """A list's tables."""
        value = self.data.get(name)
        return [View(each) for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []

    def view(self, name: str) -> View | None:
        """A table, None for anything else."""
        value = self.data.get(name)
        return View(value) if isinstance(value, Mapping) else None

    def names(self) -> list[str]:
        """The keys, in order, as they are."""
        return [name for name in self.data if isinstance(name, str)]


def views(verdicts: Iterable[AnyVerdict]) -> list[View]:
    """Verdicts or their documents, ready to be shown; the worst first."""
    found = [View(each if isinstance(each, Mapping) else each.to_document()) for each in verdicts]
    place = {2: 0, 4: 1, 1: 2, 3: 3, 0: 4}
    return sorted(found, key=lambda view: place.get(int(view.number("code") or 0), 0) if status_of(view) else -1)


def status_of(verdict: View) -> str:
    """A verdict's status, "" where it does not go with its code: such a document says nothing."""
    status, code = verdict.raw("status"), verdict.number("code")
    return status if code is not None and STATUSES.get(int(code)) == status else ""


def level_of(verdict: View) -> str:
    """How grave a gate's answer is: one of `LEVELS`."""
    if verdict.number("code") == 0 and status_of(verdict):
        return "warning" if verdict.views("warnings") else "info"
    reasons = verdict.views("reasons")
    broken = any(each.raw("outcome") == "failed" and each.raw("severity") == "critical" for each in reasons)
    return "emergency" if broken and verdict.number("code") == 1 else "critical"


def first_line(reason: str) -> str:
    """What is wrong, without the excerpt and the `curl` line that may stand below."""
    return reason.strip().partition("\n")[0]


def finite(value: object) -> float | None:
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def moment(seconds: float | None) -> str:
    """"2026-01-31 02:00:00 UTC" of a UTC epoch second; "" for none or one that no calendar has."""
    if seconds is None:
        return ""
    try:
        return _second(math.floor(seconds))
    except (OverflowError, ValueError, OSError):
        return ""


@lru_cache(maxsize=1024)  # thousands of results are of the same few seconds
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def subject(check: str, target: str) -> str:
    """"smoke.service.health on shop"; the target is left out where there is none."""
    return f"{check} on {target}" if target and target != NO_TARGET else check


def subject_of(result: Result) -> str:
    """The same of a result, harmless to show."""
    return subject(safe(result.check), safe(result.target))
