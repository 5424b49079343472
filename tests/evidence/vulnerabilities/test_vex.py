"""VEX: only not_affected with a justification, about our product and package, suppresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.evidence.vulnerabilities import vex
from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding
from tests.evidence.vulnerabilities.support import ids, problem, report

OURS = scanner_reports.vex()["statements"][0]["products"][0]["@id"]
PACKAGE = "pkg:deb/debian/libdemo@1.2.2"


def is_suppressed(folder: Path, *documents: dict[str, Any], **keys: Any) -> bool:
    """Whether the healthy report's critical finding is suppressed."""
    names = []
    for number, document in enumerate(documents):
        names.append(f"{number}.vex.json")
        (folder / names[-1]).write_text(json.dumps(document))
    told = report(folder, scanner_reports.trivy(), vex=names, **keys)
    suppressed = ids(told) == []
    assert any("suppressed by VEX" in each for each in told.unjudged) is suppressed
    return suppressed


def openvex(product: str = OURS, **change: Any) -> dict[str, Any]:
    document = scanner_reports.vex(product)
    document["statements"][0].update(change)
    return document


@pytest.mark.parametrize(
    ("document", "suppressed"),
    [
        (openvex(), True),
        (openvex(justification=None), False),
        (openvex(justification="we think so"), False),
        (openvex(justification=None, impact_statement="the parser is never built"), True),
        (openvex(status="fixed"), False),
        (openvex(status="affected"), False),
        (openvex(status="under_investigation"), False),
        (openvex(vulnerability={"name": "CVE-2024-99999"}), False),
        (openvex(vulnerability={"@id": "https://nvd.nist.gov/vuln/detail/CVE-2024-10001"}), True),
        (openvex(vulnerability={"name": "GHSA-1", "aliases": ["cve-2024-10001"]}), True),
        (openvex(products=[]), False),
        (openvex(products=[{"@id": OURS}]), True),
        (openvex(products=[{"@id": OURS, "subcomponents": [{"@id": "pkg:deb/debian/other"}]}]), False),
        (openvex(products=[{"@id": PACKAGE}]), True),
        (openvex(products=[{"@id": "pkg:deb/debian/libdemo@9"}]), False),
        (openvex(products=[{"@id": "x", "hashes": {"sha-256": "5" * 64}}]), True),
        (openvex(products=[{"@id": "x", "identifiers": {"purl": OURS}}]), True),
        (openvex("pkg:oci/shop"), True),
        (openvex("pkg:oci/shop?repository_url=registry.demo.test/shop"), True),
        (openvex("pkg:oci/shop?repository_url=elsewhere.test/shop"), False),
        (openvex("pkg:oci/shop?tag=demo-1"), True),
        (openvex("pkg:oci/shop?tag=demo-2"), False),
        (openvex("pkg:oci/other@sha256%3A" + "9" * 64), False),
        (openvex("pkg:oci/shop@sha256%3A" + "9" * 64), False),
        (openvex("pkg:generic/shop"), False),
    ],
)  # fmt: skip
def test_openvex(document: dict[str, Any], suppressed: bool, tmp_path: Path) -> None:
    assert is_suppressed(tmp_path, document) is suppressed


@pytest.mark.parametrize(
    ("theirs", "found", "same"),
    [
        ("pkg:deb/debian/a@1", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", True),
        ("pkg:deb/debian/a@1?distro=debian-12", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", True),
        ("pkg:deb/debian/a@1?distro=debian-11", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", False),
        ("pkg:deb/debian/a@1?arch=arm64", "pkg:deb/debian/a@1?arch=amd64", False),
        ("pkg:deb/debian/a@1?arch=arm64", "pkg:deb/debian/a@1", False),
        ("pkg:maven/g/a@1?type=jar", "pkg:maven/g/a@1?type=jar", True),
        ("pkg:npm/%40scope/a@1", "pkg:npm/@scope/a@1", True),
        ("pkg:pypi/Foo_Bar@1", "pkg:pypi/foo-bar@1", True),
        ("pkg:npm/Foo_Bar@1", "pkg:npm/foo-bar@1", False),
        ("pkg:deb/debian/a@1?vcs_url=x", "pkg:deb/debian/a@1", True),
    ],
)
def test_packages_and_their_qualifiers(theirs: str, found: str, same: bool) -> None:
    """go-vex, PurlMatches: what a document says of one distribution or architecture is not said of another."""
    assert vex._same_package(theirs, Finding("CVE-1", "a", "1", "high", "2", purl=found)) is same


def test_a_product_of_ones_own_name(tmp_path: Path) -> None:
    assert is_suppressed(tmp_path, openvex("pkg:generic/shop"), product="pkg:generic/shop")


@pytest.mark.parametrize(("later", "suppressed"), [("affected", False), ("not_affected", True)])
def test_the_newest_statement_holds(later: str, suppressed: bool, tmp_path: Path) -> None:
    newer = {**openvex(status=later), "timestamp": scanner_reports.ago(days=1)}
    assert is_suppressed(tmp_path, newer, openvex()) is suppressed
    same = {**openvex(status=later), "timestamp": openvex()["timestamp"]}
    assert is_suppressed(tmp_path, same, {**openvex(), "timestamp": same["timestamp"]}) is suppressed
    elsewhere = {**openvex("pkg:oci/other", status="affected"), "timestamp": scanner_reports.ago(days=1)}
    assert is_suppressed(tmp_path, openvex(), elsewhere)


def cyclonedx(ref: str = PACKAGE, about: dict[str, Any] | None = None, **analysis: Any) -> dict[str, Any]:
    said = {"state": "not_affected", "justification": "code_not_reachable", **analysis}
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": about or {}},
        "components": [{"bom-ref": "c1", "purl": PACKAGE}, {"bom-ref": "c2", "purl": "pkg:deb/debian/other@1"}],
        "vulnerabilities": [{"id": "CVE-2024-10001", "analysis": said, "affects": [{"ref": ref}]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "suppressed"),
    [
        (cyclonedx(), True),
        (cyclonedx("c1"), True),
        (cyclonedx("urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#c1"), True),
        (cyclonedx("c2"), False),
        (cyclonedx("unknown"), False),
        (cyclonedx(justification=None), False),
        (cyclonedx(justification="no_reason"), False),
        (cyclonedx(state="false_positive"), False),
        (cyclonedx(state="false_positive", justification=None, detail="matched by name alone"), True),
        (cyclonedx(state="resolved"), False),
        (cyclonedx(about={"bom-ref": "app", "purl": OURS}), True),
        (cyclonedx("app", about={"bom-ref": "app", "purl": OURS}), True),
        (cyclonedx(about={"bom-ref": "app", "purl": "pkg:oci/other@sha256%3A" + "9" * 64}), False),
        (cyclonedx("app", about={"bom-ref": "app"}), False),
    ],
)
def test_cyclonedx(document: dict[str, Any], suppressed: bool, tmp_path: Path) -> None:
    assert is_suppressed(tmp_path, document) is suppressed


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "neither OpenVEX nor CycloneDX"),
        ({**openvex(), "@context": "https://openvex.dev/ns/v9"}, "is not known"),
        ({**cyclonedx(), "specVersion": "0.9"}, "CycloneDX 0.9 is not known"),
        ({**openvex(), "statements": "none"}, "no list"),
    ],
)
def test_a_document_that_cannot_be_read_is_no_evidence(document: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(document))
    found = problem(tmp_path, scanner_reports.trivy(), vex=["v.json"])
    assert "v.json" in found.message
    assert words in found.message
    assert problem(tmp_path, scanner_reports.trivy(), vex=["gone.json"]).kind == "configuration"
