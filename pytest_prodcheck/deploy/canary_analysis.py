"""Whether a canary is worse than the baseline, by requests to both at the same time. Pure.

Three tests a look: more errors (Fisher's exact test), slower as a whole (Mann and Whitney), a slower tail (how many
of the slowest twentieth of all requests are the canary's: Fisher again, for among equals they are anybody's). Each has
a minimum effect too. They are made of all requests, with the times of each endpoint in proportion to its median, and of
each endpoint alone. The chance of a false alarm is shared out over all looks and tests, repeated ones too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.design_effect import design_effect, ranks
from pytest_prodcheck.deploy.gate_client import BLOCKED, CANNOT_TELL, OPEN
from pytest_prodcheck.environments.sections.deploy import REQUESTS_PER_ENDPOINT
from pytest_prodcheck.judging.distribution import Bins, log_shift, superiority
from pytest_prodcheck.judging.statistics import more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

TEST_COUNT = 3
TAIL = 0.05  # the share of all requests, the slowest, that the tail is
TAIL_PERCENTILE = 0.975  # the percentile that says how much slower the tail is: the middle of it
MAX_BASELINE_ERRORS = 0.05  # share of errors of the copy beside the canary from which it is nothing to compare with
MAX_LATENESS = 0.5  # share of the time that the requests should take, and a second, that they may be late
MAX_CLIENT_DELAY_SHARE = 0.5  # this machine's own known lateness in proportion to the times, which are without it


@dataclass(frozen=True)
class Sample:
    """Requests to one copy. times: seconds of the good answers, in the order in which the requests were sent.

    failed: how many others; endpoints, failed_endpoints: which each of them was sent to, empty where there is only one;
    client_delay: seconds by which this machine was late, in sum, which are no part of `times`; seconds: from the first
    request to the last end.
    """

    times: tuple[float, ...]
    failed: int
    client_delay: float = 0.0
    seconds: float = 0.0
    endpoints: tuple[str, ...] = ()
    failed_endpoints: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many were sent and came to an end."""
        return len(self.times) + self.failed

    def by_endpoint(self) -> dict[str, Sample]:
        """The requests to each endpoint alone; nothing where there is only one, without a name."""
        times: dict[str, list[float]] = {name: [] for name in (*self.endpoints, *self.failed_endpoints)}
        for time, endpoint in zip(self.times, self.endpoints, strict=False):
            times[endpoint].append(time)
        failed = Counter(self.failed_endpoints)
        return {name: Sample(tuple(each), failed[name]) for name, each in times.items()}

    def scaled(self, factors: Mapping[str, float]) -> Sample:
        """With the times of each endpoint multiplied by its factor."""
        pairs = zip(self.times, self.endpoints, strict=True)
        return replace(self, times=tuple(time * factors[endpoint] for time, endpoint in pairs))


@dataclass(frozen=True)
class ComparisonResult:
    """code: 0 no worse, 1 worse, 3 cannot tell; lines: why, with the figures."""

    code: int
    lines: tuple[str, ...]


def significance_level(
    settings: DeployAnalysis, comparison_count: int, repetition: int = 0, endpoint_count: int = 1
) -> float:
    """The chance of a false alarm of one test of all requests, so that all looks of a deployment together have `alpha`.

    Half of it is for the planned looks. repetition: which repetition of a look it is, from 1, of all that a deployment
    had; they have a quarter of it, an eighth, and so on, so that their sum is bounded however many there are. Where
    there are several endpoints, the tests of each of them alone share half of what a look has, in equal parts.
    """
    share = 0.5 ** (repetition + 1) if repetition else 0.5 / max(comparison_count, 1)
    return settings.alpha * share / TEST_COUNT / (2 if endpoint_count > 1 else 1)


