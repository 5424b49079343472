"""Trivy's JSON (`trivy image --format json`), schema version 2: https://trivy.dev, pkg/types/report.go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model as parsed
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan, Subject
from pytest_prodcheck.records.vulnerabilities import Rating

RATINGS: dict[str, Rating | None] = {
    "CRITICAL": "critical", "HIGH": "high", "MEDIUM": "medium", "LOW": "low", "UNKNOWN": None, "": None,
}  # fmt: skip
REVISION = "org.opencontainers.image.revision"  # OCI image spec, annotations


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format or version, and where no package was looked at."""
    if not isinstance(data, dict) or "SchemaVersion" not in data:
        parsed.wrong("is no report of Trivy: it has no `SchemaVersion`")
    if data["SchemaVersion"] != 2:
        parsed.wrong(f"schema version {parsed.shown(data['SchemaVersion'])} of Trivy is not known, 2 is")
    results = [each for each in parsed.rows(data, "Results") if each.get("Class") in ("os-pkgs", "lang-pkgs")]
    packages = [parsed.rows(each, "Packages") for each in results]
    listed = any("Packages" in each for each in results)
    if not results or (listed and not any(packages)):
        parsed.empty("Trivy found no package to look at", "was the image pulled whole, and --scanners vuln on?")
    metadata = parsed.table(data, "Metadata")
    system = parsed.table(metadata, "OS")
    name = parsed.text(system, "Family") + " " + parsed.text(system, "Name")
    return Scan(
        scanner="Trivy",
        subject=_subject(data, metadata),
        created_at=parsed.moment(data.get("CreatedAt")),
        scanned=sum(map(len, packages)) if listed else None,
        findings=parsed.bounded(_finding(row) for each in results for row in parsed.rows(each, "Vulnerabilities")),
        ignored=sum(len(parsed.rows(each, "ExperimentalModifiedFindings")) for each in results),
        end_of_life=name.strip() if system.get("EOSL") is True else "",
    )


def _subject(data: dict[str, Any], metadata: dict[str, Any]) -> Subject:
    name = parsed.needed(data, "ArtifactName")
    pinned = parsed.texts(metadata, "RepoDigests")
    digests = [each.rpartition("@")[2] for each in (name, *pinned) if "@" in each]
    labels = parsed.table(parsed.table(parsed.table(metadata, "ImageConfig"), "config"), "Labels")
    revisions = (parsed.text(metadata, "Commit"), parsed.text(labels, REVISION))
    return Subject(
        (name, *parsed.texts(metadata, "RepoTags"), *pinned),
        tuple(filter(None, (*digests, parsed.text(metadata, "ImageID")))),
        tuple(filter(None, revisions)),
    )


def _finding(row: dict[str, Any]) -> Finding:
    rating = parsed.text(row, "Severity")
    if rating not in RATINGS:
        parsed.wrong(f"severity {rating!r} of Trivy is not known")
    published = parsed.moment(row.get("PublishedDate"))
    return Finding(
        parsed.needed(row, "VulnerabilityID"),
        parsed.needed(row, "PkgName"),
        parsed.text(row, "InstalledVersion"),
        RATINGS[rating],
        parsed.text(row, "FixedVersion"),
        published,
        "publication" if published is not None else "",
        tuple(_aliases(row)),
        parsed.text(parsed.table(row, "PkgIdentifier"), "PURL"),
    )


def _aliases(row: dict[str, Any]) -> Iterator[str]:
    yield from parsed.texts(row, "VendorIDs")
