"""Reports are read whole: every rule is found where SARIF says, and what is not judged is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.judging.limits import Limit
from suites.overdue import judge_overdue
from tests.evidence.vulnerabilities.support import problem, report
from tests.evidence.vulnerabilities.test_packages import CODE, result, sarif

GUID = "11111111-2222-3333-4444-555555555555"
SEVERE = {"defaultConfiguration": {"level": "error"}}
TOOL = {
    "driver": {"name": "t", "rules": [
        {"id": "calm", "defaultConfiguration": {"level": "note"}},
        {"id": "twice", "defaultConfiguration": {"level": "note"}},
        {"id": "twice", **SEVERE},
        {"id": "CA1000", **SEVERE},
        {"id": "by-guid", "guid": GUID.upper(), **SEVERE},
    ]},
    "extensions": [
        {"name": "pack", "guid": "99999999-2222-3333-4444-555555555555", "rules": [{"id": "far", **SEVERE}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "severe"),
    [
        ({"ruleId": "calm"}, False),
        ({"ruleId": "twice", "ruleIndex": 2}, True),  # ids need not be unique: the index says which (3.49.3)
        ({"ruleId": "twice", "ruleIndex": 1}, False),
        ({"ruleId": "CA1000/1"}, True),  # hierarchical (3.27.5)
        ({"ruleId": "CA1000/1/2"}, True),
        ({"rule": {"guid": GUID}}, True),  # 3.52.3
        ({"rule": {"id": "far", "index": 0, "toolComponent": {"index": 0}}}, True),  # of an extension
        ({"rule": {"index": 0, "toolComponent": {"name": "pack"}}}, True),
        ({"rule": {"index": 0, "toolComponent": {"guid": "99999999-2222-3333-4444-555555555555"}}}, True),
        ({"ruleIndex": 0, "rule": {"toolComponent": {"index": 0}}}, True),
        ({"ruleId": "far"}, True),
        ({"ruleId": "nowhere"}, False),
        ({"level": "error"}, True),  # without a rule (3.27.5: ruleId is optional)
        ({}, False),
    ],
)
def test_the_rule_is_found_where_sarif_says(found: dict[str, Any], severe: bool, tmp_path: Path) -> None:
    one = {"message": {"text": "t"}, **found}
    assert bool(report(tmp_path, sarif(one, tool=TOOL), **CODE).overdue("high")) is severe


@pytest.mark.parametrize(
    ("override", "severe"),
    [
        ({"descriptor": {"id": "calm"}, "configuration": {"level": "error"}}, True),
        ({"descriptor": {"index": 0}, "configuration": {"level": "error"}}, True),
        ({"descriptor": {"id": "twice", "index": 1}, "configuration": {"level": "error"}}, False),
        ({"descriptor": {"id": "calm"}, "configuration": {"enabled": True}}, False),
    ],
)
def test_levels_that_the_user_of_the_tool_has_set(override: dict[str, Any], severe: bool, tmp_path: Path) -> None:
    """3.20.5: ruleConfigurationOverrides of the invocation that made the result."""
    document = sarif(result(ruleId="calm", provenance={"invocationIndex": 0}), tool=TOOL)
    document["runs"][0]["invocations"][0]["ruleConfigurationOverrides"] = [override]
    assert bool(report(tmp_path, document, **CODE).overdue("high")) is severe
    lowered = {"descriptor": {"id": "CA1000"}, "configuration": {"level": "note"}}
    document = sarif(result(ruleId="CA1000"), tool=TOOL)
    document["runs"][0]["invocations"][0]["ruleConfigurationOverrides"] = [lowered]
    assert not report(tmp_path, document, **CODE).overdue("high")


def test_results_without_a_rule_are_told_apart(tmp_path: Path) -> None:
    found = [{"message": {"text": text}, "level": "error"} for text in ("first", "second")]
    told = report(tmp_path, sarif(*found), **CODE)
    assert [each.id for each in told.findings] == ["no rule: first", "no rule: second"]


def test_parts_of_sarif_that_are_not_judged_are_named(tmp_path: Path) -> None:
    document = sarif(result(kind="review"), result(kind="open"), result(kind="review"), result(kind="pass"))
    document["runs"][0]["invocations"][0]["toolExecutionNotifications"] = [
        {"level": "warning", "message": {"text": "a.py was parsed in part"}},
    ]
    told = report(tmp_path, document, **CODE)
    assert told.unjudged == ("1 results of kind open", "2 results of kind review")
    ledger = open_ledger()
    try:
        judge_overdue(told, "critical", Limit(fail=0))
    finally:
        close_ledger()
    assert "2 results of kind review" in ledger.judgements[-1].of


def test_parts_in_other_files_are_missed(tmp_path: Path) -> None:
    """3.14.2: what lies in external property files is not here, so nothing can be told."""
    document = sarif(externalPropertyFileReferences={"driver": {"location": {"uri": "rules.json"}}})
    assert "driver lie elsewhere" in problem(tmp_path, document, **CODE).message
    document = {**sarif(), "inlineExternalProperties": [{"runGuid": "x", "results": []}]}
    assert "results lie elsewhere (inlineExternalProperties)" in problem(tmp_path, document, **CODE).message


def trivy(**more: Any) -> dict[str, Any]:
    document = scanner_reports.trivy()
    document["Results"].append({"Target": "/app/.env", **more})
    return document


@pytest.mark.parametrize(
    ("part", "due"),
    [
        ({"Class": "secret", "Secrets": [{"RuleID": "aws-access-key-id", "Severity": "CRITICAL", "Title": "t"}]},
         ["aws-access-key-id"]),
        ({"Class": "secret", "Secrets": [{"RuleID": "jwt-token", "Severity": "MEDIUM", "Title": "t"}]}, []),
        ({"Class": "config", "Misconfigurations": [
            {"ID": "DS002", "Severity": "CRITICAL", "Status": "FAIL"},
            {"ID": "DS1", "Severity": "CRITICAL", "Status": "PASS"},
        ]}, ["DS002"]),
        ({"Class": "license", "Licenses": [{"Name": "AGPL-3.0", "Severity": "CRITICAL"}]}, []),
    ],
)  # fmt: skip
def test_trivy_finds_more_than_packages(part: dict[str, Any], due: list[str], tmp_path: Path) -> None:
    """`trivy image` looks for secrets unless told otherwise; a private key in an image is no less than a CVE."""
    before = {each.id for each in report(tmp_path, scanner_reports.trivy()).overdue("critical")}
    told = report(tmp_path, trivy(**part))
    assert [each.id for each in told.overdue("critical") if each.id not in before] == due
    assert told.unjudged == (("1 licences",) if "Licenses" in part else ())


def test_a_part_that_nobody_knows_is_named(tmp_path: Path) -> None:
    told = report(tmp_path, trivy(Class="custom", CustomResources=[{"Type": "x"}]))
    assert told.unjudged == ("`CustomResources` of /app/.env",)
