"""Reports in a folder, read by the real collectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.vulnerabilities import VulnerabilityReport
from tests.evidence.contexts import context_for

IMAGE = f"{scanner_reports.IMAGE}@{scanner_reports.DIGEST}"


def gathered(
    folder: Path, document: Any, *, kind: str = "vulnerabilities-running", seconds: float = 20, **keys: Any
) -> Any:
    """What a collector makes of a report (JSON data, text or bytes; None: no file); raises EvidenceProblem."""
    if document is not None:
        content = document if isinstance(document, (str, bytes)) else json.dumps(document)
        (folder / "report.json").write_bytes(content.encode() if isinstance(content, str) else content)
    if not keys.keys() & {"report", "url", "command", "run"}:
        keys["report"] = "report.json"
    context = context_for(folder, vulnerabilities={"image": {"format": "trivy", **keys}})
    return find(kind).gather("image", context, Deadline(seconds))


def report(folder: Path, document: Any, **keys: Any) -> VulnerabilityReport:
    """The record about an image, that of the demo unless another is named."""
    if not keys.keys() & {"image", "revision"}:
        keys["image"] = IMAGE
    found = gathered(folder, document, **keys)
    assert isinstance(found, VulnerabilityReport)
    return found


def problem(folder: Path, document: Any, **keys: Any) -> Problem:
    """Why there is no record."""
    try:
        found = report(folder, document, **keys) if "kind" not in keys else gathered(folder, document, **keys)
    except EvidenceProblem as error:
        return error.problem
    raise AssertionError(f"no problem: {found}")


def ids(found: VulnerabilityReport, rating: Any = "critical") -> list[str]:
    """The ids of the findings that count."""
    return [each.id for each in found.overdue(rating)]
