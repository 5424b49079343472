"""How one measurement went over the last runs: the same numbers for the terminal, the page and the log's readers."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.reports.measurement_text import bound_sign, value_text


@dataclass(frozen=True)
class Point:
    """One check on one target in one run; value in base units, None where nothing was measured."""

    at: float
    revision: str
    outcome: str
    value: float | None
    unit: str
    limit: float | None
    direction: str = ""  # "at_least", else the limit is the most that is allowed


@dataclass(frozen=True)
class Trend:
    """The points of one measurement, the oldest first, at least one."""

    points: tuple[Point, ...]

    @property
    def unit(self) -> str:
        """That of the newest value; values in another one are left out."""
        return next((each.unit for each in reversed(self.points) if each.value is not None), "")

    @property
    def values(self) -> list[float | None]:
        """One a run, None for a gap: the run could not tell, or measured something else."""
        gap = str(Outcome.ERRORED)
        return [None if each.outcome == gap or each.unit != self.unit else each.value for each in self.points]

    @property
    def measured(self) -> list[float]:
        """The values without the gaps."""
        return [each for each in self.values if each is not None]

    @property
    def limits(self) -> list[float | None]:
        """The limit in force in each run, in a gap that of the run before; None where there was none."""
        found: list[float | None] = []
        for each, value in zip(self.points, self.values, strict=True):
            found.append(each.limit if value is not None else found[-1] if found else None)
        return found

    @property
    def limit(self) -> str:
        """"limit ≤ 2 s", as it is now; "" where there is none."""
        now = self.limits[-1]
        sign = bound_sign(next((each.direction for each in reversed(self.points) if each.direction), ""))
        return "" if now is None else f"limit {sign} {value_text(now, self.unit)}"

    @property
    def runs(self) -> str:
        """"12 runs, 1 without a value"."""
        gaps = len(self.points) - len(self.measured)
        number = f"{len(self.points)} run{'s' if len(self.points) > 1 else ''}"
        return f"{number}, {gaps} without a value" if gaps else number

    def told(self) -> str:
        """"first 10 ms, last 2.4 s, limit ≤ 2 s; 12 runs, 1 without a value"."""
        shown = [value_text(each, self.unit) for each in self.measured]
        ends = f"first {shown[0]}, last {shown[-1]}" if shown else "nothing was measured"
        return f"{', '.join(filter(None, (ends, self.limit)))}; {self.runs}"
