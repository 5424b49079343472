"""Grype's JSON (`grype --output json`): https://github.com/anchore/grype, grype/presenter/models."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model as parsed
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan, Subject
from pytest_prodcheck.evidence.vulnerabilities.trivy import REVISION
from pytest_prodcheck.records.vulnerabilities import Rating

RATINGS: dict[str, Rating | None] = {
    "critical": "critical", "high": "high", "medium": "medium", "low": "low", "negligible": "low", "unknown": None,
    "": None,
}  # fmt: skip


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, a broken database, and where nothing was looked at."""
    descriptor = parsed.table(data, "descriptor")
    if descriptor.get("name") != "grype" or not isinstance(data.get("matches"), list):
        parsed.wrong("is no report of Grype: it has no `matches`, or another `descriptor`")
    database = parsed.table(descriptor, "db")
    status = parsed.table(database, "status") or database  # since database version 6 one level deeper
    if status.get("valid") is False or status.get("error"):
        parsed.wrong(f"Grype's vulnerability database was not valid: {parsed.text(status, 'error')}")
    source = parsed.table(data, "source")
    target = source.get("target")
    matches = parsed.rows(data, "matches")
    system = parsed.text(parsed.table(data, "distro"), "name")
    if not matches and not system and not (isinstance(target, dict) and target.get("layers")):
        parsed.empty("Grype does not say that it looked at anything: no match, no distribution, no layer")
    return Scan(
        scanner=f"Grype {parsed.text(descriptor, 'version')}".strip(),
        subject=_subject(target),
        created_at=parsed.moment(descriptor.get("timestamp")),
        database_at=parsed.moment(status.get("built")),
        findings=parsed.bounded(_finding(each) for each in matches),
        ignored=len(parsed.rows(data, "ignoredMatches")),
    )


def _subject(target: Any) -> Subject:
    if not isinstance(target, dict):
        return Subject((parsed.text({"target": target}, "target"),) if target else ())
    pinned = parsed.texts(target, "repoDigests")
    asked = parsed.text(target, "userInput")
    digests = [each.rpartition("@")[2] for each in (asked, *pinned) if "@" in each]
    revision = parsed.text(parsed.table(target, "labels"), REVISION)
    return Subject(
        tuple(filter(None, (asked, *parsed.texts(target, "tags"), *pinned))),
        tuple(filter(None, (*digests, parsed.text(target, "manifestDigest"), parsed.text(target, "imageID")))),
        (revision,) if revision else (),
    )


def _finding(match: dict[str, Any]) -> Finding:
    vulnerability, artifact = parsed.table(match, "vulnerability"), parsed.table(match, "artifact")
    rating = parsed.text(vulnerability, "severity").lower()
    if rating not in RATINGS:
        parsed.wrong(f"severity {rating!r} of Grype is not known")
    fix = parsed.table(vulnerability, "fix")
    versions = parsed.texts(fix, "versions") if fix.get("state") == "fixed" else ()
    dates = [parsed.moment(each.get("date")) for each in parsed.rows(fix, "available")]
    since = min((each for each in dates if each is not None), default=None)
    return Finding(
        parsed.needed(vulnerability, "id"),
        parsed.needed(artifact, "name"),
        parsed.text(artifact, "version"),
        RATINGS[rating],
        ", ".join(versions) or ("a version that is not told" if fix.get("state") == "fixed" else ""),
        since,
        "fix" if since is not None else "",
        tuple(parsed.text(each, "id") for each in parsed.rows(match, "relatedVulnerabilities")),
        parsed.text(artifact, "purl"),
    )
