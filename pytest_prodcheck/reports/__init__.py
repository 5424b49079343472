"""Writers of reports, one module a format; unknown formats are an error."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.reports.verdict_documents import AnyVerdict

# format -> module:function(run, verdicts, *, unicode) -> str. The JUnit file and the page of a run of pytest are
# written by pytest and pytest-html; `junit` and `html` add to those. "page" is our own.
WRITERS = {
    "text": "pytest_prodcheck.reports.text:run_text",
    "json": "pytest_prodcheck.reports.json_report:run_json",
    "page": "pytest_prodcheck.reports.page:run_page",
    "markdown": "pytest_prodcheck.reports.markdown:run_markdown",
    "github": "pytest_prodcheck.reports.github:run_annotations",
    "gitlab": "pytest_prodcheck.reports.gitlab:run_code_quality",
    "tap": "pytest_prodcheck.reports.tap:run_tap",
    "nagios": "pytest_prodcheck.reports.nagios:run_nagios",
    "prometheus": "pytest_prodcheck.reports.prometheus:run_prometheus",
    "junit": "pytest_prodcheck.reports.junit_xml:run_junit",
    "badge": "pytest_prodcheck.reports.badge:run_badge",
    "sarif": "pytest_prodcheck.reports.sarif:run_sarif",
}


def write(format_name: str, run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The report of a run as text in one of the formats of `WRITERS`; raises ValueError for another format."""
    if format_name not in WRITERS:
        raise ValueError(f"unknown report format {format_name!r}: expected one of {', '.join(WRITERS)}")
    module, _, function = WRITERS[format_name].partition(":")
    text: str = getattr(import_module(module), function)(run, list(verdicts), unicode=unicode)
    return text
