"""A verdict for people: what the gate says, what decided it, how to fix it, and what else its reader must know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_prodcheck.gates.completeness import DID_NOT_RUN
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.reports.dependent_failures import follow_lines, split_followers
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.measurement_text import reason_texts
from pytest_prodcheck.reports.symbols import (
    STATUSES,
    gate_color,
    gate_symbol,
    gate_words,
    outcome_color,
    outcome_symbol,
    paint,
)
from pytest_prodcheck.reports.text_layout import Style, cells, fold
from pytest_prodcheck.reports.verdict_documents import View, status_of, subject
from pytest_prodcheck.reports.verdict_facts import fact_lines, limits, times

_FEW = 12  # checks that are shown
_FEW_EACH = 3  # findings of one check: the next check's are worth more than its twentieth


def headline(verdict: View, style: Style) -> list[str]:
    """The verdict in a line: symbol, words, gate, and what it is about."""
    status = status_of(verdict)
    words = " ".join(filter(None, (gate_symbol(status, unicode=style.unicode), gate_words(status))))
    about = f"{verdict.text('gate') or '?'} of {environment_text(verdict) or '?'}"
    first = paint(words, gate_color(status), on=style.color)
    lines = fold(about, first=f"{words}  ", rest="   ", width=style.width)
    lines[0] = first + lines[0][len(words) :]
    seen = verdict.view("observation")
    if seen is not None:
        would = gate_words(seen.raw("status"))
        told = f"ONLY OBSERVED until {seen.text('until')}: exit code 0 even if checks fail; otherwise {would}"
        lines += fold(told, first="   ", rest="   ", width=style.width)
    return lines


def environment_text(verdict: View) -> str:
    """"production, unit checkout, slot green, revision 3f9c2ab"; what is not set is left out."""
    named = [f"{name} {verdict.text(name)}" for name in ("unit", "slot", "revision") if verdict.text(name)]
    return ", ".join(filter(None, (verdict.text("environment"), *named)))


def verdict_lines(verdict: View, style: Style, now: float | None = None) -> list[str]:
    """The whole banner of one verdict; with `now` (UTC epoch second) the age of its evidence as well."""
    lines = headline(verdict, style)
    lines += _overrides(verdict, style)
    few = None if style.explain else _FEW
    lines += finding_lines(verdict.views("reasons"), style, few)
    lines += _section("warnings", verdict.views("warnings"), style, few)
    lines += _section("waived failures", verdict.views("waived"), style, few)
    lines += _notes(verdict.views("notes"), style)
    lines += fact_lines(limits(verdict, style), style)
    lines += fact_lines(times(verdict, style, now), style)
    return lines


def finding_lines(findings: list[View], style: Style, most: int | None) -> list[str]:
    """Each finding with its reason, the value against its limit; how to fix it once for each check and target.

    most: checks that are shown, with a few findings each; None: everything.
    """
    lines: list[str] = []
    own, followers = split_followers(findings)
    absent = [each for each in own if each.raw("text") == DID_NOT_RUN]
    if most is None or len(absent) <= _FEW_EACH:
        absent = []
    own = [each for each in own if each not in absent]
    groups = grouped(own)
    for group in groups[:most]:
        lines += _finding_lines(group, style, None if most is None else _FEW_EACH)
        root = f"{group[0].raw('check')}@{group[0].raw('target')}"
        lines += follow_lines(followers.pop(root, ()), style)
    if absent:
        told = f"{len(absent)} expected checks did not run: {first_names([_subject(each) for each in absent])}"
        symbol = outcome_symbol(Outcome.ERRORED, unicode=style.unicode)
        lines += fold(told, first=f"   {symbol} ", rest="      ", width=style.width)
    left = sum(map(len, groups[most:])) + sum(map(len, followers.values())) if most is not None else 0
    if left:
        lines.append(f"   and {left} more (listed in the report and by prodcheck gate --explain)")
    return lines


def first_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(safe, names[:5])) + more


def _subject(finding: View) -> str:
    return subject(finding.text("check"), finding.text("target"))


def grouped(findings: Iterable[View]) -> list[list[View]]:
    """Findings of one check on one target together, each of those that are about no check apart."""
    return [list(group) for _, group in groupby(findings, key=_shared_facts)]


def _shared_facts(finding: View) -> object:
    names = ("check", "target", "outcome", "severity", "owner", "runbook", "ticket", "expires")
    return tuple(map(finding.raw, names)) if finding.raw("check") else id(finding)


def _finding_lines(findings: list[View], style: Style, most: int | None) -> list[str]:
    first = findings[0]
    outcome, check = first.raw("outcome"), first.text("check")
    symbol, color = _symbol(first, style)
    if check:
        severity = f" ({first.text('severity')})" if first.text("severity") else ""
        lines = [f"   {symbol} {subject(check, first.text('target'))}{severity}"]
        for finding in findings[:most]:
            lines += _indented(reason_texts(finding.data, unicode=style.unicode), style)
        if most is not None and len(findings) > most:
            told = f"and {len(findings) - most} more of this check (see the report, or prodcheck gate --explain)"
            lines += _indented([told], style)
    else:
        texts = reason_texts(first.data, unicode=style.unicode) or [outcome or "no reason given"]
        lines = fold(texts[0], first=f"   {symbol} ", rest="      ", width=style.width) + _indented(texts[1:], style)
    lines[0] = lines[0].replace(symbol, paint(symbol, color, on=style.color and not style.unicode), 1)
    return lines + _indented(_help(first, style), style)


def _symbol(finding: View, style: Style) -> tuple[str, str]:
    """The outcome's symbol and colour; of what has none those of the answer that it leads to."""
    code = int(finding.number("code") or 0)
    outcome = finding.raw("outcome") or ("" if code else Outcome.WARNED)
    if outcome:
        return outcome_symbol(outcome, unicode=style.unicode), outcome_color(outcome)
    status = STATUSES.get(code, "cannot-tell")
    return gate_symbol(status, unicode=style.unicode) or gate_words(status), gate_color(status)


def _help(finding: View, style: Style) -> list[str]:
    named = (("how to fix", "runbook"), ("owner", "owner"), ("ticket", "ticket"), ("waived until", "expires"))
    told = [f"{label}: {finding.text(name)}" for label, name in named if finding.text(name)]
    line = style.dot.join(told)
    return [line] if cells(line) + 6 <= style.width else told


def _indented(texts: Iterable[str], style: Style) -> list[str]:
    return [line for text in texts for line in fold(text, first="      ", rest="      ", width=style.width)]


def _section(title: str, findings: list[View], style: Style, most: int | None) -> list[str]:
    return [f"   {title}:", *finding_lines(findings, style, most)] if findings else []


def _notes(notes: list[View], style: Style) -> list[str]:
    if not style.explain:
        return [f"   notes: {len(notes)} (shown by --explain)"] if notes else []
    about = [each for each in notes if each.text("check")]
    plain = [("note", each.text("text")) for each in notes if not each.text("check")]
    return [*_section("notes", about, style, None), *fact_lines(plain, style)]


def _overrides(verdict: View, style: Style) -> list[str]:
    return [
        line
        for each in verdict.texts("overrides")
        for line in fold(each, first="   !! OVERRIDDEN: ", rest="      ", width=style.width)
    ]
