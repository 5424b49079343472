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

from pytest_prodcheck.deploy.analysis import TESTS, level
from pytest_prodcheck.deploy.asking import CANNOT_TELL, Answer
from pytest_prodcheck.deploy.histograms import Counted, Histogram, judge_counted, shift_shown, tail_shown
from pytest_prodcheck.deploy.power import SURE, USUAL_ERRORS, errors_found
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.monitoring.metrics import duration, query_with
from pytest_prodcheck.evidence.monitoring.miscounting import doubled
from pytest_prodcheck.evidence.monitoring.prometheus import Prometheus, Sample, clock, prometheus
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis, DeployMetrics
    from pytest_prodcheck.evidence.context import Context

_PAUSE = 1.0  # seconds at least between two questions how many requests there are
_ASKED = 30.0  # seconds for all that is asked at once


class Metrics:
    """The declared series of two revisions. opened: makes the context of one comparison, which is closed after it."""

    _context: Context

    def __init__(
        self, plan: Plan, settings: DeployAnalysis, opened: Callable[[], Context], tell: Callable[[str], None]
    ) -> None:
        assert settings.metrics is not None
        self._plan, self._settings, self._opened, self._tell = plan, settings, opened, tell
        self._series: DeployMetrics = settings.metrics

    def compare(self, slot: str, beside: str, again: int) -> Answer:
        """0: no worse; 1: worse; 3: cannot tell. again: which repetition of a look it is, 0 for a first look."""
        try:
            with closing(self._opened()) as self._context:
                end = time.monotonic() + self._series.wait
                began = self._both_scraped(end)
                now = self._enough(began, end)
                found = [self._counted(each, now, now - began) for each in self._revisions]
        except EvidenceProblem as error:
            return Answer(CANNOT_TELL, str(error.problem))
        finding = judge_counted(found[0], found[1], self._settings, self._plan.looks, again)
        return Answer(finding.code, "\n".join(finding.lines))

    def stated(self) -> tuple[str, ...]:
        """What each look finds with 90 % and how often it is wrong, by the buckets of the old revision as they are."""
        settings, looks = self._settings, self._plan.looks
        each = level(settings, looks)
        wait = f"at most {self._series.wait:g} s each"
        least = f"{settings.least} requests of each revision at each of {looks} looks, {wait}"
        errors = f"errors of {errors_found(settings, each):.2%} (where {USUAL_ERRORS:.1%} are usual)"
        try:
            with closing(self._opened()) as self._context:
                usual = self._times(self._plan.old, clock(self._context, Deadline(_ASKED)), self._series.wait)
            if usual.total < settings.least:
                raise EvidenceProblem(Problem("invalid", f"{usual.total} requests in {self._series.wait:g} s"))
            shift, tail = shift_shown(usual, settings, each), tail_shown(usual, settings, each)
            slower = f"all times x {shift:.3g}, {tail:.1%} of the requests much slower (by the buckets of now)"
        except EvidenceProblem as error:
            slower = f"what of times cannot be said ({error.problem.message})"
        return (
            least, f"found with {SURE:.0%}: {errors}, {slower}",
            f"false alarms: at most {settings.alpha:.2%} a deployment ({looks} looks x {TESTS} tests at {each:.2g}; "
            "the other half is for looks that are repeated)",
        )  # fmt: skip

    def _both_scraped(self, end: float) -> float:
        """Prometheus's time at which all series of both revisions were scraped since now; raises EvidenceProblem."""
        asked = now = clock(self._context, Deadline(_ASKED))
        while late := [each for each in self._revisions if not self._scraped_since(asked, each, now)]:
            if time.monotonic() > end:
                what = f"no newer numbers of {late[0]} came within {self._series.wait:g} s"
                raise EvidenceProblem(Problem("invalid", f"deploy.analysis.metrics: {what}"))
            time.sleep(_PAUSE)
            now = clock(self._context, Deadline(_ASKED))
        return now

    def _scraped_since(self, asked: float, revision: str, now: float) -> bool:
        for series in (self._series.requests, self._series.times):
            oldest = self._vector("min(timestamp({}))", series, revision, now, _BEFORE)
            if not oldest or float(oldest[0].text) <= asked:
                return False
        return True

    def _enough(self, began: float, end: float) -> float:
        """Prometheus's time at which both revisions have enough requests, or no more are waited for."""
        while True:
            now = clock(self._context, Deadline(_ASKED))
            fewest = min(self._count(self._series.requests, each, now, now - began) for each in self._revisions)
            fewest = min(fewest, *(self._times(each, now, now - began).total for each in self._revisions))
            self._tell(f"{min(fewest, self._settings.least)} of {self._settings.least} requests of each revision")
            if fewest >= self._settings.least or time.monotonic() > end:
                return now
            time.sleep(max(_PAUSE, self._series.wait / 100))

    @property
    def _revisions(self) -> tuple[str, str]:
        return self._plan.revision, self._plan.old

    def _counted(self, revision: str, now: float, seconds: float) -> Counted:
        for each in (self._series.requests, self._series.errors, self._series.times):
            self._never_anew(each, revision, now, seconds)
        asked = self._count(self._series.requests, revision, now, seconds)
        failed = self._count(self._series.errors, revision, now, seconds)
        if failed > asked:
            what = f"{failed} errors were counted of {asked} requests of {revision}"
            raise EvidenceProblem(Problem("configuration", what, "do `requests` and `errors` count the same?"))
        return Counted(asked, failed, self._times(revision, now, seconds))

    def _never_anew(self, series: str, revision: str, now: float, seconds: float) -> None:
        if self._vector("sum(resets({}[{window}])) > 0", series, revision, now, seconds + _BEFORE):
            what = f"a counter of {revision} began anew: one of its processes was started again"
            raise EvidenceProblem(Problem("invalid", what))
        named, what = self._named(series, revision), "deploy.analysis.metrics"
        if label := doubled(f"sum({named})", what, self._context, Deadline(_ASKED)):
            text = f"{what}: series are there twice and are added up: they differ only in {label}"
            raise EvidenceProblem(Problem("invalid", text, f'choose one of them, such as by {label}="…"'))

    def _count(self, series: str, revision: str, now: float, seconds: float) -> int:
        found = self._vector(f"sum({_COUNTED})", series, revision, now, seconds)
        return _whole(found[0]) if found else 0

    def _times(self, revision: str, now: float, seconds: float) -> Histogram:
        found = self._vector(f"sum by (le) ({_COUNTED})", self._series.times, revision, now, seconds)
        try:
            below = sorted((float(each.labels["le"]), _whole(each)) for each in found)
        except (KeyError, ValueError):
            what = "deploy.analysis.metrics.times: no label `le`"
            raise EvidenceProblem(Problem("configuration", what, "name the buckets: …_bucket{…}")) from None
        ends, counts, last = [], [], 0
        for end, number in below:
            ends.append(end)
            counts.append(max(number - last, 0))
            last = max(last, number)
        if ends and not math.isinf(ends[-1]):
            raise EvidenceProblem(Problem("invalid", 'deploy.analysis.metrics.times: there is no bucket le="+Inf"'))
        return Histogram(tuple(ends), tuple(counts))

    def _named(self, series: str, revision: str) -> str:
        return query_with(series, {"revision": revision, "window": "", "service": ""})

    def _vector(self, query: str, series: str, revision: str, now: float, seconds: float) -> list[Sample]:
        text = query.replace("{window}", duration(seconds)).replace("{}", self._named(series, revision))
        server: Prometheus = prometheus(self._context, Deadline(_ASKED))
        return server.vector(text, "deploy.analysis.metrics", Deadline(_ASKED), at=now)


_BEFORE = 300.0  # seconds in which the last number before is looked for
_COUNTED = (
    f"max_over_time({{}}[{{window}}]) - last_over_time({{}}[{duration(_BEFORE)}] offset {{window}})"
    " or max_over_time({}[{window}])"
)


def _whole(sample: Sample) -> int:
    value = sample.value
    if value is None or value < 0:
        back = "a counter went back: one of its processes was started again"
        what = back if value is not None else f"{sample.text} came where a count was expected"
        raise EvidenceProblem(Problem("invalid", f"deploy.analysis.metrics: {what}"))
    return math.floor(value + 1e-6)
