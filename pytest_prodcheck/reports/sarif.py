"""SARIF 2.1.0 (OASIS) for code-scanning pages: what failed, warned or could not be told, with help and suppressions.

Passed and skipped checks are counted, not listed: GitHub shows whatever is listed as an alert.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pytest_prodcheck import runbooks
from pytest_prodcheck.outcomes import NO_TARGET, Outcome, Result, RunRecord, Severity, counts
from pytest_prodcheck.reports.escaping import plain_markdown, safe, safe_json, safe_lines
from pytest_prodcheck.reports.measurement_text import decisive, limit_text, measured_text
from pytest_prodcheck.reports.source_locations import LONGEST, source_line
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, View, moment, status_of, views

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
SHOWN = (Outcome.FAILED, Outcome.ERRORED, Outcome.WARNED)
LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
# GitHub, "SARIF support for code scanning": over 9.0 is critical, 7.0 to 8.9 high, 4.0 to 6.9 medium, below low
SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}
ROOT = "%SRCROOT%"
ERRORED = "Errored means that the check could not be evaluated: no evidence, no go."


def run_sarif(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The run as SARIF text, ASCII only, the same for the same run; ends with a line break."""
    document = run_document(run, verdicts)
    return safe_json(json.dumps(document, indent=1, allow_nan=False)) + "\n"


def run_document(run: RunRecord, verdicts: Iterable[AnyVerdict]) -> dict[str, Any]:
    """The run as a SARIF log of one run."""
    told = views(verdicts)
    judged = sorted(run.results, key=lambda each: (each.check, each.target))
    rules = {each.check: each for each in reversed(judged) if not each.plain or each.outcome in SHOWN}
    places = {check: number for number, check in enumerate(sorted(rules))}
    waivers = {(each.raw("check"), each.raw("target")): each for verdict in told for each in verdict.views("waived")}
    driver = {
        "name": "prodcheck",
        "version": safe(run.version or "0"),
        "rules": [_rule(rules[check]) for check in sorted(rules)],
    }
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {
                    "id": "/".join(map(_segment, ("prodcheck", run.environment, run.unit, run.slot)))
                },
                "invocations": [_invocation(run)],
                "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the repository"}}},
                "columnKind": "utf16CodeUnits",
                "results": [_result(each, run, places, waivers) for each in judged if each.outcome in SHOWN],
                "properties": _run_properties(run, told),
            }
        ],
    }


def _rule(result: Result) -> dict[str, Any]:
    title, limit = safe(result.title or result.check), limit_text(decisive(result), unicode=False)
    told = {"Severity": str(result.severity), "Limit": limit, "How to fix it": safe(result.runbook)}
    about = [(name, text) for name, text in told.items() if text]
    rule: dict[str, Any] = {
        "id": safe(result.check),
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "help": {
            "text": "\n".join([title, *(f"{name}: {text}" for name, text in about), ERRORED]),
            # GitHub shows this one where it is there
            "markdown": "\n\n".join(
                [
                    plain_markdown(title), *(f"**{name}:** {plain_markdown(text)}" for name, text in about), ERRORED,
                    *_runbook(result),
                ]
            ),
        },
        "defaultConfiguration": {"level": LEVELS[result.severity]},
        "properties": {
            "security-severity": SCORES[result.severity],
            "tags": sorted({safe(result.suite or "test"), *(["security"] if _is_security(result) else [])}),
        },
    }
    if result.runbook.startswith("https://"):
        rule["helpUri"] = quote(safe(result.runbook), safe="/:?#@!$&()*+,;=%~-._")
    return rule


def _runbook(result: Result) -> Iterator[str]:
    """The bundled runbook of its check, whose headings go below the title that the page shows."""
    if not result.plain and (name := runbooks.find(result.check)) is not None:
        yield runbooks.read(name).partition("\n")[2].strip()


def _is_security(result: Result) -> bool:
    return result.suite == "security" or ".vulnerabilities." in result.check


