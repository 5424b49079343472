"""Gatekeeper: constraints with their audit's status, or the JSON of `gator test`.

https://open-policy-agent.github.io/gatekeeper/website/docs/audit and …/docs/gator.
"""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Scan
from pytest_prodcheck.records.vulnerabilities import Policy

_GROUP = "constraints.gatekeeper.sh/"
_MOST_EXAMPLES = 5


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, constraints that no audit looked at, and none at all."""
    if isinstance(data, dict) and isinstance(data.get("items"), list):
        return _audited(report_model.rows(data, "items"))
    if isinstance(data, dict) and str(data.get("apiVersion", "")).startswith(_GROUP):
        return _audited([data])
    if isinstance(data, dict) and "results" in data and "stats" in data:
        return _tested(report_model.rows(data, "results"), len(report_model.rows(data, "stats")))
    if data is None or isinstance(data, list):
        return _tested(report_model.rows({"results": data}, "results"), 0)
    report_model.raise_protocol_problem("is neither a list of Gatekeeper's constraints nor the JSON of `gator test`")


def _audited(constraints: list[dict[str, Any]]) -> Scan:
    if any(not str(each.get("apiVersion", "")).startswith(_GROUP) for each in constraints):
        report_model.raise_protocol_problem(
            "holds objects that are no constraints of Gatekeeper", "kubectl get constraints -o json"
        )
    if not constraints:
        report_model.empty("there is no constraint: nothing is asked of any object")
    dates, policies = [], []
    for each in constraints:
        name = _name(each)
        status = report_model.table(each, "status")
        audited, total = (
            report_model.optional_epoch_seconds(status.get("auditTimestamp")),
            status.get("totalViolations"),
        )
        if audited is None or not isinstance(total, int) or isinstance(total, bool):
            report_model.empty(f"no audit has looked at {name}", "is Gatekeeper's audit running?")
        errors = [error for pod in report_model.rows(status, "byPod") for error in report_model.rows(pod, "errors")]
        if errors:
            report_model.raise_protocol_problem(
                f"Gatekeeper cannot enforce {name}: {report_model.text(errors[0], 'message')}"
            )
        rows = report_model.rows(status, "violations")
        if len(rows) > total:
            report_model.raise_protocol_problem(f"{name} lists more violations than its total: edited")
        dates.append(audited)
        examples = tuple(_violation_text(row, report_model.text(row, "message")) for row in rows[:_MOST_EXAMPLES])
        policies.append(Policy(name, _denies(report_model.table(each, "spec")), total, examples))
    return Scan("Gatekeeper", created_at=min(dates), policies=tuple(policies), scanned=len(policies))


def _tested(results: list[dict[str, Any]], stats: int) -> Scan:
    if not results and not stats:
        hint = "run `gator test --output=json --stats`: its statistics show what was tested"
        report_model.empty("gator found no violation, and does not say that it tested anything", hint)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in results:
        found.setdefault(_name(report_model.table(each, "constraint")), []).append(each)
    policies = []
    for name, rows in sorted(found.items()):
        examples = tuple(
            _violation_text(_identity(report_model.table(row, "violatingObject")), report_model.text(row, "msg"))
            for row in rows[:_MOST_EXAMPLES]
        )
        denies = any(_action(row.get("enforcementAction"), row.get("scopedEnforcementActions")) for row in rows)
        policies.append(Policy(name, denies, len(rows), examples))
    return Scan("gator", policies=tuple(policies), scanned=max(stats, len(policies)))


def _name(constraint: dict[str, Any]) -> str:
    metadata = report_model.table(constraint, "metadata")
    return f"{report_model.needed(constraint, 'kind')}/{report_model.needed(metadata, 'name')}"


def _denies(spec: dict[str, Any]) -> bool:
    scoped = [each.get("action") for each in report_model.rows(spec, "scopedEnforcementActions")]
    return _action(spec.get("enforcementAction"), scoped)


def _action(action: object, scoped: object) -> bool:
    """Whether it denies; where nothing is said Gatekeeper does."""
    if action == "scoped":
        return isinstance(scoped, list) and "deny" in scoped
    return action in (None, "", "deny")


def _identity(found: dict[str, Any]) -> dict[str, Any]:
    metadata = report_model.table(found, "metadata")
    return {"kind": found.get("kind"), "namespace": metadata.get("namespace"), "name": metadata.get("name")}


def _violation_text(row: dict[str, Any], message: str) -> str:
    where = "/".join(filter(None, (report_model.text(row, "namespace"), report_model.text(row, "name"))))
    return f"{report_model.text(row, 'kind')} {where}: {message}"
