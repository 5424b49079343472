"""What is known of the packages in the build that is about to be deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check

from ..overdue import judge_overdue

if TYPE_CHECKING:
    from pytest_prodcheck.records import VulnerabilityReport


@check("pre_deploy.vulnerabilities.critical", severity="high", limit=Limit(fail=0), runbook="vulnerabilities")
def test_nothing_critical_is_deployed(vulnerabilities_to_deploy: VulnerabilityReport, limit: Limit) -> None:
    """The build to deploy has no critical vulnerability whose fix is older than the grace period."""
    judge_overdue(vulnerabilities_to_deploy, "critical", limit)


@check("pre_deploy.vulnerabilities.high", severity="high", limit=Limit(warn=0), runbook="vulnerabilities")
def test_little_high_is_deployed(vulnerabilities_to_deploy: VulnerabilityReport, limit: Limit) -> None:
    """The build to deploy has no high vulnerability whose fix is older than the grace period."""
    judge_overdue(vulnerabilities_to_deploy, "high", limit)
