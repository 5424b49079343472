"""kube-bench's JSON (`kube-bench --json`): https://github.com/aquasecurity/kube-bench, check/controls.go."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities import report_model
from pytest_prodcheck.evidence.vulnerabilities.report_model import Scan

_STATES = ("PASS", "FAIL", "WARN", "INFO")


def parse(data: Any) -> Scan:
    """The report; raises EvidenceProblem for another format, totals that do not fit, and where nothing was tested."""
    controls = report_model.rows(data, "Controls") if isinstance(data, dict) and "Controls" in data else data
    controls = [controls] if isinstance(controls, dict) else controls
    if not isinstance(controls, list) or not all(isinstance(each, dict) and "tests" in each for each in controls):
        report_model.raise_protocol_problem("is no report of kube-bench: it has no `Controls` with `tests`")
    passed, tested, results = 0, 0, []
    for control in controls:
        found = [row for group in report_model.rows(control, "tests") for row in report_model.rows(group, "results")]
        states = [report_model.needed(row, "status") for row in found]
        unknown = sorted({state for state in states if state not in _STATES})
        if unknown:
            report_model.raise_protocol_problem(f"status {unknown[0]!r} of kube-bench is not known")
        for key, state in (("total_pass", "PASS"), ("total_fail", "FAIL"), ("total_warn", "WARN")):
            if control.get(key) != states.count(state):
                report_model.raise_protocol_problem(
                    f"`{key}` of {report_model.text(control, 'id')} does not fit its results: cut off or edited"
                )
        passed += states.count("PASS")
        tested += sum(state != "INFO" for state in states)
        results += [
            (
                report_model.needed(row, "test_number"),
                report_model.text(row, "test_desc"),
                state,
                row.get("scored") is not False,
            )
            for row, state in zip(found, states, strict=True)
            if state in ("FAIL", "WARN")
        ]
    if not tested:
        report_model.empty("kube-bench tested nothing")
    versions = dict.fromkeys(filter(None, (report_model.text(each, "version") for each in controls)))
    nodes = dict.fromkeys(filter(None, (report_model.text(each, "node_type") for each in controls)))
    return Scan("kube-bench", benchmark=", ".join(versions), nodes=tuple(nodes), passed=passed, results=tuple(results))
