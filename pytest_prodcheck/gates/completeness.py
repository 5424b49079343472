"""Whether a run is about the right thing, and whole: scope, patterns, planned and required results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from pytest_prodcheck.gates.findings import Findings, finding_about
from pytest_prodcheck.gates.policy import Policy
from pytest_prodcheck.gates.suggestions import close_matches
from pytest_prodcheck.outcomes import ExitCode, Outcome, Result, RunRecord, Severity

Identity = tuple[str, str]
DID_NOT_RUN = "expected check did not run"


def check_scope(run: RunRecord, policy: Policy, findings: Findings) -> None:
    """Environment, slot, revision, what is declared, and what the run itself complains about."""
    usage = ExitCode.USAGE
    if policy.environments and run.environment not in policy.environments:
        # 2, not 4: no verdict could ever open this gate here, so it is the pipeline's command that is wrong
        names = ", ".join(policy.environments)
        findings.close(usage, f"gate {policy.name} is for {names}, not for {run.environment}")
    if policy.slot == "required" and not run.slot:
        findings.close(usage, f"gate {policy.name} judges one slot: name it with --slot")
    if run.protected and not run.revision:
        findings.close(usage, f"{run.environment} is protected: name the revision with --revision")
    if run.protected and run.limits_off:
        off = ", ".join(sorted(run.limits_off))
        findings.close(usage, f"{run.environment} is protected, so no limit may be off: {off}")
    if run.protected and run.undeclared:
        kinds = ", ".join(sorted(run.undeclared))
        text = f"neither declared nor listed under `absent`: {kinds}; a section deleted by mistake would look the same"
        findings.close(ExitCode.CANNOT_TELL, text)
    if run.replay_of:
        text = f"the saved evidence of run {run.replay_of} was judged again: a replay opens no gate"
        findings.close(ExitCode.REFUSED, text)
    for problem in run.problems:
        findings.close(ExitCode.CANNOT_TELL, problem)
    if run.interrupted:
        findings.close(ExitCode.CANNOT_TELL, f"the run ended early: {run.interrupted}")


def check_patterns(policy: Policy, known: Sequence[str], findings: Findings) -> None:
    """Every pattern and every required id must be about a check that exists (usage error)."""
    if not known:
        findings.close(ExitCode.CANNOT_TELL, "the run does not list its checks")
        return
    if not policy.suite and not policy.select:
        findings.close(ExitCode.USAGE, f"gate {policy.name} selects nothing: give `select` patterns of check ids")
    for pattern in policy.select:
        matched = [check for check in known if fnmatchcase(check, pattern)]
        if not matched:
            hint = close_matches(pattern, known)
            findings.close(ExitCode.USAGE, f"gate {policy.name}: select {pattern!r} matches no check{hint}")
        elif not any(policy.selects(check) for check in matched):
            findings.close(
                ExitCode.USAGE, f"gate {policy.name}: `without` removes every check that select {pattern!r} matches"
            )
    for check in sorted(policy.required_ids - set(known)):
        hint = close_matches(check, known)
        findings.close(ExitCode.USAGE, f"gate {policy.name} requires {check}, which is not a check{hint}")
    for pattern in policy.without:
        if not any(fnmatchcase(check, pattern) for check in known):
            findings.note(f"gate {policy.name}: without {pattern!r} matches no check{close_matches(pattern, known)}")


def check_completeness(
    planned: Mapping[Identity, Severity], results: Sequence[Result], policy: Policy, findings: Findings
) -> None:
    """Every planned and required (check, target) has exactly one result; a required one is never skipped."""
    results = [each for each in results if not each.plain]  # by whatever name, a plain test stands for no check
    wanted = set(planned)
    counted = Counter(result.identity for result in results)
    for check, target in sorted(wanted - set(counted)):
        _incomplete(findings, check, target, DID_NOT_RUN, planned[(check, target)])
    for (check, target), number in sorted(counted.items()):
        if number > 1:
            told = f"has {number} results, but a check may have only one result on one target"
            _incomplete(findings, check, target, told)
    for required in policy.require:
        _check_required(required, wanted | set(counted), results, findings)


def _check_required(required: str, identities: set[Identity], results: Sequence[Result], findings: Findings) -> None:
    check, at, target = required.partition("@")
    scope = [each for each in identities if each[0] == check and (not at or each[1] == target)]
    if not scope:
        missing = f"is required, but no target of this run is declared for it{f' by the name {target}' if at else ''}"
        _incomplete(findings, check, target or "-", missing)
    for result in results:
        if result.identity in scope and result.outcome == Outcome.SKIPPED:
            why = f"is required, so it may not be skipped ({result.skip or 'no reason'}): {result.reason or '-'}"
            findings.close(ExitCode.CANNOT_TELL, finding_about(result, why))


def _incomplete(findings: Findings, check: str, target: str, text: str, severity: Severity = Severity.HIGH) -> None:
    result = Result(check, target, Outcome.ERRORED, severity)
    findings.close(ExitCode.CANNOT_TELL, finding_about(result, text))
