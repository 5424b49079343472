"""pip-audit's JSON (`pip-audit --format json`): tells neither date nor severity nor what it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pytest_prodcheck.evidence.vulnerabilities import report_model as parsed
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, and where no package was looked at."""
    if isinstance(data, list):  # before pip-audit 2.5
        data = {"dependencies": data}
    if not isinstance(data, dict) or not isinstance(data.get("dependencies"), list):
        parsed.wrong("is no report of pip-audit: it has no `dependencies`")
    dependencies = parsed.rows(data, "dependencies")
    skipped = tuple(parsed.needed(each, "name") for each in dependencies if "skip_reason" in each)
    looked_at = [each for each in dependencies if "skip_reason" not in each]
    if any(not isinstance(each.get("vulns"), list) for each in looked_at):
        parsed.wrong("a dependency has neither `vulns` nor `skip_reason`: another format, or another version")
    if not looked_at:
        parsed.empty("pip-audit looked at no package")
    return Scan(
        scanner="pip-audit",
        scanned=len(looked_at),
        unscanned=skipped,
        findings=parsed.bounded(finding for each in looked_at for finding in _findings(each)),
    )


def _findings(dependency: dict[str, Any]) -> Iterator[Finding]:
    name, version = parsed.needed(dependency, "name"), parsed.text(dependency, "version")
    for row in parsed.rows(dependency, "vulns"):
        fixed = ", ".join(parsed.texts(row, "fix_versions"))
        purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
        yield Finding(
            parsed.needed(row, "id"), name, version, None, fixed, aliases=parsed.texts(row, "aliases"), purl=purl
        )
