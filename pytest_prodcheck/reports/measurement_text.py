"""What was measured against which limit, in words: the one judgement of a result that says most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_prodcheck.gates.root_causes import layer
from pytest_prodcheck.outcomes import Judgement, Outcome, Result, Severity
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.verdict_documents import finite

_RANK = {Outcome.FAILED: 0, Outcome.ERRORED: 1, Outcome.WARNED: 2, Outcome.PASSED: 3, Outcome.SKIPPED: 4}
_SEVERITIES = tuple(Severity)
_MOST = 200


def rank(outcome: Outcome) -> int:
    """Deciding outcomes first: failed, errored, warned, passed, skipped."""
    return _RANK[outcome]


def worst_first(judgements: tuple[Judgement, ...]) -> list[Judgement]:
    """Judgements by outcome, then by how close they are to their limit."""
    return sorted(judgements, key=lambda each: (_RANK[each.outcome], _relative_margin(each)))


def needing_attention(results: Iterable[Result]) -> list[Result]:
    """What failed, errored or warned, the gravest first."""
    found = [each for each in results if each.outcome not in (Outcome.PASSED, Outcome.SKIPPED)]
    return sorted(found, key=by_gravity)


def by_gravity(result: Result) -> tuple[int, int, int, str, str]:
    """The order in which somebody reads who wants to know what to do."""
    return (rank(result.outcome), _SEVERITIES.index(result.severity), layer(result.check), result.check, result.target)


def decisive(result: Result) -> Judgement | None:
    """The judgement that says most about a result, None where it judged nothing."""
    return next(iter(worst_first(result.judgements)), None)


def value_text(value: object, unit: str) -> str:
    """"340 ms", "12.5 %", "yes": one line of bounded length."""
    plain = value if value is None or isinstance(value, (bool, str, int, float)) else str(value)
    try:
        shown = format_quantity(plain, unit)
    except (ValueError, OverflowError):
        shown = f"{plain} {unit}".strip()
    return safe(shown, most=_MOST)


def measured_text(result: Result) -> str:
    """What a result's most telling judgement measured: "2.4 s", with the number of the others."""
    judgement = decisive(result)
    if judgement is None:
        return ""
    others = len(result.judgements) - 1
    of = f" of {safe(judgement.of, most=_MOST)}" if judgement.of else ""
    return value_text(judgement.value, judgement.unit) + of + (f" (+{others})" if others else "")


def limit_text(judgement: Judgement | None, *, unicode: bool = True) -> str:
    """"≤ 2 s (warns 500 ms)" or "off (≤ 2 s)"; "" for a yes-or-no judgement."""
    if judgement is None or (judgement.warn is None and judgement.fail is None):
        return "off" if judgement is not None and judgement.off else ""
    sign = bound_sign(judgement.direction, unicode=unicode)
    fail, warn = (
        None if level is None else value_text(level, judgement.unit) for level in (judgement.fail, judgement.warn)
    )
    if fail is None:
        shown = f"warns past {sign} {warn}"
    else:
        shown = f"{sign} {fail}" + (f" (warns {warn})" if warn is not None else "")
    return f"off ({shown})" if judgement.off else shown


def bound_sign(direction: str, *, unicode: bool = True) -> str:
    """The sign between a value and its limit."""
    if direction == "at_least":
        return "≥" if unicode else ">="
    return "≤" if unicode else "<="


def against(finding: Mapping[str, object], *, unicode: bool = True) -> str:
    """"median: 2.4 s, limit ≤ 2 s" of a verdict's finding; "" where it has no number to compare."""
    limit, value = finite(finding.get("limit")), finding.get("value")
    if limit is None:
        return ""
    unit = str(finding.get("unit") or "")
    sign = bound_sign(str(finding.get("direction") or ""), unicode=unicode)
    what = safe(finding.get("what") or "measured", most=_MOST)
    of = f" of {safe(finding['of'], most=_MOST)}" if finding.get("of") else ""
    return f"{what}{of}: {value_text(value, unit)}, limit {sign} {value_text(limit, unit)}"


def reason_texts(finding: Mapping[str, object], *, unicode: bool = True) -> list[str]:
    """What a verdict's finding says, and the value against its limit where it does not say so itself."""
    texts = safe_lines(finding.get("text") or "")
    compared = against(finding, unicode=unicode)
    value, _, limit = compared.partition(": ")[2].partition(", limit ")
    told = any(value in text and limit.partition(" ")[2] in text for text in texts)
    return [*texts, compared] if compared and not told else texts


def _relative_margin(judgement: Judgement) -> float:
    """Margin as a share of the limit: the smaller, the closer to failing."""
    if judgement.margin is None:
        return 0.0 if judgement.outcome is not Outcome.PASSED else 1e9
    return judgement.margin / (abs(judgement.fail or 0.0) or 1.0)