def compare_samples(
    canary: Sample, baseline: Sample, settings: DeployAnalysis, comparison_count: int, repetition: int = 0
) -> ComparisonResult:
    """Whether the canary is worse; nobody can tell without enough samples, or at another pace than was meant."""
    if reason := _insufficient_samples(canary, baseline, settings):
        return ComparisonResult(CANNOT_TELL, (reason,))
    endpoints = _pair_endpoints(canary, baseline)
    significance = significance_level(settings, comparison_count, repetition, len(endpoints))
    if len(endpoints) > 1:
        factors = _scale_factors(endpoints)
        results = [_compare(canary.scaled(factors), baseline.scaled(factors), settings, significance, settings.rate)]
        share, rate = significance / len(endpoints), settings.rate / len(endpoints)
        results += [_compare_endpoint(name, *pair, settings, share, rate) for name, pair in sorted(endpoints.items())]
    else:
        results = [_compare(canary, baseline, settings, significance, settings.rate)]
    lines = tuple(line for result in results if result.code != OPEN or result is results[0] for line in result.lines)
    codes = {result.code for result in results}
    if codes != {OPEN}:
        return ComparisonResult(BLOCKED if BLOCKED in codes else CANNOT_TELL, lines)
    reason = _client_disturbance(canary, baseline, settings)
    return ComparisonResult(CANNOT_TELL, (*lines, reason)) if reason else ComparisonResult(OPEN, lines)


def _pair_endpoints(canary: Sample, baseline: Sample) -> dict[str, tuple[Sample, Sample]]:
    ours, theirs, none = canary.by_endpoint(), baseline.by_endpoint(), Sample((), 0)
    return {name: (ours.get(name, none), theirs.get(name, none)) for name in {*ours, *theirs}}


def _compare_endpoint(
    name: str, canary: Sample, baseline: Sample, settings: DeployAnalysis, significance: float, rate: float
) -> ComparisonResult:
    """The tests of one endpoint alone, in lines that name it."""
    if dead := _never_answers(canary, baseline):
        result = ComparisonResult(BLOCKED, (dead,))
    else:
        result = _compare(canary, baseline, settings, significance, rate)
    return ComparisonResult(result.code, tuple(f"{name}: {line}" for line in result.lines))


def _never_answers(canary: Sample, baseline: Sample) -> str:
    """Why an endpoint is worse that always failed, and never beside it: that few requests prove nothing by a test.

    Equals that fail in one of twenty requests at most do so five times in a row with a chance of 3e-7.
    """
    enough = min(canary.total, baseline.total) >= REQUESTS_PER_ENDPOINT
    if not enough or canary.times or baseline.failed:
        return ""
    return f"worse: all {canary.total} requests failed, baseline none of {baseline.total}"


def _scale_factors(endpoints: Mapping[str, tuple[Sample, Sample]]) -> dict[str, float]:
    """What makes the median of each endpoint, of both copies, that of all: else slow endpoints hide the others."""
    times = {name: [*canary.times, *baseline.times] for name, (canary, baseline) in endpoints.items()}
    middle = quantile([time for each in times.values() for time in each], 0.5)
    return {name: middle / quantile(each, 0.5) for name, each in times.items() if each}


def _compare(
    canary: Sample, baseline: Sample, settings: DeployAnalysis, significance: float, rate: float
) -> ComparisonResult:
    """The three tests of these requests, which were sent at this rate, in 1/s."""
    failed = (canary.failed, canary.total), (baseline.failed, baseline.total)
    errors = compare_errors(*failed, settings.errors, significance)
    slowness_tests = (_compare_all_times, _compare_tails)
    slower = [compare(canary, baseline, settings, significance) for compare in slowness_tests]
    lines = (errors[1], *(text for _, text in slower))
    if errors[0]:
        return ComparisonResult(BLOCKED, lines)
    if any(chance <= significance for chance, _ in slower):
        effect = _neighbour_effect(canary, baseline, rate)
        corrected = (compare(canary, baseline, settings, significance, effect)[0] for compare in slowness_tests)
        if any(chance <= significance for chance in corrected):
            return ComparisonResult(BLOCKED, lines)
        reason = f"consecutive requests are correlated, as if a machine had stalled: {effect:.3g} of them count as one"
        return ComparisonResult(CANNOT_TELL, (*lines, reason))
    return ComparisonResult(OPEN, lines)


def _insufficient_samples(canary: Sample, baseline: Sample, settings: DeployAnalysis) -> str:
    for name, sample in (("the canary", canary), ("the baseline", baseline)):
        if sample.total < settings.least:
            return f"{sample.total} requests to {name} were completed; {settings.least} are required"
    if baseline.failed > MAX_BASELINE_ERRORS * baseline.total:
        return f"the baseline fails too: {baseline.failed} of {baseline.total} requests"
    return ""


