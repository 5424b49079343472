"""Markdown (GitHub's) for a step summary or a comment: the gates, what needs attention, how to fix it."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.outcomes import Result, RunRecord, counts
from pytest_prodcheck.reports.escaping import plain_markdown, safe, safe_lines
from pytest_prodcheck.reports.measurement_text import decisive, limit_text, measured_text, needing_attention
from pytest_prodcheck.reports.symbols import gate_symbol, gate_words, outcome_symbol
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View, status_of, subject_of, views

MOST = 50  # results that are listed; GitHub takes a summary of 1 MB and a comment of 65,536 characters
_MOST_REASON = 300


def run_markdown(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The run as Markdown. It begins with a comment by which a script finds its own earlier comment again."""
    key = "/".join(filter(None, (run.project, run.environment, run.unit, run.slot)))
    lines = [f"<!-- prodcheck: {plain_markdown(safe(key)).replace('--', '- -')} -->"]
    lines += [_gate(each) for each in views(verdicts)] or ["**No gate was touched.**"]
    told = [f"{number} {outcome}" for outcome, number in counts(run.results).items() if number]
    about = ", ".join(filter(None, (safe(run.environment), safe(run.unit), safe(run.slot), safe(run.revision))))
    lines += ["", f"{plain_markdown(about)}: {', '.join(told) or 'nothing was judged'}"]
    found = needing_attention(run.results)
    if found:
        lines += ["", "| | check | measured | why | how to fix |", "|---|---|---|---|---|", *map(_row, found[:MOST])]
    if len(found) > MOST:
        lines += ["", f"and {len(found) - MOST} more (all are in the report)"]
    for each in (*run.problems, *([f"interrupted: {run.interrupted}"] if run.interrupted else [])):
        lines += ["", f"⚠️ {plain_markdown(safe(each))}"]
    return "\n".join(lines) + "\n"


def _gate(verdict: View) -> str:
    status = status_of(verdict)
    name = plain_markdown(verdict.text("gate"))
    overridden = " (overridden)" if verdict.texts("overrides") else ""
    return f"## {gate_symbol(status)} {gate_words(status)}: {name}{overridden}"


def _row(result: Result) -> str:
    reason = plain_markdown(safe("; ".join(safe_lines(result.reason)), most=_MOST_REASON))
    limit = limit_text(decisive(result))
    measured = plain_markdown(measured_text(result)) + (f" (limit {plain_markdown(limit)})" if limit else "")
    about = plain_markdown(subject_of(result))
    fix = safe(result.runbook)
    shown = f"`{fix.replace('`', '').replace('|', '')}`" if fix.startswith("prodcheck ") else plain_markdown(fix)
    return f"| {outcome_symbol(result.outcome)} | {about} | {measured} | {reason} | {shown} |"
