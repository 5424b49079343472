"""Whether a load run proves anything, and whether one is slower than those before it: rules that checks share."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.judging.limits import bounds as bounds
from pytest_prodcheck.judging.statistics import more_often, rank_above, rank_below, samples_needed
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records.load import (
        AcceptedEndpoint,
        AcceptedRun,
        LoadEndpoint,
        LoadRun,
        LoadStress,
        ResourceSample,
        ResponseTimes,
        StressStep,
    )

ACHIEVED = 0.99  # of the rate that was asked for
BUSIEST = 0.9  # of a core, over five seconds
LATE = 0.1  # seconds; a client whose requests begin later than this, one in twenty, sends another load than asked
LATE_ALONE = 0.02  # seconds; the same without load, of half of all requests
FEW_FAILED = 0.01  # share of failed requests up to which latency without load can be told
STARVED = 0.25  # share of five seconds without a processor from which times are the client's as much as the server's
COMPARED = 0.1  # the same where runs are compared: their differences are small, and the earlier ones had a processor
STOOD_STILL = 1.0  # seconds without an answer after which a closed loop has asked too little to tell
OWN_LATENESS = 0.2  # share of a bad time that may be the client's own
LEAST_GROWTH = 16_000_000  # bytes; what a process grows by while it warms up
HORIZON = 10  # times its own length: further ahead a load tells nothing, for caches fill as leaks do
NEVER = 365 * 86400.0  # seconds
USUAL = 0.03  # what runs of one system differ by among themselves, until there are enough to show it
WELL = 0.99  # share of a step's requests that have to be answered well
ERRORS = 2.8  # standard errors: one false alarm in 400 comparisons
SURE = 0.01  # chance of a false alarm of one comparison


def client_flaws(run: LoadRun) -> Iterator[str]:
    """Why what came back may be the client's own doing."""
    if run.trouble:
        yield run.trouble
    lost = run.workers_asked - sum(worker.ended for worker in run.workers)
    if lost and not run.trouble:
        yield f"{lost} of {run.workers_asked} workers were lost"
    for worker in run.workers:
        if worker.busiest >= BUSIEST:
            yield f"the load generator {worker.name} used {worker.busiest:.0%} of a core: raise `workers`"
    for what, number in run.shortages:
        yield f"{what} ({number} requests)"
    if busy := why_late(run) if run.mode == "light" else starved(run):
        yield busy
    if run.dropped:
        yield f"{run.dropped} requests were due but not sent, because too many were still without an answer"
    if run.unanswered:
        yield f"{run.unanswered} requests have no result"


def starved(run: LoadRun, share: float = STARVED) -> str:
    """Why this machine was too busy to tell anything of a load, "" where it was not.

    On a busy machine the client is ready to run and has no processor: it asks late, and reads late what came in time.
    Without load no rate has to be kept, and waiting only adds to times: there this excuses bad ones, see `late`.
    """
    worst = max(run.workers, key=lambda worker: worker.starved, default=None)
    if worst is None or worst.starved < share:
        return why_late(run)
    return (
        f"the load generator waited for a CPU {worst.starved:.0%} of five seconds: this machine is too busy to measure"
    )


def why_late(run: LoadRun) -> str:
    """Why requests began too late to be those that were asked for, "" where they did not; told by no clock but ours."""
    percent, most, how_many = (50, LATE_ALONE, "half of all") if run.mode == "light" else (95, LATE, "one in twenty")
    seen = run.lag.percentile(percent)
    if seen is None or seen <= most:
        return ""
    return f"{how_many} requests began more than {seen:.2g} s late: the load generator did not get a CPU"


def insist_on_a_processor(run: LoadRun) -> None:
    """Raises EvidenceProblem (invalid) where what was counted may come of a client without a processor."""
    if busy := starved(run):
        raise EvidenceProblem(Problem("invalid", busy))


