"""How each measurement went over the last runs, as the page shows it; nothing where there is no event log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Events
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.events.log import Event, EventLog
    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.reports.trends import Trend

_POINTS = 30  # of one measurement
_PAGE = 30  # runs that are read at once
_MOST_RUNS = 300  # of which those of other suites are some
_MOST_RESULTS = 100_000
_FEWEST = 2  # values that make a trend


def trends_of(
    state: Path, declared: Events | None, resolve: Callable[[SecretRef], str], run: RunRecord
) -> dict[tuple[str, str], Trend]:
    """The trend up to this run of each check and target that has one."""
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.history import trend
    from pytest_prodcheck.events.log import FILE, LogProblem
    from pytest_prodcheck.events.run_events import events_of

    if declared is None and not (state / FILE).is_file():
        return {}
    own = events_of(run, ())[:1]  # it may not be in the log yet
    wanted = {f"{check}@{target}" for check, target in (each.identity for each in run.results)}
    try:
        with open_log(state, declared, resolve) as log:
            runs = [*own, *(each for each in _earlier(log, run, wanted) if each.id != own[0].id)]
    except LogProblem:  # the run itself says so
        return {}
    found = {each.identity: trend(runs, "@".join(each.identity), _POINTS) for each in run.results}
    return {each: told for each, told in found.items() if told is not None and len(told.measured) >= _FEWEST}


def _earlier(log: EventLog, run: RunRecord, wanted: set[str]) -> list[Event]:
    """Runs of the same environment, unit and slot, the newest first, until each of these has enough of them."""
    found: dict[str, Event] = {}
    seen = dict.fromkeys(wanted, 0)
    until, read = run.ended_at, 0
    for _ in range(_MOST_RUNS // _PAGE):
        page = log.find(environment=run.environment, unit=run.unit, kind="run", until=until, most=_PAGE)
        for each in page:
            results = each.body.get("results")
            if isinstance(results, dict) and each.id not in found and each.body.get("slot", "") == run.slot:
                found[each.id] = each
                read += len(results)
                for name in results.keys() & wanted:
                    seen[name] += 1
        if len(page) < _PAGE or read > _MOST_RESULTS or all(number >= _POINTS for number in seen.values()):
            break
        until = page[-1].at
    return list(found.values())
