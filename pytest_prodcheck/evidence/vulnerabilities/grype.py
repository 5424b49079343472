"""Grype's JSON (`grype --output json`): https://github.com/anchore/grype, grype/presenter/models."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding, Scan, Subject
from pytest_prodcheck.evidence.vulnerabilities.trivy import REVISION
from pytest_prodcheck.records.vulnerabilities import Rating

RATINGS: dict[str, Rating | None] = {
    "critical": "critical", "high": "high", "medium": "medium", "low": "low", "negligible": "low", "unknown": None,
    "": None,
}  # fmt: skip


_TOP = ("matches", "ignoredMatches", "alertsByPackage", "source", "distro", "descriptor")
_END_OF_LIFE = "distro-eol"  # grype/presenter/models/alert.go; the others say that packages were not looked up


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, a broken database, and where nothing was looked at."""
    descriptor = report_model.table(data, "descriptor")
    if descriptor.get("name") != "grype" or not isinstance(data.get("matches"), list):
        report_model.raise_protocol_problem("is no report of Grype: it has no `matches`, or another `descriptor`")
    database = report_model.table(descriptor, "db")
    status = report_model.table(database, "status") or database  # since database version 6 one level deeper
    if status.get("valid") is False or status.get("error"):
        report_model.raise_protocol_problem(
            f"Grype's vulnerability database was not valid: {report_model.text(status, 'error')}"
        )
    source = report_model.table(data, "source")
    target = source.get("target")
    matches = report_model.rows(data, "matches")
    system = report_model.text(report_model.table(data, "distro"), "name")
    if not matches and not system and not (isinstance(target, dict) and target.get("layers")):
        report_model.empty("Grype does not say that it looked at anything: no match, no distribution, no layer")
    alerts = _alerts(data)
    return Scan(
        scanner=f"Grype {report_model.text(descriptor, 'version')}".strip(),
        subject=_subject(target),
        created_at=report_model.optional_epoch_seconds(descriptor.get("timestamp")),
        database_at=report_model.optional_epoch_seconds(status.get("built")),
        findings=report_model.unique_findings(_finding(each) for each in matches),
        ignored=len(report_model.rows(data, "ignoredMatches")),
        unjudged=report_model.unknown(data, _TOP),
        unscanned=tuple(sorted({f"the packages of {system}" for kind, system in alerts if kind != _END_OF_LIFE})),
        end_of_life=next((system for kind, system in sorted(alerts) if kind == _END_OF_LIFE), ""),
    )


def _alerts(data: dict[str, Any]) -> set[tuple[str, str]]:
    """Kinds of alerts, with the distribution that each is about; Grype repeats them for each package."""
    own = report_model.table(data, "distro")
    found = set()
    for package in report_model.rows(data, "alertsByPackage"):
        for alert in report_model.rows(package, "alerts"):
            system = report_model.table(alert, "metadata") or own
            name = f"{report_model.text(system, 'name')} {report_model.text(system, 'version')}".strip()
            found.add((report_model.needed(alert, "type"), name or "an unknown distribution"))
    return found


def _subject(target: Any) -> Subject:
    if not isinstance(target, dict):
        return Subject((report_model.text({"target": target}, "target"),) if target else ())
    pinned = report_model.texts(target, "repoDigests")
    asked = report_model.text(target, "userInput")
    digests = [each.rpartition("@")[2] for each in (asked, *pinned) if "@" in each]
    revision = report_model.text(report_model.table(target, "labels"), REVISION)
    return Subject(
        tuple(filter(None, (asked, *report_model.texts(target, "tags"), *pinned))),
        tuple(
            filter(None, (*digests, report_model.text(target, "manifestDigest"), report_model.text(target, "imageID")))
        ),
        (revision,) if revision else (),
    )


def _finding(match: dict[str, Any]) -> Finding:
    vulnerability, artifact = report_model.table(match, "vulnerability"), report_model.table(match, "artifact")
    rating = report_model.text(vulnerability, "severity").lower()
    if rating not in RATINGS:
        report_model.raise_protocol_problem(f"severity {rating!r} of Grype is not known")
    fix = report_model.table(vulnerability, "fix")
    versions = report_model.texts(fix, "versions") if fix.get("state") == "fixed" else ()
    dates = [report_model.optional_epoch_seconds(each.get("date")) for each in report_model.rows(fix, "available")]
    since = min((each for each in dates if each is not None), default=None)
    return Finding(
        report_model.needed(vulnerability, "id"),
        report_model.needed(artifact, "name"),
        report_model.text(artifact, "version"),
        RATINGS[rating],
        ", ".join(versions) or ("a version that is not told" if fix.get("state") == "fixed" else ""),
        since,
        "fix" if since is not None else "",
        tuple(report_model.text(each, "id") for each in report_model.rows(match, "relatedVulnerabilities")),
        report_model.text(artifact, "purl"),
    )
