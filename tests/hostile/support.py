"""Whole runs against hostile speakers, measured: how they ended, how long they took, how much memory they had."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.project import Project

# the peak of the process itself: ru_maxrss of a child would begin with what its parent had when it forked
_MEASURED = """\
import atexit, pathlib, sys
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path("peak").write_text(status.partition("VmHWM:")[2].split()[0])
atexit.register(tell)
import pytest
sys.exit(pytest.main())
"""
READABLE = ("Traceback (most recent call last)", "INTERNALERROR", "object at 0x")


@dataclass(frozen=True)
class Ended:
    """peak: MiB."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak: float
    run: dict[str, Any]

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The results by check and target, without those that were not configured."""
        found: list[dict[str, Any]] = self.run["run"]["results"]
        return {(each["check"], each["target"]): each for each in found if each["outcome"] != "skipped"}


def measured(project: Project, *arguments: str, env: str = "dev", timeout: float = 120) -> Ended:
    """`pytest -m smoke --env dev …`, with its JSON report and its peak of memory."""
    words = [sys.executable, "-c", _MEASURED, "--env", env, "-m", "smoke", "-p", "no:randomly"]
    began = time.monotonic()
    done = project.command(*words, "--prodcheck-json", "run.json", *arguments, timeout=timeout)
    seconds = time.monotonic() - began
    file = project.folder / "run.json"
    run = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    peak = int((project.folder / "peak").read_text()) / 1024
    return Ended(done.returncode, done.stdout, done.stderr, seconds, peak, run)


def is_readable(text: str) -> bool:
    """Whether a text shows a person no inner workings of Python."""
    return not any(each in text for each in READABLE)


def bare(folder: Path, toml: str) -> Project:
    """A project without checks of its own."""
    project = Project.make(folder, toml=toml, checks="")
    (folder / "checks" / "test_facts.py").unlink()
    (folder / "checks").rmdir()
    return project
