"""Which bodies of answers are kept for their schemas: a few of each endpoint, spread over the run, within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class EndpointCount:
    """What one endpoint has so far. due: when the next one is wanted, by the clock that is asked with."""

    number: int = 0
    size: int = 0
    due: float = 0.0


class Samples:
    """Chooses. limits: how many (`most`), how many seconds apart (`every`), how many `bytes` of one endpoint."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = limits
        self._kept: dict[str, EndpointCount] = {}

    def wants(self, endpoint: str, size: int, now: float) -> bool:
        """Whether a body of so many bytes is one of them; it counts then."""
        kept = self._kept.setdefault(endpoint, EndpointCount())
        if kept.number >= self._limits["most"] or now < kept.due or kept.size + size > self._limits["bytes"]:
            return False
        kept.number, kept.size, kept.due = kept.number + 1, kept.size + size, now + self._limits["every"]
        return True
