"""The end of a run, for those after it: load runs that were accepted become what others are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.plugin.gathering import Gathering
    from pytest_prodcheck.plugin.run_start import RunContext
    from pytest_prodcheck.records.load import LoadRun

# what has to be judged, and may at most warn; a regression that warned must not become what is usual
NEEDED = ("performance.validity", "performance.latency.p95", "performance.errors")
QUIET = ("performance.regression.", "performance.validity")
ASIDE = ("performance.resources.", "performance.stress")  # tell nothing of whether the run itself is usual


def accept_loads(opened: RunContext, gathering: Gathering, run: RunRecord) -> str:
    """Adds the accepted load runs to the history; returns what went wrong, "" for nothing."""
    if run.replay_of or run.interrupted or run.problems:
        return ""
    loads = list(_loads(gathering))
    if not loads:
        return ""
    from pytest_prodcheck.evidence.load.baseline import accept
    from pytest_prodcheck.judging.load_validity import began_in_time

    try:
        for load in loads:
            judged = [result for result in run.results if result.target == load.name]
            if is_accepted(judged) and began_in_time(load, opened.environment.load[load.name].compare.p95):
                accept(opened.state, opened.key_of_lines, opened.environment, load, run.id, run.ended_at, run.revision)
    except OSError as error:
        return f"the baseline of accepted load runs could not be saved: {error}"
    except EvidenceProblem:
        return ""  # what is there cannot be read, which performance.regression has told
    return ""


def _loads(gathering: Gathering) -> Iterator[LoadRun]:
    for evidence in gathering.store.all():
        if evidence.collector == "load-run" and evidence.record is not None:
            yield evidence.record


def is_accepted(results: list[Result]) -> bool:
    """Whether what was judged of one scenario lets its run stand for what is usual."""
    judged = {each.check: each.outcome for each in results if each.check.startswith("performance.")}
    if any(judged.get(check) not in (Outcome.PASSED, Outcome.WARNED) for check in NEEDED):
        return False
    return not any(
        outcome in (Outcome.FAILED, Outcome.ERRORED) or (outcome is Outcome.WARNED and check.startswith(QUIET))
        for check, outcome in judged.items()
        if not check.startswith(ASIDE)
    )
