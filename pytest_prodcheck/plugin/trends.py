"""How each measurement went over the last runs, as the page shows it; nothing where there is no event log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Events
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.outcomes import RunRecord

_RUNS = 30  # that are looked at
_FEWEST = 3  # values that make a trend


def trends_of(
    state: Path, declared: Events | None, resolve: Callable[[SecretRef], str], run: RunRecord
) -> dict[tuple[str, str], str]:
    """A line of text for each check and target with enough values: "▁▂▅█ last 12 runs, 10 ms to 2.4 s"."""
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.history import points
    from pytest_prodcheck.events.log import FILE, LogProblem
    from pytest_prodcheck.reports.measurement_text import value_text
    from pytest_prodcheck.reports.sparkline import sparkline

    if declared is None and not (state / FILE).is_file():
        return {}
    try:
        with open_log(state, declared, resolve) as log:
            runs = log.find(environment=run.environment, kind="run", most=_RUNS)
    except LogProblem:  # the run itself says so
        return {}
    alike = [each for each in runs if each.unit == run.unit and each.at <= run.ended_at]
    made: dict[tuple[str, str], str] = {}
    for check, target in (each.identity for each in run.results):
        found = points(alike, f"{check}@{target}")
        values = [each.value for each in found if each.value is not None and each.unit == found[-1].unit]
        if len(values) >= _FEWEST and len(set(values)) > 1:
            sides = " to ".join(value_text(each, found[-1].unit) for each in (min(values), max(values)))
            made[(check, target)] = f"{sparkline(values, found[-1].limit)} last {len(values)} runs, {sides}"
    return made
