"""`vulnerabilities-running`, `vulnerabilities-to-deploy`, `kube-bench`, `gatekeeper`: reports of scanners."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.vulnerabilities import attestations, report_model, vex
from pytest_prodcheck.evidence.vulnerabilities.deployed_images import pinned_image
from pytest_prodcheck.evidence.vulnerabilities.report_model import Scan
from pytest_prodcheck.evidence.vulnerabilities.report_source import (
    ReportContent,
    declared,
    file,
    filled,
    host,
    read,
    sends,
)
from pytest_prodcheck.evidence.vulnerabilities.report_subjects import refuse_foreign
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.vulnerabilities import (
    Benchmark,
    BenchmarkResult,
    Policies,
    Vulnerability,
    VulnerabilityReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.vulnerabilities.report_model import Finding

_HERE = "pytest_prodcheck.evidence.vulnerabilities."
FUTURE = 300.0  # seconds by which the clock of the machine that scanned may be ahead
DATABASE = 5 * 86400.0  # Grype's own bound for its database's age (db.max-allowed-built-age, 120 h)
LARGEST_VEX = 16 * 1024 * 1024  # bytes


def _seconds(target: str, environment: Environment) -> float:
    return declared(environment, target).timeout + 5.0


@evidence("vulnerabilities-running", axis="scan", feature="running", seconds=_seconds, host=host, sends=sends)
def vulnerabilities_running(target: str, context: Context, deadline: Deadline) -> VulnerabilityReport:
    """The report about what runs; raises EvidenceProblem (stale, foreign, empty, protocol, …) for one of no use."""
    return _vulnerabilities(target, (), context, deadline)


@evidence("vulnerabilities-to-deploy", axis="scan", feature="deploy", seconds=_seconds, host=host, sends=sends)
def vulnerabilities_to_deploy(target: str, context: Context, deadline: Deadline) -> VulnerabilityReport:
    """The report about what is to be deployed; as `vulnerabilities-running`, and read once for both.

    Where the manifests pin the image by digest, it has to be about that one, whatever else is declared.
    """
    return _vulnerabilities(target, pinned_image(declared(context.environment, target), context), context, deadline)


@evidence("kube-bench", axis="scan", feature="benchmark", seconds=_seconds, host=host, sends=sends)
def kube_bench(target: str, context: Context, deadline: Deadline) -> Benchmark:
    """What kube-bench says of a node; raises EvidenceProblem as the others."""
    content, scan, created = _scan(target, context, deadline)
    results = tuple(
        BenchmarkResult(name, text, "FAIL" if status == "FAIL" else "WARN", scored)
        for name, text, status, scored in scan.results
    )
    made = Benchmark(content.name, scan.benchmark, scan.nodes, created, scan.passed, results)
    clean: Benchmark = context.redactor.redact_data(made)
    return clean


@evidence("gatekeeper", axis="scan", feature="policies", seconds=_seconds, host=host, sends=sends)
def gatekeeper(target: str, context: Context, deadline: Deadline) -> Policies:
    """Gatekeeper's constraints and who violates them; raises EvidenceProblem as the others."""
    content, scan, created = _scan(target, context, deadline)
    clean: Policies = context.redactor.redact_data(Policies(content.name, created, scan.policies, scan.scanned or 0))
    return clean


def _vulnerabilities(target: str, pinned: tuple[str, ...], context: Context, deadline: Deadline) -> VulnerabilityReport:
    """The report is read, or its scanner run, once; whether it is about the right thing is told for each who asks."""
    found = context.once(("scan", target), lambda: _scan(target, context, deadline), deadline)
    return context.once(("scan", target, pinned), lambda: _read(target, pinned, *found, context, deadline), deadline)


