"""Canaries are compared by counted requests and times in buckets: what is stated is found, equals are let through."""

from __future__ import annotations

import bisect
import math
import random

import pytest

from pytest_prodcheck.deploy.canary_analysis import significance_level
from pytest_prodcheck.deploy.histogram_analysis import (
    MAX_DETECTABLE_SHIFT,
    Histogram,
    RequestCounts,
    compare_counts,
    detectable_histogram_shift,
    detectable_histogram_tail,
)
from pytest_prodcheck.deploy.statistical_power import detectable_errors
from pytest_prodcheck.environments.sections.deploy import DeployAnalysis
from tests.soak import times

SETTINGS = DeployAnalysis()
LOOKS = 3
EACH = significance_level(SETTINGS, LOOKS)
RUNS = times("RUNS", 4000, 30)
# those that clients of Prometheus have by default, and coarse ones
FINE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
MIDDLING = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, math.inf)
ROUGH = (0.1, 0.5, 1.0, 5.0, math.inf)


def counted(
    source: random.Random, ends: tuple[float, ...] = FINE, *, n: int = SETTINGS.least, errors: float = 0.001,
    slower: float = 1.0, tail: float = 0.0,
) -> RequestCounts:  # fmt: skip
    counts = [0] * len(ends)
    for _ in range(n):
        time = 0.02 * slower * source.lognormvariate(0, 0.5) + (20 if source.random() < tail else 0)
        counts[bisect.bisect_left(ends, time)] += 1
    return RequestCounts(n, sum(source.random() < errors for _ in range(n)), Histogram(ends, tuple(counts)))


def found(ends: tuple[float, ...], settings: DeployAnalysis, **worse: float) -> float:
    source, n = random.Random(7), settings.least
    pairs = [(counted(source, ends, n=n, **worse), counted(source, ends, n=n)) for _ in range(RUNS)]
    codes = [compare_counts(*pair, settings, LOOKS).code for pair in pairs]
    assert set(codes) <= {0, 1}
    return codes.count(1) / RUNS


@pytest.mark.parametrize("what", ["errors only", "all times", "tail only"])
@pytest.mark.parametrize(("ends", "least"), [(FINE, 1000), (MIDDLING, 200)])
def test_what_is_stated_is_found(what: str, ends: tuple[float, ...], least: int) -> None:
    """Whatever the buckets, and however many requests."""
    usual, settings = counted(random.Random(1), ends, n=60_000).times, DeployAnalysis(least=least)
    each = significance_level(settings, LOOKS)
    if what == "errors only":
        worse = {"errors": detectable_errors(settings, each) + 0.001}
    elif what == "all times":
        worse = {"slower": detectable_histogram_shift(usual, settings, each)}
    else:
        worse = {"tail": detectable_histogram_tail(usual, settings, each)}
    assert found(ends, settings, **worse) >= (0.9 if RUNS > 300 else 0.7), worse


def test_what_is_as_good_is_let_through() -> None:
    """Of the looks of `make soak` at most 0.1 % a deployment."""
    source = random.Random(3)
    runs = [compare_counts(counted(source), counted(source), SETTINGS, LOOKS).code for _ in range(RUNS)]
    assert runs.count(1) <= (4 if RUNS > 300 else 0)
    assert set(runs) <= {0, 1}


def test_buckets_that_would_show_nothing_cannot_tell() -> None:
    source = random.Random(5)
    alike = compare_counts(counted(source, ROUGH), counted(source, ROUGH), SETTINGS, LOOKS)
    assert alike.code == 3, alike.lines
    assert "too coarse" in alike.lines[-1]
    assert detectable_histogram_shift(counted(source, ROUGH).times, SETTINGS, EACH) > MAX_DETECTABLE_SHIFT
    worse = compare_counts(counted(source, ROUGH, errors=0.1), counted(source, ROUGH), SETTINGS, LOOKS)
    assert worse.code == 1


def test_nobody_can_tell() -> None:
    source = random.Random(2)
    good, few = counted(source), counted(source, n=999)
    for canary, beside in (
        (few, good), (good, few), (good, counted(source, errors=0.1)), (good, counted(source, ROUGH)),
        (RequestCounts(2000, 0, few.times), good),
    ):  # fmt: skip
        assert compare_counts(canary, beside, SETTINGS, LOOKS).code == 3
    nothing = Histogram(FINE, (0,) * len(FINE))
    assert compare_counts(RequestCounts(1000, 1000, nothing), good, SETTINGS, LOOKS).code == 3


def test_quantiles_of_buckets() -> None:
    told = Histogram((0.1, 0.2, math.inf), (10, 10, 0))
    assert (told.quantile(0.25), told.quantile(0.5), told.quantile(0.75)) == pytest.approx((0.05, 0.1, 0.15))
    assert math.isinf(Histogram((0.1, math.inf), (1, 99)).quantile(0.5))
