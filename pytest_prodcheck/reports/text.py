"""The text report of a run, and the text of one verdict; readable at 2 a.m."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord, counts
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.banner import verdict_lines
from pytest_prodcheck.reports.checklist import checklist_lines
from pytest_prodcheck.reports.escaping import safe, safe_ascii
from pytest_prodcheck.reports.measurement_text import decisive, limit_text, measured_text, rank
from pytest_prodcheck.reports.role_matrix import matrix_lines
from pytest_prodcheck.reports.symbols import ACTIONS, STATUSES, gate_words, outcome_symbol
from pytest_prodcheck.reports.text_details import attention_lines, condition_lines, skip_lines
from pytest_prodcheck.reports.text_layout import Style, columns
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View, moment, status_of, views
from pytest_prodcheck.reports.verdict_facts import binding_lines

_SEVERITIES = ("critical", "high", "medium", "low")


def verdict_text(
    document: Mapping[str, object],
    *,
    explain: bool = False,
    unicode: bool = True,
    color: bool = False,
    now: float | None = None,
    code: int | None = None,
    reasons: Sequence[str] = (),
) -> str:
    """One verdict document for a person, ends with a line break; never raises for a broken document.

    now: UTC epoch second, shows the age of the evidence. code and reasons: what is answered where that is not what the
    document says (it is stale, or of another revision).
    """
    style = Style(unicode, color, explain=explain)
    verdict = View(document if code is None else _answered(document, code, reasons))
    lines = verdict_lines(verdict, style, now)
    if explain:
        lines += binding_lines(verdict, style)
    return _text(lines, unicode)


def _answered(document: Mapping[str, object], code: int, reasons: Sequence[str]) -> dict[str, object]:
    """The document as if it said what is answered; what it says itself is told among the reasons."""
    own, changed = document.get("reasons"), {}
    given = [{"text": reason, "code": code} for reason in reasons]
    if code != document.get("code"):
        given.append({"text": f"the verdict itself says: {gate_words(status_of(View(document)))}", "code": code})
        changed = {"status": STATUSES.get(code, ""), "code": code, "observation": None}
    return {**document, **changed, "reasons": [*given, *(own if isinstance(own, (list, tuple)) else ())]}


def run_text(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True, color: bool = False) -> str:
    """The whole report of a run, ends with a line break."""
    style = Style(unicode, color)
    shown = views(verdicts)
    lines = [*_title(run, unicode), ""]
    if asked := checklist_lines(run, shown, style):
        lines += [*asked, ""]
    lines += ["OUTCOMES", *_outcomes(run, unicode), ""]
    lines += ["GATES", *_gates(shown, style), ""]
    lines += _problems(run)
    attention = attention_lines(run, style)
    if attention:
        lines += ["NEEDS ATTENTION", *attention, ""]
    if table := matrix_lines(run, style):
        lines += [*table, ""]
    lines += ["CHECKS", *_checks(run, unicode)]
    skipped = skip_lines(run, style)
    if skipped:
        lines += ["SKIPPED", *skipped, ""]
    conditions = condition_lines(run, style)
    if conditions:
        lines += ["CONDITIONS", *conditions, ""]
    return _text(lines, unicode)


def _text(lines: Iterable[str], unicode: bool) -> str:
    text = "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"
    return text if unicode else safe_ascii(text)


def _title(run: RunRecord, unicode: bool) -> list[str]:
    took = f", took {format_quantity(max(0.0, run.ended_at - run.started_at), 's')}" if run.ended_at else ""
    waited = f" (after waiting {format_quantity(run.waited, 's')} for readiness)" if run.waited else ""
    facts = [
        ("environment", safe(run.environment) + (" (protected)" if run.protected else "")),
        ("unit", safe(run.unit) or "the whole environment"),
        ("slot", safe(run.slot)),
        ("revision", safe(run.revision) or "none given"),
        ("project", safe(run.project)),
        ("seen from", safe(run.vantage)),
        ("time", f"{moment(run.started_at)}{took}{waited}"),
        ("run", safe(run.id)),
        ("prodcheck", safe(run.version)),
    ]
    heading = f"PRODCHECK REPORT: {safe(run.environment)}"
    rows = [(name, value) for name, value in facts if value]
    return [heading, "=" * len(heading), *columns(rows, width=120, unicode=unicode)]


def _outcomes(run: RunRecord, unicode: bool) -> list[str]:
    found = counts(run.results)
    rows = [
        (outcome_symbol(each, unicode=unicode), str(each), str(number), ACTIONS[each] if number else "-")
        for each, number in found.items()
    ]
    width = max(len(number) for _, _, number, _ in rows)
    lines = columns([(symbol, name, number.rjust(width), action) for symbol, name, number, action in rows], indent="  ")
    return [*lines, f"  {sum(found.values())} results; {len(missing(run))} of {len(run.planned)} planned are missing"]


def missing(run: RunRecord) -> list[str]:
    """"check@target" of everything planned that has no result."""
    seen = {result.identity for result in run.results}
    return [f"{each.check}@{each.target}" for each in run.planned if (each.check, each.target) not in seen]


def _gates(verdicts: Sequence[View], style: Style) -> list[str]:
    if not verdicts:
        return ["  none: this run changed no gate"]
    return [line for verdict in verdicts for line in (*verdict_lines(verdict, style), "")][:-1]


def _problems(run: RunRecord) -> list[str]:
    told = [f"interrupted: {safe(run.interrupted)}"] if run.interrupted else []
    told += [safe(problem) for problem in run.problems]
    absent = missing(run)
    if absent:
        rest = f" and {len(absent) - 30} more" if len(absent) > 30 else ""
        told.append(f"expected checks without a result: {', '.join(map(safe, absent[:30]))}{rest}")
    if run.replay_of:
        told.append(f"judges the saved evidence of run {safe(run.replay_of)} again: opens no gate")
    return ["PROBLEMS OF THE RUN ITSELF", *(f"  {each}" for each in told), ""] if told else []


def order(result: Result) -> tuple[int, int, str, str]:
    """Deciding checks first: by outcome, severity, check id, target."""
    return (rank(result.outcome), _SEVERITIES.index(result.severity), result.check, result.target)


def _checks(run: RunRecord, unicode: bool) -> list[str]:
    lines: list[str] = []
    for suite in sorted({result.suite for result in run.results}, key=lambda suite: (not suite, suite)):
        results = sorted((each for each in run.results if each.suite == suite), key=order)
        lines.append(f"  {safe(suite) or 'tests without @check'}")
        lines += columns([_row(each, unicode) for each in results], indent="    ", width=116, unicode=unicode)
        lines.append("")
    return lines or ["  no check was judged", ""]


def _row(result: Result, unicode: bool) -> tuple[str, ...]:
    judgement = decisive(result)
    said = str(result.skip) if result.outcome is Outcome.SKIPPED and result.skip else measured_text(result)
    return (
        outcome_symbol(result.outcome, unicode=unicode),
        safe(result.check),
        safe(result.target),
        said or "-",
        limit_text(judgement, unicode=unicode),
    )
