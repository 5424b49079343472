"""HTML of gates, counts and results for pytest-html's page; whatever came from elsewhere is escaped here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from pytest_prodcheck.outcomes import Result, RunRecord, counts
from pytest_prodcheck.reports.banner import environment_text, grouped
from pytest_prodcheck.reports.checklist import checklist_html
from pytest_prodcheck.reports.escaping import safe_html, safe_lines
from pytest_prodcheck.reports.measurement_text import (
    decisive,
    limit_text,
    measured_text,
    rank,
    reason_texts,
    value_text,
    worst_first,
)
from pytest_prodcheck.reports.role_matrix import matrix_html
from pytest_prodcheck.reports.symbols import ACTIONS, gate_color, gate_symbol, gate_words, outcome_color, outcome_symbol
from pytest_prodcheck.reports.text import missing
from pytest_prodcheck.reports.text_details import evidence_text
from pytest_prodcheck.reports.text_layout import Style
from pytest_prodcheck.reports.verdict_documents import View, status_of, subject
from pytest_prodcheck.reports.verdict_facts import skips, times

COLUMNS = ("verdict", "check", "target", "measured", "limit")  # the first three sort
_SORTABLE = COLUMNS[:3]
_MOST_OBJECTS = 200


@cache
def style_and_script() -> str:
    """The style sheet and the script, to be put into the page itself."""
    here = Path(__file__)
    names = ("report.css", "charts.css", "report.js")
    css, charts, script = (here.with_name(name).read_text(encoding="utf-8") for name in names)
    return f"<style>{css}{charts}</style><script>{script}</script>"


def header_cells() -> list[str]:
    """The heads of our columns."""
    return [
        f'<th class="sortable" data-column-type="{name}">{name.capitalize()}</th>'
        if name in _SORTABLE
        else f"<th>{name.capitalize()}</th>"
        for name in COLUMNS
    ]


def row_cells(result: Result | None, nodeid: str) -> list[str]:
    """The cells of our columns for one test; a test that gave no result gets empty ones, and its id as check.

    The verdict cell begins with its rank, by which pytest-html's script sorts it.
    """
    if result is None:
        shown: tuple[str, ...] = ('<span class="pc-rank-9"></span>', safe_html(nodeid), "", "", "")
    else:
        color = outcome_color(result.outcome)
        classes = f"pc-rank-{rank(result.outcome)} pc-word pc-{color} pc-is-{result.outcome}"
        words = f"{outcome_symbol(result.outcome)} {str(result.outcome).capitalize()}"
        verdict = f'<span class="{classes}">{words}</span>'
        measured = f"skipped: {result.skip}" if result.skip else measured_text(result)
        limit = limit_text(decisive(result))
        shown = (verdict, *map(safe_html, (result.check, result.target, measured, limit)))
    return [f'<td class="col-{name}">{text}</td>' for name, text in zip(COLUMNS, shown, strict=True)]


def details(result: Result, now: float) -> str:
    """What is shown when a row is opened: reason, judgements, evidence with its age, notes, how to fix."""
    facts = (
        ("how to fix", _link(result.runbook)),
        ("owner", safe_html(result.owner)),
        ("severity", safe_html(result.severity)),
        ("evidence", safe_html(evidence_text(result, now, "when it was judged"))),
        ("notes", safe_html("; ".join(result.notes))),
    )
    title = f"<p><b>{safe_html(result.title)}</b></p>" if result.title else ""
    reason = "\n".join(map(safe_html, safe_lines(result.reason)))
    told = f"<pre>{reason}</pre>" if reason else ""
    listed = "".join(f"<li>{name}: {value}</li>" for name, value in facts if value)
    return f'<div class="pc pc-details">{title}{told}{_judgements(result)}<ul>{listed}</ul></div>'


def _judgements(result: Result) -> str:
    if not result.judgements:
        return ""
    rows = "".join(
        f'<tr><td class="pc-{outcome_color(each.outcome)}">{outcome_symbol(each.outcome)} {each.outcome}</td>'
        f"<td>{safe_html(each.what)}</td><td>{safe_html(each.of)}</td>"
        f"<td>{safe_html(value_text(each.value, each.unit))}</td><td>{safe_html(limit_text(each))}</td>"
        f"<td>{'' if each.margin is None else safe_html(value_text(each.margin, each.unit))}</td></tr>"
        for each in worst_first(result.judgements)[:_MOST_OBJECTS]
    )
    heads = "".join(f"<th>{name}</th>" for name in ("", "judged", "of", "value", "limit", "margin"))
    left = len(result.judgements) - _MOST_OBJECTS
    more = f"<p>and {left} more (all are in the JSON report)</p>" if left > 0 else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def summary(run: RunRecord, verdicts: Sequence[View], charts: str = "") -> str:
    """The banner: checklist before a deployment, each gate, counts, problems, who gets in, charts of loads."""
    asked = checklist_html(run, verdicts)
    gates = "".join(map(gate, verdicts)) or '<p class="pc">This run changed no gate.</p>'
    parts = (asked, gates, _counts(run), problems(run), matrix_html(run), charts)
    return f'<div class="pc" id="prodcheck">{"".join(parts)}</div>'


def gate(verdict: View, findings_html: Callable[[Iterable[View]], str] | None = None) -> str:
    """One gate: what it says, about what, what decided it, how to fix it; findings_html: how findings are shown."""
    shown = findings_html or _findings
    status = status_of(verdict)
    code = verdict.number("code")
    head = f"{gate_symbol(status)} {gate_words(status)}: {safe_html(verdict.text('gate'))}"
    told = f"{'go' if code == 0 else 'no go'}, exit code {'?' if code is None else int(code)}"
    parts = [f'<p class="pc-head">{head} <small>({told})</small></p>']
    parts.append(f"<p>{safe_html(environment_text(verdict))}</p>")
    if (seen := verdict.view("observation")) is not None:
        would = gate_words(seen.raw("status"))
        told = (
            f"Only observed until {safe_html(seen.text('until'))}: exit code 0 even if checks fail; otherwise {would}"
        )
        parts.append(f'<p class="pc-loud">{told}</p>')
    parts += [f'<p class="pc-loud">Overridden: {safe_html(each)}</p>' for each in verdict.texts("overrides")]
    parts.append(shown(verdict.views("reasons")))
    for title, name in (("Warnings", "warnings"), ("Waived failures", "waived"), ("Notes", "notes")):
        if found := verdict.views(name):
            opened, checks = "" if name == "notes" else " open", len(grouped(found))
            parts.append(f"<details{opened}><summary>{title} ({checks})</summary>{shown(found)}</details>")
    parts.append(_facts(verdict))
    color = gate_color(status) if seen is None or seen.number("code") == 0 else "yellow"
    opening = f'<section class="pc-gate pc-{color}" data-status="{safe_html(status)}">'
    return opening + "".join(parts) + "</section>"


def _findings(findings: Iterable[View]) -> str:
    items = "".join(f"<li>{_finding_markup(group)}</li>" for group in grouped(findings))
    return f"<ul>{items}</ul>" if items else ""


def _finding_markup(findings: list[View]) -> str:
    first = findings[0]
    outcome, check = first.raw("outcome"), first.text("check")
    lines = [safe_html(text) for finding in findings for text in reason_texts(finding.data)]
    if check:
        mark = f"{outcome_symbol(outcome)} " if outcome else ""
        severity = f" ({safe_html(first.text('severity'))})" if first.text("severity") else ""
        lines.insert(0, f"{mark}<b>{safe_html(subject(check, first.text('target')))}</b>{severity}")
    named = (("owner", "owner"), ("ticket", "ticket"), ("waived until", "expires"))
    facts = [f"how to fix: {_link(first.raw('runbook'))}"] if first.text("runbook") else []
    facts += [f"{label}: {safe_html(first.text(name))}" for label, name in named if first.text(name)]
    return "<br>".join(lines) + (f'<br><span class="pc-dim">{" · ".join(facts)}</span>' if facts else "")


def _facts(verdict: View) -> str:
    style = Style()
    facts = [
        ("skipped", skips(verdict, style)),
        ("limits off", ", ".join(verdict.texts("limits_off"))),
        ("TLS NOT VERIFIED for", ", ".join(verdict.texts("unverified"))),
        *times(verdict, style, None),
    ]
    return "".join(f'<p class="pc-dim">{name}: {safe_html(value)}</p>' for name, value in facts if value)


def _counts(run: RunRecord) -> str:
    items = "".join(
        f'<li class="pc-{outcome_color(each) if number else "none"}" data-outcome="{each}" data-count="{number}">'
        f"{outcome_symbol(each)} <b>{number}</b> {each}{': ' + ACTIONS[each] if number else ''}</li>"
        for each, number in counts(run.results).items()
    )
    return f'<ul class="pc-counts">{items}</ul>'


def problems(run: RunRecord) -> str:
    """What went wrong with the run itself, "" where nothing did."""
    told = [f"interrupted: {run.interrupted}"] if run.interrupted else []
    told += list(run.problems)
    absent = missing(run)
    told += [f"expected checks without a result: {each}" for each in absent[:50]]
    told += [f"and {len(absent) - 50} more without a result"] if len(absent) > 50 else []
    told += [f"judges the saved evidence of run {run.replay_of} again: opens no gate"] if run.replay_of else []
    items = "".join(f"<li>{safe_html(each)}</li>" for each in told)
    return f"<p><b>Problems of the run itself</b></p><ul>{items}</ul>" if items else ""


def _link(address: str) -> str:
    """A link for an address of the web, text for anything else (`javascript:` is no place to fix things)."""
    shown = safe_html(address)
    if address.lower().startswith(("https://", "http://")):
        return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    return shown
