"""Whether a canary is worse by what was counted of both copies: requests, errors, and times in buckets. Pure.

The tests of `analysis`, for times of which only the bucket is known: the rank test counts those of one bucket as ties
(Lehmann 1975), the tail begins at a bucket's end. What the buckets can show is computed from those of the old copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.canary_analysis import (
    MAX_BASELINE_ERRORS,
    TAIL,
    TAIL_PERCENTILE,
    ComparisonResult,
    compare_errors,
    format_test,
    normal_tail,
    significance_level,
)
from pytest_prodcheck.deploy.gate_client import BLOCKED, CANNOT_TELL, OPEN
from pytest_prodcheck.deploy.statistical_power import POWER, at_least, binomial
from pytest_prodcheck.judging.statistics import more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

MAX_DETECTABLE_SHIFT = 4.0  # times as slow: buckets that do not show even that prove nothing
_ONE_IN_TEN, _ONE_IN_TWENTY = 1.2816, 1.6449  # standard normal values exceed them so often
_MAX_SHIFT = 1000.0
_SHARE_COUNT, _SHARE_FACTOR = 55, 0.88  # shares of slow requests that are looked at, each so many times the one before
_SUM_STEPS = 40  # of a sum over what chance does
_TARGET_POWER = POWER + 0.02  # where several chances are taken for independent


@dataclass(frozen=True)
class Histogram:
    """ends: of the buckets in seconds, the last one infinite; counts: of the requests in each."""

    ends: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)

    def above(self, bucket: int) -> int:
        """How many took longer than the end of a bucket."""
        return sum(self.counts[bucket + 1 :])

    def quantile(self, share: float) -> float:
        """The time that this share does not exceed, by even spread within its bucket; infinite in the last one."""
        rank, below = share * self.total, 0
        for bucket, number in enumerate(self.counts):
            if number and below + number >= rank:
                low = self.ends[bucket - 1] if bucket else 0.0
                end = self.ends[bucket]
                return end if math.isinf(end) else low + (end - low) * (rank - below) / number
            below += number
        return math.inf


@dataclass(frozen=True)
class RequestCounts:
    """What a copy was asked, how often it failed, and how long its answers took."""

    total: int
    failed: int
    times: Histogram


def compare_counts(
    canary: RequestCounts, baseline: RequestCounts, settings: DeployAnalysis, comparison_count: int, repetition: int = 0
) -> ComparisonResult:
    """Whether the canary is worse; nobody can tell without enough requests, or by buckets that show nothing."""
    for name, each in (("the canary", canary), ("the baseline", baseline)):
        if min(each.total, each.times.total) < settings.least:
            least = min(each.total, each.times.total)
            return ComparisonResult(
                CANNOT_TELL, (f"{least} requests to {name} were counted, {settings.least} are required",)
            )
    if baseline.failed > MAX_BASELINE_ERRORS * baseline.total:
        return ComparisonResult(
            CANNOT_TELL, (f"the baseline fails too: {baseline.failed} of {baseline.total} requests",)
        )
    if canary.times.ends != baseline.times.ends:
        return ComparisonResult(
            CANNOT_TELL, ("the two revisions count times in other buckets: they cannot be compared",)
        )
    significance = significance_level(settings, comparison_count, repetition)
    found = [
        compare_errors((canary.failed, canary.total), (baseline.failed, baseline.total), settings.errors, significance),
        _compare_all_times(canary.times, baseline.times, settings.ratio, significance),
        _compare_tails(canary.times, baseline.times, settings.ratio, significance),
    ]
    lines = tuple(text for _, text in found)
    if any(is_worse for is_worse, _ in found):
        return ComparisonResult(BLOCKED, lines)
    seen = detectable_histogram_shift(baseline.times, settings, significance)
    if seen > MAX_DETECTABLE_SHIFT:
        reason = f"the buckets are too coarse: times would have to be {_times(seen)} as long to be found"
        return ComparisonResult(CANNOT_TELL, (*lines, reason))
    return ComparisonResult(OPEN, lines)


def _compare_all_times(canary: Histogram, baseline: Histogram, ratio: float, significance: float) -> tuple[bool, str]:
    superior = _superiority([number / canary.total for number in canary.counts], baseline)
    chance = normal_tail((superior - 0.5) / _superiority_error(canary.counts, baseline.counts))
    now, before = canary.quantile(0.5), baseline.quantile(0.5)
    worse = chance <= significance and _slower(now, before, ratio)
    return worse, format_test(
        worse, f"median {now * 1000:.3g} ms, baseline {before * 1000:.3g} ms, by their buckets", chance
    )


def _compare_tails(canary: Histogram, baseline: Histogram, ratio: float, significance: float) -> tuple[bool, str]:
    bucket = _tail_start([a + b for a, b in zip(canary.counts, baseline.counts, strict=True)])
    ours, theirs = canary.above(bucket), baseline.above(bucket)
    chance = more_often(ours, canary.total, theirs, baseline.total)
    now, before = canary.quantile(TAIL_PERCENTILE), baseline.quantile(TAIL_PERCENTILE)
    worse = chance <= significance and _slower(now, before, ratio)
    text = (
        f"tail {now * 1000:.3g} ms, baseline {before * 1000:.3g} ms, {ours} and {theirs} over {canary.ends[bucket]:g} s"
    )
    return worse, format_test(worse, text, chance)


def _tail_start(counts: Sequence[float]) -> int:
    """The bucket beyond whose end the tail lies: at most the slowest twentieth, or all of the last one that holds any.

    Of both copies together, so that which one is which cannot have a say in it.
    """
    total, below = sum(counts), list(accumulate(counts))
    above = [(bucket, total - number) for bucket, number in enumerate(below) if total - number > 1e-9 * total]
    small = [bucket for bucket, number in above if number <= TAIL * total]
    return small[0] if small else above[-1][0] if above else len(below) - 1


def _slower(now: float, before: float, ratio: float) -> bool:
    return now > ratio * before and not (math.isinf(now) and math.isinf(before))


def _superiority(shares: Sequence[float], baseline: Histogram) -> float:
    """The chance that a request of the first took longer than one of the other, ties by half."""
    below, total = 0.0, 0.0
    for share, number in zip(shares, baseline.counts, strict=True):
        total += share * (below + number / 2)
        below += number
    return total / baseline.total


def _superiority_error(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The standard error of the superiority of equals, with ties."""
    n, m = sum(ours), sum(theirs)
    whole = n + m
    ties = sum((a + b) ** 3 - (a + b) for a, b in zip(ours, theirs, strict=True)) / (whole * (whole - 1))
    return math.sqrt(max(whole + 1 - ties, 1e-9) / (12 * n * m))


