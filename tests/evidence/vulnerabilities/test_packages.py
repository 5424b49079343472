"""Trivy, Grype, pip-audit and SARIF: what counts, and what is no evidence."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.demo.files.scanner_reports import ago, match, vulnerability
from pytest_prodcheck.evidence.vulnerabilities import report_model
from tests.evidence.vulnerabilities.support import ids, problem, report

BASE = {"format": "grype", "image": f"{scanner_reports.BASE}@{scanner_reports.BASE_DIGEST}"}
AUDIT = {"format": "pip-audit", "report": "r-{revision}.json", "dated": "file"}


def critical(**more: Any) -> dict[str, Any]:
    return {**vulnerability("CVE-2025-1", "CRITICAL", "1.3", 40), **more}


def test_a_critical_finding_with_an_old_fix_counts(tmp_path: Path) -> None:
    found = report(tmp_path, scanner_reports.trivy(critical()))
    assert ids(found) == ["CVE-2024-10001", "CVE-2025-1"]
    assert str(found.overdue("critical")[1]) == "CVE-2025-1 in libdemo 1.2.2 (fixed in 1.3)"
    assert (found.scanned, found.counts) == (2, {"critical": 2, "low": 1})
    assert found.subject.startswith(f"{scanner_reports.IMAGE}:demo-1")


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"FixedVersion": ""}, False),
        ({"PublishedDate": ago(days=13)}, False),
        ({"PublishedDate": ago(days=15)}, True),
        ({"PublishedDate": None}, True),  # nothing shows that the fix is new
        ({"PublishedDate": "0001-01-01T00:00:00Z"}, True),  # Go's word for none
        ({"PublishedDate": "soon"}, True),
        ({"Severity": "MEDIUM"}, False),
    ],
)
def test_what_counts(change: dict[str, Any], counts: bool, tmp_path: Path) -> None:
    assert ("CVE-2025-1" in ids(report(tmp_path, scanner_reports.trivy(critical(**change))))) is counts


def test_a_finding_counts_once_and_as_its_worst_row_says(tmp_path: Path) -> None:
    rows = [critical(PublishedDate=ago(days=2)), critical(FixedVersion=""), critical(), critical(Severity="LOW")]
    for order in (rows, rows[::-1]):
        found = report(tmp_path, scanner_reports.trivy(*order))
        assert [each.id for each in found.findings].count("CVE-2025-1") == 1
        assert "CVE-2025-1" in ids(found)
        assert found.counts == {"critical": 2, "low": 1}


def test_the_grace_is_declared(tmp_path: Path) -> None:
    assert "CVE-2025-1" not in ids(report(tmp_path, scanner_reports.trivy(critical()), grace="50d"))


def test_findings_without_a_severity_count_as_declared(tmp_path: Path) -> None:
    document = scanner_reports.trivy(critical(Severity="UNKNOWN"))
    assert ids(report(tmp_path, document), "high") == ["CVE-2025-1"]
    assert "CVE-2025-1" in ids(report(tmp_path, document, unrated="critical"))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"SchemaVersion": 3}, "protocol", "schema version 3"),
        ({"SchemaVersion": "2"}, "protocol", "schema version 2"),
        ({"Results": None}, "empty", "no package"),
        ({"Results": []}, "empty", "no package"),
        ({"Results": [{"Class": "os-pkgs", "Packages": []}]}, "empty", "no package"),
        ({"Results": [{"Class": "secret", "Secrets": []}]}, "empty", "no package"),
        ({"Results": {}}, "protocol", "no list"),
        ({"Results": [3]}, "protocol", "no list"),
        ({"Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"PkgName": "a"}]}]}, "protocol", "`VulnerabilityID`"),
        ({"CreatedAt": ago(days=8)}, "stale", "8.0 days ago, at most 7 are allowed"),
        ({"CreatedAt": ago(days=-1)}, "stale", "in the future"),
        ({"CreatedAt": None}, "stale", "does not say when"),
        ({"CreatedAt": "yesterday"}, "stale", "does not say when"),
        ({"ArtifactName": None}, "protocol", "`ArtifactName`"),
        ({"Metadata": {}}, "foreign", "not about registry.demo.test/shop@sha256:5"),
        ({"Metadata": []}, "protocol", "no object"),
    ],
)
def test_no_evidence_of_trivy(change: dict[str, Any], kind: str, words: str, tmp_path: Path) -> None:
    found = problem(tmp_path, {**scanner_reports.trivy(), **change})
    assert (found.kind, words in found.message) == (kind, True), found
    assert "report.json" in found.message or kind == "foreign"


def test_a_clean_image_whose_packages_are_not_listed_is_evidence(tmp_path: Path) -> None:
    document = scanner_reports.trivy()
    document["Results"] = [{"Target": "alpine", "Class": "os-pkgs", "Type": "alpine"}]
    found = report(tmp_path, document)
    assert (found.scanned, found.findings) == (None, ())


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "empty", "wrote nothing"),
        (b" \n", "empty", "wrote nothing"),
        (json.dumps(scanner_reports.trivy()).encode()[:700], "protocol", "cut off"),
        (json.dumps(scanner_reports.trivy()).encode()[:-1], "protocol", "cut off"),
        (b"<html>not found</html>", "protocol", "not JSON"),
        (b"\xff\xfe\x00", "protocol", "no text"),
        (b"[" * 100_000, "protocol", "nested too deeply"),
        (b'{"SchemaVersion": 2, "SchemaVersion": 2}', "protocol", "twice"),
        (b'{"SchemaVersion": NaN}', "protocol", "NaN"),
        (b"null", "protocol", "no report of Trivy"),
        (b"[]", "protocol", "no report of Trivy"),
        (json.dumps(scanner_reports.grype()).encode(), "protocol", "no report of Trivy"),
    ],
)
def test_no_report_at_all(content: bytes, kind: str, words: str, tmp_path: Path) -> None:
    found = problem(tmp_path, content)
    assert (found.kind, words in found.message) == (kind, True), found


def test_a_report_written_by_powershell(tmp_path: Path) -> None:
    document = json.dumps(scanner_reports.trivy())
    for content in (document.encode("utf-16"), document.encode("utf-8-sig")):
        assert report(tmp_path, content).scanned == 2


def test_a_system_without_updates_is_told(tmp_path: Path) -> None:
    document = scanner_reports.trivy()
    document["Metadata"]["OS"]["EOSL"] = True
    assert report(tmp_path, document).end_of_life == "debian 12.7"


def test_grype_dates_the_fix_itself(tmp_path: Path) -> None:
    document = scanner_reports.grype(
        match("CVE-1", "Critical", 40), match("CVE-2", "Critical", 3), match("GHSA-3", "Negligible", 40)
    )
    found = report(tmp_path, document, **BASE)
    assert ids(found) == ["CVE-1"]
    assert found.findings[0].dated_by == "fix"
    assert found.scanner == "Grype 0.98.0"
    undated = match("CVE-4", "Critical", 3)
    del undated["vulnerability"]["fix"]["available"]
    wont = match("CVE-5", "Critical", 40)
    wont["vulnerability"]["fix"] = {"versions": [], "state": "wont-fix"}
    assert ids(report(tmp_path, scanner_reports.grype(undated, wont), **BASE)) == ["CVE-4"]


@pytest.mark.parametrize(
    ("path", "value", "kind", "words"),
    [
        (("descriptor", "db", "status", "built"), ago(days=20), "stale", "database is from 20.0 days ago"),
        (("descriptor", "db", "status", "valid"), False, "protocol", "database was not valid"),
        (("descriptor", "timestamp"), "", "stale", "does not say when"),
        (("descriptor", "name"), "syft", "protocol", "no report of Grype"),
        (("matches",), None, "protocol", "no report of Grype"),
        (("source", "target"), {"userInput": "registry.demo.test/base:1", "layers": [1]}, "foreign", "not about"),
        (("source", "target"), ".", "foreign", "not about"),
    ],
    ids=["old database", "bad database", "no date", "another tool", "no matches", "another image", "a folder"],
)
def test_no_evidence_of_grype(path: tuple[str, ...], value: Any, kind: str, words: str, tmp_path: Path) -> None:
    document = scanner_reports.grype()
    part: Any = document
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    found = problem(tmp_path, document, **BASE)
    assert (found.kind, words in found.message) == (kind, True), found


def test_grype_that_names_nothing_it_looked_at(tmp_path: Path) -> None:
    document = scanner_reports.grype()
    document["distro"] = {"name": ""}
    document["source"]["target"]["layers"] = []
    assert problem(tmp_path, document, **BASE).kind == "empty"


def audit(folder: Path, *dependencies: dict[str, Any]) -> str:
    (folder / "r-r-1.json").write_text(json.dumps({"dependencies": dependencies, "fixes": []}))
    return "r-{revision}.json"


def test_pip_audit(tmp_path: Path) -> None:
    vulns = [{"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": ["CVE-9"]}, {"id": "PYSEC-2", "fix_versions": []}]
    audit(tmp_path, {"name": "a", "version": "1.0", "vulns": vulns}, {"name": "own", "skip_reason": "no"})
    found = report(tmp_path, None, **AUDIT, unscanned=["own"], revision=None)
    assert (ids(found, "high"), ids(found), found.scanned) == (["PYSEC-1"], [], 1)
    left_out = problem(tmp_path, None, **AUDIT, revision=None)
    assert (left_out.kind, left_out.message) == ("empty", "the scanner left out own")
    undated = {**AUDIT, "dated": "report"}
    assert problem(tmp_path, None, **undated, unscanned=["own"], revision=None).kind == "stale"
    old = time.time() - 9 * 86400
    os.utime(tmp_path / "r-r-1.json", (old, old))
    assert problem(tmp_path, None, **AUDIT, unscanned=["own"], revision=None).kind == "stale"


@pytest.mark.parametrize(
    ("dependencies", "kind"),
    [((), "empty"), (({"name": "a", "skip_reason": "no"},), "empty"), (({"name": "a"},), "protocol")],
)
def test_no_evidence_of_pip_audit(dependencies: tuple[dict[str, Any], ...], kind: str, tmp_path: Path) -> None:
    audit(tmp_path, *dependencies)
    assert problem(tmp_path, None, **AUDIT, unscanned=["a"], revision=None).kind == kind


CODE = {"format": "sarif", "revision": "{revision}"}


def sarif(*results: dict[str, Any], **run: Any) -> dict[str, Any]:
    document = scanner_reports.code(*results, revision="r-1")
    document["runs"][0].update(run)
    return document


def result(**more: Any) -> dict[str, Any]:
    return {"ruleId": "x", "message": {"text": "t"}, **more}


@pytest.mark.parametrize(
    ("found", "rating"),
    [
        (result(ruleId="py/sql-injection"), "critical"),
        (result(ruleId=None, ruleIndex=0), "critical"),
        (result(level="error"), "high"),
        (result(level="note"), ""),
        (result(), ""),  # the default level is warning
        (result(properties={"security-severity": "7.0"}), "high"),
        (result(level="error", kind="pass"), ""),
        (result(level="error", baselineState="absent"), ""),
        (result(level="error", suppressions=[{"kind": "inSource"}]), ""),
        (result(level="error", suppressions=[{"kind": "external", "status": "underReview"}]), "high"),
        (result(level="error", message={"text": "Package: a\nFixed Version: \nLink: x"}), ""),
        (result(level="error", message={"text": "Package: a\nFixed Version: 1.2\nLink: x"}), "high"),
    ],
)
def test_sarif_is_rated_as_code_scanning_does(found: dict[str, Any], rating: str, tmp_path: Path) -> None:
    told = report(tmp_path, sarif(found), **CODE)
    assert [name for name in ("critical", "high") if told.overdue(name)] == ([rating] if rating else [])


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({**sarif(), "version": "2.0.0"}, "protocol"),
        ({**sarif(), "runs": []}, "empty"),
        (sarif(results=None), "empty"),
        (sarif(invocations=[{"executionSuccessful": False}]), "protocol"),
        (sarif(invocations=[]), "stale"),
        (sarif(versionControlProvenance=[{"revisionId": "r-2"}]), "foreign"),
        (sarif(versionControlProvenance=[]), "foreign"),
    ],
)
def test_no_evidence_of_sarif(document: dict[str, Any], kind: str, tmp_path: Path) -> None:
    assert problem(tmp_path, document, **CODE).kind == kind


def test_a_statement_says_what_a_report_does_not(tmp_path: Path) -> None:
    """in-toto with cosign's predicate: pip-audit's report bound to an image and a date."""
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "cosign.sigstore.dev/attestation/vuln/v1",
        "subject": [{"name": "registry.demo.test/shop", "digest": {"sha256": "5" * 64}}],
        "predicate": {"scanner": {"uri": "pip-audit", "result": {"dependencies": [{"name": "a", "vulns": []}]}},
                      "metadata": {"scanFinishedOn": ago(hours=1)}},
    }  # fmt: skip
    keys = {"format": "pip-audit"}
    assert report(tmp_path, statement, **keys).scanned == 1
    assert problem(tmp_path, statement, **keys, max_age="30m").kind == "stale"
    other = json.loads(json.dumps(statement).replace("5" * 64, "6" * 64))
    assert problem(tmp_path, other, **keys).kind == "foreign"
    assert (
        problem(tmp_path, {**statement, "predicateType": "https://slsa.dev/provenance/v1"}, **keys).kind == "protocol"
    )
    assert problem(tmp_path, {**statement, "_type": "https://in-toto.io/Statement/v9"}, **keys).kind == "protocol"
    assert "verify it" in problem(tmp_path, {"payload": "e30=", "payloadType": "x"}, **keys).hint


def test_fifty_megabytes_are_read_within_bounds(tmp_path: Path) -> None:
    """A parser that kept all of it would need some 300 MB beside the text."""
    filler = {"Description": "d" * 1800, "References": [f"https://example.test/{number}" for number in range(20)]}
    rows = [{**vulnerability(f"CVE-2020-{number}", "MEDIUM", "1", 40), **filler} for number in range(1, 100)]
    row = ",".join(json.dumps(each) for each in rows)
    whole = json.dumps(scanner_reports.trivy(critical()))
    at = whole.index('{"VulnerabilityID"')
    content = (whole[:at] + ",".join([row] * (50_000_000 // len(row))) + "," + whole[at:]).encode()
    assert len(content) > 49_000_000
    tracemalloc.start()
    try:
        report_model.decode(content, str)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 110_000_000  # the text itself is decoded once
    began = time.process_time()
    assert ids(report(tmp_path, content)) == ["CVE-2024-10001", "CVE-2025-1"]
    assert time.process_time() - began < 10
    assert problem(tmp_path, content, largest=1_000_000).kind == "too-large"
