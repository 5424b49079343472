"""A whole distribution of times beside those before: by how much it is shifted, whatever its shape.

The shift is the factor that the times now have to be divided by for a request of now to be slower than one of before
as often as not (Hodges and Lehmann 1963, by the rank test of Mann and Whitney 1947, on a logarithmic scale). A
percentile of a service with two kinds of answers lies between them by chance; this does not.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from pytest_prodcheck.judging.load_validity import Comparison, endpoint_of
from pytest_prodcheck.records import AcceptedRun, LoadEndpoint

BIN = 0.005  # of the logarithm: times that differ by half a percent are told apart
WIDEST = 1400  # bins: a shift by a factor of 1,000
Pairs = Sequence[tuple[int, int]]  # microseconds and how many requests took them
USUAL = 0.04  # what runs of one system differ by among themselves, until there are enough to show it
ERRORS = 3.7  # standard errors: less than one false alarm in 1,000 comparisons
FEWEST = 100  # samples of a run that is compared


class Bins:
    """Times on a logarithmic scale: how many lie in each bin."""

    def __init__(self, pairs: Pairs) -> None:
        self.counts: dict[int, int] = {}
        for value, number in pairs:
            place = round(math.log(max(value, 1)) / BIN)
            self.counts[place] = self.counts.get(place, 0) + number
        self.total = sum(self.counts.values())
        self.first, self.last = min(self.counts, default=0), max(self.counts, default=0)
        dense = [self.counts.get(place, 0) for place in range(self.first, self.last + 1)]
        self._below = [0, *accumulate(dense)]

    def below(self, place: int) -> float:
        """How many lie below a bin, those in it by half."""
        if place < self.first:
            return 0.0
        if place > self.last:
            return float(self.total)
        at = place - self.first
        return (self._below[at] + self._below[at + 1]) / 2


def superiority(now: Bins, before: Bins, shift: int = 0) -> float:
    """The chance that a request of now, its time divided by the shift, took longer than one of before."""
    longer = sum(number * before.below(place - shift) for place, number in now.counts.items())
    return longer / (now.total * before.total)


def log_shift(now: Bins, before: Bins) -> tuple[float, float]:
    """The logarithm of the factor between two distributions, and its standard error for independent requests."""
    low, high = -WIDEST, WIDEST
    while high - low > 1:  # superiority falls as the shift rises
        middle = (low + high) // 2
        if superiority(now, before, middle) >= 0.5:
            low = middle
        else:
            high = middle
    at_low, at_high = superiority(now, before, low), superiority(now, before, high)
    between = (at_low - 0.5) / (at_low - at_high) if at_low > at_high else 0.0
    slope = max((superiority(now, before, low - 2) - superiority(now, before, high + 2)) / (5 * BIN), 1e-6)
    deviation = math.sqrt((1 / now.total + 1 / before.total) / 12)
    return (low + between) * BIN, deviation / slope


def shifted(endpoint: LoadEndpoint, runs: Sequence[AcceptedRun], least: float) -> Comparison | None:
    """All times beside those of the runs before; None where there are too few samples to tell.

    Proven: slower by at least `least` seconds in the mean, and by more than 3.7 standard errors: of the shift itself,
    and of what such runs differ by among themselves, which is taken for 4 % until there are runs enough to show it.
    """
    earlier = [each.times for each in (endpoint_of(run, endpoint.name) for run in runs) if each]
    earlier = [each for each in earlier if each.count >= FEWEST]
    if not earlier or endpoint.times.count < FEWEST:
        return None
    together = Counter[int]()
    for times in earlier:
        together.update(dict(times.histogram))
    before, now = Bins(sorted(together.items())), Bins(endpoint.times.histogram)
    shift, own_error = log_shift(now, before)
    seen = [log_shift(Bins(times.histogram), before) for times in earlier]
    own = statistics.fmean(error * error for _, error in seen)
    known = len(seen) - 1
    between = max(statistics.variance([each for each, _ in seen]) - own, 0.0) if known else 0.0
    between = (known * between + 4 * USUAL * USUAL) / (known + 4)
    error = math.sqrt(own_error**2 + between * (1 + 1 / len(seen)))
    mean = math.fsum(value * number for value, number in together.items()) / sum(together.values()) / 1e6
    change = math.exp(shift) - 1
    proven = change * mean >= least and shift > ERRORS * error
    words = f"overall, times are {math.exp(shift):.3g} times as long as in {len(seen)} accepted runs"
    return Comparison(mean * math.exp(shift), mean, change, proven, words)