def _result(
    result: Result, run: RunRecord, places: Mapping[str, int], waivers: Mapping[tuple[str, str], View]
) -> dict[str, Any]:
    identity = f"{result.check}\0{result.target}"
    fingerprint = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
    level = LEVELS[result.severity]
    if result.outcome is Outcome.WARNED and level == "error":
        level = "warning"
    said = "; ".join(safe_lines(result.reason)) or str(result.outcome)
    told = {
        "outcome": str(result.outcome), "severity": str(result.severity), "suite": safe(result.suite),
        "target": safe(result.target), "owner": safe(result.owner), "measured": measured_text(result),
        "limit": limit_text(decisive(result), unicode=False), "evidence": [safe(each) for each in result.evidence],
        "gatheredAt": moment(result.gathered_at),
    }  # fmt: skip
    waiver = waivers.get(result.identity)
    return {
        "ruleId": safe(result.check),
        "ruleIndex": places[result.check],
        "kind": "fail",
        "level": level,
        "message": {"text": f"{safe(result.target)}: {said}" if result.target != NO_TARGET else said},
        "locations": [_location(result, run)],
        # GitHub follows alerts by the first of these; upload-sarif leaves one that is there as it is
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint[:16]}:1", "prodcheck/v1": fingerprint},
        "suppressions": [] if waiver is None else [_suppression(waiver)],
        "properties": {name: value for name, value in told.items() if value},
    }


def _location(result: Result, run: RunRecord) -> dict[str, Any]:
    """The target's line in prodcheck.toml: GitHub takes no result without a file."""
    kind = result.kind or "environment"
    file, start = source_line(result, run)
    name = "/".join(filter(None, (run.environment, run.unit, run.slot, f"{kind}:{result.target}")))
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(file, errors="replace"), "uriBaseId": ROOT},
            "region": {"startLine": start},
        },
        "logicalLocations": [{"name": safe(result.target), "fullyQualifiedName": safe(name), "kind": safe(kind)}],
    }


def _suppression(waiver: View) -> dict[str, Any]:
    parts = (waiver.text("text"), waiver.text("ticket"), f"until {waiver.text('expires')}")
    return {"kind": "external", "status": "accepted", "justification": ", ".join(filter(None, parts))}


def _invocation(run: RunRecord) -> dict[str, Any]:
    """How the run went; what should have been judged and was not is told here, for it has no result."""
    seen = {each.identity for each in run.results}
    missing = sorted((each.check, each.target) for each in run.planned if (each.check, each.target) not in seen)
    texts = [*run.problems, *([f"the run ended early: {run.interrupted}"] if run.interrupted else [])]
    texts += [f"expected check {check} on {target} has no result" for check, target in missing]
    invocation: dict[str, Any] = {"executionSuccessful": not texts}
    for name, seconds in (("startTimeUtc", run.started_at), ("endTimeUtc", run.ended_at)):
        if time := _utc(seconds):
            invocation[name] = time
    if texts:
        told = [{"level": "error", "message": {"text": safe(text)}} for text in texts]
        invocation["toolExecutionNotifications"] = told
    return invocation


def _run_properties(run: RunRecord, verdicts: Iterable[View]) -> dict[str, Any]:
    gates = [{"gate": each.text("gate"), "answer": status_of(each) or "invalid"} for each in verdicts]
    named = {
        "environment": safe(run.environment), "unit": safe(run.unit), "slot": safe(run.slot),
        "revision": safe(run.revision), "run": safe(run.id), "replayOf": safe(run.replay_of),
        "counts": {str(outcome): number for outcome, number in counts(run.results).items()}, "gates": gates,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value}


def _segment(name: str) -> str:
    """One part of the id by which GitHub tells uploads of one tool apart; the last part is left empty by convention."""
    return quote(name[:LONGEST], safe="", errors="replace")


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds > 0 else ""
    except (OverflowError, ValueError, OSError):
        return ""
