"""What scanners know of what runs: packages, the cluster's benchmark, its policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

from ..overdue import judge_overdue

if TYPE_CHECKING:
    from pytest_prodcheck.records import Benchmark, Policies, VulnerabilityReport


@check("security.vulnerabilities.critical", severity="high", limit=Limit(fail=0), runbook="vulnerabilities")
def test_nothing_critical_runs(vulnerabilities_running: VulnerabilityReport, limit: Limit) -> None:
    """The running build has no critical vulnerability whose fix is older than the grace period."""
    judge_overdue(vulnerabilities_running, "critical", limit)


@check("security.vulnerabilities.high", severity="high", limit=Limit(warn=0), runbook="vulnerabilities")
def test_little_high_runs(vulnerabilities_running: VulnerabilityReport, limit: Limit) -> None:
    """The running build has no high vulnerability whose fix is older than the grace period."""
    judge_overdue(vulnerabilities_running, "high", limit)


@check("security.vulnerabilities.benchmark", severity="high", runbook="cluster-benchmark")
def test_the_cluster_passes_its_benchmark(kube_bench: Benchmark) -> None:
    """No scored test of the CIS benchmark fails on the cluster's nodes; tests that are not scored warn."""
    judge("tests that passed", kube_bench.passed, at_least=1)
    for result in kube_bench.results:
        if result.status == "FAIL":
            judge("passes", False, of=result.id, warn_only=not result.scored, reason=result.text)


@check("security.vulnerabilities.policies", severity="high", runbook="cluster-policies")
def test_no_object_violates_a_policy(gatekeeper: Policies) -> None:
    """No object in the cluster violates a Gatekeeper constraint that denies; constraints in test only warn."""
    judge("constraints checked", gatekeeper.tested, at_least=1)
    for policy in gatekeeper.policies:
        judge(
            "objects that violate it", policy.violations, at_most=Limit(fail=0) if policy.enforced else Limit(warn=0),
            of=policy.name, reason="; ".join(policy.examples),
        )  # fmt: skip
