"""pip-audit's JSON (`pip-audit --format json`): tells neither date nor severity nor what it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, and where no package was looked at."""
    if isinstance(data, list):  # before pip-audit 2.5
        data = {"dependencies": data}
    if not isinstance(data, dict) or not isinstance(data.get("dependencies"), list):
        report_model.raise_protocol_problem("is no report of pip-audit: it has no `dependencies`")
    dependencies = report_model.rows(data, "dependencies")
    skipped = tuple(report_model.needed(each, "name") for each in dependencies if "skip_reason" in each)
    looked_at = [each for each in dependencies if "skip_reason" not in each]
    if any(not isinstance(each.get("vulns"), list) for each in looked_at):
        report_model.raise_protocol_problem(
            "a dependency has neither `vulns` nor `skip_reason`: another format, or another version"
        )
    if not looked_at:
        report_model.empty("pip-audit looked at no package")
    return Scan(
        scanner="pip-audit",
        scanned=len(looked_at),
        unscanned=skipped,
        findings=report_model.unique_findings(finding for each in looked_at for finding in _findings(each)),
    )


def _findings(dependency: dict[str, Any]) -> Iterator[Finding]:
    name, version = report_model.needed(dependency, "name"), report_model.text(dependency, "version")
    for row in report_model.rows(dependency, "vulns"):
        fixed = ", ".join(report_model.texts(row, "fix_versions"))
        purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
        yield Finding(
            report_model.needed(row, "id"),
            name,
            version,
            None,
            fixed,
            aliases=report_model.texts(row, "aliases"),
            purl=purl,
        )
