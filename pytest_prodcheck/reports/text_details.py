"""The parts of the text report below its table: what needs attention, what was skipped, under which conditions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_prodcheck.gates.root_causes import root_causes
from pytest_prodcheck.outcomes import Judgement, Outcome, Result, RunRecord
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.dependent_failures import follow_lines
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.measurement_text import limit_text, needing_attention, rank, value_text, worst_first
from pytest_prodcheck.reports.symbols import outcome_symbol
from pytest_prodcheck.reports.text_layout import Style, fold
from pytest_prodcheck.reports.verdict_documents import subject_of

_MOST_OBJECTS = 20
_ATTENTION = (Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED)


def attention_lines(run: RunRecord, style: Style) -> list[str]:
    """Everything failed, errored or warned: reason, how to fix, owner, age of the evidence, notes."""
    causes = root_causes(run.results)
    followers: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for identity, root in causes.items():
        followers.setdefault(root, []).append(identity)
    wanted = [each for each in needing_attention(run.results) if each.identity not in causes]
    wanted.sort(key=lambda each: (rank(each.outcome), each.identity not in followers))
    noted = [each for each in run.results if each.notes and each.outcome not in _ATTENTION]
    lines: list[str] = []
    for each in wanted:
        lines += result_lines(each, run.ended_at, style)
        lines += follow_lines(followers.get(each.identity, ()), replace(style, explain=True), indent="     ")
    for each in noted:
        told = f"{subject_of(each)}: {'; '.join(map(safe, each.notes))}"
        lines += fold(told, first="  note: ", rest="    ", width=style.width)
    return lines


def result_lines(result: Result, ended_at: float, style: Style) -> list[str]:
    """One result that is not passed, in full."""
    symbol = outcome_symbol(result.outcome, unicode=style.unicode)
    lines = [f"  {symbol} {subject_of(result)} ({result.severity})"]
    lines += _block([safe(result.title)] if result.title else [], style)
    lines += _block(safe_lines(result.reason), style)
    compared = [each for each in worst_first(result.judgements) if each.fail is not None or each.warn is not None]
    lines += _block([judgement_text(each, style) for each in compared[:_MOST_OBJECTS]], style)
    if len(compared) > _MOST_OBJECTS:
        lines += _block([f"and {len(compared) - _MOST_OBJECTS} more judgements (all are in the JSON report)"], style)
    facts = (
        ("how to fix", safe(result.runbook)),
        ("owner", safe(result.owner)),
        ("evidence", evidence_text(result, ended_at)),
        ("notes", "; ".join(map(safe, result.notes))),
        ("test", safe(result.nodeid)),
    )
    return lines + _block([f"{name}: {value}" for name, value in facts if value], style)


def judgement_text(judgement: Judgement, style: Style) -> str:
    """"❌ median: 2.4 s, limit ≤ 2 s (warns 500 ms), 400 ms past it"."""
    symbol = outcome_symbol(judgement.outcome, unicode=style.unicode)
    of = f" of {safe(judgement.of)}" if judgement.of else ""
    limit = limit_text(judgement, unicode=style.unicode)
    told = f"{symbol} {safe(judgement.what)}{of}: {value_text(judgement.value, judgement.unit)}"
    told += f", limit {limit}" if limit else ""
    if judgement.margin is not None and judgement.margin < 0 and not judgement.off:
        told += f", {value_text(-judgement.margin, judgement.unit)} past it"
    return told


def evidence_text(result: Result, at: float, when: str = "when the run ended") -> str:
    """"http-health:shop (3.2 s old when the run ended)", with its age at `at` (UTC epoch second)."""
    keys = ", ".join(map(safe, result.evidence))
    if result.gathered_at is None:
        return keys or "none"
    age = f"{format_quantity(max(0.0, at - result.gathered_at), 's')} old {when}"
    return f"{keys} ({age})" if keys else age


def skip_lines(run: RunRecord, style: Style) -> list[str]:
    """Skipped checks by reason, then by what was said about it."""
    groups: dict[str, dict[str, list[str]]] = {}
    for result in run.results:
        if result.outcome is Outcome.SKIPPED:
            detail = safe(result.reason.partition("\n")[0])
            by_detail = groups.setdefault(str(result.skip or "without a reason"), {})
            by_detail.setdefault(detail, []).append(subject_of(result))
    lines = []
    for reason, by_detail in sorted(groups.items()):
        lines.append(f"  {reason}: {sum(map(len, by_detail.values()))}")
        for detail, who in sorted(by_detail.items()):
            told = f"{detail}: {', '.join(sorted(who))}" if detail else ", ".join(sorted(who))
            lines += fold(told, first="    ", rest="      ", width=style.width)
    return lines


def condition_lines(run: RunRecord, style: Style) -> list[str]:
    """Under which conditions the run was judged: what is off, not verified, not declared, opted in."""
    facts = (
        ("limits off", run.limits_off),
        ("TLS NOT VERIFIED for", run.unverified),
        ("neither declared nor listed under `absent`", run.undeclared),
        ("opted in", run.opted_in),
    )
    return [
        line
        for name, values in facts
        if values
        for line in fold(", ".join(map(safe, values)), first=f"  {name}: ", rest="    ", width=style.width)
    ]


def _block(texts: Iterable[str], style: Style) -> list[str]:
    return [line for text in texts for line in fold(text, first="     ", rest="       ", width=style.width)]
