"""Reports of scanners as they are written, whose findings were looked past."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.vex import statements, suppressions
from tests.evidence.vulnerabilities.support import problem, report
from tests.evidence.vulnerabilities.test_packages import CODE, sarif
from tests.evidence.vulnerabilities.test_vex import cyclonedx, is_suppressed, openvex
from tests.evidence.vulnerabilities.test_whole_reports import trivy

SEVERE = {"properties": {"security-severity": "9.8"}}
MILD = {"properties": {"security-severity": "2.0"}}


def tool(driver: list[dict[str, Any]], *extensions: dict[str, Any]) -> dict[str, Any]:
    return {"driver": {"name": "t", "rules": driver}, "extensions": list(extensions)}


@pytest.mark.parametrize(
    ("made_by", "found", "critical"),
    [
        # sarif-vscode-extension#392: CodeQL puts its rules below extensions, by index alone
        (tool([], {"name": "codeql/python-queries", "rules": [{"id": "py/x", **SEVERE}]}),
         {"ruleId": "py/x", "rule": {"id": "py/x", "index": 0, "toolComponent": {"index": 0}}}, True),
        # monokle-core#428, PSRule#949: the extension is named, not numbered
        (tool([{"id": "other", **MILD}], {"name": "open-policy-agent", "rules": [{"id": "KSV001", **SEVERE}]}),
         {"ruleId": "KSV001", "rule": {"id": "KSV001", "index": 0, "toolComponent": {"name": "open-policy-agent"}}},
         True),
        # dalfox#1262: every result says ruleIndex 0, whatever its rule: the metadata of another rule are none of its
        (tool([{"id": "cwe-79", **MILD}]), {"ruleId": "cwe-1104", "ruleIndex": 0, "level": "error"}, False),
        (tool([{"id": "cwe-79", **SEVERE}]), {"ruleId": "cwe-1104", "ruleIndex": 0, "level": "note"}, False),
    ],
)  # fmt: skip
def test_rules_of_sarif(made_by: dict[str, Any], found: dict[str, Any], critical: bool, tmp_path: Path) -> None:
    told = report(tmp_path, sarif({"message": {"text": "t"}, **found}, tool=made_by), **CODE)
    assert bool(told.overdue("critical")) is critical
    assert bool(told.overdue("high")) is (found.get("level") == "error" and not critical)


@pytest.mark.parametrize(("fix", "counts"), [("1.2.3", True), ("", False), (None, True)])
def test_a_fix_that_stands_in_the_help_of_the_rule(fix: str | None, counts: bool, tmp_path: Path) -> None:
    """scan-action#115, synapse-ce#56: Grype's rules name the fix, its results do not; without one none counts."""
    text = "Vulnerability CVE-1\nSeverity: critical\nPackage: libc6\nVersion: 2.36\n"
    told = text + (f"Fix Version: {fix}\n" if fix is not None else "") + "Type: deb\nLocation: /var/lib/dpkg/status"
    rule = {"id": "CVE-1-libc6", "help": {"text": told, "markdown": "**x**"}, **SEVERE}
    found = {"ruleId": "CVE-1-libc6", "message": {"text": "A critical vulnerability in deb package: libc6"}}
    assert bool(report(tmp_path, sarif(found, tool=tool([rule])), **CODE).overdue("critical")) is counts


def test_a_private_key_in_an_image(tmp_path: Path) -> None:
    """trivy#4100: `trivy image` reports it beside the packages, in a result of its own."""
    key = {"RuleID": "private-key", "Category": "AsymmetricPrivateKey", "Severity": "HIGH", "Title": "t"}
    told = report(tmp_path, trivy(Class="secret", Secrets=[key]))
    assert "private-key" in {each.id for each in told.overdue("high")}


def physical_location(uri: str = "", index: int = -1) -> dict[str, Any]:
    artifact: dict[str, Any] = ({"uri": uri} if uri else {}) | ({"index": index} if index >= 0 else {})
    return {"locations": [{"physicalLocation": {"artifactLocation": artifact}}]}


