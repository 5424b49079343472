"""What makes a load run invalid, and when one is slower than those before: on made and on recorded distributions."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.judging.load_validity import (
    NEVER,
    Comparison,
    began_in_time,
    fails_more,
    flaws,
    insist_on_answers,
    insist_on_samples,
    own_lateness,
    own_slowness,
    seconds_until_full,
    slower,
    starved,
)
from pytest_prodcheck.load.histogram import Histogram
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.load import (
    AcceptedEndpoint,
    AcceptedRun,
    LoadEndpoint,
    LoadRun,
    LoadWorker,
    ResourceSample,
    ResponseTimes,
)


def timed(seconds: list[float]) -> ResponseTimes:
    made = Histogram()
    for each in seconds:
        made.record(int(each * 1e6))
    return ResponseTimes(tuple(made.values()))


def endpoint(seconds: list[float], failed: int = 0, name: str = "overall") -> LoadEndpoint:
    return LoadEndpoint(name, len(seconds) + failed, len(seconds), failed, (("answered 503", failed),), timed(seconds))


def load_run(**changes: Any) -> LoadRun:
    whole = endpoint([0.1] * 1000)
    run = LoadRun(
        name="browse", mode="open", asked=1000, asked_rate=100.0, began=0.0, seconds=10.0, begun=1000, begun_in=9.99,
        dropped=0, unanswered=0, in_time=1000, lag=timed([0.001] * 1000), aborted="", trouble="", longest_gap=0.5,
        workers=(LoadWorker("one", 1000, 0.1, True),), workers_asked=1, endpoints=(whole,), overall=whole,
    )  # fmt: skip
    return replace(run, **changes)


def test_a_good_run_is_valid() -> None:
    assert flaws(load_run()) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"begun": 985}, "98.5% of the rate"),
        ({"begun_in": 10.2}, "98.0% of the rate"),
        ({"begun": 0, "asked": 1000}, "nothing was sent"),
        ({"dropped": 1}, "1 requests were due but not sent"),
        ({"unanswered": 3}, "3 requests have no result"),
        ({"aborted": "too many failed"}, "ended early: too many failed"),
        ({"trouble": "1 of 2 workers were lost"}, "1 of 2 workers were lost"),
        ({"workers_asked": 2}, "1 of 2 workers were lost"),
        ({"workers": (LoadWorker("one", 9, 0.1, False),)}, "1 of 1 workers were lost"),
        ({"workers": (LoadWorker("one", 9, 0.93, True),)}, "used 93% of a core"),
        ({"lag": timed([0.001] * 900 + [0.2] * 100)}, "late: the load generator did not get a CPU"),
        ({"workers": (LoadWorker("one", 9, 0.1, True, starved=0.3),)}, "waited for a CPU 30% of five seconds"),
        ({"mode": "users", "asked": 0, "workers": (LoadWorker("one", 9, 0.1, True, starved=0.3),)}, "waited for a CPU"),
        ({"mode": "light", "lag": timed([0.001] * 400 + [0.03] * 600)}, "half of all requests began more than 0.03 s"),
        ({"mode": "users", "asked": 0, "longest_gap": 1.5}, "no request was answered for 1.5 s"),
        ({"mode": "users", "asked": 0, "begun": 59, "seconds": 60.0, "longest_gap": 30.0}, "was answered for 30"),
        ({"mode": "users", "asked": 0, "users_asked": 10, "users_left": 1}, "1 of 10 users were still running"),
        ({"mode": "users", "asked": 0, "task_errors": (("KeyError: 'token'", 3),)}, "raised KeyError: 'token' (3)"),
        ({"shortages": (("this machine could not connect: Too many open files", 5),)}, "Too many open files (5 req"),
    ],
)
def test_flaws(changes: dict[str, Any], told: str) -> None:
    """FAIL_OPEN 20: a load that was not sent as asked proves nothing."""
    assert any(told in each for each in flaws(load_run(**changes))), flaws(load_run(**changes))


@pytest.mark.parametrize(("percent", "count"), [(99, 298), (95, 58), (50, 4), (95, 0)])
def test_too_few_samples_for_a_percentile(percent: float, count: int) -> None:
    """FAIL_OPEN 12."""
    with pytest.raises(EvidenceProblem, match="too few"):
        insist_on_samples(load_run(overall=endpoint([0.1] * count)), percent)
    insist_on_samples(load_run(overall=endpoint([0.1] * (count + 1 if count else 59))), percent)


def test_latency_without_load_of_what_fails_is_not_told() -> None:
    insist_on_answers(load_run(mode="light", overall=endpoint([0.1] * 299, 1)))
    with pytest.raises(EvidenceProblem, match="4 of 300 requests failed"):
        insist_on_answers(load_run(mode="light", overall=endpoint([0.1] * 296, 4)))


def test_a_bad_time_may_be_the_clients_own() -> None:
    late = load_run(lag=timed([0.001] * 900 + [0.4] * 100))
    assert own_lateness(late, 95, 1.2, 1.0)
    assert not own_lateness(late, 95, 0.9, 1.0)  # lateness only adds: what is good all the same is good
    assert not own_lateness(load_run(), 95, 1.2, 1.0)


def test_a_difference_may_be_the_clients_own() -> None:
    """Found on a machine whose processors were all busy: 51 ms beside 30 ms, of a client that was 15 ms late."""
    found = Comparison(now=0.051, before=0.030, change=0.7, proven=True, words="")
    late = load_run(lag=timed([0.001] * 900 + [0.015] * 100))
    assert "too slow to measure" in own_slowness(late, 95, found)
    assert not own_slowness(late, 95, replace(found, now=0.5))
    assert not own_slowness(load_run(), 95, found)
    waited = load_run(workers=(LoadWorker("one", 1000, 0.1, True, starved=0.15),))
    assert "waited for a CPU" in own_slowness(waited, 95, found)
    assert starved(waited) == ""


def test_a_run_that_was_begun_late_is_nothing_to_compare_with() -> None:
    """It would hide that later ones are slower. Up to 3 % of its P95, or a difference that does not matter, is fine."""
    late = load_run(lag=timed([0.001] * 900 + [0.05] * 100))
    assert not began_in_time(late, 0.02)
    assert began_in_time(late, 0.06)
    assert began_in_time(replace(late, overall=endpoint([2.0] * 1000)), 0.02)
    assert began_in_time(load_run(), 0.02)
    assert not began_in_time(load_run(workers=(LoadWorker("one", 1000, 0.1, True, starved=0.4),)), 10.0)


# -- regression


def accepted(times: ResponseTimes | list[float], failed: int = 0) -> AcceptedRun:
    seen = times if isinstance(times, ResponseTimes) else timed(times)
    return AcceptedRun("r", 0.0, "1", AcceptedEndpoint("overall", seen.count, failed, seen), ())


# lognormal times with a median of 150 ms and a P95 of 340 ms, in steps of 1 %
STEPS = [0.01 * step for step in range(-200, 201)]
WEIGHTS = [math.exp(-((step / 0.5) ** 2) / 2) for step in STEPS]


def drawn(chance: random.Random, factor: float, drift: float, count: int) -> ResponseTimes:
    """One run: a sample of that, at a level that differs from run to run."""
    level = factor * chance.gauss(1, drift) * 150_000
    counted = Counter(chance.choices(STEPS, WEIGHTS, k=count))
    return ResponseTimes(tuple((int(level * math.exp(step)), number) for step, number in sorted(counted.items())))


def compared(now: ResponseTimes, runs: list[AcceptedRun]) -> bool:
    """Whether P95 is found to be slower by more than a tenth."""
    whole = LoadEndpoint("overall", now.count, now.count, 0, (), now)
    found = slower(whole, runs, 95, 0.020)
    assert found is not None
    return found.proven and found.change > 0.10


@pytest.mark.parametrize(("drift", "count"), [(0.03, 1000), (0.03, 5000), (0.0, 400)])
def test_twenty_runs_of_an_unchanged_system_raise_none(drift: float, count: int) -> None:
    """From the first on, each beside those accepted before it; twenty systems, so that one alarm in 400 would show."""
    alarms = 0
    for seed in range(20):
        chance = random.Random(seed)
        runs = [accepted(drawn(chance, 1, drift, count))]
        for _ in range(20):
            now = drawn(chance, 1, drift, count)
            alarms += compared(now, runs)
            runs = [*runs, accepted(now)][-10:]
    assert alarms <= 1  # of 400


def test_a_percentile_between_two_kinds_of_answers_jumps_by_chance() -> None:
    """rjmurillo/moq.analyzers#1328: tails of unchanged code. One answer in twenty is slow, a few more or less a run."""
    alarms = 0
    for seed in range(20):
        chance = random.Random(seed)

        def run(chance: random.Random = chance) -> ResponseTimes:
            share = chance.gauss(0.05, 0.004)
            slow = sum(chance.random() < share for _ in range(1000))
            return ResponseTimes(((50_000, 1000 - slow), (800_000, slow)))

        runs = [accepted(run())]
        for _ in range(20):
            now = run()
            alarms += compared(now, runs)
            runs = [*runs, accepted(now)][-10:]
    assert alarms <= 1  # of 400


