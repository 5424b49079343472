"""Counts results from the reports that reach the controller, whatever other plugins did to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_prodcheck.outcomes import Outcome, Result
from pytest_prodcheck.plugin import result_transport

_EXPECTED = {
    Outcome.PASSED: "passed",
    Outcome.WARNED: "passed",
    Outcome.FAILED: "failed",
    Outcome.ERRORED: "failed",
    Outcome.SKIPPED: "skipped",
}


_SUBTEST: type | tuple[()] = getattr(pytest, "SubtestReport", ())  # since pytest 9


class ResultCounter:
    """The results of a run so far, by node; a result that disagrees with its report is errored."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._results: dict[str, Result] = {}
        self._tries: dict[str, int] = {}
        self._lost: set[str] = set()

    def results(self) -> tuple[Result, ...]:
        """All results, in the order in which they came."""
        return tuple(self._results.values())

    def find(self, nodeid: str) -> Result | None:
        """The result of one node as it counts now."""
        return self._results.get(nodeid)

    def take(self, report: pytest.TestReport) -> Result | None:
        """Counts one report and returns the result that it decides, None for one that decides nothing."""
        if isinstance(report, _SUBTEST):  # its test's own report says what became of all of them
            return None
        if report.when not in ("setup", "call", "teardown"):
            self.problems.append(f"{report.nodeid}: ended in an unknown phase of pytest ({report.when}): did it crash?")
            return None
        result = result_transport.find(report.user_properties)
        if result is None or result.nodeid != report.nodeid:
            if report.when == "call" or report.failed or (report.when == "setup" and report.skipped):
                self._lost.add(report.nodeid)
                self.problems.append(f"{report.nodeid}: its report carries no result: a plugin or conftest replaced it")
            return None
        seconds = getattr(report, "duration", 0.0)
        if str(report.outcome) == "rerun":
            self._tries[report.nodeid] = self._tries.get(report.nodeid, 0) + 1
            return None
        return self._store(report, result if result.seconds == seconds else replace(result, seconds=seconds))

    def _store(self, report: pytest.TestReport, result: Result) -> Result:
        earlier = self._results.get(report.nodeid)
        if report.outcome != _EXPECTED[result.outcome] or hasattr(report, "wasxfail"):
            said = "xfail" if hasattr(report, "wasxfail") else report.outcome
            reason = f"judged {result.outcome}, but its report says {said}: a plugin, conftest or marker changed it"
            self.problems.append(f"{report.nodeid}: {reason}")
            result = replace(result, outcome=Outcome.ERRORED, reason=f"{reason}\n{result.reason}".strip(), skip=None)
        if report.when == "teardown" and report.failed and earlier is not None:
            worse = Outcome.FAILED if earlier.outcome is Outcome.FAILED else Outcome.ERRORED
            result = replace(
                earlier, outcome=worse, reason=f"{earlier.reason}\nteardown: {result.reason}".strip(), skip=None
            )
        elif earlier is not None:
            result = self._worse_of(earlier, result)
        tries = self._tries.get(report.nodeid, 0)
        if tries and result.outcome is Outcome.PASSED:
            result = _flaky(result, tries)
        self._results[report.nodeid] = result
        return result

    def _worse_of(self, earlier: Result, result: Result) -> Result:
        """The same node reported twice: a retry that did not say so; the worse counts."""
        if earlier.outcome in (Outcome.FAILED, Outcome.ERRORED) and result.outcome is Outcome.PASSED:
            return _flaky(result, 1)
        return result if earlier.outcome in (Outcome.PASSED, Outcome.WARNED) else earlier


def _flaky(result: Result, tries: int) -> Result:
    note = f"flaky: passed on attempt {tries + 1}"
    return replace(result, outcome=Outcome.WARNED, reason=note, notes=(*result.notes, note))
