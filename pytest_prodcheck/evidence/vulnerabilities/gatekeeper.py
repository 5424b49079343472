"""Gatekeeper: constraints with their audit's status, or the JSON of `gator test`.

https://open-policy-agent.github.io/gatekeeper/website/docs/audit and …/docs/gator.
"""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model as parsed
from pytest_prodcheck.evidence.vulnerabilities.report_model import Scan
from pytest_prodcheck.records.vulnerabilities import Policy

_GROUP = "constraints.gatekeeper.sh/"
_MOST_EXAMPLES = 5


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, constraints that no audit looked at, and none at all."""
    if isinstance(data, dict) and isinstance(data.get("items"), list):
        return _audited(parsed.rows(data, "items"))
    if isinstance(data, dict) and str(data.get("apiVersion", "")).startswith(_GROUP):
        return _audited([data])
    if isinstance(data, dict) and "results" in data and "stats" in data:
        return _tested(parsed.rows(data, "results"), len(parsed.rows(data, "stats")))
    if data is None or isinstance(data, list):
        return _tested(parsed.rows({"results": data}, "results"), 0)
    parsed.wrong("is neither a list of Gatekeeper's constraints nor the JSON of `gator test`")


def _audited(constraints: list[dict[str, Any]]) -> Scan:
    if any(not str(each.get("apiVersion", "")).startswith(_GROUP) for each in constraints):
        parsed.wrong("holds objects that are no constraints of Gatekeeper", "kubectl get constraints -o json")
    if not constraints:
        parsed.empty("there is no constraint: nothing is asked of any object")
    dates, policies = [], []
    for each in constraints:
        name = _name(each)
        status = parsed.table(each, "status")
        audited, total = parsed.moment(status.get("auditTimestamp")), status.get("totalViolations")
        if audited is None or not isinstance(total, int) or isinstance(total, bool):
            parsed.empty(f"no audit has looked at {name}", "is Gatekeeper's audit running?")
        errors = [error for pod in parsed.rows(status, "byPod") for error in parsed.rows(pod, "errors")]
        if errors:
            parsed.wrong(f"Gatekeeper cannot enforce {name}: {parsed.text(errors[0], 'message')}")
        rows = parsed.rows(status, "violations")
        if len(rows) > total:
            parsed.wrong(f"{name} lists more violations than its total: edited")
        dates.append(audited)
        examples = tuple(_said(row, parsed.text(row, "message")) for row in rows[:_MOST_EXAMPLES])
        policies.append(Policy(name, _denies(parsed.table(each, "spec")), total, examples))
    return Scan("Gatekeeper", created_at=min(dates), policies=tuple(policies), scanned=len(policies))


def _tested(results: list[dict[str, Any]], stats: int) -> Scan:
    if not results and not stats:
        hint = "run `gator test --output=json --stats`: its statistics show what was tested"
        parsed.empty("gator found no violation, and does not say that it tested anything", hint)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in results:
        found.setdefault(_name(parsed.table(each, "constraint")), []).append(each)
    policies = []
    for name, rows in sorted(found.items()):
        examples = tuple(
            _said(_identity(parsed.table(row, "violatingObject")), parsed.text(row, "msg"))
            for row in rows[:_MOST_EXAMPLES]
        )
        denies = any(_action(row.get("enforcementAction"), row.get("scopedEnforcementActions")) for row in rows)
        policies.append(Policy(name, denies, len(rows), examples))
    return Scan("gator", policies=tuple(policies), scanned=max(stats, len(policies)))


def _name(constraint: dict[str, Any]) -> str:
    return f"{parsed.needed(constraint, 'kind')}/{parsed.needed(parsed.table(constraint, 'metadata'), 'name')}"


def _denies(spec: dict[str, Any]) -> bool:
    scoped = [each.get("action") for each in parsed.rows(spec, "scopedEnforcementActions")]
    return _action(spec.get("enforcementAction"), scoped)


def _action(action: object, scoped: object) -> bool:
    """Whether it denies; where nothing is said Gatekeeper does."""
    if action == "scoped":
        return isinstance(scoped, list) and "deny" in scoped
    return action in (None, "", "deny")


def _identity(found: dict[str, Any]) -> dict[str, Any]:
    metadata = parsed.table(found, "metadata")
    return {"kind": found.get("kind"), "namespace": metadata.get("namespace"), "name": metadata.get("name")}


def _said(row: dict[str, Any], message: str) -> str:
    where = "/".join(filter(None, (parsed.text(row, "namespace"), parsed.text(row, "name"))))
    return f"{parsed.text(row, 'kind')} {where}: {message}"