def flaws(run: LoadRun, strictest: float | None = None) -> list[str]:
    """Why a run proves nothing good, in words; [] of a valid one.

    strictest: seconds without an answer that a closed loop may show; the latency limit that is judged, where one is.
    """
    found = list(client_flaws(run))
    if run.aborted:
        found.append(f"it ended early: {run.aborted}")
    if not run.begun:
        found.append("nothing was sent")
    elif run.asked and run.mode != "light" and achieved(run) < ACHIEVED:
        found.append(f"{achieved(run):.1%} of the rate of {run.asked_rate:.4g}/s was sent, less than {ACHIEVED:.0%}")
    usual = max(run.seconds - run.longest_gap, 0.0) / max(run.begun, 1)
    for told, number in run.task_errors:
        found.append(f"tasks of the Locust file raised {told} ({number})")
    if run.users_left < run.users_asked:
        found.append(f"{run.users_left} of {run.users_asked} users were still running at the end")
    if run.mode == "users" and run.longest_gap > max(strictest or STOOD_STILL, 30 * usual):
        found.append(
            f"no request was answered for {run.longest_gap:.1f} s: in a closed model, users send nothing meanwhile"
        )
    return found


def achieved(run: LoadRun) -> float:
    """The rate that was sent, as a share of the one that was asked."""
    took = max(run.seconds, run.begun_in) if run.mode != "users" else run.seconds
    return (run.arrived or run.begun) / run.asked * run.seconds / took


def insist_on_validity(run: LoadRun, strictest: float | None = None) -> None:
    """Raises EvidenceProblem (invalid) for a run that proves nothing good; strictest: see `flaws`."""
    found = flaws(run, strictest)
    if found:
        raise EvidenceProblem(Problem("invalid", f"load {run.name} proves nothing: {'; '.join(found)}"))


def insist_on_answers(run: LoadRun) -> None:
    """Raises EvidenceProblem (invalid) where latency without load would be told of what did not fail."""
    whole = run.overall
    asked = whole.good + whole.failed
    if run.mode == "light" and whole.failed > max(FEW_FAILED * asked, 1):
        raise EvidenceProblem(
            Problem("invalid", f"{whole.failed} of {asked} requests failed: {failure_reasons(whole)}")
        )
    wrong = next((each for each in run.samples if each.wrong), None)
    if run.mode == "light" and wrong is not None:
        told = f"{wrong.wrong} of {wrong.sampled} answers of {wrong.endpoint} break their schema: {wrong.why}"
        raise EvidenceProblem(Problem("invalid", told))


def failure_reasons(endpoint: LoadEndpoint) -> str:
    """Why requests failed: "answered 503 (12), connection reset (3)"."""
    return ", ".join(f"{reason} ({number})" for reason, number in endpoint.reasons[:3]) or "without a reason"


def has_enough_samples(times: ResponseTimes, percent: float) -> bool:
    """Whether there are samples enough for a percentile."""
    return times.count >= samples_needed(percent)


def surely_at_least(times: ResponseTimes, percent: float) -> float:
    """What a percentile is at least (99 %), in seconds: few samples may prove slowness that could prove no speed."""
    return times.rank(rank_below(percent, times.count)) or 0.0


def insist_on_samples(run: LoadRun, percent: float) -> None:
    """Raises EvidenceProblem (invalid) for a run with too few good answers for a percentile."""
    count, needed = run.overall.times.count, samples_needed(percent)
    if count < needed:
        what = f"{count} good answers are too few for P{percent:g}: it needs {needed}"
        raise EvidenceProblem(Problem("invalid", f"load {run.name}: {what}"))


def own_lateness(run: LoadRun, percent: float, value: float, crossed: float) -> str:
    """Why a bad time may be the client's own, "" where it is not: how late requests began counts in it."""
    began = run.lag.percentile(percent) or 0.0
    if value > crossed and (busy := starved(run)):
        return busy
    if value > crossed and began > OWN_LATENESS * value:
        return (
            f"requests began up to {began:.3f} s late, which is large compared with {value:.3f} "
            "s: the load generator was too slow to measure"
        )
    return ""


