"""The controller's part of a run: opens it, has evidence gathered, counts, settles and publishes verdicts."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_prodcheck import catalogue
from pytest_prodcheck.evidence.gathering.known_secrets import places_of_secrets
from pytest_prodcheck.evidence.gathering.store import SharedFolder
from pytest_prodcheck.judging.ledger import STRAYS
from pytest_prodcheck.outcomes import ExitCode, Outcome, PlannedCheck, RunRecord, worst
from pytest_prodcheck.plugin import ci_pages, process_exit, result_transport, run_finish
from pytest_prodcheck.plugin.binding import loaded_here, tops_of
from pytest_prodcheck.plugin.check_names import one_line_a_suite
from pytest_prodcheck.plugin.event_record import record_events
from pytest_prodcheck.plugin.fixtures import evidence_fixtures
from pytest_prodcheck.plugin.gathering import Gathering
from pytest_prodcheck.plugin.item_hooks import CheckHooks
from pytest_prodcheck.plugin.load_baselines import accept_loads
from pytest_prodcheck.plugin.logs import redact_logs, redact_records, redact_stderr
from pytest_prodcheck.plugin.markers import registered, uncollected_by, unknown_in
from pytest_prodcheck.plugin.options import only_informs
from pytest_prodcheck.plugin.progress import Progress
from pytest_prodcheck.plugin.report_redaction import clean_report, clean_warning
from pytest_prodcheck.plugin.result_counter import ResultCounter
from pytest_prodcheck.plugin.run_start import RunContext, open_run
from pytest_prodcheck.plugin.threads import ThreadErrors
from pytest_prodcheck.plugin.unprovable_percentiles import tell_unprovable
from pytest_prodcheck.plugin.xdist_controller import Distributed
from pytest_prodcheck.plugin.xdist_worker import SCOPE, SHARED, evidence_keys_of
from pytest_prodcheck.reports.junit import add_suite_properties, name_class

if TYPE_CHECKING:
    import warnings

    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.plugin.interrupts import Interrupts

_OK = (0, 1, 5)  # pytest ended in order: passed, failed, nothing collected


class RunController:
    """One run of one environment."""

    def __init__(self, opened: RunContext, options: argparse.Namespace, interrupts: Interrupts) -> None:
        from pytest_prodcheck.environments.redaction import Redactor

        self.opened = opened
        self.options = options
        self.interrupts = interrupts
        self.informs = only_informs(options)
        self.counter = ResultCounter()
        self.planned: dict[tuple[str, str], PlannedCheck] = {}
        self.places: dict[str, str] = {}  # check id as written -> the file it was collected from
        self.problems: list[str] = []
        self.interrupted = ""
        self.run: RunRecord | None = None
        self.verdicts: list[Verdict] = []
        self.redactor = Redactor()
        self.gathering: Gathering | None = None
        self.pid = os.getpid()  # a check may fork: the child has no say
        self.unsaved = ""  # why the run's files could not be written
        self._judging: CheckHooks | None = None
        self._started = False
        self._junit: pytest.Config | None = None  # where pytest writes a JUnit file
        self._reporter: pytest.TerminalReporter | None = None
        self.progress = Progress()
        self.threads = ThreadErrors()
        self._give_back: list[Callable[[], None]] = []

    @classmethod
    def start(cls, options: argparse.Namespace, folder: Path, interrupts: Interrupts) -> RunController:
        """Reads the configuration and withdraws the verdicts; raises UsageError with all mistakes."""
        return cls(open_run(options, folder, touch_gates=not only_informs(options)), options, interrupts)

    def register(self, config: pytest.Config) -> None:
        """Registers the hooks; under xdist the workers are sent the scope instead."""
        given = config.option.inifilename is not None
        self.opened.bound.add_above(config.inipath, Path(config.known_args_namespace.confcutdir), given=given)
        distributed = getattr(config.option, "dist", "no") != "no" and bool(getattr(config.option, "tx", None))
        shared = SharedFolder.create() if distributed else None
        self.gathering = Gathering(self.opened, self.redactor, shared)
        if shared is not None:
            secrets = tuple(places_of_secrets(self.opened.environment))
            scope = replace(self.opened.scope, shared=str(shared.path), secrets=secrets)
            (shared.path / SCOPE).write_text(scope.dump(), encoding="utf-8")
            os.environ[SHARED] = scope.shared
            register(config, Distributed(self, shared.path), "prodcheck-distributed")
        else:
            redact = self.redactor.redact
            self._judging = CheckHooks(
                self.opened.scope, self.gathering.source, self.progress.showing, self.informs, redact
            )
            register(config, self._judging, "prodcheck-judging")
            register(config, evidence_fixtures(self._judging), "prodcheck-fixtures")
        register(config, self, "prodcheck-controller")
        if getattr(config.option, "htmlpath", None) and config.pluginmanager.hasplugin("html"):
            from pytest_prodcheck.reports.html import HtmlReport

            config.pluginmanager.register(HtmlReport(self, self.counter.find), "prodcheck-html")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Refuses a misspelt marker: it would select nothing, or too little, in silence."""
        redact_logs(session.config, self.redactor.redact)
        self._junit = session.config if getattr(self.options, "xmlpath", None) else None
        self._give_back = [redact_stderr(self.redactor.redact), redact_records(self.redactor.redact)]
        self.threads.start()
        self._reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        self.progress.begin(self._reporter, self.gathering)
        if self._reporter is not None:
            one_line_a_suite(self._reporter)
        problem = unknown_in(self.options.markexpr or "", registered(session.config.getini("markers")))
        if any(catalogue.suites_folder() in (each := Path(name), *each.parents) for name in self.opened.scope.folders):
            settings = (session.config.getini(name) for name in ("python_files", "python_functions"))
            problem = problem or uncollected_by(*settings)
        if problem:
            raise pytest.UsageError(f"prodcheck: {problem}")

    # -- gathering

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Starts gathering when the tests start; nothing is sent for a mode that only informs."""
        self.interrupts.look()
        gc.freeze()  # the tests that were collected stay, too
        if self._judging is not None and not self.informs:
            self.planned, self.places = self._judging.planned, self._judging.places
            self.gather(evidence_keys_of(session.items))
        return (yield)

    def gather(self, keys: list[str]) -> None:
        """Starts to gather this evidence, once."""
        if not self._started and self.gathering is not None:
            self._started = True
            if self.gathering.saved is None and self._reporter is not None:
                tell_unprovable(self.opened, keys, {check for check, _ in self.planned}, self._reporter)
            self.gathering.start(keys, self.progress.say)
            self.progress.say("")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ends the gathering at once."""
        self.interrupted = "interrupted from the keyboard" if excinfo.type is KeyboardInterrupt else str(excinfo.value)
        if self.gathering is not None:
            self.gathering.stop()

    def pytest_runtest_logstart(self) -> None:
        """Ends the run after a Ctrl-C that was lost."""
        self.interrupts.look()

    @property
    def charts(self) -> str:
        """What the HTML report draws of the loads."""
        from pytest_prodcheck.plugin.load_plots import charts

        return charts(self.gathering.source) if self.gathering is not None else ""

    # -- counting

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """What could not be collected is missing, also where pytest was told to go on."""
        clean_report(report, self.redactor.redact)
        if report.failed:
            self.problems.append(f"{report.nodeid}: could not be collected")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts; what comes from a worker is redacted before any other plugin sees it."""
        if self._judging is None:
            clean_report(report, self.redactor.redact)
        self.counter.take(report)
        if self._junit is not None:
            name_class(self._junit, report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Redacts before the terminal or anybody else has it; threads that died come this way, too."""
        clean_warning(warning_message, self.redactor.redact)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Shows warned and errored as outcomes of their own."""
        if not isinstance(report, pytest.TestReport) or report.when == "teardown" or str(report.outcome) == "rerun":
            return None
        result = result_transport.find(report.user_properties)
        if result is None:
            return None
        if report.when == "call" and report.passed and result.outcome is Outcome.WARNED:
            return "warned", "W", ("WARNED", {"yellow": True})
        if report.failed and result.outcome is Outcome.ERRORED:
            return "errored", "E", ("ERRORED", {"red": True})
        return None

    # -- the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Makes the run's record and settles the verdicts, so that the terminal summary can show them."""
        if self.informs or self.gathering is None or self.pid != os.getpid():
            return
        self.gathering.stop()
        if self.interrupts.came and not self.interrupted:
            self.interrupted = "interrupted from the keyboard"
        for reason in (session.shouldfail, session.shouldstop):
            if reason and not self.interrupted:
                self.interrupted = str(reason)
        if int(exitstatus) not in _OK:
            self.problems.append(f"pytest ended with exit status {int(exitstatus)}")
        if self._judging is not None:
            self.problems.extend(self.opened.unforeseen(self._judging.places))
        problems = [*self.problems, *self.counter.problems, *STRAYS.take()]
        if self.opened.demo is None:
            config = session.config
            self.opened.bound.add_loaded(loaded_here(tops_of(self.opened.scope, config.rootpath, config.inipath)))
            self.opened.bound.add_named(self.gathering.relied_on)
            problems += self.opened.bound.changes()
        results = self.counter.results()
        self.run = run_finish.make_record(
            self.opened, self.gathering, results, self.planned, self.places, problems, self.interrupted
        )
        self.verdicts = self.opened.settle(self.run, time.time())
        with _not_captured(session.config):  # a report may go to /dev/stdout
            unsaved = run_finish.save(self.opened, self.gathering, self.run, self.verdicts)
        self.unsaved = unsaved = unsaved or accept_loads(self.opened, self.gathering, self.run)
        if unsaved:  # what opened a gate must be there to be looked at
            self.run = replace(self.run, problems=(*self.run.problems, unsaved))
            self.verdicts = self.opened.settle(self.run, time.time())
        self.unrecorded = record_events(self.opened, self.run, self.verdicts, self.gathering.took)
        add_suite_properties(session.config, self.run, self.verdicts)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The gates, what decided them, how to fix it."""
        if self.run is None:
            return
        from pytest_prodcheck.reports.symbols import takes_unicode
        from pytest_prodcheck.reports.terminal import summary_lines

        terminalreporter.section("prodcheck")
        for line in summary_lines(
            self.run,
            self.verdicts,
            unicode=takes_unicode(sys.stdout),
            color=terminalreporter.hasmarkup,
            judged=not self.options.no_gate,
        ):
            terminalreporter.write_line(line)
        if self.gathering is not None:
            from pytest_prodcheck.plugin.load_plots import lines

            for line in lines(self.gathering.source, 100):
                terminalreporter.write_line(line)
        for line in ci_pages.workflow_commands(self.run):
            terminalreporter.write_line(line)
        ci_pages.add_step_summary(self.run, self.verdicts)
        if self.unrecorded:
            terminalreporter.write_line(f"prodcheck: the run is not in the event log: {self.unrecorded}", yellow=True)
        for what, path in self._reports(terminalreporter.config):
            terminalreporter.write_line(f"{what:5} {path}")

    def _reports(self, config: pytest.Config) -> Iterator[tuple[str, str]]:
        names = {
            "prodcheck_report": "text",
            "prodcheck_json": "json",
            "prodcheck_sarif": "sarif",
            "xmlpath": "junit",
            "prodcheck_html": "page",
            "htmlpath": "html",
        }
        for option, what in names.items():
            path = getattr(self.options if option.startswith("prodcheck") else config.option, option, None)
            if path:
                yield what, os.path.relpath(path)
        yield "run", os.path.relpath(self.opened.state / "runs" / self.opened.scope.run)

    def conclude(self, status: int) -> int:
        """Publishes the verdicts, the very last act; returns the exit code of the process."""
        if self.run is None or self.pid != os.getpid():  # nothing was judged here, whatever pytest's own status is
            return 10 + ExitCode.CANNOT_TELL if status in _OK else status
        if status not in _OK:
            self._deliver_closed(f"pytest ended with exit status {status}")
            return status
        if not self.options.no_gate:
            strays = STRAYS.take()
            problems = strays or self.opened.publish(self.verdicts)  # in this order: what is published opens
            if problems:
                if not self.unsaved:  # which the verdict says already, for the same reason
                    print(f"prodcheck: {'; '.join(problems)}; the gate stays closed", file=sys.stderr)  # noqa: T201
                self._deliver_closed(*strays)
                return 10 + ExitCode.CANNOT_TELL
        code = int(worst(verdict.code for verdict in self.verdicts))
        code = code if code in (ExitCode.OPEN, ExitCode.BLOCKED) else 10 + code
        ended = process_exit.watch_shutdown(code, self.opened.take_back)
        if ended == code:
            self._deliver(self.verdicts)
        else:
            self._deliver_closed("a thread called judge() or died after the end of the run")
        return ended

    def _deliver_closed(self, *problems: str) -> None:
        """Tells of the gates that are closed; problems: why all are that had not been taken into account."""
        if self.run is not None and problems:
            self.run = replace(self.run, problems=tuple(dict.fromkeys((*self.run.problems, *problems))))
            self.verdicts = self.opened.settle(self.run, time.time())
        self._deliver([each for each in self.verdicts if each.code != ExitCode.OPEN])

    def _deliver(self, verdicts: Sequence[Verdict]) -> None:
        """Tells whoever is to be told of these verdicts; says what did not arrive."""
        from pytest_prodcheck.plugin.run_delivery import deliver_run

        if self.run is not None and verdicts:
            source = self.gathering.source if self.gathering is not None else None
            for problem in deliver_run(self.opened, self.run, verdicts, source):
                print(f"prodcheck: {problem}", file=sys.stderr)  # noqa: T201

    def close(self) -> None:
        """Ends what the run started."""
        if self.pid != os.getpid():
            return
        self.interrupts.stop()
        self.threads.stop()
        STRAYS.end()
        for give_back in self._give_back:
            give_back()
        self.progress.close()
        if self.gathering is not None:
            self.gathering.close()
        os.environ.pop(SHARED, None)
        self.opened.close()


def _not_captured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    found: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
    return found


def register(config: pytest.Config, plugin: object, name: str) -> None:
    """Registers a part of prodcheck; raises UsageError where `-p no:NAME` forbids it: the others would wait for it."""
    if config.pluginmanager.register(plugin, name) is None:
        raise pytest.UsageError(f"prodcheck: -p no:{name} cannot be given together with --env")
