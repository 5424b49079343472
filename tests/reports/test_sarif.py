"""The SARIF file, against the schema that OASIS publishes and against what GitHub asks for beyond it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Outcome, RunRecord, Severity
from pytest_prodcheck.reports import write
from pytest_prodcheck.reports.sarif import run_document, run_sarif
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import ERRORED, FAILED, RUN, VERDICTS, WAIVED, WARNED

SCHEMA = Path(__file__).parent / "data" / "sarif-schema-2.1.0.json"


@cache
def validator() -> Any:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def valid(text: str) -> dict[str, Any]:
    """The one run of a SARIF text that the schema and GitHub take."""
    document = json.loads(text)
    validator().validate(document)
    (run,) = document["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
        assert not location["physicalLocation"]["artifactLocation"]["uri"].startswith(("/", ".."))
        assert result["level"] in ("error", "warning", "note")
        assert result["partialFingerprints"]["primaryLocationLineHash"]
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert "suppressions" in result  # 3.27.23: on all or on none
    found: dict[str, Any] = run
    return found


def by_check(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["ruleId"]: each for each in run["results"]}


def test_the_schema_refuses_what_is_none() -> None:
    document = json.loads(run_sarif(RUN, []))
    document["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(document)


def test_results_rules_and_counts() -> None:
    run = valid(write("sarif", RUN, VERDICTS.values()))
    found = by_check(run)
    assert {check: each["properties"]["outcome"] for check, each in found.items()} == {
        WARNED.check: "warned", FAILED.check: "failed", ERRORED.check: "errored",
    }  # fmt: skip
    assert {check: each["level"] for check, each in found.items()} == {
        WARNED.check: "warning", FAILED.check: "error", ERRORED.check: "error",
    }  # fmt: skip
    assert run["properties"]["counts"] == {"passed": 3, "warned": 1, "failed": 1, "skipped": 1, "errored": 1}
    rule = next(each for each in run["tool"]["driver"]["rules"] if each["id"] == WARNED.check)
    assert rule["shortDescription"]["text"] == "It answers in time."
    assert "Limit: <= 2 s (warns 500 ms)\n" in rule["help"]["text"]
    assert rule["help"]["markdown"].split("\n\n")[:5] == [
        "It answers in time.", "**Severity:** high", "**Limit:** \\<= 2 s (warns 500 ms)",
        "**How to fix it:** <https://runbooks.shop.example/latency>",
        "Errored means that the check could not be evaluated: no evidence, no go.",
    ]  # fmt: skip
    assert rule["helpUri"] == "https://runbooks.shop.example/latency"
    assert rule["properties"]["security-severity"] == "8.0"
    assert found[FAILED.check]["message"]["text"].startswith("checkout: time to answer of 10.0.0.7: 31 s")
    assert run["automationDetails"]["id"] == "prodcheck/production/checkout/green"


@pytest.mark.parametrize(
    ("severity", "outcome", "level", "score"),
    [
        (Severity.CRITICAL, Outcome.FAILED, "error", "9.5"),
        (Severity.HIGH, Outcome.ERRORED, "error", "8.0"),
        (Severity.HIGH, Outcome.WARNED, "warning", "8.0"),
        (Severity.MEDIUM, Outcome.FAILED, "warning", "5.5"),
        (Severity.LOW, Outcome.ERRORED, "note", "2.0"),
        (Severity.LOW, Outcome.WARNED, "note", "2.0"),
    ],
)
def test_levels(severity: Severity, outcome: Outcome, level: str, score: str) -> None:
    run = valid(run_sarif(replace(RUN, results=(replace(FAILED, severity=severity, outcome=outcome),)), []))
    (result,), (rule,) = run["results"], run["tool"]["driver"]["rules"]
    assert (result["level"], rule["properties"]["security-severity"]) == (level, score)


def test_only_waivers_suppress() -> None:
    found = by_check(valid(run_sarif(RUN, [WAIVED])))
    (suppression,) = found[FAILED.check]["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"].endswith("(waived: new hardware; anna), OPS-12, until 2026-02-14")
    assert found[WARNED.check]["suppressions"] == found[ERRORED.check]["suppressions"] == []
    other = replace(RUN, results=(replace(FAILED, target="cart"),))
    assert by_check(valid(run_sarif(other, [WAIVED])))[FAILED.check]["suppressions"] == []


def test_what_has_no_result_is_told() -> None:
    (invocation,) = valid(run_sarif(RUN, []))["invocations"]
    texts = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
    assert invocation["executionSuccessful"] is False
    assert "expected check smoke.auth.login on shop has no result" in texts
    assert any("worker gw1 died" in text for text in texts)
    whole = replace(RUN, problems=(), interrupted="", planned=())
    assert valid(run_sarif(whole, []))["invocations"][0]["executionSuccessful"] is True


def test_an_alert_is_the_same_while_check_and_target_are() -> None:
    """What GitHub follows it by does not change with the value, the line, the run or the order."""
    first = valid(run_sarif(RUN, []))
    results = tuple(replace(each, reason="another", gathered_at=1.0) for each in reversed(RUN.results))
    later = replace(RUN, id="other", results=results, places={"service:shop": "ops/prodcheck.toml:99"})
    again = valid(run_sarif(later, []))
    prints = {check: each["partialFingerprints"] for check, each in by_check(first).items()}
    assert prints == {check: each["partialFingerprints"] for check, each in by_check(again).items()}
    assert len({each["primaryLocationLineHash"] for each in prints.values()}) == 3
    assert [each["ruleId"] for each in first["results"]] == [each["ruleId"] for each in again["results"]]
    assert run_sarif(RUN, VERDICTS.values()) == run_sarif(RUN, VERDICTS.values())


def test_where_a_target_is_declared() -> None:
    results = (replace(FAILED, kind="service"), replace(ERRORED, kind="postgres"), replace(WARNED, kind=""))
    places = {"service:checkout": "ops/my dir/prodcheck.toml:12", "environment:": "prodcheck.toml:3"}
    found = by_check(valid(run_sarif(replace(RUN, results=results, places=places), [])))
    place = found[FAILED.check]["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "ops/my%20dir/prodcheck.toml"
    assert place["physicalLocation"]["region"] == {"startLine": 12}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "production/checkout/green/service:checkout"
    other = found[ERRORED.check]["locations"][0]["physicalLocation"]
    assert (other["artifactLocation"]["uri"], other["region"]["startLine"]) == ("prodcheck.toml", 3)


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings(text: str) -> None:
    run = replace(filled_with_text(RunRecord, text), places={f"{text}:{text}": f"{text}:7"})
    verdict = filled_with_text(Verdict, text).to_document() | {"schema": "prodcheck-verdict/1", "status": "open"}
    written = run_sarif(replace(run, results=tuple(replace(each, plain=False) for each in run.results)), [verdict])
    document = json.loads(written)
    validator().validate(document)
    assert written.isascii()
    assert not any(ord(character) < 32 for character in written.replace("\n", ""))
    assert len(written) < 250_000
    assert document == run_document(
        replace(run, results=tuple(replace(r, plain=False) for r in run.results)), [verdict]
    )
