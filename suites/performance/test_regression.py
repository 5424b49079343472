"""A run beside the accepted ones before it: slower or failing more, beyond chance and by an amount that matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.distribution import shifted
from pytest_prodcheck.judging.load_validity import (
    Comparison,
    fails_more,
    insist_on_a_processor,
    insist_on_samples,
    insist_on_validity,
    never_sent,
    own_slowness,
    slower,
)
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import Baseline, LoadRun


@check("performance.regression.p95", severity="high", limit=Limit(warn="10%", fail="25%"), runbook="regression")
def test_p95_is_no_slower_than_before(load_run: LoadRun, load_baseline: Baseline, limit: Limit) -> None:
    """P95, compared with the last accepted runs: a significant slowdown of at least 20 ms, in percent."""
    _judge_percentile(load_run, load_baseline, 95, load_baseline.least_p95, limit)


@check("performance.regression.p99", severity="high", limit=Limit(warn="10%", fail="25%"), runbook="regression")
def test_p99_is_no_slower_than_before(load_run: LoadRun, load_baseline: Baseline, limit: Limit) -> None:
    """P99, compared with the last accepted runs: a significant slowdown of at least 50 ms, in percent."""
    _judge_percentile(load_run, load_baseline, 99, load_baseline.least_p99, limit)


@check("performance.regression.distribution", severity="high", limit=Limit(warn="10%", fail="25%"),
       runbook="regression")  # fmt: skip
def test_all_times_are_no_longer_than_before(load_run: LoadRun, load_baseline: Baseline, limit: Limit) -> None:
    """All response times, compared with the last accepted runs by ranks: a significant slowdown in percent."""
    insist_on_validity(load_run)
    if _first(load_run, load_baseline):
        return
    overall = shifted(load_run.overall, load_baseline.runs, load_baseline.least_p95)
    if overall is None:
        raise EvidenceProblem(Problem("invalid", "too few samples to compare, in this run or in the accepted runs"))
    _judge_time(load_run, overall, 95, "slower as a whole", limit, "")
    for endpoint in load_run.endpoints:
        found = shifted(endpoint, load_baseline.runs, load_baseline.least_p95)
        if found is not None:
            _judge_time(load_run, found, 95, "slower as a whole", limit, endpoint.name)


@check("performance.regression.errors", severity="high", limit=Limit(warn="10%", fail="25%"), runbook="regression")
def test_errors_are_no_more_frequent_than_before(load_run: LoadRun, load_baseline: Baseline, limit: Limit) -> None:
    """The share of failed requests, compared with the last accepted runs: a significant rise."""
    if _first(load_run, load_baseline):
        insist_on_validity(load_run)
        return
    found = fails_more(load_run.overall, load_baseline.runs, load_baseline.least_errors)
    if found is None:
        raise EvidenceProblem(Problem("invalid", f"load {load_run.name}: no requests to compare"))
    if not found.proven:
        insist_on_validity(load_run)
    _judge(load_run, found, "more failed requests", limit, "")


def _judge_percentile(run: LoadRun, baseline: Baseline, percent: float, least: float, limit: Limit) -> None:
    insist_on_validity(run)
    insist_on_samples(run, percent)
    if _first(run, baseline):
        return
    overall = slower(run.overall, baseline.runs, percent, least)
    if overall is None:
        raise EvidenceProblem(Problem("invalid", "the accepted runs have too few samples to compare with"))
    _judge_time(run, overall, percent, f"slower P{percent:g}", limit, "")
    for endpoint in run.endpoints:
        found = slower(endpoint, baseline.runs, percent, least)
        if found is not None:  # else there are too few samples of this endpoint
            _judge_time(run, found, percent, f"slower P{percent:g}", limit, endpoint.name)


def _first(run: LoadRun, baseline: Baseline) -> bool:
    """Whether there is nothing to compare with yet; the evidence says so in a note."""
    if baseline.runs:
        if missing := never_sent(run, baseline.runs):
            raise EvidenceProblem(Problem("invalid", missing, "do its users get what leads them there?"))
        return False
    if baseline.required:
        what = "there is no accepted run to compare with"
        raise EvidenceProblem(Problem("invalid", what, 'baseline = "note" lets the first run pass'))
    judge("accepted runs to compare with", len(baseline.runs), at_least=0)
    return True


def _judge_time(run: LoadRun, found: Comparison, percent: float, what: str, limit: Limit, of: str) -> None:
    if found.proven and (own := own_slowness(run, percent, found)):
        raise EvidenceProblem(Problem("invalid", own))
    _judge(run, found, what, limit, of)


def _judge(run: LoadRun, found: Comparison, what: str, limit: Limit, of: str) -> None:
    if found.proven:  # of the whole or of one endpoint: a client without a processor proves nothing bad
        insist_on_a_processor(run)
    proven = 100 * found.change if found.proven else 0.0
    judge(what, proven, at_most=limit, unit="%", of=of, reason=found.words)
