"""What the page of a run shows, as plain data for its template: all texts are harmless, HTML is marked as such."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pytest_prodcheck.gates.root_causes import root_causes
from pytest_prodcheck.outcomes import NO_TARGET, Judgement, Outcome, Result, RunRecord, counts
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports import html_markup
from pytest_prodcheck.reports.changes import ORDER, WORDS, Change, changes, counted, result_text
from pytest_prodcheck.reports.checklist import checklist_html
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.measurement_text import (
    by_gravity,
    decisive,
    limit_text,
    measured_text,
    needing_attention,
    rank,
    value_text,
    worst_first,
)
from pytest_prodcheck.reports.page.deciding_findings import findings_html
from pytest_prodcheck.reports.page.first_steps import Requests, Step, first_step
from pytest_prodcheck.reports.page.trend_figures import Trends, trend_figures, trend_line
from pytest_prodcheck.reports.role_matrix import matrix_html
from pytest_prodcheck.reports.symbols import ACTIONS, outcome_symbol
from pytest_prodcheck.reports.text_details import evidence_text
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View, finite, moment, views

MOST_JUDGEMENTS = 200
MOST_COLUMNS = 30  # targets of one kind that a matrix shows side by side
MOST_CHANGES = 100
MOST_REQUESTS = 10  # of one result
LIMIT_AT = 70.0  # where the limit stands on a bar that is 100 wide


@dataclass(frozen=True)
class Bar:
    """A measured value beside its limits, on a scale of 0 to 100. value: how far it is filled."""

    value: float
    fail: float | None
    warn: float | None


def contents(
    run: RunRecord,
    verdicts: Sequence[AnyVerdict],
    before: RunRecord | None = None,
    charts: str = "",
    exchanges: Requests | None = None,
    trends: Trends | None = None,
) -> dict[str, Any]:
    """All that the template names."""
    shown = views(verdicts)
    results = sorted(run.results, key=by_gravity)
    places = {each.identity: number for number, each in enumerate(results)}
    rows = [_row(each, place) for place, each in enumerate(results)]
    by_identity = {each.identity: each for each in results}

    def details(result: Result) -> dict[str, Any]:
        return _details(result, run.ended_at, exchanges or {}, trend_line((trends or {}).get(result.identity)))

    def step(runbook: str, result: Result | None) -> Step | None:
        return first_step(runbook, result, exchanges or {}, run.environment)

    def decided(findings: Iterable[View]) -> str:
        return findings_html(findings, by_identity, places, step)

    return {
        "title": safe(" ".join(filter(None, ("prodcheck:", run.project, run.environment, run.revision)))),
        "about": _about(run),
        "gates": [Markup(html_markup.gate(each, decided)) for each in shown],
        "checklist": Markup(checklist_html(run, shown)),
        "problems": Markup(html_markup.problems(run)),
        "counts": [
            {"name": str(each), "symbol": outcome_symbol(each), "number": number, "action": ACTIONS[each]}
            for each, number in sorted(counts(run.results).items(), key=lambda pair: rank(pair[0]))
        ],
        "changes": _changes(before, run, places) if before is not None else None,
        "trends": trend_figures(results, trends or {}),
        "roles": Markup(matrix_html(run)),
        "charts": Markup(charts),
        "matrices": _matrices(results, places),
        "number": len(results),
        "groups": _groups(results, rows),
        "choices": _choices(rows),
        "details": Markup(_embedded([details(each) for each in results])),
        "runbooks": Markup(_embedded(_runbooks(results))),
    }


def _groups(results: Sequence[Result], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results in order, each with what could not be asked because of it."""
    causes = root_causes(results)
    followers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result, row in zip(results, rows, strict=True):
        if result.identity in causes:
            followers.setdefault(causes[result.identity], []).append(row)
    return [
        {"row": row, "followers": followers.get(result.identity, [])}
        for result, row in zip(results, rows, strict=True)
        if result.identity not in causes
    ]


def _about(run: RunRecord) -> list[tuple[str, str]]:
    named = (
        ("environment", run.environment + (" (protected)" if run.protected else "")),
        ("unit", run.unit),
        ("slot", run.slot),
        ("revision", run.revision),
        ("seen from", run.vantage),
        ("run", run.id),
        ("ended", moment(run.ended_at)),
        ("took", format_quantity(max(0.0, run.ended_at - run.started_at), "s") if run.started_at else ""),
        ("prodcheck", run.version),
    )
    return [(name, safe(value)) for name, value in named if value]


def _row(result: Result, place: int) -> dict[str, Any]:
    judgement = decisive(result)
    reason = safe_lines(result.reason)
    return {
        "place": place,
        "outcome": str(result.outcome),
        "symbol": outcome_symbol(result.outcome),
        "check": safe(result.check),
        "target": "" if result.target == NO_TARGET else safe(result.target),
        "suite": safe(result.suite or result.check.partition(".")[0]),
        "severity": str(result.severity),
        "kind": safe(result.kind),
        "owner": safe(result.owner),
        "measured": _measured(result),
        "limit": limit_text(judgement),
        "bar": bar(judgement),
        "reason": reason[0] if reason and result.outcome not in (Outcome.PASSED, Outcome.SKIPPED) else "",
    }


