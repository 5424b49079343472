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

from pytest_prodcheck.deploy.analysis import (
    EFFECT_AT,
    FAILS_ITSELF,
    TAIL,
    Finding,
    errors_told,
    level,
    normal_tail,
    told,
)
from pytest_prodcheck.deploy.asking import BLOCKED, CANNOT_TELL, OPEN
from pytest_prodcheck.judging.statistics import more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

COARSE = 4.0  # times as slow: buckets that do not show even that prove nothing
_SURE = 1.2816  # a standard normal value exceeds it with 10 %
_HIGHEST = 1000.0


@dataclass(frozen=True)
class Histogram:
    """ends: of the buckets in seconds, the last one infinite; counts: of the requests in each."""

    ends: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)

    def above(self, place: int) -> int:
        """How many took longer than the end of a bucket."""
        return sum(self.counts[place + 1 :])

    def quantile(self, share: float) -> float:
        """The time that this share does not exceed, by even spread within its bucket; infinite in the last one."""
        rank, below = share * self.total, 0
        for place, number in enumerate(self.counts):
            if number and below + number >= rank:
                low = self.ends[place - 1] if place else 0.0
                end = self.ends[place]
                return end if math.isinf(end) else low + (end - low) * (rank - below) / number
            below += number
        return math.inf


@dataclass(frozen=True)
class Counted:
    """What a copy was asked, how often it failed, and how long its answers took."""

    asked: int
    failed: int
    times: Histogram


def judge_counted(canary: Counted, beside: Counted, settings: DeployAnalysis, looks: int, again: int = 0) -> Finding:
    """Whether the canary is worse; nobody can tell without enough requests, or by buckets that show nothing."""
    for name, each in (("the canary", canary), ("the copy beside it", beside)):
        if min(each.asked, each.times.total) < settings.least:
            least = min(each.asked, each.times.total)
            return Finding(CANNOT_TELL, (f"{least} requests to {name} were counted, {settings.least} are needed",))
    if beside.failed > FAILS_ITSELF * beside.asked:
        return Finding(CANNOT_TELL, (f"the copy beside it fails itself: {beside.failed} of {beside.asked} requests",))
    if canary.times.ends != beside.times.ends:
        return Finding(CANNOT_TELL, ("the two revisions count times in other buckets: they cannot be compared",))
    each_test = level(settings, looks, again)
    found = [
        errors_told((canary.failed, canary.asked), (beside.failed, beside.asked), settings.errors, each_test),
        _whole(canary.times, beside.times, settings.ratio, each_test),
        _tail(canary.times, beside.times, settings.ratio, each_test),
    ]
    lines = tuple(text for _, text in found)
    if any(is_worse for is_worse, _ in found):
        return Finding(BLOCKED, lines)
    seen = shift_shown(beside.times, settings, each_test)
    if seen > COARSE:
        why = f"the buckets are too coarse: times would have to be {_times(seen)} as long to be found"
        return Finding(CANNOT_TELL, (*lines, why))
    return Finding(OPEN, lines)


def _whole(canary: Histogram, beside: Histogram, ratio: float, each: float) -> tuple[bool, str]:
    superior = _superiority([number / canary.total for number in canary.counts], beside)
    chance = normal_tail((superior - 0.5) / _deviation(canary.counts, beside.counts))
    now, before = canary.quantile(0.5), beside.quantile(0.5)
    worse = chance <= each and _slower(now, before, ratio)
    return worse, told(worse, f"median {now * 1000:.3g} ms beside {before * 1000:.3g} ms, by their buckets", chance)


def _tail(canary: Histogram, beside: Histogram, ratio: float, each: float) -> tuple[bool, str]:
    place = _begins([a + b for a, b in zip(canary.counts, beside.counts, strict=True)])
    ours, theirs = canary.above(place), beside.above(place)
    chance = more_often(ours, canary.total, theirs, beside.total)
    now, before = canary.quantile(EFFECT_AT), beside.quantile(EFFECT_AT)
    worse = chance <= each and _slower(now, before, ratio)
    text = f"tail {now * 1000:.3g} ms beside {before * 1000:.3g} ms, {ours} and {theirs} over {canary.ends[place]:g} s"
    return worse, told(worse, text, chance)


