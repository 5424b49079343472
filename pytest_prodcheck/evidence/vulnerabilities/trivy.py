"""Trivy's JSON (`trivy image --format json`), schema version 2: https://trivy.dev, pkg/types/report.go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan, Subject
from pytest_prodcheck.records.vulnerabilities import Rating

RATINGS: dict[str, Rating | None] = {
    "CRITICAL": "critical", "HIGH": "high", "MEDIUM": "medium", "LOW": "low", "UNKNOWN": None, "": None,
}  # fmt: skip
REVISION = "org.opencontainers.image.revision"  # OCI image spec, annotations


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format or version, and where no package was looked at."""
    if not isinstance(data, dict) or "SchemaVersion" not in data:
        report_model.raise_protocol_problem("is no report of Trivy: it has no `SchemaVersion`")
    if data["SchemaVersion"] != 2:
        report_model.raise_protocol_problem(
            f"schema version {report_model.shown(data['SchemaVersion'])} of Trivy is not known, 2 is"
        )
    every = report_model.rows(data, "Results")
    results = [each for each in every if each.get("Class") in ("os-pkgs", "lang-pkgs")]
    packages = [report_model.rows(each, "Packages") for each in results]
    listed = any("Packages" in each for each in results)
    if not results or (listed and not any(packages)):
        report_model.empty("Trivy found no package to look at", "was the image pulled whole, and --scanners vuln on?")
    metadata = report_model.table(data, "Metadata")
    system = report_model.table(metadata, "OS")
    name = report_model.text(system, "Family") + " " + report_model.text(system, "Name")
    return Scan(
        scanner="Trivy",
        subject=_subject(data, metadata),
        created_at=report_model.optional_epoch_seconds(data.get("CreatedAt")),
        scanned=sum(map(len, packages)) if listed else None,
        unscanned=tuple(_without_packages(results, name.strip(), listed)),
        findings=report_model.unique_findings(_findings(every)),
        ignored=sum(len(report_model.rows(each, "ExperimentalModifiedFindings")) for each in every),
        unjudged=(*report_model.unknown(data, _TOP), *_unjudged(every)),
        end_of_life=name.strip() if system.get("EOSL") is True else "",
    )


def _subject(data: dict[str, Any], metadata: dict[str, Any]) -> Subject:
    name = report_model.needed(data, "ArtifactName")
    pinned = report_model.texts(metadata, "RepoDigests")
    digests = [each.rpartition("@")[2] for each in (name, *pinned) if "@" in each]
    labels = report_model.table(report_model.table(report_model.table(metadata, "ImageConfig"), "config"), "Labels")
    revisions = (report_model.text(metadata, "Commit"), report_model.text(labels, REVISION))
    return Subject(
        (name, *report_model.texts(metadata, "RepoTags"), *pinned),
        tuple(filter(None, (*digests, report_model.text(metadata, "ImageID")))),
        tuple(filter(None, revisions)),
    )


def _without_packages(results: list[dict[str, Any]], system: str, listed: bool) -> Iterator[str]:
    """Operating systems of which Trivy saw no package: their database was deleted, or Trivy does not support them."""
    found = [each for each in results if each.get("Class") == "os-pkgs"]
    if system and system != "none" and not found:
        yield f"the packages of {system}"
    for each in found:
        if listed and not each.get("Packages"):
            yield f"the packages of {report_model.text(each, 'Target')}"


_TOP = ("SchemaVersion", "ReportID", "Trivy", "CreatedAt", "ArtifactID", "ArtifactName", "ArtifactType", "Metadata",
        "Results")  # fmt: skip
_KNOWN = ("Target", "Class", "Type", "Packages", "Vulnerabilities", "Secrets", "Misconfigurations", "MisconfSummary",
          "ExperimentalModifiedFindings", "Licenses", "Layer")  # fmt: skip


def _findings(results: list[dict[str, Any]]) -> Iterator[Finding]:
    """Vulnerabilities of packages; secrets, which have to go; failed tests of a configuration, which has to change."""
    for each in results:
        target = report_model.text(each, "Target")
        yield from map(_finding, report_model.rows(each, "Vulnerabilities"))
        for row in report_model.rows(each, "Secrets"):
            name = report_model.needed(row, "RuleID")
            yield Finding(name, target, "", _rated(row), "another image, without the secret")
        for row in report_model.rows(each, "Misconfigurations"):
            if row.get("Status", "FAIL") == "FAIL":
                name = report_model.text(row, "ID") or report_model.needed(row, "AVDID")
                yield Finding(name, target, "", _rated(row), "a change of the configuration")


def _unjudged(results: list[dict[str, Any]]) -> Iterator[str]:
    licences = sum(len(report_model.rows(each, "Licenses")) for each in results)
    if licences:
        yield f"{licences} licences"
    for each in results:
        yield from (f"{key} of {report_model.text(each, 'Target')}" for key in report_model.unknown(each, _KNOWN))


def _rated(row: dict[str, Any]) -> Rating | None:
    rating = report_model.text(row, "Severity")
    return (
        RATINGS[rating]
        if rating in RATINGS
        else report_model.raise_protocol_problem(f"severity {rating!r} of Trivy is not known")
    )


def _finding(row: dict[str, Any]) -> Finding:
    published = report_model.optional_epoch_seconds(row.get("PublishedDate"))
    return Finding(
        report_model.needed(row, "VulnerabilityID"),
        report_model.needed(row, "PkgName"),
        report_model.text(row, "InstalledVersion"),
        _rated(row),
        report_model.text(row, "FixedVersion"),
        published,
        "publication" if published is not None else "",
        tuple(_aliases(row)),
        report_model.text(report_model.table(row, "PkgIdentifier"), "PURL"),
    )


def _aliases(row: dict[str, Any]) -> Iterator[str]:
    yield from report_model.texts(row, "VendorIDs")
