"""What scanners reported: vulnerabilities of packages, benchmark results of a cluster, violations of its policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rating = Literal["critical", "high", "medium", "low"]


@dataclass(frozen=True)
class Vulnerability:
    """One known vulnerability of one package, once however many layers or paths hold it."""

    id: str  # "CVE-2024-1234", "GHSA-…", or the rule of a SARIF result
    package: str
    version: str  # "" where the format tells none
    rating: Rating
    fixed_in: str  # versions, "" where there is no fix
    fixed_since: float | None  # since when the fix is out, at the latest; None where the report dates nothing
    dated_by: Literal["fix", "publication", ""]  # what that date is of; the publication is that of the vulnerability
    aliases: tuple[str, ...] = ()
    suppressed: str = ""  # by which VEX statement

    def __str__(self) -> str:
        """One short line for people."""
        what = f"{self.package} {self.version}".strip()
        return f"{self.id} in {what}" + (f" (fixed in {self.fixed_in})" if self.fixed_in else "")


@dataclass(frozen=True)
class VulnerabilityReport:
    """`vulnerabilities-running`, `vulnerabilities-to-deploy` (scan): what is known of the packages in one build.

    That it is whole, fresh and about the declared image or revision was looked at before: else there is no record.
    """

    source: str  # file, address or program that it came from
    scanner: str  # "Trivy", "Grype 0.80.0"
    subject: str  # what it says it is about, "" where only its place says it
    created_at: float
    looked_at: float  # when it was read: ages of fixes count until then
    grace: float  # how long a fix may be out before a finding counts
    scanned: int | None  # packages that were looked at, None where the format does not count them
    counts: Mapping[str, int]  # rating -> findings, suppressed ones and those without a fix too
    findings: tuple[Vulnerability, ...]  # of rating critical and high
    end_of_life: str = ""  # the operating system, where it gets no security updates any more
    unjudged: tuple[str, ...] = ()  # parts that nothing judges: "412 licences", "3 results of kind review"

    def overdue(self, rating: Rating) -> tuple[Vulnerability, ...]:
        """The findings of a rating that no VEX statement suppresses and whose fix is out for longer than the grace.

        A fix without a date counts as out for long: nothing shows that it is new.
        """
        newest = self.looked_at - self.grace
        return tuple(
            each
            for each in self.findings
            if each.rating == rating
            and each.fixed_in
            and not each.suppressed
            and (each.fixed_since is None or each.fixed_since < newest)
        )


@dataclass(frozen=True)
class BenchmarkResult:
    """One test of a benchmark that did not pass."""

    id: str  # "1.2.16"
    text: str
    status: Literal["FAIL", "WARN"]  # WARN: to be looked at by a person
    scored: bool


@dataclass(frozen=True)
class Benchmark:
    """`kube-bench` (scan): what the CIS benchmark says of a cluster's node."""

    source: str
    benchmark: str  # "cis-1.8"
    nodes: tuple[str, ...]  # kinds of node: "master", "node", "etcd", …
    created_at: float
    passed: int
    results: tuple[BenchmarkResult, ...]  # those that did not pass


@dataclass(frozen=True)
class Policy:
    """One Gatekeeper constraint, and how many objects violate it."""

    name: str  # "K8sRequiredLabels/ns-must-have-owner"
    enforced: bool  # its action is deny; else it only warns or is tried out
    violations: int
    examples: tuple[str, ...] = ()  # "Pod shop/web: …", at most five


@dataclass(frozen=True)
class Policies:
    """`gatekeeper` (scan): Gatekeeper's constraints as its audit, or `gator test`, found them."""

    source: str
    created_at: float  # of the constraint that was audited longest ago
    policies: tuple[Policy, ...]
    tested: int  # constraints that were audited; for `gator test` statistics that show that it tested