def _begins(counts: Sequence[float]) -> int:
    """The bucket beyond whose end the tail lies: at most the slowest twentieth, or all of the last one that holds any.

    Of both copies together, so that which one is which cannot have a say in it.
    """
    total, below = sum(counts), list(accumulate(counts))
    above = [(place, total - number) for place, number in enumerate(below) if total - number > 1e-9 * total]
    small = [place for place, number in above if number <= TAIL * total]
    return small[0] if small else above[-1][0] if above else len(below) - 1


def _slower(now: float, before: float, ratio: float) -> bool:
    return now > ratio * before and not (math.isinf(now) and math.isinf(before))


def _superiority(shares: Sequence[float], beside: Histogram) -> float:
    """The chance that a request of the first took longer than one of the other, ties by half."""
    below, total = 0.0, 0.0
    for share, number in zip(shares, beside.counts, strict=True):
        total += share * (below + number / 2)
        below += number
    return total / beside.total


def _deviation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The standard error of the superiority of equals, with ties."""
    n, m = sum(ours), sum(theirs)
    whole = n + m
    ties = sum((a + b) ** 3 - (a + b) for a, b in zip(ours, theirs, strict=True)) / (whole * (whole - 1))
    return math.sqrt(max(whole + 1 - ties, 1e-9) / (12 * n * m))


# -- what can be found


def shift_shown(usual: Histogram, settings: DeployAnalysis, each: float) -> float:
    """How many times slower all requests are where that is found with 90 %; infinite where buckets never show it."""
    shares, critical = [number / usual.total for number in usual.counts], _critical(each)

    def is_found(factor: float) -> bool:
        shifted = _shifted(usual, factor)
        n = settings.least
        error = _deviation([n * share for share in shifted], [n * share for share in shares])
        far = _superiority(shifted, usual) - 0.5 >= (critical + _SURE) * error
        part = Histogram(usual.ends, tuple(round(1e6 * share) for share in shifted))
        surely = 0.5 - _SURE * math.sqrt(0.25 / n)  # of both medians, by chance the nearer ones
        return far and _slower(part.quantile(surely), usual.quantile(1 - surely), settings.ratio)

    return _least(is_found, 1.0, _HIGHEST)


def tail_shown(usual: Histogram, settings: DeployAnalysis, each: float) -> float:
    """The share of requests that are slower than all others and found with 90 %; 1 where they never are."""
    n, critical = settings.least, _critical(each)
    shares = [number / usual.total for number in usual.counts]

    def is_found(share: float) -> bool:
        canary = [(1 - share) * part for part in shares]
        canary[-1] += share
        place = _begins([a + b for a, b in zip(canary, shares, strict=True)])
        ours, theirs = sum(canary[place + 1 :]), sum(shares[place + 1 :])
        middle = (ours + theirs) / 2
        error = math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / n)
        far = ours - theirs - 2 / n >= critical * math.sqrt(2 * middle * (1 - middle) / n) + _SURE * error
        slow = share - _SURE * math.sqrt(share * (1 - share) / n) > 1 - EFFECT_AT
        return far and slow

    return _least(is_found, 0.0, 1.0)


def _shifted(usual: Histogram, factor: float) -> list[float]:
    """The shares of the buckets if all took so many times as long, spread evenly within their buckets.

    Those of the first bucket stay: how near to its end they are is not known at all.
    """
    found = [0.0] * len(usual.ends)
    for place, number in enumerate(usual.counts):
        low, end = usual.ends[place - 1], usual.ends[place]
        if place == 0 or math.isinf(end):
            found[place] += number
            continue
        low, end, reached = low * factor, end * factor, low * factor
        for other, limit in enumerate(usual.ends):
            part = min(end, limit) - reached
            if part > 0:
                found[other] += number * part / (end - low)
                reached += part
    return [number / usual.total for number in found]


def _least(is_found: Callable[[float], bool], low: float, high: float) -> float:
    """The least that is found, infinite (or the highest share) where nothing is."""
    if not is_found(high):
        return math.inf if high > 1 else high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def _critical(each: float) -> float:
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if normal_tail(middle) > each else (low, middle)
    return high


def _times(factor: float) -> str:
    return "any number of times" if math.isinf(factor) else f"{factor:.3g} times"