def own_slowness(run: LoadRun, percent: float, found: Comparison) -> str:
    """Why a difference to earlier runs may be the client's own, "" where it is not: it asks late, and reads as late."""
    began, more = run.lag.percentile(percent) or 0.0, found.now - found.before
    if began > more / 2:
        return (
            f"requests began up to {began:.3f} s late, which is large compared with {more:.3f} s: "
            "the load generator was too slow to measure"
        )
    return starved(run, COMPARED) or own_lateness(run, percent, found.now, found.before)


def began_in_time(run: LoadRun, least: float) -> bool:
    """Whether a run may be what others are compared with: own lateness, and a wait for a processor, would hide more.

    least: seconds of difference in P95 that matter.
    """
    usual = USUAL * (run.overall.times.percentile(95) or 0.0)
    return not starved(run) and (run.lag.percentile(95) or 0.0) <= max(least, usual)


@dataclass(frozen=True)
class Comparison:
    """A percentile or share beside those of the runs before: proven worse or not, by how much (1.0: twice)."""

    now: float
    before: float
    change: float
    proven: bool
    words: str


def slower(endpoint: LoadEndpoint, runs: Sequence[AcceptedRun], percent: float, least: float) -> Comparison | None:
    """A percentile beside the median of those before; None where there are too few samples to tell.

    Proven: the difference is at least `least` seconds, and on a logarithmic scale more than 2.8 standard errors: of
    both percentiles (from their order statistics, whatever the distribution) and of what such runs differ by among
    themselves. That is taken for 3 % until there are runs enough to show it. And the bounds of both lie apart: between
    two kinds of answers a percentile jumps by chance, which no error on a scale tells.
    """
    found = (endpoint_of(run, endpoint.name) for run in runs)
    earlier = [each for each in found if each and has_enough_samples(each.times, percent)]
    if not earlier or not has_enough_samples(endpoint.times, percent):
        return None
    seen = [each.times.percentile(percent) or 0.0 for each in earlier]
    now, before = endpoint.times.percentile(percent) or 0.0, statistics.median(seen)
    errors = [_error(each.times, percent) for each in earlier]
    own = statistics.fmean(error * error for error in errors)
    between = _variance_between_runs([math.log(max(each, 1e-6)) for each in seen], own)
    count = len(seen)
    error = math.sqrt(_error(endpoint.times, percent) ** 2 + own / count + between * (1 + 1 / count))
    apart = _percentile_bounds(endpoint.times, percent)[0] > statistics.median(
        _percentile_bounds(each.times, percent)[1] for each in earlier
    )
    proven = apart and now - before >= least and math.log(max(now, 1e-6) / max(before, 1e-6)) > ERRORS * error
    words = f"P{percent:g} {now * 1000:.4g} ms, {before * 1000:.4g} ms before (median of {count} accepted runs)"
    return Comparison(now, before, (now - before) / before if before else 0.0, proven, words)


def _error(times: ResponseTimes, percent: float) -> float:
    """The standard error of the logarithm of a percentile: its 99 % bounds by order statistics, as of a normal one."""
    below, above = _percentile_bounds(times, percent)
    return math.log(above / below) / (2 * 2.326)


def _percentile_bounds(times: ResponseTimes, percent: float) -> tuple[float, float]:
    """What a percentile is at least and at most (99 % each, exact, whatever the distribution), in seconds."""
    count = times.count
    low, high = rank_below(percent, count), min(rank_above(percent, count), count)
    return times.rank(max(low, 1)) or 1e-6, times.rank(high) or 1e-6


def _variance_between_runs(logs: Sequence[float], own: float) -> float:
    """The variance of the logarithms of runs among themselves, without their own: 3 % weighs as much as four runs."""
    seen = max(statistics.variance(logs) - own, 0.0) if len(logs) > 1 else 0.0
    known = len(logs) - 1
    return (known * seen + 4 * USUAL * USUAL) / (known + 4)


