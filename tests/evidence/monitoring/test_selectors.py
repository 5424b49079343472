"""What a PromQL query selects, and which of it are counters by their value."""

from __future__ import annotations

import pytest

from pytest_prodcheck.evidence.monitoring.miscounting import raw_counters
from pytest_prodcheck.evidence.monitoring.selectors import reach, selectors

QUERIES = [  # query, what it selects by function, raw counters, reach in seconds
    ('sum by (le) (rate(a_bucket{x="}"}[5m]))', {'a_bucket{x="}"}': "rate"}, [], 300),
    ("sum(b_total) by (job) / ((c))", {"b_total": "sum", "c": ""}, ["b_total"], 0),
    ("a_total - a_total offset 1h30m", {"a_total": ""}, ["a_total"], 5400),
    ("a_total offset -1d", {"a_total": ""}, ["a_total"], 86400),
    ("delta(a_total[10m] offset 500ms)", {"a_total": "delta"}, ["a_total"], 600.5),
    ("rate(sum(x_total)[10m:1m])", {"x_total": "sum"}, ["x_total"], 600),
    ("max_over_time(irate(x_total[1m])[10m:])", {"x_total": "irate"}, [], 600),
    ('{__name__="z_total", a=~"b|c"} > bool 1e3', {'{__name__="z_total", a=~"b|c"}': ""}, ["z_total"], 0),
    ("up == 1 and on (job) group_left (x_total) y # z_total", {"up": "", "y": ""}, [], 0),
    ("COUNT(a_total) OR label_replace(d_sum, 'e_total', '', '', '')", {"a_total": "count", "d_sum": "label_replace"},
     ["d_sum"], 0),
    ("p_count @ start() / vector(0.5)", {"p_count": ""}, ["p_count"], 0),
    ("slo:errors:ratio5m", {"slo:errors:ratio5m": ""}, [], 0),
    ("time() + Inf - NaN", {}, [], 0),
    (")(]}{[", {}, [], 0),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected", "raw", "seconds"), QUERIES)
def test_selectors(query: str, expected: dict[str, str], raw: list[str], seconds: float) -> None:
    assert {each.text: each.function for each in selectors(query)} == expected
    assert [each.name for each in raw_counters(query)] == raw
    assert reach(query) == seconds