def test_places_that_are_told_by_their_index(tmp_path: Path) -> None:
    """sarif-tools#6: Visual Studio names files by their index alone; they were one finding of "the whole"."""
    files = [{"location": {"uri": "a.cpp"}}, {"location": {"uri": "b.cpp"}}]
    found = [
        {"ruleId": "C6385", "level": "error", "message": {"text": "t"}, **physical_location(index=each)}
        for each in (0, 1, 7)
    ]
    told = report(tmp_path, sarif(*found, artifacts=files), **CODE)
    assert [each.package for each in told.overdue("high")] == ["a.cpp", "b.cpp", "the whole"]


QUIET = {"ruleId": "aws-cloudwatch-log-group-customer-key", "message": {"text": "t"}, **physical_location("main.tf")}


@pytest.mark.parametrize(("rules", "found", "ratings"), [
    # skills#262: CodeQL leaves the level to the rule
    ([{"id": "py/sql", "defaultConfiguration": {"level": "error"}}], {"ruleId": "py/sql", "ruleIndex": 0}, {"high": 1}),
    # security-alert#50: tfsec's rules have no defaultConfiguration; gitleaks#1858, #1299: no level, no rules
    ([{"id": QUIET["ruleId"], "shortDescription": {"text": "t"}}], QUIET, {"medium": 1}),
    ([], {"ruleId": "generic-api-key", **physical_location("app.py")}, {"medium": 1}),
    # codeql-action#1230: what `nosemgrep` stands beside is in the file, suppressed
    ([], {"ruleId": "r", "level": "error", "suppressions": [{"kind": "inSource"}]}, {}),
])  # fmt: skip
def test_levels_that_are_left_out(
    rules: list[dict[str, Any]], found: dict[str, Any], ratings: dict[str, int], tmp_path: Path
) -> None:
    """Absent is "warning" (SARIF 2.1.0, 3.27.10, 3.50.2); what is no part of the judgement is named."""
    told = report(tmp_path, sarif({"message": {"text": "t"}, **found}, tool=tool(rules)), **CODE)
    assert told.counts == {**ratings, "low": 1}
    assert bool(told.unjudged) is ("suppressions" in found)


def test_results_that_are_not_there(tmp_path: Path) -> None:
    """codeql-action#420: without `results` it did not get as far as looking (3.14.23), with an empty list it did."""
    assert problem(tmp_path, sarif(results=None), **CODE).kind == "empty"
    assert report(tmp_path, sarif(results=[]), **CODE).overdue("critical") == ()


PACKAGE = "pkg:deb/debian/libdemo@1.2.2"
NESTED = {"components": [{"bom-ref": "image", "components": [{"bom-ref": "deep", "purl": PACKAGE}]}]}
TWICE = {"components": [{"bom-ref": "a", "components": [{"bom-ref": "x-in-a", "purl": PACKAGE}]},
                        {"bom-ref": "b", "components": [{"bom-ref": "x-in-b", "purl": PACKAGE}]}]}  # fmt: skip