@pytest.mark.parametrize(("before", "drift"), [(1, 0.01), (3, 0.02), (10, 0.03)])
def test_a_p95_that_is_slower_by_a_fifth_is_found(before: int, drift: float) -> None:
    """In 19 of 20 runs of 5,000 requests."""
    found = 0
    for seed in range(60):
        chance = random.Random(1000 + seed)
        runs = [accepted(drawn(chance, 1, drift, 5000)) for _ in range(before)]
        found += compared(drawn(chance, 1.2, drift, 5000), runs)
    assert found >= 57


def test_a_difference_that_does_not_matter_is_none() -> None:
    """Twice as slow, by 10 ms."""
    found = slower(endpoint([0.02] * 500), [accepted([0.01] * 500)], 95, 0.020)
    assert found is not None
    assert found.change == pytest.approx(1.0, abs=0.01)
    assert not found.proven


def test_what_runs_differ_by_among_themselves_is_none() -> None:
    runs = [accepted([level] * 500) for level in (0.1, 0.2, 0.15, 0.22, 0.12)]
    usual, more = (slower(endpoint([level] * 500), runs, 95, 0.02) for level in (0.21, 0.5))
    assert usual is not None
    assert more is not None
    assert (usual.proven, more.proven) == (False, True)


def test_too_few_samples_are_not_compared() -> None:
    assert slower(endpoint([0.1] * 30), [accepted([0.1] * 500)], 95, 0.02) is None
    assert slower(endpoint([0.1] * 500), [accepted([0.1] * 30)], 95, 0.02) is None


