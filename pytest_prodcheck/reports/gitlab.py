"""GitLab's code quality report: what needs attention, beside the line of the configuration that declares its target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord, Severity
from pytest_prodcheck.reports.escaping import safe, safe_json, safe_lines
from pytest_prodcheck.reports.measurement_text import needing_attention
from pytest_prodcheck.reports.source_locations import source_line
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, subject_of

LEVELS = {
    Severity.CRITICAL: "blocker", Severity.HIGH: "critical", Severity.MEDIUM: "major", Severity.LOW: "minor",
}  # fmt: skip


def run_code_quality(run: RunRecord, verdicts: Iterable[AnyVerdict] = (), *, unicode: bool = True) -> str:
    """JSON text of a list of findings, as GitLab's documentation of `codequality` has it."""
    return safe_json(json.dumps([_finding(each, run) for each in needing_attention(run.results)], indent=1)) + "\n"


def _finding(result: Result, run: RunRecord) -> dict[str, Any]:
    about = subject_of(result)
    said = "; ".join(safe_lines(result.reason)) or str(result.outcome)
    file, line = source_line(result, run)
    place = "\0".join((run.environment, run.unit, run.slot, *result.identity))
    return {
        "description": f"{about} {result.outcome}: {said}",
        "check_name": safe(result.check),
        "fingerprint": hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest(),
        "severity": "info" if result.outcome is Outcome.WARNED else LEVELS[result.severity],
        "location": {"path": safe(file), "lines": {"begin": line}},
    }
