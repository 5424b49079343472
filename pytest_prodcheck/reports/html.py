"""Adds to pytest-html's page: the gates on top, what was measured against which limit in each row, details below it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest

from pytest_prodcheck.outcomes import Result, RunRecord
from pytest_prodcheck.plain_data import from_plain
from pytest_prodcheck.reports import html_markup
from pytest_prodcheck.reports.escaping import safe, safe_html
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, moment, views

KEY = "prodcheck"  # the user property that holds a result as JSON text
_TEST = '<td class="col-testId">'


class Source(Protocol):
    """Whoever knows the run once it has ended."""

    @property
    def run(self) -> RunRecord | None:
        """The run's record, None before its end."""

    @property
    def verdicts(self) -> Sequence[AnyVerdict]:
        """The verdicts of the run."""

    @property
    def charts(self) -> str:
        """What is drawn of its loads, as HTML; "" where there were none."""


class HtmlReport:
    """A pytest plugin with pytest-html's hooks; to be registered where pytest-html is, in the controller only.

    find: gives the result that was counted for a node id, where it may differ from what its report carries.
    """

    def __init__(self, source: Source, find: Callable[[str], Result | None] | None = None) -> None:
        self._source = source
        self._find = find or (lambda nodeid: None)
        self._found: dict[str, Result] = {}
        self._page: Any = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes the result that a report carries; the last report of a test gets its details."""
        result = result_of(report)
        if result is not None:
            self._found[report.nodeid] = result
        if report.when != "teardown":
            return
        result = self._result(report.nodeid)
        if result is not None:
            extra = {"name": "prodcheck", "format_type": "html", "mime_type": None, "extension": None}
            extra["content"] = html_markup.details(result, time.time())
            vars(report)["extras"] = [*getattr(report, "extras", []), extra]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """Warned before passed; nothing of the process's environment in the page."""
        self._page = report
        if report.data["initialSort"] == "result":
            report.set_data("initialSort", "verdict")
        report.set_data("environment", {})

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Heads of our columns, after pytest-html's own result (which its filters need)."""
        cells[1:1] = html_markup.header_cells()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Our cells of a row; also escapes the test's id, which pytest-html leaves as it is."""
        for place, cell in enumerate(cells):
            if cell.startswith(_TEST):
                cells[place] = f"{_TEST}{safe_html(cell.removeprefix(_TEST).removesuffix('</td>'))}</td>"
        cells[1:1] = html_markup.row_cells(self._result(report.nodeid), report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, report: pytest.TestReport, data: list[str]) -> None:
        """No empty box below a row that has details."""
        if data == ["No log output captured."] and self._result(report.nodeid) is not None:
            data.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """The gates on top of the page."""
        prefix.append(html_markup.style_and_script())
        run = self._source.run
        if run is None:
            return
        prefix.append(html_markup.summary(run, views(self._source.verdicts), self._source.charts))
        if self._page is not None:
            self._page.title = safe(" ".join(filter(None, ("prodcheck:", run.project, run.environment, run.revision))))
            self._page.set_data("environment", environment(run))

    def _result(self, nodeid: str) -> Result | None:
        return self._find(nodeid) or self._found.get(nodeid)


def result_of(report: pytest.TestReport) -> Result | None:
    """The result that a report carries as JSON text, None where there is none that can be read."""
    found = None
    for name, value in getattr(report, "user_properties", ()):
        if name == KEY and isinstance(value, str):
            try:
                found = from_plain(Result, json.loads(value))
            except (ValueError, RecursionError):
                found = None
    return found


def environment(run: RunRecord) -> dict[str, str]:
    """The rows of the page's environment table: what the run is about, escaped; the page takes them as HTML."""
    named = (
        ("Project", run.project),
        ("Environment", run.environment + (" (protected)" if run.protected else "")),
        ("Unit", run.unit),
        ("Slot", run.slot),
        ("Revision", run.revision),
        ("Seen from", run.vantage),
        ("Run", run.id),
        ("Started", moment(run.started_at)),
        ("prodcheck", run.version),
        ("pytest", pytest.__version__),
    )
    return {name: safe_html(value) for name, value in named if value}
