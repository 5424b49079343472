"""With PRODCHECK_NO_SKIPS (CI) a test that was skipped for a program that could be installed fails the run.

And the order of tests.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.plugin.result_transport import encodable

SKIPPED: list[str] = []
# notes about the newest runs (gates/newest_run.py) do not go to the home of whoever runs the tests
if "XDG_STATE_HOME" not in os.environ:
    STATE = tempfile.TemporaryDirectory(prefix="prodcheck-tests-state-", ignore_cleanup_errors=True)
    os.environ["XDG_STATE_HOME"] = STATE.name
# made once for all workers: tests/evidence/postgres/template.py
if "PRODCHECK_TESTS_TEMPLATES" not in os.environ:
    TEMPLATES = tempfile.TemporaryDirectory(prefix="prodcheck-tests-templates-", ignore_cleanup_errors=True)
    Path(TEMPLATES.name).chmod(0o711)  # initdb is another user where we are root
    os.environ["PRODCHECK_TESTS_TEMPLATES"] = TEMPLATES.name
# the files of tests that measure, and words of which the ids of such tests hold one
MEASURING = {
    "tests/evidence/load/test_load.py": ("",), "tests/evidence/load/test_regression.py": ("",),
    "tests/fail_open/test_load.py": ("",), "tests/field/load/test_trackers.py": ("",),
    "tests/faults/test_matrix.py": ("[perf-", "[performance-"),
}  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Lets xdist send the report of a failed test about odd characters: it ends the whole run otherwise."""
    return encodable((yield))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes who was skipped for want of an installation; such reasons hold the line that installs it."""
    if report.skipped and isinstance(report.longrepr, tuple) and "install" in report.longrepr[2]:
        SKIPPED.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run where nothing may be skipped."""
    if SKIPPED and os.environ.get("PRODCHECK_NO_SKIPS") and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which tests were skipped and how to have them run."""
    for line in SKIPPED:
        terminalreporter.write_line(f"not run: {line}", yellow=True)


def measures(item: pytest.Item) -> bool:
    """Whether a test measures times or processors: beside many others it would measure those."""
    file = item.nodeid.partition("::")[0]
    return any(word in item.nodeid for word in MEASURING.get(file, ()))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files without a test that measures where only those are asked for."""
    if config.getoption("only", None) != "measuring" or not collection_path.is_file():
        return None
    return True if collection_path.relative_to(config.rootpath).as_posix() not in MEASURING else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What measures comes first, or (`--only`) in a run of its own: the others mostly wait, and many can at once."""
    only = config.getoption("only", None)
    if only is not None:
        left_out = [item for item in items if measures(item) is not (only == "measuring")]
        items[:] = [item for item in items if measures(item) is (only == "measuring")]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: not measures(item))
