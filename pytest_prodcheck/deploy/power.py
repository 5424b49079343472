"""What a comparison with so many samples finds, and how often it is wrong: computed, to be printed in the plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.analysis import EFFECT_AT, TAIL, TESTS, deviation, level, normal_tail
from pytest_prodcheck.judging.statistics import beta_cdf, more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

SURE = 0.9  # what is said to be found is found with this chance
USUAL_ERRORS = 0.001  # share of errors of a copy that is well
SPREAD = 0.5  # standard deviation of the logarithm of usual times


def stated(settings: DeployAnalysis, looks: int) -> tuple[str, ...]:
    """What each look finds with 90 %, and the chance that a copy that is as good is undone, for people."""
    each = level(settings, looks)
    return (
        f"{settings.least} requests to each copy at each of {looks} looks, {settings.least / settings.rate:.3g} s each",
        f"found with {SURE:.0%}: errors of {errors_found(settings, each):.2%} (where {USUAL_ERRORS:.1%} are usual), "
        f"all times x {shift_found(settings, each):.3g} (times spread by e^{SPREAD}), "
        f"{tail_found(settings, each):.1%} of the requests much slower",
        f"false alarms: at most {settings.alpha:.2%} a deployment ({looks} looks x {TESTS} tests at {each:.2g}; "
        "the other half is for looks that are repeated)",
    )


def errors_found(settings: DeployAnalysis, each: float) -> float:
    """The share of errors that is found with 90 %."""
    n = settings.least
    usual = [(j, chance) for j in range(n + 1) if (chance := binomial(j, n, USUAL_ERRORS)) > 1e-9]
    needed = {j: _fewest_errors(j, settings, each) for j, _ in usual}
    return _smallest(lambda share: sum(chance * at_least(needed[j], n, share) for j, chance in usual))


def _fewest_errors(beside: int, settings: DeployAnalysis, each: float) -> int:
    n = settings.least
    low, high = beside + math.ceil(settings.errors * n - 1e-9), n + 1
    while low < high:
        middle = (low + high) // 2
        if middle <= n and more_often(middle, n, beside, n) > each:
            low = middle + 1
        else:
            high = middle
    return low


def shift_found(settings: DeployAnalysis, each: float) -> float:
    """How many times slower all requests are where it is found with 90 %."""
    n, critical, sure = settings.least, _normal_above(each), _normal_above(1 - SURE)
    by_chance = SPREAD * math.sqrt(2) * _normal_below(0.5 + (critical + sure) * deviation(n, n))
    error = SPREAD * math.sqrt(2 / n) * math.sqrt(math.pi / 3)  # of Hodges and Lehmann's estimate, for normal values
    return math.exp(max(by_chance, math.log(settings.ratio) + sure * error))


def tail_found(settings: DeployAnalysis, each: float) -> float:
    """The share of requests that are slower than all others and found with 90 %."""
    n = settings.least
    slowest = math.floor(TAIL * 2 * n)
    needed = next((k for k in range(slowest // 2, slowest + 1) if more_often(k, n, slowest - k, n) <= each), n)
    least = math.floor((1 - EFFECT_AT) * n) + 1  # fewer do not reach the percentile that tells how much slower

    def found(share: float) -> float:
        total = at_least(slowest + 1, n, share)
        for slow in range(least, slowest + 1):
            chance = binomial(slow, n, share)
            total += chance * at_least(needed - slow, slowest - slow, 0.5) if chance > 1e-12 else 0.0
        return total

    return _smallest(found)


def _smallest(power: Callable[[float], float]) -> float:
    """The smallest share whose power is 90 %."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if power(middle) < SURE:
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


def _normal_above(chance: float) -> float:
    """The value that a standard normal one exceeds with this chance."""
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        if normal_tail(middle) > chance:
            low = middle
        else:
            high = middle
    return high


def _normal_below(chance: float) -> float:
    return -_normal_above(min(chance, 1 - 1e-15))
