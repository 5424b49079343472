"""What came back lately: as long a look back as an error ratio needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from pytest_prodcheck.load.counters import IntervalCounts

SECONDS = 5.0  # how far it looks back, further where fewer than ENOUGH requests were answered or failed in that time
LONGEST = 60.0  # seconds
ENOUGH = 20  # requests that an error ratio is told of


class SlidingWindow:
    """The newest reports of all processes."""

    def __init__(self) -> None:
        self._cells: deque[tuple[float, IntervalCounts]] = deque()
        self._answered = 0

    def add(self, at: float, cell: IntervalCounts) -> None:
        """Takes one more report; at: seconds after the start."""
        self._cells.append((at, cell))
        self._answered += cell.good + cell.failed
        while at - self._cells[0][0] > SECONDS:
            oldest = self._cells[0][1]
            left = self._answered - oldest.good - oldest.failed
            if left < ENOUGH and at - self._cells[0][0] <= LONGEST:
                return
            self._answered = left
            self._cells.popleft()

    def total(self) -> IntervalCounts:
        """All of it in one."""
        whole = IntervalCounts()
        for _, cell in self._cells:
            whole.add(cell)
        return whole

    @property
    def seconds(self) -> float:
        """The time that it covers."""
        return self._cells[-1][0] - self._cells[0][0] + 0.5 if self._cells else 0.0


def due_at_first(plan: Mapping[str, Any]) -> int:
    """How many requests are due in the first look back: until then a ratio is one of these, or a cold start ends a run.

    ENOUGH where nothing says so (a Locust file without a rate).
    """
    segments, left, total = plan["segments"], SECONDS, 0.0
    for seconds, start, end in segments:
        part = min(seconds, left)
        total += part * (start + (end - start) * part / seconds / 2)
        left -= part
    if not segments:
        total = float(plan.get("rate") or 0) * min(SECONDS, float(plan.get("seconds") or SECONDS))
    return max(round(total), ENOUGH)
