"""One demo system for all faults of this process, judged by a whole `pytest -m SUITE` each time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo import Demo, start
from tests import forked
from tests.busy import too_busy

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="package")
def demo() -> Iterator[Demo]:
    with start() as system:
        system.wait_ready(60)
        yield system


@pytest.fixture
def judged(demo: Demo, tmp_path: Path) -> Run:
    """Runs suites (a marker expression) in a process of its own; returns its JSON report."""

    def run(suites: str = "smoke", *arguments: str) -> dict[str, Any]:
        report = tmp_path / "report.json"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PRODCHECK"))}
        words = ["-m", suites, "--env", "demo", "-p", "no:cacheprovider", "-p", "no:randomly"]
        words += ["--prodcheck-json", str(report), *arguments]
        done = forked.run("pytest", words, demo.configuration.parent, kept, timeout=180)
        assert report.is_file(), done.stdout + done.stderr
        document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        report.unlink()
        return {**document, "exit": done.returncode, "stdout": done.stdout}

    return run


def failed_reasons(document: dict[str, Any]) -> dict[str, str]:
    """What is red of a healthy system, without what is errored because this machine had no processor to spare."""
    return {
        check: why
        for check, why in red(document).items()
        if not (why.startswith("errored") and too_busy(why))
    }


def red(document: dict[str, Any]) -> dict[str, str]:
    """Check id -> worst outcome of the checks that are not green, with the reason."""
    found: dict[str, str] = {}
    for result in document["run"]["results"]:
        if result["outcome"] in ("failed", "errored", "warned"):
            found[result["check"]] = (
                f"{result['outcome']}: {result['reason'].splitlines()[0] if result['reason'] else ''}"
            )
    return found
