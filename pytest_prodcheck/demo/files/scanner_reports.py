"""The demo's scanner reports, written at its start: their dates count from then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.files.write_file import write_file

IMAGE = "registry.demo.test/shop"
DIGEST = "sha256:" + "5" * 64
BASE = "registry.demo.test/base"
BASE_DIGEST = "sha256:" + "b" * 64
FOLDER = "reports"
TRIVY, PYTHON, CODE = f"{FOLDER}/shop.json", f"{FOLDER}/pip-audit-<revision>.json", f"{FOLDER}/shop.sarif"
GRYPE, VEX = f"{FOLDER}/base.json", f"{FOLDER}/shop.vex.json"
NODES, POLICIES, SCANNER = f"{FOLDER}/kube-bench.json", f"{FOLDER}/constraints.json", "scan-base"

CONFIGURATION = f"""
[environments.demo.vulnerabilities]
image    = {{ format = "trivy", report = "{TRIVY}", image = "{IMAGE}@{DIGEST}", vex = ["{VEX}"], unit = "shop", about = ["deploy"] }}
base     = {{ format = "grype", command = ["./{SCANNER}"], image = "{BASE}@{BASE_DIGEST}", unit = "shop", about = ["running"] }}
python   = {{ format = "pip-audit", report = "{PYTHON.replace("<revision>", "{revision}")}", dated = "file", unscanned = ["demo-shop"], about = ["deploy"] }}
code     = {{ format = "sarif", report = "{CODE}", revision = "{{revision}}", unit = "shop" }}
nodes    = {{ format = "kube-bench", report = "{NODES}", dated = "file" }}
policies = {{ format = "gatekeeper", report = "{POLICIES}", max_age = "1d" }}
"""  # noqa: E501
SCRIPT = f"#!/bin/sh\n# stands for a scanner that is run when its report is asked for\nexec cat {GRYPE}\n"


def ago(**span: float) -> str:
    """A time before now, as scanners write it."""
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def vulnerability(name: str, severity: str, fixed: str, days: float, **more: Any) -> dict[str, Any]:
    """One of Trivy's rows: published so many days ago."""
    return {
        "VulnerabilityID": name, "PkgName": "libdemo", "InstalledVersion": "1.2.2",
        "PkgIdentifier": {"PURL": "pkg:deb/debian/libdemo@1.2.2?distro=debian-12"}, "FixedVersion": fixed,
        "Status": "fixed" if fixed else "affected", "Severity": severity, "PublishedDate": ago(days=days), **more,
    }  # fmt: skip


def trivy(*found: dict[str, Any]) -> dict[str, Any]:
    """Trivy's report about the shop's image; what is always in it is suppressed by the VEX document, or low."""
    rows = [vulnerability("CVE-2024-10001", "CRITICAL", "1.2.3", 90), vulnerability("CVE-2024-10002", "LOW", "", 400)]
    return {
        "SchemaVersion": 2, "CreatedAt": ago(hours=2), "ArtifactName": f"{IMAGE}:demo-1",
        "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "12.7"}, "ImageID": "sha256:" + "1" * 64,
                     "RepoTags": [f"{IMAGE}:demo-1"], "RepoDigests": [f"{IMAGE}@{DIGEST}"]},
        "Results": [{
            "Target": "shop (debian 12.7)", "Class": "os-pkgs", "Type": "debian",
            "Packages": [{"Name": "libdemo", "Version": "1.2.2"}, {"Name": "bash", "Version": "5.2"}],
            "Vulnerabilities": [*rows, *found],
        }],
    }  # fmt: skip


def vex(product: str = f"pkg:oci/shop@{DIGEST.replace(':', '%3A')}?repository_url={IMAGE}") -> dict[str, Any]:
    """An OpenVEX document that takes one critical finding back."""
    return {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://demo.test/vex/1", "author": "team-shop",
        "timestamp": ago(days=3), "version": 1,
        "statements": [{
            "vulnerability": {"name": "CVE-2024-10001"}, "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
            "products": [{"@id": product, "subcomponents": [{"@id": "pkg:deb/debian/libdemo"}]}],
        }],
    }  # fmt: skip


