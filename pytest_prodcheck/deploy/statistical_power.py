"""What a comparison with so many samples finds, and how often it is wrong: computed, to be printed in the plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.canary_analysis import (
    TAIL,
    TAIL_PERCENTILE,
    TEST_COUNT,
    normal_tail,
    significance_level,
    superiority_error,
)
from pytest_prodcheck.judging.statistics import beta_cdf, more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

POWER = 0.9  # what is said to be found is found with this chance
TYPICAL_ERROR_SHARE = 0.001  # share of errors of a copy that is well
MIN_REQUESTS = 100  # to one endpoint: fewer are not said to find anything there
LOG_TIME_DEVIATION = 0.5  # standard deviation of the logarithm of usual times


def power_lines(settings: DeployAnalysis, comparison_count: int, endpoint_count: int = 1) -> tuple[str, ...]:
    """What each look finds with 90 %, and the chance that a copy that is as good is undone, for people."""
    significance = significance_level(settings, comparison_count, endpoint_count=endpoint_count)
    lines = [
        f"{settings.least} requests to each copy at each of {comparison_count} comparisons, "
        f"{settings.least / settings.rate:.3g} s each",
        f"detected with {POWER:.0%} probability: {_detectable(settings, significance)}",
    ]
    if endpoint_count > 1:
        requests = settings.least // endpoint_count
        alone = settings.model_copy(update={"least": requests})
        lines.append(
            f"in one of {endpoint_count} endpoints alone, with {requests} requests: "
            + (
                _detectable(alone, significance / endpoint_count)
                if requests >= MIN_REQUESTS
                else f"too few to be sure; set `least` to {MIN_REQUESTS * endpoint_count} or more"
            )
        )
    return (*lines, false_alarm_line(settings, comparison_count, endpoint_count))


def false_alarm_line(settings: DeployAnalysis, comparison_count: int, endpoint_count: int = 1) -> str:
    """How often a copy that is as good is undone, for people."""
    significance = significance_level(settings, comparison_count, endpoint_count=endpoint_count)
    alone = f", as much for the {endpoint_count} endpoints alone" if endpoint_count > 1 else ""
    return (
        f"false alarms: at most {settings.alpha:.2%} per deployment "
        f"({comparison_count} comparisons x {TEST_COUNT} tests at {significance:.2g}{alone}; "
        "the other half is reserved for repeated comparisons)"
    )


def _detectable(settings: DeployAnalysis, significance: float) -> str:
    return (
        f"errors of {detectable_errors(settings, significance):.2%} (baseline {TYPICAL_ERROR_SHARE:.1%}), "
        f"all times x {detectable_shift(settings, significance):.3g} (log standard deviation {LOG_TIME_DEVIATION}), "
        f"{detectable_tail(settings, significance):.1%} of the requests much slower"
    )


def detectable_errors(settings: DeployAnalysis, significance: float) -> float:
    """The share of errors that is found with 90 %."""
    n = settings.least
    usual = [(j, chance) for j in range(n + 1) if (chance := binomial(j, n, TYPICAL_ERROR_SHARE)) > 1e-9]
    needed = {j: _fewest_errors(j, settings, significance) for j, _ in usual}
    return _smallest_share(lambda share: sum(chance * at_least(needed[j], n, share) for j, chance in usual))


def _fewest_errors(baseline: int, settings: DeployAnalysis, significance: float) -> int:
    n = settings.least
    low, high = baseline + math.ceil(settings.errors * n - 1e-9), n + 1
    while low < high:
        middle = (low + high) // 2
        if middle <= n and more_often(middle, n, baseline, n) > significance:
            low = middle + 1
        else:
            high = middle
    return low


def detectable_shift(settings: DeployAnalysis, significance: float) -> float:
    """How many times slower all requests are where it is found with 90 %."""
    n, critical, sure = settings.least, _upper_quantile(significance), _upper_quantile(1 - POWER)
    by_chance = LOG_TIME_DEVIATION * math.sqrt(2) * _lower_quantile(0.5 + (critical + sure) * superiority_error(n, n))
    error = (
        LOG_TIME_DEVIATION * math.sqrt(2 / n) * math.sqrt(math.pi / 3)
    )  # of Hodges and Lehmann's estimate, for normal values
    return math.exp(max(by_chance, math.log(settings.ratio) + sure * error))


def detectable_tail(settings: DeployAnalysis, significance: float) -> float:
    """The share of requests that are slower than all others and found with 90 %."""
    n = settings.least
    tail_size = math.floor(TAIL * 2 * n)
    needed = next(
        (k for k in range(tail_size // 2, tail_size + 1) if more_often(k, n, tail_size - k, n) <= significance), n
    )
    least = math.floor((1 - TAIL_PERCENTILE) * n) + 1  # fewer do not reach the percentile that tells how much slower

    def power(share: float) -> float:
        total = at_least(tail_size + 1, n, share)
        for slow in range(least, tail_size + 1):
            chance = binomial(slow, n, share)
            total += chance * at_least(needed - slow, tail_size - slow, 0.5) if chance > 1e-12 else 0.0
        return total

    return _smallest_share(power)


def _smallest_share(power: Callable[[float], float]) -> float:
    """The smallest share whose power is 90 %."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if power(middle) < POWER:
            low = middle
        else:
            high = middle
    return high


def binomial(k: int, n: int, share: float) -> float:
    """The chance of k of n."""
    if share <= 0 or share >= 1:
        return float(k == (0 if share <= 0 else n))
    logs = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(logs + k * math.log(share) + (n - k) * math.log1p(-share))


def at_least(k: int, n: int, share: float) -> float:
    """The chance of k or more of n."""
    if k <= 0:
        return 1.0
    if k > n or share <= 0:
        return 0.0
    return 1.0 if share >= 1 else beta_cdf(share, k, n - k + 1)


def _upper_quantile(chance: float) -> float:
    """The value that a standard normal one exceeds with this chance."""
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        if normal_tail(middle) > chance:
            low = middle
        else:
            high = middle
    return high


def _lower_quantile(chance: float) -> float:
    return -_upper_quantile(min(chance, 1 - 1e-15))
