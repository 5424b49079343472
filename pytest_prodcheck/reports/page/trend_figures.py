"""Trends on the page of a run: a figure each, and a line of text for each result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pytest_prodcheck.outcomes import NO_TARGET, Result
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.sparkline import sparkline
from pytest_prodcheck.reports.trend_plot import trend_svg
from pytest_prodcheck.reports.trends import Trend
from pytest_prodcheck.reports.verdict_documents import moment

MOST = 300  # figures; the other trends are shown as a line of text with their result
Trends = Mapping[tuple[str, str], Trend]  # by check and target


def trend_line(trend: Trend | None) -> str:
    """"▁▂█ first 10 ms, last 2.4 s …", "" where there is none."""
    return "" if trend is None else safe(f"{sparkline(trend.values, trend.points[-1].limit)} {trend.told()}")


def trend_figures(results: Sequence[Result], trends: Trends) -> dict[str, Any]:
    """How many trends there are, and their figures in the order of the results, each with its result's place."""
    drawn = [(place, each, trends[each.identity]) for place, each in enumerate(results) if each.identity in trends]
    return {"number": len(drawn), "figures": [_figure(*each) for each in drawn[:MOST]]}


def _figure(place: int, result: Result, trend: Trend) -> dict[str, Any]:
    return {
        "place": place,
        "check": safe(result.check),
        "target": "" if result.target == NO_TARGET else safe(result.target),
        "from": moment(trend.points[0].at),
        "to": moment(trend.points[-1].at),
        "runs": trend.runs,
        "svg": Markup(trend_svg(trend)),
    }