# -- what can be found


def detectable_histogram_shift(usual: Histogram, settings: DeployAnalysis, significance: float) -> float:
    """How many times slower all requests are where that is found with 90 %; infinite where buckets never show it."""
    shares, critical = [number / usual.total for number in usual.counts], _critical_value(significance)

    def is_found(factor: float) -> bool:
        shifted = _shifted(usual, factor)
        n = settings.least
        error = _superiority_error([n * share for share in shifted], [n * share for share in shares])
        far = _superiority(shifted, usual) - 0.5 >= (critical + _ONE_IN_TWENTY) * error
        part = Histogram(usual.ends, tuple(round(1e6 * share) for share in shifted))
        surely = 0.5 - _ONE_IN_TEN * math.sqrt(0.25 / n)  # of both medians: both so near have a chance of 4 %
        return far and _slower(part.quantile(surely), usual.quantile(1 - surely), settings.ratio)

    return _smallest_found(is_found, 1.0, _MAX_SHIFT)


def detectable_histogram_tail(usual: Histogram, settings: DeployAnalysis, significance: float) -> float:
    """The share of requests that are slower than all others from which on they are found with 90 %; 1 where never."""
    power = _TailPower(usual, settings.least, significance)
    found = 1.0
    for number in range(_SHARE_COUNT):
        share = _SHARE_FACTOR ** (number + 1)
        if power.of(share) < _TARGET_POWER:
            return _smallest_found(lambda share: power.of(share) >= _TARGET_POWER, share, found, 12)
        found = share
    return found


