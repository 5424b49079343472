"""Whether a canary is worse than the copy beside it, by requests to both in the same minutes. Pure.

Three tests a look: more errors (Fisher's exact test), slower as a whole (Mann and Whitney), a slower tail (how many
of the slowest twentieth of all requests are the canary's: Fisher again, for among equals they are anybody's). Each has
a least effect too. The chance of a false alarm is shared out over all looks and tests, repeated ones too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.asking import BLOCKED, CANNOT_TELL, OPEN
from pytest_prodcheck.deploy.bursts import design_effect, ranks
from pytest_prodcheck.judging.distribution import Bins, log_shift, superiority
from pytest_prodcheck.judging.statistics import more_often

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis

TESTS = 3
TAIL = 0.05  # the share of all requests, the slowest, that the tail is
EFFECT_AT = 0.975  # the percentile that says how much slower the tail is: the middle of it
FAILS_ITSELF = 0.05  # share of errors of the copy beside the canary from which it is nothing to compare with
LATE = 0.5  # share of the time that the requests should take, and a second, that they may be late
OWN = 0.2  # share of the times that may be this machine's own lateness


@dataclass(frozen=True)
class Sample:
    """Requests to one copy. times: seconds of the good answers, in their order; own: by which this machine was late.

    seconds: from the first request to the end of the last.
    """

    times: tuple[float, ...]
    failed: int
    own: float = 0.0
    seconds: float = 0.0

    @property
    def asked(self) -> int:
        """How many were sent and came to an end."""
        return len(self.times) + self.failed


@dataclass(frozen=True)
class Finding:
    """code: 0 no worse, 1 worse, 3 cannot tell; lines: why, with the figures."""

    code: int
    lines: tuple[str, ...]


def level(settings: DeployAnalysis, looks: int, again: int = 0) -> float:
    """The chance of a false alarm of one test, so that all looks of a deployment together have `alpha`.

    Half of it is for the planned looks. again: which repetition of a look it is, from 1, of all that a deployment had;
    they have a quarter of it, an eighth, and so on, so that their sum is bounded however many there are.
    """
    share = 0.5**(again + 1) if again else 0.5 / max(looks, 1)
    return settings.alpha * share / TESTS


def judge(canary: Sample, beside: Sample, settings: DeployAnalysis, looks: int, again: int = 0) -> Finding:
    """Whether the canary is worse; nobody can tell without enough samples, or at another pace than was meant."""
    if why := _untold(canary, beside, settings):
        return Finding(CANNOT_TELL, (why,))
    each = level(settings, looks, again)
    failed = (canary.failed, canary.asked), (beside.failed, beside.asked)
    errors = errors_told(*failed, settings.errors, each)
    slower = [_whole(canary, beside, settings, each), _tail(canary, beside, settings, each)]
    lines = (errors[1], *(text for _, text in slower))
    if errors[0]:
        return Finding(BLOCKED, lines)
    if any(chance <= each for chance, _ in slower):
        effect = _bursts(canary, beside, settings.rate)
        if any(chance <= each for chance, _ in (_whole(canary, beside, settings, each, effect),
                                                _tail(canary, beside, settings, each, effect))):  # fmt: skip
            return Finding(BLOCKED, lines)
        why = f"neighbouring requests were alike, as when a machine stalls: {effect:.3g} of them say no more than one"
        return Finding(CANNOT_TELL, (*lines, why))
    why = _disturbed(canary, beside, settings)
    return Finding(CANNOT_TELL, (*lines, why)) if why else Finding(OPEN, lines)


def _untold(canary: Sample, beside: Sample, settings: DeployAnalysis) -> str:
    for name, sample in (("the canary", canary), ("the copy beside it", beside)):
        if sample.asked < settings.least:
            return f"{sample.asked} requests to {name} came to an end, {settings.least} are needed"
    if beside.failed > FAILS_ITSELF * beside.asked:
        return f"the copy beside it fails itself: {beside.failed} of {beside.asked} requests"
    return ""


def _disturbed(canary: Sample, beside: Sample, settings: DeployAnalysis) -> str:
    """Why that nothing worse was found proves nothing: our own lateness, in both alike, hides a difference."""
    own = max(canary.own, beside.own) / settings.least
    if own > OWN * quantile(beside.times, 0.5):
        return f"this machine was busy: {own * 1000:.3g} ms of each request were its own"
    meant = settings.least / settings.rate
    late = max(canary.seconds, beside.seconds) - meant
    return f"the pace of {settings.rate:g}/s was not kept: {late:.3g} s late" if late > LATE * meant + 1 else ""


def errors_told(
    canary: tuple[int, int], beside: tuple[int, int], least: float, each: float
) -> tuple[bool, str]:
    """Whether the first failed more often, of failed and asked each, by at least `least` of all; and the figures."""
    chance = more_often(*canary, *beside)
    worse = chance <= each and canary[0] / canary[1] - beside[0] / beside[1] >= least
    text = f"errors {canary[0]} of {canary[1]} beside {beside[0]} of {beside[1]}"
    return worse, told(worse, text, chance)


def _whole(
    canary: Sample, beside: Sample, settings: DeployAnalysis, each: float, effect: float = 1.0
) -> tuple[float, str]:
    """The chance that equals differ so much, 1 where the difference is too small, and the figures."""
    if not canary.times:
        return 1.0, "no good answer whose time could be compared"
    now, before = _bins(canary.times), _bins(beside.times)
    ratio = math.exp(log_shift(now, before)[0])
    error = deviation(now.total, before.total) * math.sqrt(effect)
    chance = normal_tail((superiority(now, before) - 0.5) / error)
    slower = ratio > settings.ratio
    middle, other = (quantile(sample.times, 0.5) * 1000 for sample in (canary, beside))
    text = f"median {middle:.3g} ms beside {other:.3g} ms, all times x {ratio:.3g}"
    return chance if slower else 1.0, told(slower and chance <= each, text, chance)


def _tail(
    canary: Sample, beside: Sample, settings: DeployAnalysis, each: float, effect: float = 1.0
) -> tuple[float, str]:
    """The same of the slowest."""
    if not canary.times:
        return 1.0, "no good answer whose time could be compared"
    limit = _limit(canary, beside)
    ours, theirs = (sum(time > limit for time in sample.times) for sample in (canary, beside))
    of = ours, len(canary.times), theirs, len(beside.times)
    chance = more_often(*(round(number / effect) for number in of))
    slow, other = (quantile(sample.times, EFFECT_AT) for sample in (canary, beside))
    slower = slow > settings.ratio * other
    text = f"tail {slow * 1000:.3g} ms beside {other * 1000:.3g} ms, {ours} and {theirs} of the slowest"
    return chance if slower else 1.0, told(slower and chance <= each, text, chance)


def _limit(canary: Sample, beside: Sample) -> float:
    """The time from which one is in the tail."""
    return quantile([*canary.times, *beside.times], 1 - TAIL)


def _bursts(canary: Sample, beside: Sample, rate: float) -> float:
    """How many neighbouring requests say no more than one, by all times and by the slowest."""
    limit, times = _limit(canary, beside), (canary.times, beside.times)
    slow = [[float(time > limit) for time in each] for each in times]
    return max(design_effect([ranks(each) for each in times], rate), design_effect(slow, rate))


def told(worse: bool, text: str, chance: float) -> str:
    """One test in one line."""
    return f"{'worse' if worse else 'no worse'}: {text} (p = {chance:.2g})"


def _bins(times: Sequence[float]) -> Bins:
    return Bins(sorted(Counter(max(1, round(time * 1e6)) for time in times).items()))


def deviation(of: int, beside: int) -> float:
    """The standard error of `superiority` where both are alike, for large samples."""
    return math.sqrt((of + beside + 1) / (12 * of * beside))


def normal_tail(z: float) -> float:
    """The chance of a standard normal value above z."""
    return math.erfc(z / math.sqrt(2)) / 2


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that this share of them does not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
