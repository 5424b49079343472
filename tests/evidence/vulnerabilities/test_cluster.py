"""kube-bench and Gatekeeper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.records.vulnerabilities import Benchmark, Policies
from tests.evidence.vulnerabilities.support import gathered, problem

BENCH: dict[str, Any] = {"kind": "kube-bench", "format": "kube-bench", "dated": "file"}
RULES: dict[str, Any] = {"kind": "gatekeeper", "format": "gatekeeper"}
FAIL = {"test_number": "1.2.1", "test_desc": "anonymous", "status": "FAIL", "scored": True}


def test_kube_bench(tmp_path: Path) -> None:
    found = gathered(tmp_path, scanner_reports.nodes(FAIL), **BENCH)
    assert isinstance(found, Benchmark)
    assert (found.benchmark, found.nodes, found.passed) == ("cis-1.8", ("node",), 1)
    assert [(each.id, each.status, each.scored) for each in found.results] == [
        ("4.2.12", "WARN", False), ("1.2.1", "FAIL", True),
    ]  # fmt: skip
    bare = scanner_reports.nodes()["Controls"]  # before 0.6 a bare list
    assert gathered(tmp_path, bare, **BENCH).passed == 1


def changed(**control: Any) -> dict[str, Any]:
    document = scanner_reports.nodes(FAIL)
    document["Controls"][0].update(control)
    return document


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (changed(total_fail=0), "protocol"),
        (changed(total_pass=7), "protocol"),
        (changed(tests=[], total_pass=0, total_fail=0, total_warn=0), "empty"),
        (changed(tests=[{"results": [{**FAIL, "status": "MAYBE"}]}]), "protocol"),
        ({"Controls": []}, "empty"),
        ({"Controls": None}, "empty"),
        ({}, "protocol"),
        (scanner_reports.trivy(), "protocol"),
    ],
)
def test_no_evidence_of_kube_bench(document: Any, kind: str, tmp_path: Path) -> None:
    assert problem(tmp_path, document, **BENCH).kind == kind


def test_kube_bench_has_no_date_of_its_own(tmp_path: Path) -> None:
    assert problem(tmp_path, scanner_reports.nodes(), kind="kube-bench", format="kube-bench").kind == "stale"


VIOLATION = {"kind": "Pod", "namespace": "shop", "name": "web", "message": "no owner"}


def test_constraints(tmp_path: Path) -> None:
    found = gathered(tmp_path, scanner_reports.policies((VIOLATION,)), **RULES)
    assert isinstance(found, Policies)
    (policy,) = found.policies
    assert (policy.name, policy.enforced, policy.violations) == ("K8sRequiredLabels/owner", True, 1)
    assert policy.examples == ("Pod shop/web: no owner",)
    assert gathered(tmp_path, scanner_reports.policies()["items"][0], **RULES).tested == 1  # kubectl get KIND NAME


def constraint(**change: Any) -> dict[str, Any]:
    document = scanner_reports.policies((VIOLATION,))
    for name, value in change.items():
        part = document["items"][0]["spec" if name.endswith(("Action", "Actions")) else "status"]
        part[name] = value
    return document


@pytest.mark.parametrize(
    ("change", "enforced"),
    [
        ({"enforcementAction": "dryrun"}, False),
        ({"enforcementAction": "warn"}, False),
        ({"enforcementAction": None}, True),
        ({"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "warn"}, {"action": "deny"}]}, True),
        ({"enforcementAction": "scoped", "scopedEnforcementActions": [{"action": "warn"}]}, False),
    ],
)
def test_only_what_denies_is_enforced(change: dict[str, Any], enforced: bool, tmp_path: Path) -> None:
    assert gathered(tmp_path, constraint(**change), **RULES).policies[0].enforced is enforced


def test_more_violations_than_are_listed_count(tmp_path: Path) -> None:
    assert gathered(tmp_path, constraint(totalViolations=500), **RULES).policies[0].violations == 500


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (constraint(auditTimestamp=None), "empty"),
        (constraint(totalViolations=None), "empty"),
        (constraint(totalViolations=0), "protocol"),
        (constraint(byPod=[{"errors": [{"message": "rego"}]}]), "protocol"),
        (constraint(auditTimestamp=scanner_reports.ago(days=8)), "stale"),
        ({"apiVersion": "v1", "kind": "List", "items": []}, "empty"),
        ({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod"}]}, "protocol"),
        ({"apiVersion": "v1", "kind": "Pod"}, "protocol"),
        ([], "empty"),
        (None, "empty"),
    ],
)
def test_no_evidence_of_gatekeeper(document: Any, kind: str, tmp_path: Path) -> None:
    content = "null" if document is None else document
    assert problem(tmp_path, content, **RULES).kind == kind


def test_gator(tmp_path: Path) -> None:
    row = {
        "msg": "no owner", "enforcementAction": "deny", "target": "admission.k8s.gatekeeper.sh",
        "constraint": {"kind": "K8sRequiredLabels", "metadata": {"name": "owner"}},
        "violatingObject": {"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}},
    }  # fmt: skip
    found = gathered(tmp_path, {"results": [row, row], "stats": [{}]}, **RULES, dated="file")
    assert [(each.name, each.enforced, each.violations) for each in found.policies] == [
        ("K8sRequiredLabels/owner", True, 2)
    ]
    assert found.policies[0].examples[0] == "Pod shop/web: no owner"
    assert gathered(tmp_path, {"results": None, "stats": [{}, {}]}, **RULES, dated="file").tested == 2
