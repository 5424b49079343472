"""`metric`: what users see, over a window, of the revision that the run is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import services_of_metric
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.monitoring import (
    absent_series,
    prometheus,
    recording_rules,
    resets_and_duplicates,
    unreliable_queries,
)
from pytest_prodcheck.evidence.monitoring.selectors import selectors
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.monitoring import MetricReading, MetricValues

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.monitoring import Metric
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

NEWEST = 180.0  # seconds: three scrapes a minute apart, so that an increase can be told from them
_PLACE = re.compile(r"\{(window|revision|service)\}")
_UNFIT = re.compile(r"[\"'`\\\x00-\x1f{}]")  # what could end a label's value in PromQL


def _queries(target: str, environment: Environment) -> int:
    """How many queries: value, samples, those of the newest part; counters that began anew, series that are double.

    And whether series are known of which a query makes a number where they are not there, whether ranges are long
    enough, and which buckets a quantile comes from.
    """
    query = environment.metrics[target].query
    raw, hiding = len(resets_and_duplicates.raw_counters(query)), bool(absent_series.HIDING.search(query))
    short = hiding or environment.metrics[target].empty_numerator is not None
    buckets = 2 * len(selectors(query)) if unreliable_queries.QUANTILE.search(query) else 0
    return (5 + raw + 2 * hiding + short + buckets) * len(services_of_metric(environment, target))


def _seconds(target: str, environment: Environment) -> float:
    timeout = environment.prometheus.timeout if environment.prometheus else 1.0
    return timeout * min(_queries(target, environment), 12) + 5


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    whom, declared = prometheus.host(target, environment), environment.metrics[target]
    found = [Sending(whom, f"POST /api/v1/query (metric {target})", _queries(target, environment))]
    raw = len(resets_and_duplicates.raw_counters(declared.query))
    named = len(selectors(declared.query)) if absent_series.HIDING.search(declared.query) else 0
    if more := 2 * (raw + named) * len(services_of_metric(environment, target)):
        found.append(Sending(whom, "GET /api/v1/metadata", more))
    if recording_rules.recorded_names(declared.query + declared.samples):
        found.append(Sending(whom, "GET /api/v1/rules?type=record", once="recording-rules"))
    return tuple(found)


@evidence("metric", axis="metric", seconds=_seconds, host=prometheus.host, sends=_sends)
def metric(target: str, context: Context, deadline: Deadline) -> MetricValues:
    """The number of each service in scope; one that Prometheus does not answer has a problem of its own."""
    declared = context.environment.metrics[target]
    window = context.window or declared.window
    newest: float | None = max(window / 3, NEWEST) if declared.recent is None else declared.recent
    if newest is not None and newest >= window:
        newest = None
    revision = _revision(target, declared, context)
    readings = []
    for each in services_of_metric(context.environment, target):
        try:
            readings.append(_reading(target, declared, each, revision, window, newest, context, deadline))
        except EvidenceProblem as error:
            readings.append(MetricReading(each, None, "", None, None, error.problem))
    return MetricValues(revision, window, newest, tuple(readings))


def _revision(target: str, declared: Metric, context: Context) -> str:
    if "{revision}" not in declared.query + declared.samples:
        return ""
    if not context.revision:
        hint = "name the revision with --revision REV (or PRODCHECK_REVISION)"
        raise EvidenceProblem(Problem("configuration", f"metric {target} needs a revision, but none is given", hint))
    if _UNFIT.search(context.revision):
        what = f"metric {target}: the revision {context.revision!r} cannot be used as a label value in a query"
        raise EvidenceProblem(Problem("configuration", what, "it must not contain quotes, braces or backslashes"))
    return context.revision


def _reading(
    target: str, declared: Metric, service: str, revision: str, window: float, newest: float | None, context: Context,
    deadline: Deadline,
) -> MetricReading:  # fmt: skip
    def ask(query: str, seconds: float) -> tuple[float | None, str]:
        places = {"window": duration(seconds), "revision": revision, "service": service}
        return _single_value(query_with(query, places), target, context, deadline)

    recorded = recording_rules.needed([declared.query, declared.samples], context, deadline)[0]
    for each in recorded:
        if why := recording_rules.unfit(each):
            raise EvidenceProblem(Problem("stale", f"metric {target}: {why}", "is its rule group evaluated in time?"))
    value, said = ask(declared.query, window)
    samples, _ = ask(declared.samples, window)
    recent = ask(declared.samples, newest)[0] if newest is not None else None
    places = {"window": duration(window), "revision": revision, "service": service}
    asked, counted = query_with(declared.query, places), query_with(declared.samples, places)
    _well_counted(target, asked, counted, window, context, deadline)
    if value is not None and declared.empty_numerator is None:
        made = {each.name for each in recorded if each.health != "elsewhere"}
        growing, whose = declared.at_least is not None, {revision, service} - {""}
        what = f"metric {target}"
        if why := absent_series.unknown(asked, counted, whose, made, growing, window, what, context, deadline):
            hint = "is the name right, and is it scraped? if it exists only after the first error: empty_numerator = 0"
            raise EvidenceProblem(Problem("empty", f"{what}: {why}, so the value {value:g} proves nothing", hint))
    if absent_series.HIDING.search(asked) or declared.empty_numerator is not None:
        what = f"metric {target}"
        said_of = {revision, service} - {""}
        if short := unreliable_queries.too_short(asked, counted, said_of, window, what, context, deadline):
            told = f"{what}: {short} has fewer than two samples, so nothing that happens can be seen in it"
            hint = "use a range of at least four scrape intervals"
            raise EvidenceProblem(Problem("configuration", told, hint))
    what = f"metric {target}"
    capped = value is not None and unreliable_queries.is_capped(asked, value, window, what, context, deadline)
    return MetricReading(service, value, said, samples, recent, capped=capped)


def _well_counted(target: str, query: str, samples: str, window: float, context: Context, deadline: Deadline) -> None:
    """Raises EvidenceProblem where the number would come from how it is counted."""
    what = f"metric {target}"
    if name := resets_and_duplicates.began_anew(query, window, what, context, deadline):
        told = f"{what}: the counter {name} was reset or disappeared within the range of the query"
        raise EvidenceProblem(Problem("invalid", told, "only rate(…) and increase(…) of each series handle this"))
    for each in (query, samples):
        if label := resets_and_duplicates.doubled(each, what, context, deadline):
            told = f"{what}: series are counted twice: they differ only in the label {label}"
            hint = f"count them once, such as sum(max without ({label}) (…))"
            raise EvidenceProblem(Problem("invalid", told, hint))


def _single_value(query: str, target: str, context: Context, deadline: Deadline) -> tuple[float | None, str]:
    """The one number of an answer, or what came instead; raises EvidenceProblem."""
    found = prometheus.prometheus(context, deadline).vector(query, f"metric {target}", deadline)
    if len(found) > 1:
        what = f"metric {target}: {len(found)} series were returned, but one number is expected"
        hint = "aggregate them, for example with sum(…)"
        differ = {name for each in found for name, _ in set(each.labels.items()) ^ set(found[0].labels.items())}
        if differ and differ <= set(resets_and_duplicates.PAIRS):
            hint = f"if two servers wrote the same series: max without ({', '.join(sorted(differ))}) (…)"
        raise EvidenceProblem(Problem("configuration", what, hint))
    if not found:
        return None, "nothing"
    return found[0].value, "" if found[0].value is not None else found[0].text


def query_with(query: str, places: Mapping[str, str]) -> str:
    """A query with `{window}`, `{revision}` and `{service}` filled in."""
    return _PLACE.sub(lambda found: places[found[1]], query)


def duration(seconds: float) -> str:
    """A duration as PromQL writes it, in milliseconds where it has to be."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{max(1, round(seconds * 1000))}ms"
