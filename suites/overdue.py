"""How both suites judge a scanner's report of packages: by the findings whose fix is out for longer than the grace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Rating, VulnerabilityReport

_SHOWN = 8  # findings that are named in the reason


def judge_overdue(report: VulnerabilityReport, rating: Rating, limit: Limit) -> None:
    """Judges how many findings of a rating have been fixable for longer than the declared grace."""
    due = report.overdue(rating)
    named = "; ".join(map(str, due[:_SHOWN])) + (f"; and {len(due) - _SHOWN} more" if len(due) > _SHOWN else "")
    what = f"{rating} vulnerabilities with a fix for more than {report.grace / 86400:.3g} days"
    judge(what, len(due), at_most=limit, reason=named)
    if report.unjudged:
        judge("parts that are not judged", len(report.unjudged), at_least=0, of="; ".join(report.unjudged))
    if rating == "high" and report.end_of_life:  # there nothing is ever fixed, so nothing would ever count
        judge(
            "operating system gets security updates",
            False,
            warn_only=True,
            reason=f"{report.end_of_life} is out of support and gets no security updates",
        )