def _measured(result: Result) -> str:
    """"2.4 s of db-1 (and 3 more)"; where all is as it should be and nothing has a number, how much was looked at."""
    if result.skip:
        return f"skipped: {result.skip}"
    judgement, number = decisive(result), len(result.judgements)
    if judgement is not None and isinstance(judgement.value, bool):
        if result.outcome is Outcome.PASSED:
            return "good" if number == 1 else f"all {number} good"
        more = f" (and {number - 1} more)" if number > 1 else ""
        return f"{safe(judgement.of)}{more}" if judgement.of else ""
    return re.sub(r" \(\+([0-9]+)\)\Z", r" (and \1 more)", measured_text(result))


def bar(judgement: Judgement | None) -> Bar | None:
    """A judgement with a limit as a bar; None where there is nothing to compare, or a limit of 0."""
    if judgement is None or (measured := finite(judgement.value)) is None:
        return None
    limit = judgement.fail if judgement.fail is not None else judgement.warn
    if limit is None or limit <= 0 or measured < 0:
        return None

    def at(value: float) -> float:
        return round(min(100.0, LIMIT_AT * value / limit), 1)

    fail, warn = (None if level is None else at(level) for level in (judgement.fail, judgement.warn))
    return Bar(at(measured), fail, warn)


def _details(result: Result, ended_at: float, exchanges: Requests, trend: str) -> dict[str, Any]:
    """What is shown of a result when it is opened; empty fields are left out, for there may be thousands."""
    judged = [
        [
            str(each.outcome), safe(each.what), safe(each.of), value_text(each.value, each.unit), limit_text(each),
            "" if each.margin is None else value_text(each.margin, each.unit), safe(each.reason),
        ]
        for each in worst_first(result.judgements)[:MOST_JUDGEMENTS]
    ]  # fmt: skip
    reason = safe_lines(result.reason)  # one line stands in the head of the result already
    made = {
        "title": safe(result.title),
        "reason": reason if len(reason) > 1 or result.outcome is Outcome.SKIPPED else [],
        "judged": judged,
        "more": max(0, len(result.judgements) - MOST_JUDGEMENTS),
        "notes": [safe(each) for each in result.notes],
        "asked": _request_rows(result, exchanges),
        "trend": trend,
        "evidence": evidence_text(result, ended_at) if result.evidence else "",
        "fix": safe(result.runbook),
        "owner": safe(result.owner),
        "test": safe(result.nodeid),
    }
    return {name: value for name, value in made.items() if value}


def _request_rows(result: Result, exchanges: Requests) -> list[list[str]]:
    if result.outcome in (Outcome.PASSED, Outcome.SKIPPED):
        return []
    found = [each for key in result.evidence for each in exchanges.get(key, ())]
    return [[safe(each.line), safe(each.excerpt), safe(each.repeat)] for each in found[:MOST_REQUESTS]]


def _runbooks(results: Iterable[Result]) -> dict[str, str]:
    """The bundled runbooks of what did not pass, by the command that names them."""
    from pytest_prodcheck import runbooks

    wanted = {each.runbook for each in needing_attention(results)}
    found = {}
    for each in sorted(wanted):
        name = runbooks.find(each.removeprefix("prodcheck explain ")) if each.startswith("prodcheck explain ") else None
        if name is not None:
            found[each] = runbooks.read(name)
    return found


def _choices(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The filters that have more than one value."""
    made = []
    for name in ("suite", "severity", "kind", "owner"):
        values = sorted({row[name] for row in rows if row[name]})
        if len(values) > 1:
            made.append({"name": name, "values": values})
    return made


def _matrices(results: Iterable[Result], places: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Checks beside targets, one table a kind of target with more than one target or check."""
    kinds: dict[str, list[Result]] = {}
    for each in results:
        if each.target != NO_TARGET and each.kind:
            kinds.setdefault(each.kind, []).append(each)
    made = []
    for kind, found in sorted(kinds.items()):
        targets = sorted({each.target for each in found})
        rows: dict[str, dict[str, Result]] = {}
        for each in sorted(found, key=lambda each: each.check):
            rows.setdefault(each.check, {})[each.target] = each
        made.append(
            {
                "kind": safe(kind),
                "targets": [safe(each) for each in targets[:MOST_COLUMNS]],
                "more": max(0, len(targets) - MOST_COLUMNS),
                "rows": [
                    {"check": safe(check), "cells": [_cell(by.get(each), places) for each in targets[:MOST_COLUMNS]]}
                    for check, by in rows.items()
                ],
            }
        )
    return made


def _cell(result: Result | None, places: dict[tuple[str, str], int]) -> dict[str, Any] | None:
    if result is None:
        return None
    outcome = result.outcome
    return {"symbol": outcome_symbol(outcome), "outcome": str(outcome), "place": places[result.identity]}


def _changes(before: RunRecord, run: RunRecord, places: dict[tuple[str, str], int]) -> dict[str, Any]:
    found = changes(before, run)
    numbers = counted(found)
    return {
        "since": safe(" ".join(filter(None, (before.revision, moment(before.ended_at))))),
        "words": ", ".join(f"{numbers[kind]} {WORDS[kind]}" for kind in ORDER if numbers[kind]) or "nothing",
        "rows": [_change(each, places) for each in found[:MOST_CHANGES]],
        "more": max(0, len(found) - MOST_CHANGES),
    }


def _change(change: Change, places: dict[tuple[str, str], int]) -> dict[str, Any]:
    result = change.result
    return {
        "kind": change.kind,
        "words": WORDS[change.kind],
        "check": safe(result.check),
        "target": "" if result.target == NO_TARGET else safe(result.target),
        "before": result_text(change.before),
        "now": result_text(change.now),
        "place": places.get(result.identity) if change.now is not None else None,
    }


def _embedded(data: object) -> str:
    """JSON that no HTML parser takes for anything else."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
