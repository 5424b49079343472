"""Exact bounds of shares and percentiles, without a model of how times are distributed."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def share_at_most(events: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The highest share that fits so many events among `of`, one-sided (Clopper and Pearson 1934); 1 of nothing."""
    if events >= of:
        return 1.0
    return _solve(lambda share: beta_cdf(share, events + 1, of - events) - confidence)


def share_at_least(events: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The lowest share that fits so many events among `of`, one-sided; 0 where there are none."""
    if events <= 0:
        return 0.0
    return _solve(lambda share: beta_cdf(share, events, of - events + 1) - (1 - confidence))


def samples_needed(percent: float, confidence: float = CONFIDENCE) -> int:
    """How many samples bound a percentile at all (Wilks 1941): their largest exceeds it with this confidence.

    59 for the 95th, 299 for the 99th, 5 for the median.
    """
    return math.ceil(math.log(1 - confidence) / math.log(percent / 100))


def rank_below(percent: float, of: int, confidence: float = 0.99) -> int:
    """The rank (from 1) of the sample that a percentile is not below; 0 where there is none."""
    share, low, high = percent / 100, 0, of
    while low < high:  # P(the k-th sample <= percentile) = P(at least k of n samples lie below it), falling in k
        middle = (low + high + 1) // 2
        if beta_cdf(share, middle, of - middle + 1) >= confidence:
            low = middle
        else:
            high = middle - 1
    return low


def rank_above(percent: float, of: int, confidence: float = 0.99) -> int:
    """The rank (from 1) of the sample that a percentile does not exceed; of + 1 where there is none."""
    share, low, high = percent / 100, 1, of + 1
    while low < high:
        middle = (low + high) // 2
        if middle <= of and 1 - beta_cdf(share, middle, of - middle + 1) < confidence:
            low = middle + 1
        else:
            high = middle
    return low


def more_often(events: int, of: int, before: int, before_of: int) -> float:
    """The chance of so many events or more, if they were as frequent as before (Fisher's exact test, one-sided)."""
    total, whole = events + before, of + before_of
    most = min(total, of)
    base = _log_binomial(whole, of)
    logs = (_log_binomial(total, k) + _log_binomial(whole - total, of - k) - base for k in range(events, most + 1))
    return min(1.0, sum(map(math.exp, logs)))


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, c, d = 1e-300, 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 20_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            c = 1 + step / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-13:
            break
    return front * fraction


def _solve(difference: Callable[[float], float]) -> float:
    """Where a rising function of a share is 0."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if difference(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
