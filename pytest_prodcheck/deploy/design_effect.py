"""Whether requests near in time were alike, as when a machine stalls: then many say no more than few. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

BLOCK_SECONDS = 0.4  # of a block
_MIN_BLOCKS = 4  # blocks of a copy
_MIN_STANDARD_ERRORS = 4.0  # standard errors by which independent requests do not exceed 1


def design_effect(copies: Sequence[Sequence[float]], rate: float) -> float:
    """How many times larger the variance of means is than of independent requests, 1 where nothing shows that.

    copies: a value of each request of each copy, in order; rate: requests a second. By blocks of neighbours, short and
    long ones: Kish's design effect (1965).
    """
    worst = 1.0
    for size in {max(5, round(BLOCK_SECONDS * rate)), max(5, min(map(len, copies), default=0) // 8)}:
        spread, degrees_of_freedom = 0.0, 0
        for values in copies:
            blocks = [values[at : at + size] for at in range(0, len(values) - size + 1, size)]
            mean = fmean(values) if values else 0.0
            variance = fmean((value - mean) ** 2 for value in values) if values else 0.0
            if len(blocks) >= _MIN_BLOCKS and variance > 0:
                spread += size * sum((fmean(block) - mean) ** 2 for block in blocks) / variance
                degrees_of_freedom += len(blocks) - 1
        if degrees_of_freedom and spread / degrees_of_freedom > 1 + _MIN_STANDARD_ERRORS * math.sqrt(
            2 / degrees_of_freedom
        ):
            worst = max(worst, spread / degrees_of_freedom)
    return worst


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each value among them."""
    found = [0.0] * len(values)
    for place, number in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        found[number] = float(place)
    return found
