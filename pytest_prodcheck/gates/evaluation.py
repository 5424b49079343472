"""The judgement itself: a pure function from a run's record and a policy to a verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_prodcheck.gates.completeness import check_completeness, check_patterns, check_scope
from pytest_prodcheck.gates.findings import Findings, by_gravity, finding_about
from pytest_prodcheck.gates.needs import Neighbours, check_needs, needs_expire
from pytest_prodcheck.gates.policy import Policy
from pytest_prodcheck.gates.result_effects import CLOCK_SLACK, JudgedResults, judge_results
from pytest_prodcheck.gates.root_causes import ADDRESSES, root_causes
from pytest_prodcheck.gates.verdict import STATUS, NeedState, Observation, Verdict
from pytest_prodcheck.gates.waivers import Waiver, Waivers
from pytest_prodcheck.outcomes import ExitCode, Outcome, Result, RunRecord, SkipReason, counts, worst
from pytest_prodcheck.quantities import format_quantity

PORT = "smoke.tcp.open"  # the bundled check of ports, of services and of dependencies
VERSION = "smoke.service.version"  # the bundled check that sees which revision answers


def evaluate(
    run: RunRecord,
    policy: Policy,
    now: float,
    *,
    waivers: Iterable[Waiver] = (),
    neighbours: Neighbours | None = None,
    previous: Verdict | None = None,
) -> Verdict:
    """What a gate says about a run at `now` (UTC epoch second); no I/O, the order of results does not matter.

    `neighbours` are the verdicts of the gates that it needs, by (environment, gate). `previous` is the last verdict of
    this key that was really open: fewer targets than then is a warning. `open_since` of the answer is `now` if open.
    """
    findings, neighbours = Findings(), neighbours or {}
    results = _sorted_results([each for each in run.results if _selects(policy, each)])
    planned = {
        (each.check, each.target): each.severity for each in run.planned if policy.selects(each.check, each.suite)
    }
    applied = Waivers(waivers, run.environment, now)
    check_scope(run, policy, findings)
    check_patterns(policy, sorted(set(run.known)), findings)
    check_completeness(planned, results, policy, findings)
    judged = judge_results(results, policy, now, applied, findings)
    findings.follow(root_causes(results))
    undeclared = bool(results) and all(each.skip == SkipReason.NOT_CONFIGURED for each in results)
    _check_evidence(judged, policy, now, findings, undeclared)
    if run.known:
        applied.tell(findings, run.known, {each.check for each in results}, run.protected)
    states = check_needs(run, policy, now, neighbours, findings)
    _tell_changes(run, previous, findings)
    _tell_unverified_revision(run, policy, results, findings)
    _tell_addresses_alone(run, results, findings)
    valid = _check_validity(results, now, findings)
    ends = [*needs_expire(policy, neighbours), *(each.ends for each in applied.used), *valid]
    return _verdict(run, policy, now, findings, judged, states, results, ends)


def _selects(policy: Policy, result: Result) -> bool:
    if result.plain:  # of no suite that is known, or of this gate's: what it breaks may be what the gate is about
        return not result.suite or policy.suite in ("", result.suite)
    return policy.selects(result.check, result.suite)


def _sorted_results(results: list[Result]) -> list[Result]:
    """In an order that does not depend on theirs; only where one identity exists twice all they say decides."""
    unique = len({each.identity for each in results}) == len(results)
    return sorted(results, key=(lambda each: each.identity) if unique else repr)


def _check_evidence(judged: JudgedResults, policy: Policy, now: float, findings: Findings, undeclared: bool) -> None:
    blocked = any(each.code == ExitCode.BLOCKED for each in findings.reasons)
    if not judged.positive and not blocked:
        why = "no check of this gate passed or warned"
        if undeclared:
            why = "no target is declared for the checks of this gate"
        findings.close(ExitCode.CANNOT_TELL, f"no positive evidence: {why}")
    if judged.oldest is None:
        return
    age = now - judged.oldest
    if not age <= policy.max_age:
        shown, limit = format_quantity(age, "s"), format_quantity(policy.max_age, "s")
        findings.close(ExitCode.REFUSED, f"the oldest evidence is {shown} old, the gate allows {limit}")
    ahead = max(judged.times) - now
    if not ahead <= CLOCK_SLACK:
        findings.close(
            ExitCode.REFUSED, f"evidence is dated {format_quantity(ahead, 's')} in the future: a clock is wrong"
        )


def _check_validity(results: list[Result], now: float, findings: Findings) -> list[float]:
    """When what speaks for the system ends to do so (a window, the time before a freeze); closes where it has ended."""
    found = []
    for each in results:
        if each.valid_until is None or each.outcome not in (Outcome.PASSED, Outcome.WARNED):
            continue
        found.append(each.valid_until)
        if not now < each.valid_until:
            text = f"its evidence was valid until {format_quantity(now - each.valid_until, 's')} ago"
            findings.close(ExitCode.REFUSED, finding_about(each, text))
    return found


def _tell_unverified_revision(run: RunRecord, policy: Policy, results: list[Result], findings: Findings) -> None:
    """Where protected, a gate that could have seen which revision answers, and did not, says so."""
    if not (run.protected and run.revision and policy.selects(VERSION)):
        return
    seen = (each for each in results if each.check == VERSION)
    if all(each.outcome == Outcome.SKIPPED for each in seen):
        what = "declare `version` of a service, and check it"
        findings.warn(f"no check verified that revision {run.revision} answers: {what}")


def _tell_addresses_alone(run: RunRecord, results: list[Result], findings: Findings) -> None:
    """Where protected, a service of which nothing else was judged: any answer below 500 satisfies its addresses.

    Any program that listens satisfies its port.
    """
    if not run.protected:
        return
    judged = [each for each in results if each.outcome != Outcome.SKIPPED and not each.plain]
    others = {each.target for each in judged if each.check not in (ADDRESSES, PORT)}
    others |= {found.of for each in judged for found in each.judgements if each.kind == "metric"}
    dependencies = run.targets.get("dependency", ())
    for each in sorted(judged, key=lambda result: result.target):
        service = each.target
        if service in others or any(target.startswith(f"{service}.") for target in others):
            continue
        if each.check == ADDRESSES:
            findings.warn(f"only the addresses of {service} were checked, which any server passes: declare `health`")
        elif each.check == PORT and service not in dependencies:
            how = "declare `workload`, or a metric of it"
            findings.warn(f"only the port of {service} was checked, which any program that listens passes: {how}")


def _tell_changes(run: RunRecord, previous: Verdict | None, findings: Findings) -> None:
    if run.protected and run.unverified:
        findings.warn(f"TLS is not verified for {', '.join(sorted(run.unverified))}")
    if previous is None:
        return
    for kind, before in sorted(previous.targets.items()):
        now = len(run.targets.get(kind, ()))
        if now < before:
            findings.warn(f"{now} targets of kind {kind}; there were {before} when this gate was last open")


def _verdict(
    run: RunRecord,
    policy: Policy,
    now: float,
    findings: Findings,
    judged: JudgedResults,
    needs: tuple[NeedState, ...],
    results: list[Result],
    ends: list[float],
) -> Verdict:
    if policy.strict and findings.warnings:
        findings.close(ExitCode.BLOCKED, *findings.warnings)
    code = worst(ExitCode(each.code) for each in findings.reasons) if findings.reasons else ExitCode.OPEN
    really_open, observation = code is ExitCode.OPEN, _observation(policy, code, now)
    if observation is not None:
        code = ExitCode.OPEN
        ends = [*ends, _midnight(observation.until)]
    expires = min([(now if judged.oldest is None else judged.oldest) + policy.max_age, *ends])
    verdict = _blank(run, policy, now)
    return replace(
        verdict,
        status=STATUS[code],
        code=int(code),
        expires_at=expires,
        oldest_evidence=judged.oldest,
        open_since=now if really_open else None,
        reasons=by_gravity(findings.reasons),
        warnings=by_gravity(findings.warnings),
        notes=by_gravity(findings.notes),
        waived=by_gravity(findings.waived),
        skips={reason: tuple(sorted(each)) for reason, each in sorted(judged.skips.items())},
        observation=observation,
        needs=needs,
        counts=_counts(results),
    )


def _blank(run: RunRecord, policy: Policy, now: float) -> Verdict:
    """What is the same whatever was found."""
    return Verdict(
        gate=policy.name,
        environment=run.environment,
        run=run.id,
        status=STATUS[3],
        code=3,
        evaluated_at=now,
        expires_at=now,
        max_age=policy.max_age,
        project=run.project,
        protected=run.protected,
        unit=run.unit,
        slot=run.slot,
        revision=run.revision,
        vantage=run.vantage,
        version=run.version,
        strict=policy.strict,
        waited=run.waited,
        limits_off=tuple(sorted(run.limits_off)),
        unverified=tuple(sorted(run.unverified)),
        opted_in=tuple(sorted(run.opted_in)),
        targets={kind: len(names) for kind, names in sorted(run.targets.items())},
        digests=_digests(run, policy),
        configuration=dict(run.configuration),
    )


def _counts(results: Iterable[Result]) -> dict[str, int]:
    found = counts(each for each in results if each.outcome in set(Outcome))
    return {str(outcome): number for outcome, number in found.items()}


def _digests(run: RunRecord, policy: Policy) -> Mapping[str, str]:
    return {**run.digests, "policy": policy.digest}


def _observation(policy: Policy, code: ExitCode, now: float) -> Observation | None:
    """Present where the gate is only observed; a mistake of the pipeline and a replay are answered all the same."""
    until = policy.observe_until
    if until is None or code in (ExitCode.USAGE, ExitCode.REFUSED) or not now < _midnight(until.isoformat()):
        return None
    return Observation(until.isoformat(), STATUS[code], int(code))


def _midnight(date: str) -> float:
    day = datetime.date.fromisoformat(date)
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
