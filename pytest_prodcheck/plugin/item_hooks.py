"""The hooks that run where tests run: in the one process, or in each xdist worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_prodcheck import catalogue
from pytest_prodcheck.judging.ledger import Ledger, close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome, PlannedCheck
from pytest_prodcheck.plugin import result_transport
from pytest_prodcheck.plugin.check_names import show_by_id
from pytest_prodcheck.plugin.item_results import (
    BAD_TRIES,
    ITEM_STATE,
    Inconclusive,
    ItemState,
    JudgementFailed,
    plain_result,
    raise_for,
    record_subtest,
    result_of,
)
from pytest_prodcheck.plugin.parametrization import BOUND, bind, hide_stand_ins, parametrize
from pytest_prodcheck.plugin.pytest_internals import finalizers
from pytest_prodcheck.plugin.report_redaction import (
    Redact,
    clean_call,
    clean_exception,
    clean_report,
    clean_result,
    cleaning,
)
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.reports.escaping import safe_lines

if TYPE_CHECKING:
    from pytest_prodcheck.outcomes import Result
    from pytest_prodcheck.records import Evidence
    from pytest_prodcheck.scope import Scope


class Source(Protocol):
    """Where evidence is read from."""

    def get(self, key: str, timeout: float) -> Evidence[Any]:
        """Waits for one fact; raises EvidenceProblem where it does not come."""


class CheckHooks:
    """Collects checks, hands them evidence and limits, and attaches a result to each report."""

    def __init__(
        self,
        scope: Scope,
        source: Source,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        informs: bool = False,
        redact: Redact | None = None,  # None: nothing is secret
    ) -> None:
        self.scope = scope
        self.source = source
        self.waiting = waiting
        self.redact = redact
        self.informs = informs  # pytest only tells something: nothing is gathered, so nothing is waited for
        self.planned: dict[tuple[str, str], PlannedCheck] = {}
        self.mistakes: list[str] = []
        self.places: dict[str, str] = {}  # check id as written -> the file it was collected from
        self._nodes: dict[tuple[str, str], str] = {}
        self._suites = catalogue.suites_folder()
        self._bundled = {entry.id for entry in catalogue.entries()}

    # -- collection

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item for each declared target."""
        parametrize(metafunc, self.scope)

    if not hasattr(pytest, "HIDDEN_PARAM"):  # pytest 8.3

        @pytest.hookimpl(wrapper=True)
        def pytest_pycollect_makeitem(self) -> Generator[None, object, object]:
            """Gives checks the names that they have with newer ones."""
            made = yield
            hide_stand_ins(made)
            return made

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Notes what is planned before anything can deselect it."""
        try:
            bound = bind(item, self.scope)
        except pytest.UsageError as error:
            if not hasattr(item.config, "workerinput"):
                raise
            self.mistakes.append(str(error))  # raised in a worker, nobody would read it
            return
        if bound is None:
            return
        self.planned[bound.identity] = PlannedCheck(*bound.identity, bound.definition.severity, bound.definition.suite)
        self.places[bound.definition.id] = str(item.path)
        other = self._nodes.setdefault(bound.identity, item.nodeid)
        if other != item.nodeid:
            self.mistakes.append(f"{bound.id} on {bound.target.name} is both {other} and {item.nodeid}")
        elif bound.definition.id in self._bundled and self._suites in item.path.parents:
            show_by_id(item, bound)
        item.extra_keyword_matches.add(bound.id)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Refuses two checks of one identity; keeps only what the named gates select, where asked to."""
        if self.mistakes and not hasattr(config, "workerinput"):
            raise pytest.UsageError("a check can judge a target only once, but " + "; ".join(self.mistakes))
        if self.scope.select:
            _select_items(config, items, partial(self._is_selected, frozenset(self.scope.select)))
        if self.scope.named:
            _select_items(config, items, self._is_named)

    def _is_selected(self, checks: frozenset[str], item: pytest.Item) -> bool:
        """Whether a gate selects this check; of tests without @check those that are marked as of its suite."""
        bound = item.stash.get(BOUND, None)
        if bound is not None:
            return bound.id in checks
        return any(item.get_closest_marker(suite) for suite in self.scope.plain_suites)

    def _is_named(self, item: pytest.Item) -> bool:
        """Whether the command line names this check, or a path that it lies in."""
        bound = item.stash.get(BOUND, None)
        here = [each for each in self.scope.named if Path(each.place) in (item.path, *item.path.parents)]
        return not here or (bound is not None and any(each.is_about(*bound.identity) for each in here))

    # -- evidence

    def read(self, item: pytest.Item, argument: str, key: str) -> Any:
        """One record for one item; notes that it was read. Raises EvidenceProblem."""
        reading = item.stash[ITEM_STATE]
        if self.informs:
            return None
        if argument in item.stash[BOUND].without:
            return reading.give_copy(argument, None)
        with self.waiting():
            evidence = self.source.get(key, self.scope.patience)
        reading.read[key] = evidence.gathered_at
        reading.notes.extend(evidence.notes)
        if evidence.problem is not None:
            raise EvidenceProblem(evidence.problem)
        ends = getattr(evidence.record, "valid_until", None)
        if isinstance(ends, (int, float)):
            reading.ends.append(float(ends) if math.isfinite(ends) else 0.0)
        try:
            # a check that changes what it was given must not change what the next one judges
            return reading.give_copy(argument, evidence.record)
        except Exception as error:
            raise EvidenceProblem(Problem("internal", f"{key}: its record is not plain data: {error}")) from None

    def limit(self, item: pytest.Item) -> Any:
        """The limit in force for one item."""
        return item.stash[ITEM_STATE].give_copy("limit", item.stash[BOUND].limit)

    def declared(self, item: pytest.Item) -> Any:
        """What is declared of one item's target."""
        target = item.stash[BOUND].target
        return item.stash[ITEM_STATE].give_copy("declared", self.scope.settings.get(f"{target.kind}:{target.name}", {}))

    # -- running

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fills `needs` arguments after the fixtures are set up."""
        item.stash[ITEM_STATE] = ItemState(time.time())
        bound = item.stash.get(BOUND, None)
        outcome = yield
        if bound is not None:
            for need in bound.needs:
                if need.argument in bound.definition.needs:
                    item.funcargs[need.argument] = self.read(item, need.argument, need.key)  # type: ignore[attr-defined]
        return outcome

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_skip_what_cannot_be_judged(self, item: pytest.Item) -> None:
        """Skips inside pytest's own wrappers, before any fixture is set up."""
        bound = item.stash.get(BOUND, None)
        if bound is not None and bound.target.skip:
            pytest.skip(f"{bound.target.skip}: {bound.target.detail}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Opens a ledger around the body; raises once for what it found, whatever the body swallowed."""
        reading = item.stash[ITEM_STATE]
        is_check = item.stash.get(BOUND, None) is not None
        ledger = reading.ledger = open_ledger() if is_check else Ledger()
        reading.inside = True
        bad_tries = item.stash.get(BAD_TRIES, 0)
        item.stash[BAD_TRIES] = bad_tries + 1
        try:
            outcome = yield
        except pytest.skip.Exception:
            if ledger.outcome is Outcome.FAILED:
                raise_for(ledger)
            raise
        finally:
            reading.inside = False
            while is_check and close_ledger() is not ledger:
                pass
        if is_check or ledger.judgements:
            raise_for(ledger)
        item.stash[BAD_TRIES] = bad_tries
        return outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attaches the result to the report of the phase that decided it."""
        error = call.excinfo.value if call.excinfo else None
        if self.redact is not None:
            clean_call(item, call, self.redact)
        if call.when != "call" and (error is None or call.when not in ("setup", "teardown")):
            return (yield)  # a phase that decides nothing
        reading = item.stash.get(ITEM_STATE, None)
        if reading is not None and reading.inside and reading.ledger is not None:  # a subtest
            record_subtest(reading.ledger, error)
            return (yield)
        result = self._result(item, call, error)
        if self.redact is not None:
            result = clean_result(result, self.redact)
        if item.config.getoption("xmlpath", None):  # nobody else shows them, and they cost as much as judging
            _show_in_junit(item, result)
        report = yield
        if error is None and call.excinfo is not None:  # of a TestCase, pytest tells it only now
            error = call.excinfo.value
            result = self._result(item, call, error)
            result = clean_result(result, self.redact) if self.redact is not None else result
            if item.config.getoption("xmlpath", None):
                _show_in_junit(item, result)
        report.user_properties.append((result_transport.KEY, result_transport.dump(result)))
        if report.failed and isinstance(error, (JudgementFailed, Inconclusive, EvidenceProblem)):
            report.longrepr = "\n".join(safe_lines(result.reason))  # a traceback into prodcheck helps nobody
        return report

    @pytest.hookimpl(wrapper=True, trylast=True, specname="pytest_runtest_makereport")
    def pytest_redact_report(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Next to pytest's own: no other plugin sees a report that is not redacted."""
        report = yield
        if self.redact is not None:
            clean_report(report, self.redact)
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Next to pytest's own: other plugins show what a fixture raises before there is a report of it."""
        redact = self.redact
        if redact is None:
            return (yield)
        try:
            return (yield)
        except BaseException as error:
            clean = clean_exception(error, redact)
            if clean is error:
                raise
            raise clean from None
        finally:
            called = finalizers(fixturedef)
            called[:] = [cleaning(each, redact) for each in called]

    def _result(self, item: pytest.Item, call: pytest.CallInfo[None], error: BaseException | None) -> Result:
        reading = item.stash.get(ITEM_STATE, None) or ItemState(time.time())
        bound = item.stash.get(BOUND, None)
        if bound is None:
            return plain_result(item, error, reading.started, call.duration)
        return result_of(bound, item, reading, error, self.scope.runbooks, call.duration)


def _select_items(config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]) -> None:
    """Deselects all others."""
    kept = [item for item in items if wanted(item)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
        items[:] = kept


def _show_in_junit(item: pytest.Item, result: Result) -> None:
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("prodcheck.")]
    item.user_properties.extend(result_transport.properties(result))
