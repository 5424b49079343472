"""Compares a canary by what Prometheus counted of both revisions since the look began, in the same minutes.

A look begins when newer numbers of both have come: requests of gates and a cold start are no part of it.
A count is the newest number of a series less its last one before: whole requests, where `increase` extrapolates; all of
it where the series is new, as that of the first error is. A counter that began anew meanwhile cannot tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.canary_analysis import significance_level
from pytest_prodcheck.deploy.gate_client import CANNOT_TELL, GateAnswer
from pytest_prodcheck.deploy.histogram_analysis import (
    Histogram,
    RequestCounts,
    compare_counts,
    detectable_histogram_shift,
    detectable_histogram_tail,
)
from pytest_prodcheck.deploy.statistical_power import POWER, TYPICAL_ERROR_SHARE, detectable_errors, false_alarm_line
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.monitoring import absent_series, recording_rules
from pytest_prodcheck.evidence.monitoring.metrics import duration, query_with
from pytest_prodcheck.evidence.monitoring.prometheus import Prometheus, Sample, clock, prometheus
from pytest_prodcheck.evidence.monitoring.resets_and_duplicates import doubled
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis, DeployMetrics
    from pytest_prodcheck.evidence.context import Context

_POLL_INTERVAL = 1.0  # seconds at least between two questions how many requests there are
_QUERY_TIMEOUT = 30.0  # seconds for all that is asked at once


class MetricsComparison:
    """Compares the declared series of two revisions. open_context: makes the context of one comparison."""

    _context: Context

    def __init__(
        self,
        plan: Plan,
        settings: DeployAnalysis,
        open_context: Callable[[], Context],
        on_progress: Callable[[str], None],
    ) -> None:
        assert settings.metrics is not None
        self._plan, self._settings, self._open_context, self._on_progress = plan, settings, open_context, on_progress
        self._series: DeployMetrics = settings.metrics

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        """0: no worse; 1: worse; 3: cannot tell. repetition: number of the repetition, 0 for the first comparison."""
        try:
            with closing(self._open_context()) as self._context:
                end = time.monotonic() + self._series.wait
                began = self._wait_for_scrapes(end)
                now = self._wait_for_requests(began, end)
                for each in self._revisions:
                    self._refuse_unknown_errors(each)
                found = [self._request_counts(each, now, now - began) for each in self._revisions]
        except EvidenceProblem as error:
            return GateAnswer(CANNOT_TELL, str(error.problem))
        comparison = compare_counts(found[0], found[1], self._settings, self._plan.comparison_count, repetition)
        return GateAnswer(comparison.code, "\n".join(comparison.lines))

    def refuse_unknown_errors(self) -> None:
        """Raises EvidenceProblem where no error of the old revision would be counted, whatever it answered."""
        with closing(self._open_context()) as self._context:
            self._refuse_unknown_errors(self._plan.old)

    def power_lines(self) -> tuple[str, ...]:
        """What each comparison detects with 90 % probability, computed from the current buckets of the old revision."""
        settings, comparison_count = self._settings, self._plan.comparison_count
        significance = significance_level(settings, comparison_count)
        wait = f"at most {self._series.wait:g} s each"
        least = f"{settings.least} requests to each revision at each of {comparison_count} comparisons, {wait}"
        errors = f"errors of {detectable_errors(settings, significance):.2%} (baseline {TYPICAL_ERROR_SHARE:.1%})"
        try:
            with closing(self._open_context()) as self._context:
                usual = self._times(self._plan.old, clock(self._context, Deadline(_QUERY_TIMEOUT)), self._series.wait)
            if usual.total < settings.least:
                raise EvidenceProblem(Problem("invalid", f"{usual.total} requests in {self._series.wait:g} s"))
            shift, tail = (
                detectable_histogram_shift(usual, settings, significance),
                detectable_histogram_tail(usual, settings, significance),
            )
            slower = (
                f"all times x {shift:.3g}, {tail:.1%} of the requests much slower (computed from the current buckets)"
            )
        except EvidenceProblem as error:
            slower = f"response times cannot be predicted ({error.problem.message})"
        return (
            least, f"detected with {POWER:.0%} probability: {errors}, {slower}",
            false_alarm_line(settings, comparison_count),
        )  # fmt: skip

    def _wait_for_scrapes(self, end: float) -> float:
        """Prometheus's time at which all series of both revisions have been scraped again; raises EvidenceProblem."""
        asked = now = clock(self._context, Deadline(_QUERY_TIMEOUT))
        while late := [each for each in self._revisions if not self._scraped_since(asked, each, now)]:
            if time.monotonic() > end:
                what = f"{late[0]} was not scraped again within {self._series.wait:g} s"
                raise EvidenceProblem(Problem("invalid", f"deploy.analysis.metrics: {what}"))
            time.sleep(_POLL_INTERVAL)
            now = clock(self._context, Deadline(_QUERY_TIMEOUT))
        return now

    def _scraped_since(self, asked: float, revision: str, now: float) -> bool:
        for series in (self._series.requests, self._series.times):
            oldest = self._vector("min(timestamp({}))", series, revision, now, _LOOKBACK)
            if not oldest or float(oldest[0].text) <= asked:
                return False
        return True

    def _wait_for_requests(self, began: float, end: float) -> float:
        """Prometheus's time at which both revisions have enough requests, or the wait is over."""
        while True:
            now = clock(self._context, Deadline(_QUERY_TIMEOUT))
            fewest = min(self._count(self._series.requests, each, now, now - began) for each in self._revisions)
            fewest = min(fewest, *(self._times(each, now, now - began).total for each in self._revisions))
            self._on_progress(
                f"{min(fewest, self._settings.least)} of {self._settings.least} requests to each revision"
            )
            if fewest >= self._settings.least or time.monotonic() > end:
                return now
            time.sleep(max(_POLL_INTERVAL, self._series.wait / 100))

    @property
    def _revisions(self) -> tuple[str, str]:
        return self._plan.revision, self._plan.old

    def _request_counts(self, revision: str, now: float, seconds: float) -> RequestCounts:
        for each in (self._series.requests, self._series.errors, self._series.times):
            self._refuse_resets(each, revision, now, seconds)
        asked = self._count(self._series.requests, revision, now, seconds)
        failed = self._count(self._series.errors, revision, now, seconds)
        if failed > asked:
            what = f"{failed} errors but only {asked} requests were counted for {revision}"
            raise EvidenceProblem(
                Problem("configuration", what, "check that `requests` includes the requests that `errors` counts")
            )
        return RequestCounts(asked, failed, self._times(revision, now, seconds))

    def _refuse_unknown_errors(self, revision: str) -> None:
        """None that was counted is no zero where Prometheus knows no such metric, or no such label of it.

        In a metric of their own they may come with the first error only, so that any revision's series will do.
        """
        errors, requests = (
            self._series_selector(each, revision) for each in (self._series.errors, self._series.requests)
        )
        is_own = errors.partition("{")[0] != requests.partition("{")[0]
        what = "deploy.analysis.metrics.errors"
        rules = recording_rules.needed([errors], self._context, Deadline(_QUERY_TIMEOUT))[0]
        recorded = {each.name for each in rules if each.health != "elsewhere"}
        if why := absent_series.unknown(
            f"sum({errors}) or vector(0)", requests if is_own else "", {revision}, recorded, False, self._series.wait,
            what, self._context, Deadline(_QUERY_TIMEOUT),
        ):  # fmt: skip
            hint = "are name and labels right? a counter of errors has to be there from the start, with 0"
            raise EvidenceProblem(Problem("empty", f"{what}: {why}, so that no error would be counted", hint))

    def _refuse_resets(self, series: str, revision: str, now: float, seconds: float) -> None:
        if self._vector("sum(resets({}[{window}])) > 0", series, revision, now, seconds + _LOOKBACK):
            what = f"a counter of {revision} was reset: one of its processes restarted"
            raise EvidenceProblem(Problem("invalid", what))
        named, what = self._series_selector(series, revision), "deploy.analysis.metrics"
        if label := doubled(f"sum({named})", what, self._context, Deadline(_QUERY_TIMEOUT)):
            text = f"{what}: duplicate series are added up: they differ only in the label {label}"
            raise EvidenceProblem(Problem("invalid", text, f'select one of them, for example by {label}="…"'))

    def _count(self, series: str, revision: str, now: float, seconds: float) -> int:
        found = self._vector(f"sum({_INCREASE_QUERY})", series, revision, now, seconds)
        return _whole_count(found[0]) if found else 0

    def _times(self, revision: str, now: float, seconds: float) -> Histogram:
        found = self._vector(f"sum by (le) ({_INCREASE_QUERY})", self._series.times, revision, now, seconds)
        try:
            below = sorted((float(each.labels["le"]), _whole_count(each)) for each in found)
        except (KeyError, ValueError):
            what = "deploy.analysis.metrics.times: the series have no label `le`"
            raise EvidenceProblem(Problem("configuration", what, "use the histogram's buckets: …_bucket{…}")) from None
        ends, counts, last = [], [], 0
        for end, number in below:
            ends.append(end)
            counts.append(max(number - last, 0))
            last = max(last, number)
        if ends and not math.isinf(ends[-1]):
            raise EvidenceProblem(Problem("invalid", 'deploy.analysis.metrics.times: there is no bucket le="+Inf"'))
        return Histogram(tuple(ends), tuple(counts))

    def _series_selector(self, series: str, revision: str) -> str:
        return query_with(series, {"revision": revision, "window": "", "service": ""})

    def _vector(self, query: str, series: str, revision: str, now: float, seconds: float) -> list[Sample]:
        text = query.replace("{window}", duration(seconds)).replace("{}", self._series_selector(series, revision))
        server: Prometheus = prometheus(self._context, Deadline(_QUERY_TIMEOUT))
        return server.vector(text, "deploy.analysis.metrics", Deadline(_QUERY_TIMEOUT), at=now)


_LOOKBACK = 300.0  # seconds in which the last number before is looked for
_INCREASE_QUERY = (
    f"max_over_time({{}}[{{window}}]) - last_over_time({{}}[{duration(_LOOKBACK)}] offset {{window}})"
    " or max_over_time({}[{window}])"
)


def _whole_count(sample: Sample) -> int:
    value = sample.value
    if value is None or value < 0:
        back = "a counter decreased: one of its processes restarted"
        what = back if value is not None else f"{sample.text} was returned where a count was expected"
        raise EvidenceProblem(Problem("invalid", f"deploy.analysis.metrics: {what}"))
    return math.floor(value + 1e-6)