def _read(
    target: str, pinned: tuple[str, ...], content: ReportContent, scan: Scan, created: float, context: Context,
    deadline: Deadline,
) -> VulnerabilityReport:  # fmt: skip
    report = declared(context.environment, target)
    image = None if report.image is None else filled(report.image, report, context)
    revision = None if report.revision is None else filled(report.revision, report, context)
    by_tag = pinned and "@" not in (image or "")  # then the digest that is deployed says more
    for wanted in pinned if by_tag else (*pinned, image):
        refuse_foreign(scan.subject, wanted, revision, report.bound_by_place)
    left_out = sorted(set(scan.unscanned) - set(report.unscanned))
    if left_out:
        hint = "list what may be left out in `unscanned`"
        raise EvidenceProblem(Problem("empty", f"the scanner left out {', '.join(left_out[:10])}", hint))
    # findings that are not rated count as declared
    rated = tuple(replace(each, rating=each.rating or report.unrated) for each in scan.findings)
    worst = [each for each in rated if each.rating in ("critical", "high")]
    suppressed = _suppressed(worst, scan, report, image, context)
    for each in _left_out(scan, len(suppressed)):
        deadline.note(each)
    made = VulnerabilityReport(
        content.name, scan.scanner, str(scan.subject), created, time.time(), report.grace, scan.scanned,
        dict(sorted(Counter(str(each.rating) for each in rated).items())),
        tuple(_vulnerability(each, suppressed.get(each, "")) for each in worst), scan.end_of_life,
        (*scan.unjudged, *_left_out(scan, len(suppressed))),
    )  # fmt: skip
    clean: VulnerabilityReport = context.redactor.redact_data(made)
    return clean


def _scan(target: str, context: Context, deadline: Deadline) -> tuple[ReportContent, Scan, float]:
    """The report, parsed, and when it was made; refuses one that is too old, undated or of another format."""
    report = declared(context.environment, target)
    content = read(report, context, deadline.at_most(report.timeout))
    try:
        plain, subject, stated = attestations.unwrapped(report_model.decode(content.content, context.redactor.redact))
        parse = import_module(_HERE + report.format.replace("-", "_")).parse
        scan = attestations.scan_with_statement(parse(plain), subject, stated)
    except EvidenceProblem as error:
        raise _problem_of_report(content, error) from None
    created = content.made if content.made is not None and scan.created_at is None else scan.created_at
    if created is None and report.dated == "file":
        created = content.dated
    return content, scan, _require_fresh(created, scan.database_at, content.name, report)


def _problem_of_report(content: ReportContent, error: EvidenceProblem) -> EvidenceProblem:
    problem = error.problem
    return EvidenceProblem(Problem(problem.kind, f"{content.name}: {problem.message}", problem.hint))


def _require_fresh(created: float | None, database: float | None, name: str, report: Vulnerabilities) -> float:
    now = time.time()
    if created is None:
        hint = 'wrap it into an in-toto statement, run the scanner by `command`, or declare dated = "file"'
        raise EvidenceProblem(Problem("stale", f"{name} does not say when it was made", hint))
    if created > now + FUTURE:
        raise EvidenceProblem(Problem("stale", f"{name} says that it will be made in the future: a clock is wrong"))
    for since, most, what in (
        (created, report.max_age, f"{name} was made"),
        (database, report.max_age + DATABASE, "the scanner's database is from"),
    ):
        if since is not None and now - since > most:
            told = f"{what} {(now - since) / 86400:.1f} days ago, at most {most / 86400:.3g} are allowed (max_age)"
            raise EvidenceProblem(Problem("stale", told, "scan again"))
    return created


def _suppressed(
    worst: list[Finding], scan: Scan, report: Vulnerabilities, image: str | None, context: Context
) -> dict[Finding, str]:
    known: list[vex.Statement] = []
    for name in report.vex:
        context.relies_on(filled(name, report, context))
        content = file(filled(name, report, context), context.root, LARGEST_VEX)
        try:
            known += vex.statements(report_model.decode(content.content, context.redactor.redact))
        except EvidenceProblem as error:
            raise _problem_of_report(content, error) from None
    return vex.suppressions(worst, known, scan.subject, report.product, image)


def _left_out(scan: Scan, suppressed: int) -> Iterator[str]:
    """Findings that are no part of the judgement, for the verdict."""
    if suppressed:
        yield f"{suppressed} findings of rating critical or high, suppressed by VEX statements"
    if scan.ignored:
        yield f"{scan.ignored} findings that {scan.scanner} was told to leave out"


def _vulnerability(finding: Finding, suppressed: str) -> Vulnerability:
    return Vulnerability(
        finding.id, finding.package, finding.version, finding.rating or "high", finding.fixed_in, finding.fixed_since,
        "fix" if finding.dated_by == "fix" else "publication" if finding.dated_by else "", finding.aliases, suppressed,
    )  # fmt: skip
