"""What users see: declared numbers over a window, of the revision that was deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.declared_limits import base_unit, is_at_most, limit_in_force
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import MetricReading, MetricValues

NO_LEVELS = {"warn": None, "fail": None}


@check("smoke.metrics.*", severity="critical", runbook="metrics")
def test_users_see_what_they_should(metric: MetricValues, declared: dict[str, Any], limit: Limit | None) -> None:
    """A declared Prometheus query is within its limits, with enough samples, some of them recent."""
    direction = "at_least" if declared["at_least"] is not None else "at_most"
    levels = declared[direction] or NO_LEVELS
    if limit is None and levels == NO_LEVELS:
        raise EvidenceProblem(Problem("configuration", "it has no limit", "set at_most, or a limit in [thresholds]"))
    level = limit_in_force(levels, limit)
    unit, factor = base_unit(level)
    for each in metric.readings:
        value = declared["empty_numerator"] if each.value is None else each.value
        lacks = _lacks(each, metric, declared)
        if not lacks and each.capped and direction == "at_most" and is_at_most(value * factor, level):
            lacks = f"the quantile is above the largest bucket, {value:g}, and how far is not known"
        shown = None if lacks or value is None else value * factor
        told = lacks or f"{each.samples:.0f} samples in {metric.window:g} s"
        if direction == "at_least":
            judge("value", shown, at_least=level, unit=unit, of=each.of, reason=told)
        else:
            judge("value", shown, at_most=level, unit=unit, of=each.of, reason=told)


def _lacks(each: MetricReading, metric: MetricValues, declared: dict[str, Any]) -> str:
    """Why a reading proves nothing, "" where it does."""
    whose = f" of revision {metric.revision}" if metric.revision else ""
    span = f"in the last {metric.window:g} s"
    if each.problem is not None:
        return str(each.problem)
    if each.samples is None:
        return f"no series{whose} {span}: is the target scraped, does the label match, and was there traffic?"
    if each.samples < declared["min_samples"]:
        return f"{each.samples:.0f} samples{whose} {span} are too few, at least {declared['min_samples']:g} are needed"
    if metric.recent is not None and not (each.recent or 0) > 0:
        return f"no sample{whose} in the last {metric.recent:g} s: did the process stop, or is it no longer scraped?"
    if each.value is None and (each.said != "nothing" or declared["empty_numerator"] is None):
        return f"the query returned {each.said or 'no number'}, which proves nothing"
    return ""
