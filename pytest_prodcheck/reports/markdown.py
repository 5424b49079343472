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
    """The run as Markdown. Its first line, which nobody sees, is the same for the next run of the same gates."""
    lines = [_marker(run, views(verdicts))]
    lines += [_gate(each) for each in views(verdicts)] or ["**This run changed no gate.**"]
    told = [f"{number} {outcome}" for outcome, number in counts(run.results).items() if number]
    about = ", ".join(filter(None, (safe(run.environment), safe(run.unit), safe(run.slot), safe(run.revision))))
    lines += ["", f"{_text(about)}: {', '.join(told) or 'nothing was judged'}"]
    found = needing_attention(run.results)
    if found:
        lines += ["", "| | check | measured | why | how to fix |", "|---|---|---|---|---|", *map(_row, found[:MOST])]
    if len(found) > MOST:
        lines += ["", f"and {len(found) - MOST} more (all are in the report)"]
    for each in (*run.problems, *([f"interrupted: {run.interrupted}"] if run.interrupted else [])):
        lines += ["", f"⚠️ {_text(safe(each))}"]
    return "\n".join(lines) + "\n"


def _marker(run: RunRecord, verdicts: Iterable[View]) -> str:
    """A comment in HTML that names what the run is about: two pipelines for two suites do not find each other's."""
    about = "/".join(filter(None, (run.project, run.environment, run.unit, run.slot)))
    gates = ",".join(sorted({each.text("gate") for each in verdicts}))
    return f"<!-- prodcheck: {plain_markdown(safe(f'{about} {gates}'.strip())).replace('--', '- -')} -->"


def _text(text: str) -> str:
    """Harmless Markdown that mentions nobody and refers to no issue."""
    made = plain_markdown(text)
    return made if made.startswith("<") else made.replace("@", "@<!-- -->").replace("\\#", "\\#<!-- -->")


def _gate(verdict: View) -> str:
    status = status_of(verdict)
    name = _text(verdict.text("gate"))
    overridden = " (overridden)" if verdict.texts("overrides") else ""
    return f"## {gate_symbol(status)} {gate_words(status)}: {name}{overridden}"


def _row(result: Result) -> str:
    reason = _text(safe("; ".join(safe_lines(result.reason)), most=_MOST_REASON))
    limit = limit_text(decisive(result))
    measured = _text(measured_text(result)) + (f" (limit {_text(limit)})" if limit else "")
    about = _text(subject_of(result))
    fix = safe(result.runbook)
    shown = f"`{fix.replace('`', '').replace('|', '')}`" if fix.startswith("prodcheck ") else _text(fix)
    return f"| {outcome_symbol(result.outcome)} | {about} | {measured} | {reason} | {shown} |"
