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
from pytest_prodcheck.deploy.power import SURE, at_least, binomial
from pytest_prodcheck.judging.statistics import more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

COARSE = 4.0  # times as slow: buckets that do not show even that prove nothing
_ONE_IN_TEN, _ONE_IN_TWENTY = 1.2816, 1.6449  # standard normal values exceed them so often
_HIGHEST = 1000.0
_SHARES, _FALLS = 55, 0.88  # shares of slow requests that are looked at, each so many times the one before
_STEPS = 40  # of a sum over what chance does
_AIM = SURE + 0.02  # where several chances are taken for independent


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
        far = _superiority(shifted, usual) - 0.5 >= (critical + _ONE_IN_TWENTY) * error
        part = Histogram(usual.ends, tuple(round(1e6 * share) for share in shifted))
        surely = 0.5 - _ONE_IN_TEN * math.sqrt(0.25 / n)  # of both medians: both so near have a chance of 4 %
        return far and _slower(part.quantile(surely), usual.quantile(1 - surely), settings.ratio)

    return _least(is_found, 1.0, _HIGHEST)


def tail_shown(usual: Histogram, settings: DeployAnalysis, each: float) -> float:
    """The share of requests that are slower than all others from which on they are found with 90 %; 1 where never."""
    power = _TailPower(usual, settings.least, each)
    found = 1.0
    for number in range(_SHARES):
        share = _FALLS ** (number + 1)
        if power.of(share) < _AIM:
            return _least(lambda share: power.of(share) >= _AIM, share, found, 12)
        found = share
    return found


class _TailPower:
    """How surely some much slower requests are found, wherever the tail begins: chance has a say in that, too."""

    def __init__(self, usual: Histogram, n: int, each: float) -> None:
        self._n, self._each, self._most = n, each, math.floor(TAIL * 2 * n)
        self._shares = [number / usual.total for number in usual.counts]
        self._needed: dict[int, int] = {}

    def of(self, share: float) -> float:
        """With this share of much slower requests."""
        before = found = seen = seen_at_all = 0.0
        above = sum(self._shares)
        for place, part in enumerate(self._shares[:-1]):
            above = max(above - part, 0.0)
            last = place == len(self._shares) - 2
            begins, seen, seen_at_all = self._above(share + (1 - share) * above, above, last)
            found += (begins - before) * seen / begins if begins > before else 0.0
            before = max(begins, before)
        found += max(seen_at_all - seen, 0.0)  # more than a twentieth in the last one: the tail is that
        return found * at_least(math.floor((1 - EFFECT_AT) * self._n) + 1, self._n, share)

    def _above(self, ours: float, theirs: float, always: bool) -> tuple[float, float, float]:
        """The chance that at most a twentieth lies above, that so and the difference is seen, that it is (`always`)."""
        n, spread = self._n, 6 * math.sqrt(self._n * theirs * (1 - theirs)) + 6
        first, last = max(0, math.floor(n * theirs - spread)), min(n, math.ceil(n * theirs + spread))
        whole = begins = seen = seen_at_all = 0.0
        for beside in range(first, last + 1, max(1, (last - first) // _STEPS)):
            chance = binomial(beside, n, theirs)
            small = 1 - at_least(self._most - beside + 1, n, ours) if beside <= self._most else 0.0
            many = at_least(self._fewest(beside), n, ours) if small > 1e-6 or always else 0.0
            whole, begins = whole + chance, begins + chance * small
            seen, seen_at_all = seen + chance * max(0.0, small + many - 1), seen_at_all + chance * many
        return begins / whole, seen / whole, seen_at_all / whole

    def _fewest(self, beside: int) -> int:
        """How many of ours above are significantly more."""
        if beside not in self._needed:
            low, high = beside, min(self._n + 1, beside + 40 + 12 * math.isqrt(beside))  # ten standard errors
            while low < high:
                middle = (low + high) // 2
                if middle <= self._n and more_often(middle, self._n, beside, self._n) > self._each:
                    low = middle + 1
                else:
                    high = middle
            self._needed[beside] = low
        return self._needed[beside]


def _shifted(usual: Histogram, factor: float) -> list[float]:
    """The shares of the buckets if all took so many times as long, spread evenly by logarithm within their buckets.

    So more of them are near the lower end, as with times whose number falls, and fewer leave their bucket. Those of the
    first bucket stay: how near to its end they are is not known at all.
    """
    found = [0.0] * len(usual.ends)
    for place, number in enumerate(usual.counts):
        low, end = usual.ends[place - 1], usual.ends[place]
        if place == 0 or math.isinf(end) or low <= 0:
            found[place] += number
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


def _least(is_found: Callable[[float], bool], low: float, high: float, steps: int = 30) -> float:
    """The least that is found, infinite (or the highest share) where nothing is."""
    if not is_found(high):
        return math.inf if high > 1 else high
    for _ in range(steps):
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
