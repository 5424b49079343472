"""What the event log tells of the past: how a check went, which checks change to and fro, how long a gate was shut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pytest_prodcheck.events.log import Event
from pytest_prodcheck.reports.trends import Point, Trend
from pytest_prodcheck.reports.verdict_documents import finite

FLAKY = 3  # changes of outcome among the runs that are looked at from which a check is called flaky


def points(runs: Iterable[Event], identity: str) -> list[Point]:
    """Every run's result of "check@target", the oldest first."""
    found = []
    for run in sorted(runs, key=lambda each: each.at):
        results = run.body.get("results")
        kept = results.get(identity) if isinstance(results, dict) else None
        if isinstance(kept, dict):
            value, limit = (finite(kept.get(name)) for name in ("value", "limit"))
            outcome, unit, direction = (str(kept.get(name, "")) for name in ("outcome", "unit", "direction"))
            found.append(Point(run.at, run.revision, outcome, value, unit, limit, direction))
    return found


def trend(runs: Iterable[Event], identity: str, most: int = 1000) -> Trend | None:
    """How "check@target" went in the newest runs that judged it; None where none did."""
    found = points(runs, identity)[-most:]
    return Trend(tuple(found)) if found else None


def identities(runs: Iterable[Event]) -> list[str]:
    """Every "check@target" that any of the runs judged."""
    return sorted({name for run in runs for name in (run.body.get("results") or {})})


def flaky(runs: Sequence[Event]) -> list[tuple[str, int]]:
    """How often the outcome of each "check@target" changed, the worst first; among runs of one revision only.

    A check that fails with one revision and passes with the next did what it is for.
    """
    by_revision: dict[str, list[Event]] = {}
    for run in runs:
        by_revision.setdefault(run.revision, []).append(run)
    changed: dict[str, int] = {}
    for group in by_revision.values():
        for name in identities(group):
            told = [each.outcome for each in points(group, name)]
            changed[name] = changed.get(name, 0) + sum(a != b for a, b in pairwise(told))
    return sorted(((name, n) for name, n in changed.items() if n >= FLAKY), key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True)
class Gathered:
    """How long one piece of evidence took, in seconds, over the runs that gathered it."""

    collector: str
    target: str
    runs: int
    median: float
    worst: float


def slowest(runs: Iterable[Event]) -> list[Gathered]:
    """Each kind of evidence about each target, that with the longest median first."""
    took: dict[str, list[float]] = {}
    for run in runs:
        gathered = run.body.get("gathered")
        for key, seconds in (gathered.items() if isinstance(gathered, dict) else ()):
            if (known := finite(seconds)) is not None:
                took.setdefault(key, []).append(known)
    found = []
    for key, each in took.items():
        collector, _, target = key.partition(":")
        found.append(Gathered(collector, target, len(each), median(each), max(each)))
    return sorted(found, key=lambda each: (-each.median, -each.worst, each.collector, each.target))


@dataclass(frozen=True)
class ClosedPeriod:
    """A time in which a gate was not open: from the first verdict that was not, to the first that was again."""

    gate: str
    began: float
    ended: float | None  # None: it still is


def closed_periods(verdicts: Iterable[Event]) -> list[ClosedPeriod]:
    """By gate and slot, the oldest first."""
    open_since: dict[tuple[str, str], float] = {}
    found: list[ClosedPeriod] = []
    for each in sorted(verdicts, key=lambda each: each.at):
        key = (each.subject, str(each.body.get("slot", "")))
        if each.body.get("code") != 0:
            open_since.setdefault(key, each.at)
        elif key in open_since:
            found.append(ClosedPeriod(each.subject, open_since.pop(key), each.at))
    return found + [ClosedPeriod(gate, began, None) for (gate, _), began in open_since.items()]
