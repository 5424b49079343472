"""Reports of scanners as they are written, whose findings were looked past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evidence.vulnerabilities.support import report
from tests.evidence.vulnerabilities.test_packages import CODE, sarif
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


def test_a_private_key_in_an_image(tmp_path: Path) -> None:
    """trivy#4100: `trivy image` reports it beside the packages, in a result of its own."""
    key = {"RuleID": "private-key", "Category": "AsymmetricPrivateKey", "Severity": "HIGH", "Title": "t"}
    told = report(tmp_path, trivy(Class="secret", Secrets=[key]))
    assert "private-key" in {each.id for each in told.overdue("high")}
