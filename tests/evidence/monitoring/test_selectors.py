"""What a PromQL query selects, and which of it are counters by their value."""

from __future__ import annotations

import pytest

from pytest_prodcheck.evidence.monitoring.absent_series import needs
from pytest_prodcheck.evidence.monitoring.resets_and_duplicates import raw_counters
from pytest_prodcheck.evidence.monitoring.selectors import lookback, selectors

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
    assert lookback(query) == seconds


NEEDS = [  # query, what it rests on where nothing is there; and of a number that may not be small
    ("sum(rate(a{x='or ('}[5m])) or vector(0)", ["a"], ["a"]),
    ("(sum by (x) (a) or vector(0)) / on (x) (sum without (x) (b) OR on() vector(1))", ["a", "b"], ["a", "b"]),
    ("sum(new) or sum(old) or vector(0)", ["new"], ["new"]),
    ("count(up unless on(instance) (e > 5))", ["up"], ["up", "e"]),
    ("absent(a) or absent_over_time(b[5m])", [], ["a"]),
    ("scalar(sum(a)) > bool 3", ["a"], ["a"]),
    ("max(a and b) by (x) + c", ["a", "b", "c"], ["a", "b", "c"]),
    ("((((", [], []),
    (200 * "(" + "a" + 200 * ")", ["a"], ["a"]),
]


@pytest.mark.parametrize(("query", "small", "great"), NEEDS)
def test_what_a_number_rests_on(query: str, small: list[str], great: list[str]) -> None:
    for growing, wanted in ((False, small), (True, great)):
        assert sorted(each.name for each in needs(query, growing).missing(())) == sorted(wanted)


def test_matchers() -> None:
    (found,) = selectors("""x{a="b,c=", d !~ 'e' , "f.g"=`h`}""")
    assert found.matchers == (("a", "=", '"b,c="'), ("d", "!~", "'e'"), ('"f.g"', "=", "`h`"))
    (found,) = selectors('{"http.requests", a!=""}')
    assert found.matchers == (("__name__", "=", '"http.requests"'), ("a", "!=", '""'))
