"""in-toto statements around a report: they say what it is about and when it was made, for formats that do not.

Statement v0.1 and v1 (https://in-toto.io/Statement/v1) with cosign's predicate for vulnerability scans
(https://cosign.sigstore.dev/attestation/vuln/v1). Its signature is for cosign to verify, before the statement is here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Scan, Subject

STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
PREDICATE = "cosign.sigstore.dev/attestation/vuln/v1"


def unwrapped(data: Any) -> tuple[Any, Subject, float | None]:
    """The report itself, and what a statement around it says of its subject and date."""
    if isinstance(data, dict) and "payload" in data and "payloadType" in data:
        report_model.raise_protocol_problem(
            "is a signed envelope", "verify it by cosign and hand over its payload, base64-decoded"
        )
    if not isinstance(data, dict) or "_type" not in data:
        return data, Subject(), None
    if data["_type"] not in STATEMENTS:
        report_model.raise_protocol_problem(f"statement {report_model.shown(data['_type'])!r} is not known")
    if report_model.text(data, "predicateType").removeprefix("https://") != PREDICATE:
        report_model.raise_protocol_problem(
            f"predicate {report_model.text(data, 'predicateType')!r} is no vulnerability scan"
        )
    predicate = report_model.table(data, "predicate")
    created = report_model.optional_epoch_seconds(report_model.table(predicate, "metadata").get("scanFinishedOn"))
    report = report_model.table(predicate, "scanner").get("result")
    if report is None:
        report_model.empty("the statement holds no `scanner.result`")
    return report, _subject(data), created


def _subject(data: dict[str, Any]) -> Subject:
    names: list[str] = []
    digests: list[str] = []
    revisions: list[str] = []
    for each in report_model.rows(data, "subject"):
        names.append(report_model.text(each, "name"))
        told = report_model.table(each, "digest")
        if sha256 := report_model.text(told, "sha256"):
            digests.append(f"sha256:{sha256}")
        revisions += filter(None, (report_model.text(told, "gitCommit"), report_model.text(told, "sha1")))
    return Subject(tuple(filter(None, names)), tuple(digests), tuple(revisions))


def scan_with_statement(scan: Scan, subject: Subject, created: float | None) -> Scan:
    """The scan with what its statement says; the older date and the report's own subject hold."""
    dates = [each for each in (scan.created_at, created) if each is not None]
    own = scan.subject
    about = own if own.names or own.digests else subject
    merged = Subject(about.names, about.digests, own.revisions or subject.revisions)
    return replace(scan, subject=merged, created_at=min(dates) if dates else None)