def _client_disturbance(canary: Sample, baseline: Sample, settings: DeployAnalysis) -> str:
    """Why that nothing worse was found proves nothing: our own lateness, in both alike, hides a difference."""
    client_delay = max(canary.client_delay, baseline.client_delay) / settings.least
    if client_delay > MAX_CLIENT_DELAY_SHARE * quantile(baseline.times, 0.5):
        return f"this machine was busy: it delayed each request by {client_delay * 1000:.3g} ms"
    planned = settings.least / settings.rate
    late = max(canary.seconds, baseline.seconds) - planned
    return (
        f"the rate of {settings.rate:g} requests/s was not reached: {late:.3g} s late"
        if late > MAX_LATENESS * planned + 1
        else ""
    )


def compare_errors(
    canary: tuple[int, int], baseline: tuple[int, int], least: float, significance: float
) -> tuple[bool, str]:
    """Whether the first failed more often, of failed and asked each, by at least `least` of all; and the figures."""
    if not canary[1] or not baseline[1]:
        return False, "no request whose answer could be compared"
    chance = more_often(*canary, *baseline)
    worse = chance <= significance and canary[0] / canary[1] - baseline[0] / baseline[1] >= least
    text = f"errors {canary[0]} of {canary[1]}, baseline {baseline[0]} of {baseline[1]}"
    return worse, format_test(worse, text, chance)


def _compare_all_times(
    canary: Sample, baseline: Sample, settings: DeployAnalysis, significance: float, effect: float = 1.0
) -> tuple[float, str]:
    """The chance that equals differ so much, 1 where the difference is too small, and the figures."""
    if not canary.times or not baseline.times:
        return 1.0, "no successful response whose time could be compared"
    now, before = _bins(canary.times), _bins(baseline.times)
    ratio = math.exp(log_shift(now, before)[0])
    error = superiority_error(now.total, before.total) * math.sqrt(effect)
    chance = normal_tail((superiority(now, before) - 0.5) / error)
    slower = ratio > settings.ratio
    middle, other = (quantile(sample.times, 0.5) * 1000 for sample in (canary, baseline))
    text = f"median {middle:.3g} ms, baseline {other:.3g} ms, all times x {ratio:.3g}"
    return chance if slower else 1.0, format_test(slower and chance <= significance, text, chance)


def _compare_tails(
    canary: Sample, baseline: Sample, settings: DeployAnalysis, significance: float, effect: float = 1.0
) -> tuple[float, str]:
    """The same of the slowest."""
    if not canary.times or not baseline.times:
        return 1.0, "no successful response whose time could be compared"
    limit = _tail_threshold(canary, baseline)
    ours, theirs = (sum(time > limit for time in sample.times) for sample in (canary, baseline))
    of = ours, len(canary.times), theirs, len(baseline.times)
    chance = more_often(*(round(number / effect) for number in of))
    slow, other = (quantile(sample.times, TAIL_PERCENTILE) for sample in (canary, baseline))
    slower = slow > settings.ratio * other
    text = f"tail {slow * 1000:.3g} ms, baseline {other * 1000:.3g} ms, {ours} and {theirs} of the slowest"
    return chance if slower else 1.0, format_test(slower and chance <= significance, text, chance)


def _tail_threshold(canary: Sample, baseline: Sample) -> float:
    """The time from which one is in the tail."""
    return quantile([*canary.times, *baseline.times], 1 - TAIL)


def _neighbour_effect(canary: Sample, baseline: Sample, rate: float) -> float:
    """How many neighbouring requests say no more than one, by all times and by the slowest."""
    limit, times = _tail_threshold(canary, baseline), (canary.times, baseline.times)
    slow = [[float(time > limit) for time in each] for each in times]
    return max(design_effect([ranks(each) for each in times], rate), design_effect(slow, rate))


def format_test(worse: bool, text: str, chance: float) -> str:
    """One test in one line."""
    return f"{'worse' if worse else 'no worse'}: {text} (p = {chance:.2g})"


def _bins(times: Sequence[float]) -> Bins:
    return Bins(sorted(Counter(max(1, round(time * 1e6)) for time in times).items()))


def superiority_error(of: int, baseline: int) -> float:
    """The standard error of `superiority` where both are alike, for large samples."""
    return math.sqrt((of + baseline + 1) / (12 * of * baseline))


def normal_tail(z: float) -> float:
    """The chance of a standard normal value above z."""
    return math.erfc(z / math.sqrt(2)) / 2


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that this share of them does not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
