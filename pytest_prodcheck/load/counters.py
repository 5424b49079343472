"""What one process of the load counted, in pieces that travel to the one that merges them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_prodcheck.load.histogram import Histogram

PHASES = ("connect", "tls", "first-byte", "last-byte")  # what a request spends its time on
MOST_REASONS = 20  # different ways to fail that are told apart for each endpoint


@dataclass
class IntervalCounts:
    """One endpoint in one interval: requests begun, good, failed, sent again; times of the good and the late ones."""

    begun: int = 0
    good: int = 0
    failed: int = 0
    retried: int = 0
    times: Histogram = field(default_factory=Histogram)
    reasons: dict[str, int] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Counts one that was not answered as it has to be."""
        self.failed += 1
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS:
            reason = "other"
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def add(self, other: IntervalCounts) -> None:
        """Merges another one of the same endpoint."""
        self.begun += other.begun
        self.good += other.good
        self.failed += other.failed
        self.retried += other.retried
        self.times.add(other.times.counts.items())
        for reason, number in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + number

    def dump(self) -> list[Any]:
        """Plain lists, for JSON and msgpack."""
        numbers = [self.begun, self.good, self.failed, self.retried]
        return [*numbers, list(self.times.counts.items()), list(self.reasons.items())]

    @classmethod
    def parse(cls, plain: list[Any]) -> IntervalCounts:
        """From `dump`'s lists; raises ValueError or TypeError."""
        begun, good, failed, retried, times, reasons = plain
        named = {str(reason)[:200]: int(number) for reason, number in reasons}
        counts = {int(index): int(number) for index, number in times}
        return cls(int(begun), int(good), int(failed), int(retried), Histogram(counts), named)


Cells = dict[tuple[str, int], IntervalCounts]  # (endpoint, interval) -> what was counted
Phases = dict[tuple[str, str], Histogram]  # (endpoint, one of PHASES) -> how long it took


@dataclass
class ProcessCounts:
    """What one process counted since its last report. lag: how late requests were begun, in microseconds."""

    cells: Cells = field(default_factory=dict)
    lag: Histogram = field(default_factory=Histogram)
    arrived: int = 0  # requests, or users of flows, that were due and came up
    dropped: int = 0
    in_time: int = 0  # good answers that came soon enough after the end of the schedule
    cached: int = 0  # good answers that a cache gave
    shortages: dict[str, int] = field(default_factory=dict)  # what this machine was short of -> how often
    errors: dict[str, int] = field(default_factory=dict)  # exceptions of a Locust file's tasks -> how often
    phases: Phases = field(default_factory=dict)
    samples: list[tuple[str, str]] = field(default_factory=list)  # endpoint, body: to be held against its schema
    moments: set[int] = field(default_factory=set)  # tenths of seconds in which something was answered

    def cell(self, endpoint: str, interval: int) -> IntervalCounts:
        """The cell to count in."""
        key = (endpoint, interval)
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = IntervalCounts()
        return found

    def short_of(self, what: str) -> None:
        """Counts a request that this machine could not send."""
        self.shortages[what] = self.shortages.get(what, 0) + 1

    def add(self, other: ProcessCounts) -> None:
        """Merges what another one counted."""
        for (endpoint, interval), cell in other.cells.items():
            self.cell(endpoint, interval).add(cell)
        self.lag.add(other.lag.counts.items())
        self.arrived += other.arrived
        self.dropped += other.dropped
        self.in_time += other.in_time
        self.cached += other.cached
        for mine, others in ((self.shortages, other.shortages), (self.errors, other.errors)):
            for what, number in others.items():
                mine[what] = mine.get(what, 0) + number
        for key, times in other.phases.items():
            self.phases.setdefault(key, Histogram()).add(times.counts.items())
        self.samples += other.samples
        self.moments |= other.moments

    @property
    def begun(self) -> int:
        """All requests that were begun."""
        return sum(cell.begun for cell in self.cells.values())

    def dump(self) -> dict[str, Any]:
        """Plain data, for JSON and msgpack."""
        cells = [[endpoint, interval, *cell.dump()] for (endpoint, interval), cell in self.cells.items()]
        return {
            "cells": cells, "lag": list(self.lag.counts.items()), "arrived": self.arrived, "dropped": self.dropped,
            "in_time": self.in_time, "cached": self.cached, "shortages": list(self.shortages.items()),
            "errors": list(self.errors.items()), "samples": [list(each) for each in self.samples],
            "moments": sorted(self.moments),
            "phases": [[*key, list(times.counts.items())] for key, times in self.phases.items()],
        }  # fmt: skip

    @classmethod
    def parse(cls, plain: dict[str, Any]) -> ProcessCounts:
        """From `dump`'s data; raises ValueError, TypeError or KeyError."""
        cells = {(str(each[0]), int(each[1])): IntervalCounts.parse(each[2:]) for each in plain["cells"]}
        lag = Histogram({int(index): int(number) for index, number in plain["lag"]})
        return cls(
            cells, lag, int(plain["arrived"]), int(plain["dropped"]), int(plain["in_time"]), int(plain["cached"]),
            _counts_by_name(plain["shortages"]), _counts_by_name(plain["errors"]),
            {
                (str(endpoint), str(phase)): Histogram({int(index): int(number) for index, number in times})
                for endpoint, phase, times in plain["phases"]
            },
            [(str(endpoint), str(text)) for endpoint, text in plain["samples"]],
            {int(each) for each in plain["moments"]},
        )  # fmt: skip


def _counts_by_name(pairs: list[Any]) -> dict[str, int]:
    return {str(what)[:200]: int(number) for what, number in pairs}
