"""Load runs: valid before they are good, the rate sustained, errors rare enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.judging.load_validity import (
    ACHIEVED,
    BUSIEST,
    LATE,
    STARVED,
    achieved,
    bounds,
    client_flaws,
    failure_reasons,
    flaws,
    insist_on_a_processor,
    insist_on_validity,
    starved,
)
from pytest_prodcheck.judging.statistics import CONFIDENCE, samples_needed, share_at_least, share_at_most
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import LoadEndpoint, LoadRun


@check("performance.validity", severity="critical", runbook="load-validity",
       fixed={"share of the rate that was sent": Limit(fail=ACHIEVED),
              "share of a core, of each worker": Limit(fail=BUSIEST),
              "share of five seconds in which a worker waits for a CPU": Limit(fail=STARVED),
              "lateness of one request in twenty, in seconds": Limit(fail=LATE)})  # fmt: skip
def test_load_run_is_valid(load_run: LoadRun) -> None:
    """The load was sent as declared, so its results are valid: rate, workers, load generator and samples."""
    found = flaws(load_run)
    count = load_run.overall.times.count
    if count < samples_needed(50):
        found.append(f"{count} good answers are too few")
    if found:  # never failed: what is wrong is with the measurement
        raise EvidenceProblem(Problem("invalid", "; ".join(found)))
    if load_run.asked:
        judge("rate that was sent", 100 * achieved(load_run), at_least=100 * ACHIEVED, unit="%")
    for worker in load_run.workers:
        judge("busiest five seconds", 100 * worker.busiest, at_most=100 * BUSIEST, unit="% of a core", of=worker.name)
        judge("waited for a CPU", 100 * worker.starved, at_most=100 * STARVED, unit="%", of=worker.name)
    if load_run.mode == "open":
        judge("began late, one in twenty", load_run.lag.percentile(95), at_most=LATE, unit="s")
    judge("workers that ended well", sum(worker.ended for worker in load_run.workers), equals=load_run.workers_asked)
    judge("requests not sent", load_run.dropped, at_most=0)


@check("performance.throughput", severity="high", limit=Limit(warn="99%", fail="95%"), runbook="load-throughput")
def test_the_rate_is_sustained(load_run: LoadRun, limit: Limit) -> None:
    """The declared rate was answered well, no later than a second after the end of the schedule."""
    insist_on_validity(load_run)
    rate = load_run.in_time / load_run.seconds
    if not load_run.asked:  # a Locust file that says nothing of its rate
        judge("good answers a second", rate > 0, reason="no request got a good answer")
        return
    told = f"{rate:.4g}/s of {load_run.asked_rate:.4g}/s"
    judge("answered well and in time", 100 * load_run.in_time / load_run.asked, at_least=limit, unit="%", reason=told)


@check("performance.errors", severity="critical", limit=Limit(warn="0.1%", fail="0.1%"), runbook="load-errors")
def test_errors_are_rare(load_run: LoadRun, limit: Limit) -> None:
    """The share of failed requests is below the limit, and the sample is large enough to show it (95 %)."""
    whole = load_run.overall
    asked = whole.good + whole.failed
    if not asked:
        raise EvidenceProblem(Problem("invalid", f"load {load_run.name}: no request was answered or failed"))
    point = 100 * whole.failed / asked
    fail = Limit(fail=limit.fail, off=limit.off) if limit.fail is not None else None
    if fail is not None and point > 0:
        _insist_that_the_system_failed(load_run, point, fail)
        if not judge("share of failed requests", point, at_most=fail, unit="%", reason=failure_reasons(whole)):
            return  # proven bad, whatever else is wrong with the run
    insist_on_validity(load_run)
    if limit.warn is not None:
        few = f"{whole.failed} of {asked} requests failed; with so few requests no lower bound can be proven"
        warn = Limit(warn=limit.warn, off=limit.off)
        bound = 100 * share_at_most(whole.failed, asked)
        judge("share of failed requests, upper bound", bound, at_most=warn, unit="%", reason=few)
    sure = 1 - (1 - CONFIDENCE) / max(len(load_run.endpoints), 1)  # one chance for all together (Bonferroni)
    for endpoint in load_run.endpoints:
        _judge_endpoint(endpoint, fail, sure)
    for sample in load_run.samples:
        if not sample.sampled:  # named, not failed: without load its schema is validated whatever its size
            judge("samples for its schema, for its answers are too large", 0, at_least=0, of=sample.endpoint)
            continue
        if fail is None:
            break
        least = 100 * share_at_least(sample.wrong, sample.sampled)
        told = f"{sample.wrong} of {sample.sampled} sampled answers: {sample.why}"
        judge("breaks the schema, lower bound", least, at_most=fail, unit="%", of=sample.endpoint, reason=told)


@check("performance.retries", severity="high", limit=Limit(warn="2%", fail="2%"), runbook="load-errors")
def test_connections_are_not_reset(load_run: LoadRun, limit: Limit) -> None:
    """Kept-alive connections rarely close during a request, so few requests must be sent again."""
    if not load_run.begun:
        raise EvidenceProblem(Problem("invalid", f"load {load_run.name}: nothing was sent"))
    least = 100 * share_at_least(load_run.overall.retried, load_run.begun)
    told = f"{load_run.overall.retried} of {load_run.begun} requests"
    most = bounds(limit, "%", "at_most").fail
    if most is not None and least > most:
        insist_on_a_processor(load_run)  # who sends late meets more connections that were just ended for being idle
    if judge("requests sent again, lower bound", least, at_most=limit, unit="%", reason=told):
        insist_on_validity(load_run)


def _insist_that_the_system_failed(run: LoadRun, point: float, fail: Limit) -> None:
    """Raises EvidenceProblem where failures past the limit may be the client's own."""
    crossed, whole = bounds(fail, "%", "at_most").fail, run.overall
    ours = ("not ", "timed out", *(["connection reset"] if starved(run) else []))
    late = sum(number for reason, number in whole.reasons if reason.startswith(ours))
    proven = crossed is not None and 100 * (whole.failed - late) > crossed * (whole.good + whole.failed)
    own = list(client_flaws(run))
    if proven and not run.trouble:
        return  # a bad status is the server's, however late the client was; so is a reset of one that was in time
    if crossed is not None and point > crossed and own:
        what = f"{point:.3g} % of the requests failed, but the load generator may be the cause: {'; '.join(own)}"
        raise EvidenceProblem(Problem("invalid", what))


def _judge_endpoint(endpoint: LoadEndpoint, fail: Limit | None, sure: float) -> None:
    """One endpoint of many: it answers, and it fails no more often than allowed as far as so few requests tell."""
    judge("was answered well", endpoint.good > 0, of=endpoint.name, reason=failure_reasons(endpoint))
    if fail is not None:
        least = 100 * share_at_least(endpoint.failed, endpoint.good + endpoint.failed, sure)
        judge(
            "share of failed requests, lower bound",
            least, at_most=fail, unit="%", of=endpoint.name, reason=failure_reasons(endpoint),
        )  # fmt: skip
