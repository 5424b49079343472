"""Lines for the terminal: the section at the end of a run, and the progress while evidence is gathered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_prodcheck.gates.root_causes import root_causes
from pytest_prodcheck.outcomes import Outcome, Result, RunRecord, SkipReason, counts
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.banner import finding_lines, first_names, headline
from pytest_prodcheck.reports.checklist import checklist_lines
from pytest_prodcheck.reports.dependent_failures import follow_lines
from pytest_prodcheck.reports.escaping import safe, safe_ascii, safe_lines
from pytest_prodcheck.reports.measurement_text import rank
from pytest_prodcheck.reports.role_matrix import matrix_lines
from pytest_prodcheck.reports.symbols import outcome_symbol
from pytest_prodcheck.reports.text import missing, order
from pytest_prodcheck.reports.text_details import skip_lines
from pytest_prodcheck.reports.text_layout import WIDTH, Style, clip, fold
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View, subject_of, views
from pytest_prodcheck.reports.verdict_facts import not_declared, skips

_FEW = 10
_DECIDING = (Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED)


def summary_lines(
    run: RunRecord,
    verdicts: Iterable[AnyVerdict],
    *,
    unicode: bool = True,
    color: bool = False,
    width: int = WIDTH,
    judged: bool = True,
) -> list[str]:
    """The short form: counts, problems, each gate with what decided it, and whatever no gate told about.

    judged: whether the run is about gates (not with `--no-gate`).
    """
    style = Style(unicode, color, max(60, min(width, 120)))
    shown = views(verdicts) if judged or not missing(run) else []
    lines = [_counts_line(run)]
    if asked := checklist_lines(run, shown, style):
        lines += ["", *asked]
    lines += _problems(run, style, judged, told_by_gates=bool(shown))
    for verdict in shown:
        lines += ["", *_gate(verdict, style)]
    lines += _results_without_gate(run, shown, style)
    if table := matrix_lines(run, style, _FEW):
        lines += ["", *table]
    if not shown:
        lines += _skipped(run, style)
    for name, values in (("limits off", run.limits_off), ("TLS NOT VERIFIED for", run.unverified)):
        lines += fold(", ".join(map(safe, values)), first=f"{name}: ", rest="  ", width=style.width) if values else []
    return lines if unicode else [safe_ascii(line) for line in lines]


def progress_line(done: int, total: int, seconds: float, waiting: Sequence[str] = (), *, width: int = 80) -> str:
    """"evidence: 12 of 40 in 3.2 s, waiting for postgres-server:shop-db and 2 more": one line, cut to the width."""
    told = f"evidence: {done} of {total} in {format_quantity(max(0.0, seconds), 's')}"
    if waiting:
        more = f" and {len(waiting) - 2} more" if len(waiting) > 2 else ""
        told += f", waiting for {', '.join(safe(each, most=40) for each in waiting[:2])}{more}"
    return clip(told, width, unicode=False)


def _counts_line(run: RunRecord) -> str:
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts(run.results).items() if number)
    where = safe(run.environment) + "".join(
        f", {name} {safe(value)}"
        for name, value in (("unit", run.unit), ("slot", run.slot), ("revision", run.revision))
        if value
    )
    return f"{where}: {told or 'no check was judged'}"


def _problems(run: RunRecord, style: Style, judged: bool, told_by_gates: bool) -> list[str]:
    told = [f"interrupted: {safe(run.interrupted)}"] if run.interrupted else []
    told += [safe(each) for each in run.problems]
    absent = missing(run)
    if absent and not judged:
        told.append(f"{len(absent)} other checks did not run; no gate was evaluated, because of --no-gate")
    elif absent and not told_by_gates:
        told.append(f"{len(absent)} expected checks did not run: {first_names(absent)}")
    if run.replay_of:
        told.append(f"judges the saved evidence of run {safe(run.replay_of)} again: opens no gate")
    lines = [line for each in told[:_FEW] for line in fold(each, first="! ", rest="  ", width=style.width)]
    if len(told) > _FEW:
        lines.append(f"  and {len(told) - _FEW} more problems (listed in the report)")
    return lines


def _skipped(run: RunRecord, style: Style) -> list[str]:
    """What was skipped, where no gate tells it."""
    undeclared = [each for each in run.results if each.skip == SkipReason.NOT_CONFIGURED]
    skipped = skip_lines(replace(run, results=tuple(each for each in run.results if each not in undeclared)), style)
    lines = ["skipped:", *skipped] if skipped else []
    return lines + ([f"skipped: {not_declared(len(undeclared), run.environment)}"] if undeclared else [])


def _gate(verdict: View, style: Style) -> list[str]:
    lines = headline(verdict, style)
    for each in verdict.texts("overrides"):
        lines += fold(each, first="   !! OVERRIDDEN: ", rest="      ", width=style.width)
    for title, name in (("", "reasons"), ("warnings", "warnings"), ("waived failures", "waived")):
        findings = verdict.views(name)
        if findings:
            lines += [f"   {title}:"] if title else []
            lines += finding_lines(findings, style, _FEW)
    skipped = skips(verdict, style)
    return lines + (fold(skipped, first="   skipped: ", rest="      ", width=style.width) if skipped else [])


def _results_without_gate(run: RunRecord, verdicts: Sequence[View], style: Style) -> list[str]:
    """Failed, errored and warned results that none of the gates names."""
    told = {
        (finding.raw("check"), finding.raw("target"))
        for verdict in verdicts
        for name in ("reasons", "warnings", "waived", "notes")
        for finding in verdict.views(name)
        if name != "notes" or finding.raw("outcome") != Outcome.FAILED
    }
    untold = [each for each in run.results if each.outcome in _DECIDING and each.identity not in told]
    causes = root_causes(untold)
    followers: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for identity, root in causes.items():
        followers.setdefault(root, []).append(identity)
    rest = [each for each in untold if each.identity not in causes]
    rest.sort(key=lambda each: (rank(each.outcome), each.identity not in followers, order(each)))
    lines: list[str] = []
    for result in rest[:_FEW]:
        lines += _result_lines(result, style)
        lines += follow_lines(followers.get(result.identity, ()), style)
    if len(rest) > _FEW:
        lines.append(f"   and {len(rest) - _FEW} more (listed in the report)")
    return ["", *(["results of no gate above:"] if verdicts else []), *lines] if rest else []


def _result_lines(result: Result, style: Style) -> list[str]:
    symbol = outcome_symbol(result.outcome, unicode=style.unicode)
    lines = [f"   {symbol} {subject_of(result)} ({result.severity})"]
    for text in safe_lines(result.reason)[:5]:
        lines += fold(text, first="      ", rest="      ", width=style.width)
    return [*lines, f"      how to fix: {safe(result.runbook)}"] if result.runbook else lines
