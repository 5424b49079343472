"""Latency: of good answers, counted from when each request was due; per endpoint and overall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.load_validity import (
    bounds,
    enough,
    insist_on_answers,
    insist_on_samples,
    insist_on_validity,
    own_lateness,
)
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import LoadEndpoint, LoadRun


@check("performance.latency.p50", severity="high", limit=Limit(warn="400ms", fail="500ms"), runbook="latency")
def test_half_of_the_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """The median time of good answers, without load and under the declared load."""
    _judge(load_latency, 50, limit)


@check("performance.latency.p95", severity="high", limit=Limit(warn="800ms", fail="1s"), runbook="latency")
def test_most_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """19 of 20 good answers come in time, without load and under the declared load."""
    _judge(load_latency, 95, limit)


@check("performance.latency.p99", severity="high", limit=Limit(warn="1.6s", fail="2s"), runbook="latency")
def test_almost_all_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """99 of 100 good answers come in time, without load and under the declared load."""
    _judge(load_latency, 99, limit)


def _judge(run: LoadRun, percent: float, limit: Limit) -> None:
    insist_on_validity(run)
    insist_on_answers(run)
    insist_on_samples(run, percent)
    _judge_one(run, run.overall, percent, limit, "")
    for endpoint in run.endpoints:
        if not endpoint.times.count:
            raise EvidenceProblem(Problem("invalid", f"{endpoint.name}: nothing was answered well"))
        if enough(endpoint.times, percent):  # of fewer, the percentile is not known
            _judge_one(run, endpoint, percent, limit, endpoint.name)


def _judge_one(run: LoadRun, endpoint: LoadEndpoint, percent: float, limit: Limit, of: str) -> None:
    value = endpoint.times.percentile(percent)
    levels = bounds(limit, "s", "at_most")
    crossed = min((level for level in (levels.warn, levels.fail) if level is not None), default=None)
    late = own_lateness(run, percent, value, crossed) if value is not None and crossed is not None else ""
    if late and not limit.off:
        raise EvidenceProblem(Problem("invalid", late))
    told = f"{endpoint.times.count} good answers"
    judge(f"P{percent:g}", value, at_most=limit, unit="s", of=of, reason=told)
