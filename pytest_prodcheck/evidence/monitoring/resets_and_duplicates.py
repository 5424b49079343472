"""Numbers that look good because of how they are counted: counters that began anew, series that a pair wrote twice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.monitoring import prometheus
from pytest_prodcheck.evidence.monitoring.selectors import Selector, lookback, selectors
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# what sees that a counter began anew, or does not look at its value
_FIT = re.compile(
    r"x?i?rate|x?increase(_pure)?|resets|changes|count|group|timestamp|absent|(absent|present|count)_over_time"
)
_COUNTERS = ("_total", "_bucket", "_count", "_sum")
_SURE = ("_total", "_bucket")  # the others are names of gauges too
_ADDS = re.compile(r"\b(sum|count)\b", re.IGNORECASE)
# labels of the servers of a pair, by the names that their makers give them; `replica` may be one of anything
PAIRS = ("prometheus_replica", "thanos_replica", "thanos_ruler_replica", "receive_replica", "rule_replica", "replica")


def raw_counters(query: str) -> tuple[Selector, ...]:
    """The counters whose value itself is used, not their increase."""
    found = (each for each in selectors(query) if each.name.endswith(_COUNTERS))
    return tuple(each for each in found if not _FIT.fullmatch(each.function))


def began_anew(query: str, window: float, what: str, context: Context, deadline: Deadline) -> str:
    """The first raw counter of a query that went backwards, or ended, while the query looks at it; "" for none."""
    span = f"{max(window, lookback(query)):.0f}s"
    for each in raw_counters(query):
        over = f"{each.text}[{span}]"
        asked = f"count(resets({over}) > 0 or (last_over_time({over}) unless {each.text}))"
        if _number(asked, what, context, deadline) and _is_counter(each.name, what, context, deadline):
            return each.name
    return ""


def doubled(query: str, what: str, context: Context, deadline: Deadline) -> str:
    """The label of a pair in which alone series differ that a query adds up; "" for none.

    A query that names the label knows of it.
    """
    labels = [each for each in PAIRS if not re.search(rf"\b{each}\b", query)]
    series = [each.text for each in selectors(query)]
    if not (_ADDS.search(query) and labels and series):
        return ""
    every = [_duplicates_query(label, each) for label in labels for each in series]
    if not _number(f"count({' or '.join(every)})", what, context, deadline):
        return ""
    for label in labels[:-1]:
        asked = " or ".join(_duplicates_query(label, each) for each in series)
        if _number(f"count({asked})", what, context, deadline):
            return label
    return labels[-1]


def _duplicates_query(label: str, series: str) -> str:
    """Which series are there more than once but for a label."""
    found = f"count without ({label}) ({series}) > 1"
    if label == "replica":  # that the target is scraped by a pair shows in its `up`
        found += f" and on (job, instance) (count without ({label}) (up) > 1)"
    return f"({found})"


def types_of(name: str, what: str, context: Context, deadline: Deadline) -> set[str]:
    """The types of a metric by its exporters: "counter", "gauge", "unknown"; none where none of them has it."""
    family = re.sub(r"_(total|bucket|count|sum)$", "", name)
    for each in dict.fromkeys((name, family)):
        try:
            told = prometheus.prometheus(context, deadline).get(f"/api/v1/metadata?metric={each}", what, deadline)
            if types := {str(entry["type"]) for entry in told.get(each) or ()}:
                return types
        except (EvidenceProblem, KeyError, TypeError, AttributeError):
            break
    return set()


def _is_counter(name: str, what: str, context: Context, deadline: Deadline) -> bool:
    """As its exporter says; as its name says where that is not known."""
    types = types_of(name, what, context, deadline) - {"unknown"}
    return types != {"gauge"} if types else name.endswith(_SURE)


def _number(query: str, what: str, context: Context, deadline: Deadline) -> float:
    found = prometheus.prometheus(context, deadline).vector(query, what, deadline)
    return (found[0].value or 0) if found else 0
