"""What a CI system shows by itself: annotations and the step summary of GitHub Actions, where a run goes on there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.outcomes import RunRecord

SUMMARY = "GITHUB_STEP_SUMMARY"


def workflow_commands(run: RunRecord, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Lines that GitHub shows as annotations; [] elsewhere."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    from pytest_prodcheck.reports.github import run_annotations

    return run_annotations(run).splitlines()


def add_step_summary(run: RunRecord, verdicts: Sequence[Verdict], environ: Mapping[str, str] = os.environ) -> None:
    """Adds the run to the page of the workflow; what cannot be written is said and changes nothing else."""
    file = environ.get(SUMMARY)
    if environ.get("GITHUB_ACTIONS") != "true" or not file:
        return
    from pytest_prodcheck.reports.markdown import run_markdown

    try:
        with open(file, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{run_markdown(run, verdicts)}\n")
    except OSError as error:
        print(f"prodcheck: the step summary could not be written: {error}", file=sys.stderr)  # noqa: T201