@pytest.mark.parametrize(
    ("failed", "before", "proven"), [(0, 0, False), (1, 0, False), (3, 0, False), (12, 0, True), (12, 30, False)]
)
def test_more_errors_than_before(failed: int, before: int, proven: bool) -> None:
    runs = [accepted([0.1] * (3000 - before), before)]
    found = fails_more(endpoint([0.1] * (1000 - failed), failed), runs, 0.001)
    assert found is not None
    assert found.proven is proven


def test_errors_of_no_requests_are_not_compared() -> None:
    """FAIL_OPEN 44: a ratio of nothing."""
    assert fails_more(endpoint([]), [accepted([0.1] * 10)], 0.001) is None


# -- a process that grows


def looks(*megabytes: float) -> list[ResourceSample]:
    return [ResourceSample(place, 0.1, 0.5, 0.2, int(each * 1e6), 3) for place, each in enumerate(megabytes)]


def test_a_cache_that_fills_is_no_leak() -> None:
    """40 MB in 20 s of 512 MB: further ahead than ten times its own length a load tells nothing."""
    fills = looks(*(20 + 2 * number for number in range(21)))
    assert seconds_until_full(fills, 512_000_000) == NEVER


def test_a_leak_is_told_by_when_memory_is_full() -> None:
    grows = looks(*(100 + 10 * number for number in range(13)))
    assert seconds_until_full(grows, 1_000_000_000) == pytest.approx(78, abs=3)


@pytest.mark.parametrize(
    "megabytes",
    [[100] * 12, [100, 160, 170, 170, 171, 171, 171, 171, 171, 171], [100] * 8 + [140] * 4, [200, 100] * 6, [100, 130]],
    ids=["still", "warms up", "one step", "goes up and down", "too few"],
)
def test_what_is_no_leak(megabytes: list[float]) -> None:
    assert seconds_until_full(looks(*megabytes), 400_000_000) == NEVER