class _TailPower:
    """How surely some much slower requests are found, wherever the tail begins: chance has a say in that, too."""

    def __init__(self, usual: Histogram, n: int, significance: float) -> None:
        self._n, self._significance, self._most = n, significance, math.floor(TAIL * 2 * n)
        self._shares = [number / usual.total for number in usual.counts]
        self._needed: dict[int, int] = {}

    def of(self, share: float) -> float:
        """With this share of much slower requests."""
        before = found = seen = seen_at_all = 0.0
        above = sum(self._shares)
        for bucket, part in enumerate(self._shares[:-1]):
            above = max(above - part, 0.0)
            last = bucket == len(self._shares) - 2
            begins, seen, seen_at_all = self._above(share + (1 - share) * above, above, last)
            found += (begins - before) * seen / begins if begins > before else 0.0
            before = max(begins, before)
        found += max(seen_at_all - seen, 0.0)  # more than a twentieth in the last one: the tail is that
        return found * at_least(math.floor((1 - TAIL_PERCENTILE) * self._n) + 1, self._n, share)

    def _above(self, ours: float, theirs: float, always: bool) -> tuple[float, float, float]:
        """The chance that at most a twentieth lies above, that so and the difference is seen, that it is (`always`)."""
        n, spread = self._n, 6 * math.sqrt(self._n * theirs * (1 - theirs)) + 6
        first, last = max(0, math.floor(n * theirs - spread)), min(n, math.ceil(n * theirs + spread))
        whole = begins = seen = seen_at_all = 0.0
        for baseline in range(first, last + 1, max(1, (last - first) // _SUM_STEPS)):
            chance = binomial(baseline, n, theirs)
            small = 1 - at_least(self._most - baseline + 1, n, ours) if baseline <= self._most else 0.0
            many = at_least(self._min_significant(baseline), n, ours) if small > 1e-6 or always else 0.0
            whole, begins = whole + chance, begins + chance * small
            seen, seen_at_all = seen + chance * max(0.0, small + many - 1), seen_at_all + chance * many
        return begins / whole, seen / whole, seen_at_all / whole

    def _min_significant(self, baseline: int) -> int:
        """How many of ours above are significantly more."""
        if baseline not in self._needed:
            low, high = baseline, min(self._n + 1, baseline + 40 + 12 * math.isqrt(baseline))  # ten standard errors
            while low < high:
                middle = (low + high) // 2
                if middle <= self._n and more_often(middle, self._n, baseline, self._n) > self._significance:
                    low = middle + 1
                else:
                    high = middle
            self._needed[baseline] = low
        return self._needed[baseline]


def _shifted(usual: Histogram, factor: float) -> list[float]:
    """The shares of the buckets if all took so many times as long, spread evenly by logarithm within their buckets.

    So more of them are near the lower end, as with times whose number falls, and fewer leave their bucket. Those of the
    first bucket stay: how near to its end they are is not known at all.
    """
    found = [0.0] * len(usual.ends)
    for bucket, number in enumerate(usual.counts):
        low, end = usual.ends[bucket - 1], usual.ends[bucket]
        if bucket == 0 or math.isinf(end) or low <= 0:
            found[bucket] += number
            continue
        width, reached, end = math.log(end / low), low * factor, end * factor
        for other, limit in enumerate(usual.ends):
            if limit > reached:
                upper = min(end, limit)
                found[other] += number * math.log(upper / reached) / width
                reached = upper
            if reached >= end:
                break
    return [number / usual.total for number in found]


def _smallest_found(is_found: Callable[[float], bool], low: float, high: float, steps: int = 30) -> float:
    """The least that is found, infinite (or the highest share) where nothing is."""
    if not is_found(high):
        return math.inf if high > 1 else high
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def _critical_value(significance: float) -> float:
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if normal_tail(middle) > significance else (low, middle)
    return high


def _times(factor: float) -> str:
    return "any number of times" if math.isinf(factor) else f"{factor:.3g} times"
