"""How a load goes is shown while it runs: on a terminal over and over in one line, elsewhere in a line now and then."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.plugin import progress
from pytest_prodcheck.plugin.progress import Progress
from tests.evidence.load.servers import BROKEN, GOOD, server
from tests.fail_open.test_load import project_of
from tests.project import Project

LINE = re.compile(
    r"browse \d+ s: ([\d.]+)/s, P50 [\d.]+ [mµ]?s, P95 [\d.]+ [mµ]?s, P99 [\d.]+ [mµ]?s, errors ([\d.]+) %"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with server(lambda number, at: 0.01, lambda number, at: BROKEN if number % 10 == 9 else GOOD) as (port, _):
        yield project_of(tmp_path_factory.mktemp("progress"), port, 'abort = { error_ratio = "50%" }')


def words(*more: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-m", "performance", "--env", "dev", "-p", "no:randomly", *more]


def test_on_a_terminal(project: Project) -> None:
    """Rate, percentiles, errors; in one line that is gone in the end, and with it nothing of pytest's own."""
    ours, theirs = pty.openpty()
    environ = {**project.env(), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        words(), cwd=project.folder, env=environ, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    pieces: list[bytes] = []
    try:
        while piece := _read(ours):
            pieces.append(piece)
        process.wait(30)
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)
    raw = b"".join(pieces).decode()
    told = [LINE.search(part) for part in raw.split("\r\x1b[K")]
    rates = [(float(found[1]), float(found[2])) for found in told if found]
    assert len(rates) >= 2, raw
    rate, errors = rates[-1]
    assert 100 < rate < 220  # 160 are due each second
    assert 5 < errors < 15
    seen = screen(raw)
    assert not any("browse " in line and "/s, P50" in line for line in seen), seen
    assert any(re.fullmatch(r"performance [.FEsW]+.*", line) for line in seen), seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # closed at the other end
        return b""


def screen(text: str) -> list[str]:
    """The lines that a terminal shows in the end, of the few sequences that are used."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b\[[\d;]*m|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[K":
            lines[row] = lines[row][:column]
        elif part == "\x1b[A":
            row -= 1
        elif part.startswith("\x1b[") and part.endswith("C"):
            column += int(part[2:-1])
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


def test_in_a_log(project: Project) -> None:
    """The line comes while the load runs, not with the captured output of a check that failed."""
    process = subprocess.Popen(
        words("-q"), cwd=project.folder, env=project.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    try:
        came = time.monotonic()
        for line in process.stdout:
            if line.startswith(b"browse: starting"):
                break
        else:
            pytest.fail("nothing was shown")
        came = time.monotonic()
        rest = process.stdout.read().decode()
        assert time.monotonic() - came > 2  # of 2.5 s of load
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert "\x1b" not in rest


def test_in_a_log_a_line_comes_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as EVERY says; and what shows it is gone when the waiting is over."""
    monkeypatch.setattr(progress, "PATIENCE", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.2)
    with (tmp_path / "log").open("w") as log:
        writer = SimpleNamespace(_file=log, width_of_current_line=3, fullwidth=80)
        reporter: Any = SimpleNamespace(_tw=writer, isatty=False, verbosity=0)
        gathering: Any = SimpleNamespace(load_progress="browse 3 s: 160/s")
        shown = Progress()
        shown.begin(reporter, gathering)
        with shown.showing():
            time.sleep(0.5)
        shown.close()
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line]
    assert set(lines) == {"browse 3 s: 160/s"}
    assert 2 <= len(lines) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name == "prodcheck-progress"]


def test_quiet_shows_nothing(tmp_path: Path) -> None:
    reporter: Any = SimpleNamespace(verbosity=-2)
    shown = Progress()
    shown.begin(reporter, None)
    shown.say("browse: starting")
    with shown.showing():
        pass
