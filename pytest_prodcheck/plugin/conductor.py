"""The controller's part of a run: opens it, has evidence gathered, counts, settles and publishes verdicts."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.outcomes import ExitCode, Outcome, Planned, RunRecord, Severity, worst
from pytest_prodcheck.plugin import wire
from pytest_prodcheck.plugin.counting import Counter
from pytest_prodcheck.plugin.judging import Judging, evidence_fixtures
from pytest_prodcheck.plugin.opening import Opened, open_run
from pytest_prodcheck.plugin.options import only_informs
from pytest_prodcheck.plugin.worker import PLAN, keys_of

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.collectors import Collector
    from pytest_prodcheck.gates.verdict import Verdict

_OK = (0, 1, 5)  # pytest ended in order: passed, failed, nothing collected


class Conductor:
    """One run of one environment."""

    def __init__(self, opened: Opened, options: argparse.Namespace) -> None:
        self.opened = opened
        self.options = options
        self.counter = Counter()
        self.planned: dict[tuple[str, str], Planned] = {}
        self.problems: list[str] = []
        self.interrupted = ""
        self.run: RunRecord | None = None
        self.verdicts: list[Verdict] = []
        self._judging: Judging | None = None
        self._gathering_started = False

    @classmethod
    def start(cls, options: argparse.Namespace, folder: Path, config: pytest.Config) -> Conductor:
        """Reads the configuration and withdraws the verdicts; raises UsageError with all mistakes."""
        return cls(open_run(options, folder, config, touch_gates=not only_informs(options)), options)

    def folders(self) -> list[str]:
        """What to collect where no path was given: the bundled suites and the team's own checks."""
        return [str(folder) for folder in self.opened.folders]

    def register(self, config: pytest.Config) -> None:
        """Registers the hooks; under xdist the workers are sent the scope instead."""
        scope = self.opened.scope
        if self._distributed(config):
            config.option.prodcheck_scope = scope.dump()
            config.pluginmanager.register(_Distributed(self), "prodcheck-distributed")
        else:
            self._judging = Judging(scope, self.opened.store)
            config.pluginmanager.register(self._judging, "prodcheck-judging")
            config.pluginmanager.register(evidence_fixtures(self._judging), "prodcheck-fixtures")
        config.pluginmanager.register(self, "prodcheck-conductor")
        if config.pluginmanager.hasplugin("html"):
            from pytest_prodcheck.reports.html import HtmlReport

            config.pluginmanager.register(HtmlReport(self), "prodcheck-html")

    def _distributed(self, config: pytest.Config) -> bool:
        return bool(getattr(config.option, "tx", None)) and config.pluginmanager.hasplugin("dsession")

    # -- gathering

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Starts gathering when the tests start; nothing is sent for a mode that only informs."""
        if self._judging is not None and not only_informs(self.options):
            self.planned.update(self._judging.planned)
            self.gather(sorted({key for item in session.items for key in keys_of(item)}))
        return (yield)

    def gather(self, keys: list[str]) -> None:
        """Starts to gather this evidence, once; with `--wait` after the system became ready."""
        if self._gathering_started:
            return
        self._gathering_started = True
        plan: list[tuple[Collector, str]] = []
        for key in keys:
            name, _, target = key.partition(":")
            plan.append((find(name), target))
        self.opened.gather(plan)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ends the gathering at once."""
        self.interrupted = "interrupted from the keyboard" if excinfo.type is KeyboardInterrupt else str(excinfo.value)
        self.opened.stop()

    # -- counting

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts, and blanks secrets before any other plugin sees the report."""
        self._redact(report)
        self.counter.take(report)

    def _redact(self, report: pytest.TestReport) -> None:
        redact = self.opened.redactor.redact
        if report.longrepr is not None and not isinstance(report.longrepr, tuple):
            shown = str(report.longrepr)
            if (clean := redact(shown)) != shown:
                report.longrepr = clean
        report.sections = [(name, redact(text)) for name, text in report.sections]
        report.user_properties = [
            (name, redact(value) if isinstance(value, str) else value) for name, value in report.user_properties
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Shows warned and errored as outcomes of their own."""
        if not isinstance(report, pytest.TestReport) or report.when == "teardown":
            return None
        result = wire.find(report.user_properties)
        if result is None:
            return None
        if report.when == "call" and report.passed and result.outcome is Outcome.WARNED:
            return "warned", "W", (f"{self.opened.symbol(Outcome.WARNED)} WARNED", {"yellow": True})
        if report.failed and result.outcome is Outcome.ERRORED:
            return "errored", "E", (f"{self.opened.symbol(Outcome.ERRORED)} ERRORED", {"red": True})
        return None

    # -- the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Makes the run's record and settles the verdicts, so that the terminal summary can show them."""
        if only_informs(self.options):
            return
        self.opened.stop()
        for reason in (session.shouldfail, session.shouldstop):
            if reason and not self.interrupted:
                self.interrupted = str(reason)
        if int(exitstatus) not in _OK:
            self.problems.append(f"pytest ended with exit status {int(exitstatus)}")
        self.run = self._record()
        self.verdicts = self.opened.settle(self.run)
        self.opened.save(self.run)

    def _record(self) -> RunRecord:
        opened = self.opened
        planned = {(each.check, each.target): each for each in opened.planned()} | self.planned
        seen = {check for check, _ in planned}
        missing = [str(own) for own in opened.own_checks if own.id not in seen and not own.id.endswith(".*")]
        problems = [*self.problems, *self.counter.problems]
        results = tuple(opened.redactor.redact_data_result(each) for each in self.counter.results())
        lost = {own.id: Planned(own.id, "-", Severity.HIGH) for own in opened.own_checks if str(own) in missing}
        planned.update({(each.check, each.target): each for each in lost.values()})
        known = {entry for entry, _ in planned} | opened.known()
        return replace(
            opened.blank_record(),
            ended_at=time.time(),
            results=results,
            planned=tuple(planned[key] for key in sorted(planned)),
            known=tuple(sorted(known)),
            problems=tuple(dict.fromkeys(problems)),
            interrupted=self.interrupted,
            waited=opened.waited,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The gates, what decided them, how to mend it."""
        if self.run is None:
            return
        from pytest_prodcheck.reports.terminal import summary_lines

        terminalreporter.section("prodcheck", sep="=")
        for line in summary_lines(self.run, self.verdicts, unicode=self.opened.unicode):
            terminalreporter.write_line(line)
        for line in self.opened.where():
            terminalreporter.write_line(line)

    def conclude(self, status: int) -> int:
        """Publishes the verdicts, the very last act; returns the exit code of the process."""
        if self.run is None:
            return status
        if status in _OK and not self.options.no_gate:
            problem = self.opened.publish(self.verdicts)
            if problem:
                print(f"prodcheck: {problem}")
                return 10 + ExitCode.CANNOT_TELL
        if status not in _OK:
            return status
        code = worst(verdict.code for verdict in self.verdicts)
        return int(code) if code in (ExitCode.OPEN, ExitCode.BLOCKED) else 10 + int(code)

    def close(self) -> None:
        """Ends what the run started."""
        self.opened.close()


class _Distributed:
    """What the controller does under xdist: gathers for the workers, and notices when one dies."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Gathers what the first worker to finish its collection asks for: all ask for the same."""
        file = Path(self.conductor.opened.scope.shared) / PLAN
        plan = json.loads(file.read_text(encoding="utf-8"))
        for check, target, severity in plan["planned"]:
            self.conductor.planned[(check, target)] = Planned(check, target, Severity(severity))
        self.conductor.problems.extend(plan["twice"])
        self.conductor.gather(plan["wanted"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker that died took evidence with it that nobody can vouch for."""
        if error:
            self.conductor.problems.append(f"worker {node.gateway.id} died: {error}")