def affecting(*affects: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = {**cyclonedx(), **more}
    document["vulnerabilities"][0]["affects"] = list(affects)
    return document


@pytest.mark.parametrize(("document", "suppressed"), [
    # cyclonedx-editor-validator#155: a component within another
    (affecting({"ref": "deep"}, **NESTED), True),
    (affecting({"ref": "image"}, **NESTED), False),
    # openvex/spec#23: the same package in two programs, of which one never calls it
    (affecting({"ref": "x-in-a"}, **TWICE), False),
    (affecting({"ref": "x-in-a"}, {"ref": "x-in-b"}, **TWICE), True),
    # bom-examples#41, grype#3519: versions, which a statement was not about
    (affecting({"ref": "c1", "versions": [{"version": "1.2.2", "status": "unaffected"}]}), True),
    (affecting({"ref": "c1", "versions": [{"version": "9", "status": "unaffected"}]}), False),
    (affecting({"ref": "c1", "versions": [{"version": "1.2.2", "status": "affected"},
                                          {"range": "vers:deb/>=1.3", "status": "unaffected"}]}), False),
    (affecting({"ref": "c1", "versions": [{"version": "1.2.2"}]}), False),
    # grype#3394: a statement about one package, and the same vulnerability in another
    (affecting({"ref": "c2"}), False),
])  # fmt: skip
def test_whom_cyclonedx_speaks_of(document: dict[str, Any], suppressed: bool, tmp_path: Path) -> None:
    assert is_suppressed(tmp_path, document) is suppressed


def test_versions_of_the_product_itself(tmp_path: Path) -> None:
    """bom-examples, CISA's case 7: one statement for the versions that are affected, one for the others."""
    about = {"bom-ref": "app", "purl": "pkg:oci/shop"}
    bad, good = (affecting({"ref": "app", "versions": [{"version": each, "status": status}]}, metadata={"component":
                 about}) for each, status in (("demo-0", "affected"), ("demo-1", "unaffected")))  # fmt: skip
    bad["vulnerabilities"][0]["analysis"] = {"state": "exploitable"}
    assert is_suppressed(tmp_path, bad, good)
    bad["vulnerabilities"][0]["affects"][0]["versions"][0]["version"] = "demo-1"
    assert not is_suppressed(tmp_path, bad, good)
    bad["vulnerabilities"][0]["affects"][0]["versions"] = [{"range": "vers:generic/>=0", "status": "affected"}]
    assert not is_suppressed(tmp_path, bad, good)


@pytest.mark.parametrize("ref", [
    "pkg:deb/ubuntu/libstdc%2B%2B6@12?arch=amd64", "pkg:deb/ubuntu/libstdc++6@12?arch=amd64",
    "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb/ubuntu/libstdc%2B%2B6@12?arch=amd64",
    "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg%3Adeb%2Fubuntu%2Flibstdc%252B%252B6%4012%3Farch%3Damd64",
])  # fmt: skip
@pytest.mark.parametrize("listed", [False, True])
def test_references_that_are_percent_encoded(ref: str, listed: bool) -> None:
    """trivy#6023: a plus in a package's name, in a purl, a bom-ref and the fragment of a BOM-Link."""
    document = affecting({"ref": ref})
    document["components"] = [{"bom-ref": ref.partition("#")[2] or ref, "purl": ref}] if listed else []
    finding = report_model.Finding("CVE-2024-10001", "libstdc++6", "12", "high", "13",
                                   purl="pkg:deb/ubuntu/libstdc%2B%2B6@12?arch=amd64&distro=ubuntu-24.04")  # fmt: skip
    if listed and ref.startswith("urn:"):
        document["components"][0]["purl"] = finding.purl
    assert suppressions([finding], statements(document), report_model.Subject(), None, None)


def test_a_newer_statement_about_a_part_of_a_product(tmp_path: Path) -> None:
    """scout-cli#199: under investigation first, not affected later, both with the package as a part of the product."""
    parts = [{"@id": openvex()["statements"][0]["products"][0]["@id"], "subcomponents": [{"@id": PACKAGE}]}]
    first, later = openvex(status="under_investigation", products=parts), openvex(products=parts)
    first["timestamp"], later["timestamp"] = scanner_reports.ago(days=2), scanner_reports.ago(days=1)
    assert is_suppressed(tmp_path, later, first)
    first["timestamp"] = scanner_reports.ago(hours=1)
    assert not is_suppressed(tmp_path, later, first)


def os_packages(**more: Any) -> dict[str, Any]:
    return {"Target": "shop:1 (debian 12.5)", "Class": "os-pkgs", "Type": "debian", **more}


@pytest.mark.parametrize(("system", "results", "left_out"), [
    # trivy#647: its warning "No OS package is detected" is in no report, but the packages are missing
    ("debian", [os_packages()], "the packages of shop:1 (debian 12.5)"),
    # trivy#600, #24: an operating system that it does not support is left out, and it ends well
    ("tinycore", [], "the packages of tinycore 12.5"),
    ("debian", [os_packages(Packages=[{"Name": "tar", "Version": "1.34"}])], ""),
    ("", [], ""),  # a binary alone
])  # fmt: skip
def test_packages_that_trivy_did_not_see(
    system: str, results: list[dict[str, Any]], left_out: str, tmp_path: Path
) -> None:
    document = trivy()
    document["Metadata"] = {**document["Metadata"], "OS": {"Family": system, "Name": "12.5"} if system else {}}
    language = {"Target": "app", "Class": "lang-pkgs", "Packages": [{"Name": "x", "Version": "1"}]}
    document["Results"] = [*results, language]
    if not left_out:
        assert report(tmp_path, document).overdue("high") == ()
        return
    assert left_out in problem(tmp_path, document).message
    assert report(tmp_path, document, unscanned=[left_out]).overdue("high") == ()


def test_what_grype_says_of_the_distribution(tmp_path: Path) -> None:
    """anchore/grype#3171, #918: packages that nobody fixes any more, or that it does not look up; no match tells."""

    def alerting(kind: str) -> dict[str, Any]:
        alert = {"type": kind, "message": "m", "metadata": {"name": "ubuntu", "version": "14.04"}}
        return {**scanner_reports.grype(), "alertsByPackage": [{"package": {"name": "libc6"}, "alerts": [alert]}]}

    base = {"format": "grype", "image": f"{scanner_reports.BASE}@{scanner_reports.BASE_DIGEST}"}
    assert report(tmp_path, scanner_reports.grype(), **base).end_of_life == ""
    assert report(tmp_path, alerting("distro-eol"), **base).end_of_life == "ubuntu 14.04"
    for kind in ("distro-unknown", "distro-disabled"):
        assert "the packages of ubuntu 14.04" in problem(tmp_path, alerting(kind), **base).message
        assert report(tmp_path, alerting(kind), unscanned=["the packages of ubuntu 14.04"], **base).end_of_life == ""


def test_a_run_that_tells_its_beginning_alone(tmp_path: Path) -> None:
    """microsoft/sarif-sdk#1667, #1713: both times are optional; what began then is no younger."""
    document = sarif()
    invocation = document["runs"][0]["invocations"][0]
    del invocation["endTimeUtc"]
    invocation["startTimeUtc"] = scanner_reports.ago(days=3)
    assert round((time.time() - report(tmp_path, document, **CODE).created_at) / 86400) == 3
    invocation["startTimeUtc"] = scanner_reports.ago(days=30)
    assert problem(tmp_path, document, **CODE).kind == "stale"


@pytest.mark.parametrize("key", ["toolExecutionNotifications", "toolConfigurationNotifications"])
def test_results_that_the_tool_says_are_incomplete(key: str, tmp_path: Path) -> None:
    """oasis-tcs/sarif-spec#398, SARIF 2.1.0, appendix I: a notification of the level "error"."""
    document = sarif()
    document["runs"][0]["invocations"][0][key] = [{"level": "error", "message": {"text": "out of memory"}}]
    assert "incomplete" in problem(tmp_path, document, **CODE).message


@pytest.mark.parametrize(("properties", "level", "rating"), [
    # trivy#1503: no score, the level "error" for both, and the severity as a tag
    ({"tags": ["vulnerability", "CRITICAL"]}, "error", "critical"),
    ({"tags": ["vulnerability", "security", "HIGH"]}, "error", "high"),
    # what Trivy and Grype do not rate has the score 0, which is none for GitHub: it counts as declared by `unrated`
    ({"tags": ["vulnerability", "security", "UNKNOWN"], "security-severity": "0.0"}, "note", "high"),
    ({"security-severity": "0.0"}, "note", "high"),
    ({"tags": ["vulnerability", "security", "LOW"], "security-severity": "2.0"}, "note", "low"),
])  # fmt: skip
def test_severities_of_sarif_without_a_score(
    properties: dict[str, Any], level: str, rating: str, tmp_path: Path
) -> None:
    found = {"ruleId": "CVE-1", "level": level, "message": {"text": "Package: a\nFixed Version: 2"}}
    told = report(tmp_path, sarif(found, tool=tool([{"id": "CVE-1", "properties": properties}])), **CODE)
    others = {"low": 1}  # of the demo
    assert dict(told.counts) == {**others, rating: 1 + others.get(rating, 0)}