def grype(*found: dict[str, Any]) -> dict[str, Any]:
    """Grype's report about the base image."""
    return {
        "matches": list(found), "distro": {"name": "debian", "version": "12"},
        "source": {"type": "image", "target": {"userInput": f"{BASE}@{BASE_DIGEST}", "imageID": "sha256:" + "2" * 64,
                                               "manifestDigest": BASE_DIGEST, "repoDigests": [], "tags": [],
                                               "layers": [{"digest": "sha256:" + "3" * 64}]}},
        "descriptor": {"name": "grype", "version": "0.98.0", "timestamp": ago(minutes=5),
                       "db": {"status": {"schemaVersion": "v6.0.2", "built": ago(hours=20), "valid": True}}},
    }  # fmt: skip


def match(name: str, severity: str, days: float) -> dict[str, Any]:
    """One of Grype's matches, whose fix is out since so many days."""
    fix = {"versions": ["2.0"], "state": "fixed", "available": [{"version": "2.0", "date": ago(days=days)}]}
    return {
        "vulnerability": {"id": name, "severity": severity, "fix": fix},
        "artifact": {"name": "libbase", "version": "1.0", "purl": "pkg:deb/debian/libbase@1.0"},
    }


def python() -> dict[str, Any]:
    """pip-audit's report: its own package is on no index."""
    return {
        "dependencies": [
            {"name": "requests", "version": "2.32.3", "vulns": []},
            {"name": "demo-shop", "skip_reason": "Dependency not found on PyPI"},
        ],
        "fixes": [],
    }


def code(*results: dict[str, Any], revision: str = "demo-1") -> dict[str, Any]:
    """A SARIF file about the shop's code."""
    rules = [{"id": "py/sql-injection", "properties": {"security-severity": "9.8"}}, {"id": "py/unused-import"}]
    trivial = {"ruleId": "py/unused-import", "level": "note", "message": {"text": "unused"}}
    return {
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "CodeDemo", "rules": rules}}, "results": [trivial, *results],
            "invocations": [{"executionSuccessful": True, "endTimeUtc": ago(hours=3)}],
            "versionControlProvenance": [{"repositoryUri": "https://git.demo.test/shop", "revisionId": revision}],
        }],
    }  # fmt: skip


def nodes(*failed: dict[str, Any]) -> dict[str, Any]:
    """kube-bench's report about one node: one test passes, one is for a person to look at."""
    rows = [
        {"test_number": "4.1.1", "test_desc": "kubelet service file permissions", "status": "PASS", "scored": True},
        {"test_number": "4.2.12", "test_desc": "rotation of certificates", "status": "WARN", "scored": False},
        *failed,
    ]
    totals = {"total_pass": 1, "total_fail": len(failed), "total_warn": 1, "total_info": 0}
    group = {"section": "4", "desc": "Worker nodes", "results": rows}
    control = {"id": "4", "version": "cis-1.8", "node_type": "node", "tests": [group], **totals}
    return {"Controls": [control], "Totals": totals}


def policies(violations: tuple[dict[str, Any], ...] = (), audited: str = "") -> dict[str, Any]:
    """Gatekeeper's constraints, as `kubectl get constraints -o json` lists them."""
    status = {"auditTimestamp": audited or ago(minutes=1), "totalViolations": len(violations),
              "violations": list(violations), "byPod": [{"id": "audit-0", "enforced": True}]}  # fmt: skip
    constraint = {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sRequiredLabels",
        "metadata": {"name": "owner"}, "spec": {"enforcementAction": "deny"}, "status": status,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "List", "items": [constraint]}


def write(folder: Path, revision: str) -> None:
    """Writes all reports of a healthy system, and the program that stands for a scanner."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, document in healthy(revision).items():
        write_file(folder, name, document)
    (folder / SCANNER).chmod(0o700)


def healthy(revision: str) -> dict[str, Any]:
    """File name -> its content."""
    return {
        TRIVY: trivy(), VEX: vex(), GRYPE: grype(), PYTHON.replace("<revision>", revision): python(),
        CODE: code(revision=revision), NODES: nodes(), POLICIES: policies(), SCANNER: SCRIPT,
    }  # fmt: skip
