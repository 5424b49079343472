"""The checklist before a deployment: what has to be in order, each line ticked, crossed, or open with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from pytest_prodcheck.outcomes import ExitCode, Outcome, Result, RunRecord, Severity, SkipReason
from pytest_prodcheck.reports.escaping import safe, safe_html
from pytest_prodcheck.reports.text_layout import Style, columns
from pytest_prodcheck.reports.verdict_documents import View, subject

State = Literal["ticked", "crossed", "open"]
SUITE = "pre_deploy"
TITLE = "BEFORE THE DEPLOYMENT"
# line -> the checks that it stands for; a check belongs to the first line that fits
LINES: dict[str, tuple[str, ...]] = {
    "Resources": ("pre_deploy.resources.*", "pre_deploy.kubernetes.capacity", "pre_deploy.kubernetes.quota"),
    "Infrastructure": ("pre_deploy.kubernetes.*",),
    "Dependencies": ("pre_deploy.dependencies*",),
    "Configuration": ("pre_deploy.configuration.*",),
    "Vulnerabilities": ("pre_deploy.vulnerabilities.*",),
    "Backups": ("pre_deploy.backups.*",),
    "Monitoring": ("pre_deploy.monitoring.*",),
    "Rollback plan": ("pre_deploy.rollback.*",),
    "Approval": ("pre_deploy.approval",),
    "Others": ("*",),
}
ORDER = ("Infrastructure", *(name for name in LINES if name not in ("Infrastructure", "Others")), "Promotion", "Others")
_MARKS: dict[State, tuple[str, str, str, str]] = {  # symbol, letters, colour, word
    "ticked": ("✅", "[x]", "green", "yes"), "crossed": ("❌", "NO", "red", "no"),
    "open": ("⬜", "[ ]", "magenta", "open"),
}  # fmt: skip
_ALLOWED = (SkipReason.NOT_CONFIGURED, SkipReason.OUT_OF_REACH)
_SEVERITIES = tuple(Severity)


@dataclass(frozen=True)
class Line:
    """One line: what it is about, whether that is in order, and what was found."""

    name: str
    state: State
    detail: str


def checklist(run: RunRecord, verdicts: Iterable[View]) -> tuple[Line, ...]:
    """The lines of a run, () where it was about no check of the suite `pre_deploy`.

    A line is ticked where something of it passed (or warned) and nothing failed or is unknown; a failure crosses it,
    also a waived one. What was skipped, is errored or has no result leaves it open: nobody looked.
    """
    results = {name: [each for each in run.results if _line_of(each.check, each.suite) == name] for name in LINES}
    seen = {each.identity for each in run.results}
    missing: dict[str, list[str]] = {name: [] for name in LINES}
    for each in run.planned:
        if (each.check, each.target) not in seen and (line := _line_of(each.check, each.suite)):
            missing[line].append(subject(each.check, each.target))
    if not any(results.values()) and not any(missing.values()):
        return ()
    shown = list(verdicts)
    waived = {(each.raw("check"), each.raw("target")) for view in shown for each in view.views("waived")}
    made = {name: _line(name, results[name], missing[name], waived) for name in LINES}
    made["Promotion"] = _promotion(shown)
    if not results["Others"] and not missing["Others"]:
        del made["Others"]
    return tuple(made[name] for name in ORDER if name in made)


def _line_of(check: str, suite: str) -> str:
    """The line of a check, "" where it is of another suite."""
    if (suite or check.partition(".")[0]) != SUITE:
        return ""
    return next(name for name, patterns in LINES.items() if any(fnmatchcase(check, each) for each in patterns))


def _line(name: str, results: list[Result], missing: list[str], waived: set[tuple[str, str]]) -> Line:
    failed = _results_of(results, Outcome.FAILED)
    if failed:
        return Line(name, "crossed", _first_reason(failed, waived))
    if missing:
        return Line(name, "open", f"without a result: {_first_names(missing)}")
    if errored := _results_of(results, Outcome.ERRORED):
        return Line(name, "open", f"cannot tell: {_first_reason(errored, waived)}")
    skipped = _results_of(results, Outcome.SKIPPED)
    if asked := [each for each in skipped if each.skip not in _ALLOWED]:
        return Line(name, "open", f"not judged: {_first_reason(asked, waived, str(asked[0].skip))}")
    good = len(results) - len(skipped)
    if not good:
        reasons = dict.fromkeys(str(each.skip) for each in skipped)
        return Line(name, "open", f"not judged: {', '.join(reasons) or 'none of its checks was selected'}")
    parts = [f"{good} {'check' if good == 1 else 'checks'} passed"]
    if skipped:
        parts.append(f"{len(skipped)} not judged ({', '.join(dict.fromkeys(str(each.skip) for each in skipped))})")
    if warned := _results_of(results, Outcome.WARNED):
        parts.insert(0, f"warns: {_first_reason(warned, waived)}")
    return Line(name, "ticked", "; ".join(parts))


def _results_of(results: list[Result], outcome: Outcome) -> list[Result]:
    """Those of one outcome, the gravest first."""
    found = [each for each in results if each.outcome is outcome]
    return sorted(found, key=lambda each: (_SEVERITIES.index(each.severity), each.check, each.target))


def _first_reason(results: list[Result], waived: set[tuple[str, str]], otherwise: str = "") -> str:
    """The first one with its reason, and how many more there are."""
    first = results[0]
    reason = (first.reason.splitlines() or [""])[0] or otherwise
    told = f"{subject(first.check, first.target)}: {reason}" if reason else subject(first.check, first.target)
    told += " (waived)" if first.identity in waived else ""
    return told + (f"; and {len(results) - 1} more" if len(results) > 1 else "")


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _promotion(verdicts: list[View]) -> Line:
    """The gates that the judged ones need, which a gate judges itself, when all else is known."""
    needs = [each for verdict in verdicts for each in verdict.views("needs")]
    told = [
        (each.number("code"), f"{each.text('environment')}:{each.text('gate')} ({each.text('text')})") for each in needs
    ]
    if not needs:
        why = "no gate of this run needs another one" if verdicts else "this run changed no gate"
        return Line("Promotion", "open", f"not judged: {why}")
    if blocked := [text for code, text in told if code == ExitCode.BLOCKED]:
        return Line("Promotion", "crossed", _first_names(blocked))
    if unknown := [text for code, text in told if code != ExitCode.OPEN]:
        return Line("Promotion", "open", f"cannot tell: {_first_names(unknown)}")
    return Line("Promotion", "ticked", _first_names([text for _, text in told]))


def checklist_lines(run: RunRecord, verdicts: Iterable[View], style: Style) -> list[str]:
    """The checklist for a terminal or a text report, [] where there is none."""
    found = checklist(run, verdicts)
    if not found:
        return []
    rows = [(_MARKS[each.state][0 if style.unicode else 1], each.name, safe(each.detail)) for each in found]
    return [TITLE, *columns(rows, indent="  ", width=max(style.width, 100), unicode=style.unicode)]


def checklist_html(run: RunRecord, verdicts: Iterable[View]) -> str:
    """The checklist as HTML, "" where there is none."""
    rows = "".join(map(_html_row, checklist(run, verdicts)))
    head = '<p class="pc-head">Before the deployment</p>'
    return f'<section class="pc-checklist">{head}<table><tbody>{rows}</tbody></table></section>' if rows else ""


def _html_row(line: Line) -> str:
    symbol, _, color, word = _MARKS[line.state]
    mark = f'<td class="pc-{color}">{symbol} {word}</td>'
    return f'<tr data-state="{line.state}">{mark}<th>{safe_html(line.name)}</th><td>{safe_html(line.detail)}</td></tr>'


def checklist_document(run: RunRecord, verdicts: Iterable[View]) -> list[dict[str, Any]]:
    """The checklist as plain JSON data, [] where there is none."""
    return [vars(each) for each in checklist(run, verdicts)]
