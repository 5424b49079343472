"""When requests are due: arrivals at a rate that is constant or changes evenly, whatever the server does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """So many seconds in which the rate (requests a second) goes evenly from `start` to `end`."""

    seconds: float
    start: float
    end: float

    @property
    def requests(self) -> int:
        """How many requests are due in it."""
        return max(1, round(self.seconds * (self.start + self.end) / 2))

    def due(self) -> Iterator[float]:
        """Seconds after its start at which requests are due: where the integral of the rate meets n + 1/2."""
        slope = (self.end - self.start) / (2 * self.seconds)
        for number in range(self.requests):
            wanted = number + 0.5
            if abs(slope) < 1e-12:
                yield min(wanted / self.start, self.seconds)
            else:
                root = max(self.start * self.start + 4 * slope * wanted, 0.0)
                yield min(2 * wanted / (self.start + math.sqrt(root)), self.seconds)


def round_robin(weights: Mapping[str, int]) -> list[str]:
    """One round of the names, each as often as its weight says and spread evenly (smooth weighted round robin)."""
    common = math.gcd(*weights.values())
    left = {name: weight // common for name, weight in weights.items()}
    total, current, order = sum(left.values()), dict.fromkeys(left, 0), []
    for _ in range(total):
        for name, weight in left.items():
            current[name] += weight
        chosen = max(current, key=lambda name: current[name])
        current[chosen] -= total
        order.append(chosen)
    return order