def fails_more(endpoint: LoadEndpoint, runs: Sequence[AcceptedRun], least: float) -> Comparison | None:
    """The share of failed requests beside that of all runs before together; None where there is nothing to compare.

    Proven: it rose by at least `least` (a share), and Fisher's exact test leaves 1 % for chance.
    """
    earlier = [each for each in (endpoint_of(run, endpoint.name) for run in runs) if each and each.good + each.failed]
    of, before_of = endpoint.good + endpoint.failed, sum(each.good + each.failed for each in earlier)
    if not earlier or not of:
        return None
    failed = sum(each.failed for each in earlier)
    now, before = endpoint.failed / of, failed / before_of
    proven = now - before >= least and more_often(endpoint.failed, of, failed, before_of) < SURE
    words = f"{endpoint.failed} of {of} requests failed, {failed} of {before_of} in {len(earlier)} accepted runs"
    return Comparison(now, before, (now - before) / max(before, least), proven, words)


def never_sent(run: LoadRun, runs: Sequence[AcceptedRun]) -> str:
    """A request that every accepted run sent and this one by no chance did not, in words; "" for none.

    Users of a Locust file who get empty carts never come to pay, and nothing of what they do ask fails. Where this run
    has names that were not there before they differ from run to run, as those with ids in them.
    """
    sent = {each.name for each in run.endpoints if each.good + each.failed}
    known = dict.fromkeys(each.name for accepted in runs for each in accepted.endpoints)
    of, before_of = run.overall.good + run.overall.failed, sum(each.overall.good + each.overall.failed for each in runs)
    for name in (each for each in known if each not in sent and sent <= known.keys()):
        seen = [endpoint_of(each, name) for each in runs]
        numbers = [each.good + each.failed if each else 0 for each in seen]
        before = sum(numbers)
        if min(numbers) and more_often(of, of, before_of - before, before_of) < SURE:
            return f"{name}: sent {before} times in {len(runs)} accepted runs, and never in this one"
    return ""


def endpoint_of(run: AcceptedRun, name: str) -> AcceptedEndpoint | None:
    """What an accepted run holds of an endpoint, or of all together; None for nothing."""
    if name == run.overall.name:
        return run.overall
    return next((each for each in run.endpoints if each.name == name), None)


def knee_of(stress: LoadStress) -> float:
    """The last rate of a search that is answered well, requests a second; the scenario's own where no step is."""
    knee = stress.own_rate
    for step in stress.steps:
        if not answered_well(step, stress.p95_allowed):
            break
        knee = step.rate
    return knee


def short_step(stress: LoadStress) -> StressStep | None:
    """The step that ends a search for having too few samples, None where one is proven bad or none is."""
    first = next((each for each in stress.steps if not answered_well(each, stress.p95_allowed)), None)
    if first is None or first.good + first.failed >= samples_needed(95):
        return None
    bad = first.good < WELL * (first.good + first.failed) or (first.p95 or 0.0) > stress.p95_allowed
    return None if bad else first


def answered_well(step: StressStep, allowed: float) -> bool:
    """Whether a step has samples enough, few failures, and a P95 of at most `allowed` seconds."""
    if step.good + step.failed < samples_needed(95) or step.p95 is None:
        return False
    return step.good >= WELL * (step.good + step.failed) and step.p95 <= allowed


def seconds_until_full(looks: Sequence[ResourceSample], allowed: int) -> float:
    """How long a process may grow on as in the last two thirds of the looks; a year for one that does not grow.

    And for one whose memory would last longer than this load can tell of (HORIZON). Growth counts where it is large
    enough, also against what was there, and goes on in each half of those looks.
    """
    seen = [(each.at, each.process_memory) for each in looks if each.process_memory is not None]
    late = seen[len(seen) // 3 :]
    if len(late) < 3:
        return NEVER
    first, middle, last = late[0][1], late[len(late) // 2][1], late[-1][1]
    grown, took = last - first, late[-1][0] - late[0][0]
    steady = middle - first > grown / 5 and last - middle > grown / 5
    if grown < max(LEAST_GROWTH, first / 20) or not steady or took <= 0:
        return NEVER
    left = max(allowed - last, 0) * took / grown
    return left if left <= HORIZON * (seen[-1][0] - seen[0][0]) else NEVER
