"""A run as events: the run with what it measured, and each verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_prodcheck.events.log import Event
from pytest_prodcheck.outcomes import Outcome, RunRecord, counts
from pytest_prodcheck.reports.measurement_text import decisive
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, finite, level_of, views


def events_of(
    run: RunRecord, verdicts: Iterable[AnyVerdict], gathered: Mapping[str, float] | None = None
) -> list[Event]:
    """What the log keeps of a run. gathered: key of evidence -> how many seconds it took."""
    about = {"environment": run.environment, "unit": run.unit, "revision": run.revision}
    body = {
        "slot": run.slot,
        "seconds": max(0.0, run.ended_at - run.started_at),
        "counts": {str(outcome): number for outcome, number in counts(run.results).items()},
        "results": dict(_results(run)),
        "gathered": {key: round(seconds, 4) for key, seconds in (gathered or {}).items()},
    }
    made = [Event(f"run:{run.id}", run.ended_at, "run", subject=run.id, body=body, **about)]
    for each in views(verdicts):
        gate, code = each.raw("gate"), each.number("code")
        told = {"code": None if code is None else int(code), "level": level_of(each), "slot": run.slot, "run": run.id}
        made.append(Event(f"verdict:{run.id}:{gate}", run.ended_at, "verdict", subject=gate, body=told, **about))
    return made


def _results(run: RunRecord) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """By "check@target": outcome, and the value that says most beside its limit where it is a number."""
    for each in run.results:
        if each.outcome is Outcome.SKIPPED:
            continue
        kept: dict[str, Any] = {"outcome": str(each.outcome)}
        judgement = decisive(each)
        if judgement is not None and (value := finite(judgement.value)) is not None:
            kept |= {"value": value, "unit": judgement.unit, "limit": finite(judgement.fail)}
            if judgement.direction == "at_least":
                kept["direction"] = judgement.direction
        yield f"{each.check}@{each.target}", kept
