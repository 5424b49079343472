"""Latency: of good answers, counted from when each request was due; per endpoint and overall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.load_validity import (
    bounds,
    has_enough_samples,
    insist_on_answers,
    insist_on_samples,
    insist_on_validity,
    own_lateness,
    surely_at_least,
)
from pytest_prodcheck.judging.statistics import samples_needed
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import LoadEndpoint, LoadRun


@check("performance.latency.p50", severity="high", limit=Limit(warn="400ms", fail="500ms"), runbook="latency")
def test_half_of_the_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """The median time of good responses, without load and under the declared load."""
    _judge(load_latency, 50, limit)


@check("performance.latency.p95", severity="high", limit=Limit(warn="800ms", fail="1s"), runbook="latency")
def test_most_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """19 of 20 good responses come in time, without load and under the declared load."""
    _judge(load_latency, 95, limit)


@check("performance.latency.p99", severity="high", limit=Limit(warn="1.6s", fail="2s"), runbook="latency")
def test_almost_all_answers_are_quick(load_latency: LoadRun, limit: Limit) -> None:
    """99 of 100 good responses come in time, without load and under the declared load."""
    _judge(load_latency, 99, limit)


def _judge(run: LoadRun, percent: float, limit: Limit) -> None:
    crossed = bounds(limit, "s", "at_most").fail
    insist_on_validity(run, crossed)
    insist_on_answers(run)
    for endpoint in (run.overall, *run.endpoints):
        of = "" if endpoint is run.overall else endpoint.name
        if not endpoint.times.count and of:
            raise EvidenceProblem(Problem("invalid", f"{endpoint.name}: no request got a good answer"))
        if has_enough_samples(endpoint.times, percent):
            _judge_one(run, endpoint, percent, limit, of)
        elif crossed is not None and (least := surely_at_least(endpoint.times, percent)) > crossed:
            _judge_slow(run, endpoint, percent, limit, of, least)
        elif of:
            what = f"answers, too few for P{percent:g}, which needs {samples_needed(percent)}"
            judge(what, endpoint.times.count, at_least=0, of=of)
        else:
            insist_on_samples(run, percent)


def _judge_slow(run: LoadRun, endpoint: LoadEndpoint, percent: float, limit: Limit, of: str, least: float) -> None:
    """Too few answers to prove that it is quick, enough to prove that it is slow."""
    if late := own_lateness(run, percent, least, 0.0):
        raise EvidenceProblem(Problem("invalid", late))
    told = f"{endpoint.times.count} answers; the true value is at least this high"
    judge(f"P{percent:g}, lower bound", least, at_most=limit, unit="s", of=of, reason=told)


def _judge_one(run: LoadRun, endpoint: LoadEndpoint, percent: float, limit: Limit, of: str) -> None:
    value = endpoint.times.percentile(percent)
    levels = bounds(limit, "s", "at_most")
    crossed = min((level for level in (levels.warn, levels.fail) if level is not None), default=None)
    late = own_lateness(run, percent, value, crossed) if value is not None and crossed is not None else ""
    if late and not limit.off:
        raise EvidenceProblem(Problem("invalid", late))
    late_ones = endpoint.times.count - endpoint.good
    told = f"{endpoint.good} good answers" + (f", {late_ones} without an answer in time" if late_ones > 0 else "")
    judge(f"P{percent:g}", value, at_most=limit, unit="s", of=of, reason=told)
