"""Bounds against sums of the binomial distribution itself."""

from __future__ import annotations

import math

import pytest

from pytest_prodcheck.judging.statistics import (
    beta_cdf,
    more_often,
    rank_above,
    rank_below,
    samples_needed,
    share_at_least,
    share_at_most,
)


def at_most(events: int, of: int, share: float) -> float:
    """P(X <= events), summed."""
    return math.fsum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(events + 1))


@pytest.mark.parametrize(("events", "of"), [(0, 10), (1, 10), (3, 50), (5, 400), (399, 400), (50, 100)])
def test_clopper_pearson(events: int, of: int) -> None:
    assert at_most(events, of, share_at_most(events, of)) == pytest.approx(0.05, rel=1e-6)
    if events:
        assert 1 - at_most(events - 1, of, share_at_least(events, of)) == pytest.approx(0.05, rel=1e-6)


def test_what_ten_thousand_requests_prove() -> None:
    """At most 4 errors prove an error rate under 0.1 %, and without any error 2,995 requests are needed."""
    assert share_at_most(4, 10_000) < 0.001 < share_at_most(5, 10_000)
    assert share_at_most(0, 2995) < 0.001 < share_at_most(0, 2994)


def test_ends() -> None:
    assert share_at_most(7, 7) == 1.0
    assert share_at_most(0, 0) == 1.0
    assert share_at_least(0, 7) == 0.0
    assert (beta_cdf(0, 2, 3), beta_cdf(1, 2, 3)) == (0.0, 1.0)
    assert beta_cdf(0.5, 2, 2) == pytest.approx(0.5)


def test_samples_for_a_percentile() -> None:
    assert [samples_needed(percent) for percent in (50, 95, 99, 99.9)] == [5, 59, 299, 2995]


@pytest.mark.parametrize(("percent", "of"), [(95, 400), (99, 1000), (50, 100)])
def test_ranks_bound_a_percentile(percent: float, of: int) -> None:
    share = percent / 100
    low, high = rank_below(percent, of), rank_above(percent, of)
    assert 1 - at_most(low - 1, of, share) >= 0.99 > 1 - at_most(low, of, share)
    assert at_most(high - 1, of, share) >= 0.99 > at_most(high - 2, of, share)


def test_too_few_samples_have_no_bound() -> None:
    assert rank_above(99, 100) == 101
    assert rank_below(95, 0) == 0


@pytest.mark.parametrize(("events", "of", "before", "before_of"), [(10, 100, 1, 100), (3, 50, 3, 60), (0, 5, 2, 9)])
def test_fisher(events: int, of: int, before: int, before_of: int) -> None:
    total, whole = events + before, of + before_of
    exact = sum(
        math.comb(total, k) * math.comb(whole - total, of - k) for k in range(events, min(total, of) + 1)
    ) / math.comb(whole, of)
    assert more_often(events, of, before, before_of) == pytest.approx(exact, rel=1e-9)
