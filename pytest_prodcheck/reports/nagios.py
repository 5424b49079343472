"""A plugin's answer to Nagios, Icinga and their kin, with performance data (guidelines of monitoring-plugins.org)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from pytest_prodcheck.outcomes import Judgement, Outcome, Result, RunRecord, counts
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.measurement_text import decisive, needing_attention
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, finite, subject_of, views

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_UNITS = {"s": "s", "%": "%", "B": "B"}
_MOST_LINES = 20


def run_nagios(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """State, counts and performance data on the first line, what needs attention below."""
    found = list(verdicts)
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts(run.results).items() if number)
    environment = _without_pipe(safe(run.environment))
    head = f"PRODCHECK {STATES[state(run, found)]} - {environment}: {told or 'nothing was judged'}"
    if gone := _expired(found, time.time()):
        head += f", but the verdict of {_without_pipe(', '.join(gone))} has expired: does no run follow?"
    data = " ".join(filter(None, map(_measured, run.results)))
    lines = [f"{head} | {data}" if data else head]
    for each in needing_attention(run.results)[:_MOST_LINES]:
        said = "; ".join(safe_lines(each.reason))
        lines.append(_without_pipe(f"{str(each.outcome).upper()} {subject_of(each)}: {said}"))
    return "\n".join(lines) + "\n"


def state(run: RunRecord, verdicts: Iterable[AnyVerdict]) -> int:
    """A plugin's exit code: 2 where a gate is blocked, 3 where one cannot tell or is none, 1 for warnings, else 0.

    An open gate whose verdict has expired cannot tell any more: whatever made runs has stopped.
    """
    verdicts = list(verdicts)
    codes = [each.number("code") for each in views(verdicts)]
    if 1 in codes:
        return 2
    if not codes or any(code != 0 for code in codes) or _expired(verdicts, time.time()):
        return 3
    return 1 if any(each.outcome in (Outcome.WARNED, Outcome.FAILED) for each in run.results) else 0


def _expired(verdicts: Iterable[AnyVerdict], now: float) -> list[str]:
    """The gates whose verdicts are not valid any more."""
    return [each.text("gate") for each in views(verdicts) if not now < (each.number("expires_at") or 0.0)]


def _measured(result: Result) -> str:
    """`'label'=value[unit];warn;crit` of the one value that says most; ranges are inclusive of what is good."""
    judgement = decisive(result)
    if judgement is None or (value := finite(judgement.value)) is None:
        return ""
    label = f"{result.check}@{result.target}".replace("'", "").replace("=", "_")
    warn, fail = (_range(level, judgement) for level in (judgement.warn, judgement.fail))
    unit = _UNITS.get(judgement.unit, "")
    return f"'{_without_pipe(safe(label))}'={value:.12g}{unit};{warn};{fail}".rstrip(";")


def _range(level: float | None, judgement: Judgement) -> str:
    if level is None:
        return ""
    return f"{level:.12g}:" if judgement.direction == "at_least" else f"{level:.12g}"


def _without_pipe(text: str) -> str:
    """Without `|`, which begins performance data."""
    return re.sub(r"\|", "/", text)
