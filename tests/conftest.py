"""With PRODCHECK_NO_SKIPS (CI) a test that was skipped for a program that could be installed fails the run.

And the order of tests: what measures times and processors comes first, all of it in one worker, and of the others only
one works meanwhile. What comes then mostly waits, so that more workers than processors are of use.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

SKIPPED: list[str] = []
TURNS: list[Turns] = []  # of this worker: one
RUNS: set[str] = set()  # of this controller: one
MEASURING = ("[perf-", "[performance-", "evidence/test_load.py", "fail_open/test_load.py", "/test_regression.py")
BEGIN = 60.0  # seconds that what measures may take to begin


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes who was skipped for want of an installation; such reasons hold the line that installs it."""
    if report.skipped and isinstance(report.longrepr, tuple) and "install" in report.longrepr[2]:
        SKIPPED.append(f"{report.nodeid}: {report.longrepr[2]}")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Notes xdist's name of the run."""
    RUNS.add(node.workerinput["testrunuid"])


def folder_of(run: str) -> Path:
    """Where the workers of a run tell each other whose turn it is."""
    return Path(tempfile.gettempdir()) / f"prodcheck-turns-{run}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run where nothing may be skipped, and clears away."""
    for run in RUNS:
        shutil.rmtree(folder_of(run), ignore_errors=True)
    if SKIPPED and os.environ.get("PRODCHECK_NO_SKIPS") and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which tests were skipped and how to have them run."""
    for line in SKIPPED:
        terminalreporter.write_line(f"not run: {line}", yellow=True)


def measures(item: pytest.Item) -> bool:
    """Whether a busy machine would make its result another."""
    return any(each in item.nodeid for each in MEASURING)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What measures comes first, and so into the first worker."""
    items.sort(key=lambda item: not measures(item))


class Turns:
    """Whose turn it is, among xdist's workers: locks of files, which go with the process and not into its children."""

    def __init__(self, folder: Path, some_measure: bool) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._measuring: IO[str] | None = None
        self._begun = not some_measure

    def measure(self) -> None:
        """From now on this worker measures, and no other."""
        if self._measuring is None:
            self._measuring = (self._folder / "measuring").open("w")
            fcntl.lockf(self._measuring, fcntl.LOCK_EX)
            (self._folder / "begun").touch()

    def measured(self) -> None:
        """This worker has measured what it had to, for now."""
        if self._measuring is not None:
            self._measuring.close()
            self._measuring = None

    def wait(self) -> IO[str] | None:
        """Waits for a turn; what is returned is closed when it is over."""
        end = time.monotonic() + BEGIN
        while not self._begun and time.monotonic() < end and not (self._folder / "begun").exists():
            time.sleep(0.05)
        self._begun = True
        with (self._folder / "measuring").open("a+") as measuring:
            try:
                fcntl.lockf(measuring, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                turn = (self._folder / "turn").open("w")
        fcntl.lockf(turn, fcntl.LOCK_EX)
        return turn


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Waits for the item's turn where there are several workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return (yield)
    if not TURNS:
        TURNS.append(Turns(folder_of(run), any(map(measures, item.session.items))))
    turn = None
    if measures(item):
        TURNS[0].measure()
    else:
        turn = TURNS[0].wait()
    try:
        return (yield)
    finally:
        if turn is not None:
            turn.close()
        if nextitem is None or not measures(nextitem):
            TURNS[0].measured()
