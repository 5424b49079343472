"""Numbers that hide what they should show: rates over less than two scrapes, quantiles above the largest bucket."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.monitoring import prometheus
from pytest_prodcheck.evidence.monitoring.absent_series import needle
from pytest_prodcheck.evidence.monitoring.selectors import lookback, selectors

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_TWO_SAMPLES = re.compile(r"i?rate|increase|i?delta|deriv|predict_linear")
QUANTILE = re.compile(r"\bhistogram_quantile\b", re.IGNORECASE)
SPAN = 600.0  # seconds at least in which a series must have been scraped twice


def too_short(
    query: str, samples: str, whose: Container[str], window: float, what: str, context: Context, deadline: Deadline
) -> str:  # fmt: skip
    """The first range of a query that has fewer than two samples of series which are scraped; "" for none."""
    span = f"{max(window, lookback(query), SPAN):.0f}s"
    proven = {matcher for each in selectors(samples) for matcher in each.matchers}
    ranged = [each for each in selectors(query) if each.range and _TWO_SAMPLES.fullmatch(each.function)]
    parts = []
    for number, each in enumerate(ranged):
        if series := needle(each, whose, proven):
            scraped = f"{series} and count_over_time({series}[{span}]) > 1"
            enough = f"count(count_over_time({series}{each.range}) > 1)"
            parts.append(f'label_replace(count({scraped}) unless {enough}, "number", "{number}", "", "")')
    found = prometheus.prometheus(context, deadline).vector(" or ".join(parts), what, deadline) if parts else []
    if not found:
        return ""
    first = ranged[min(int(each.labels["number"]) for each in found)]
    return f"{first.function}({first.name or first.text}{first.range})"


def is_capped(query: str, value: float, window: float, what: str, context: Context, deadline: Deadline) -> bool:
    """Whether a quantile is the bound of the largest finite bucket, and something above was counted in the window."""
    if not QUANTILE.search(query):
        return False
    server = prometheus.prometheus(context, deadline)
    for each in selectors(query):
        if not each.name.endswith("_bucket"):
            continue
        found = server.vector(f"count by (le) ({each.text})", what, deadline)
        bounds = {label: _bound(label) for label in (sample.labels.get("le", "") for sample in found)}
        finite = [label for label, bound in bounds.items() if math.isfinite(bound)]
        largest = max(finite, key=bounds.__getitem__, default="")
        if largest and math.isclose(value, bounds[largest]):
            inner = each.text.removeprefix(each.name).strip("{}").rstrip(", ")
            whole, below = (f"sum(increase({each.name}{{{inner and inner + ','}le=\"{label}\"}}[{window:.0f}s]))"
                            for label in ("+Inf", largest))  # fmt: skip
            if server.vector(f"{whole} - {below} > 0", what, deadline):
                return True
    return False


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
