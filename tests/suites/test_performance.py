"""What is made of looks at a machine under load: each use beside what is allowed, and what cannot be told."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.evidence.load import results
from pytest_prodcheck.judging.ledger import Ledger, close_ledger, open_ledger
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.load.counters import IntervalCounts, ProcessCounts
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.hosts import HostUse
from pytest_prodcheck.records.load import (
    AcceptedEndpoint,
    Baseline,
    LoadEndpoint,
    LoadResources,
    LoadStress,
    LoadWorker,
    ResourceSample,
    StressStep,
)
from suites.performance import test_load, test_regression, test_stress
from suites.performance import test_resources as checks
from tests.judging.test_load_validity import accepted, endpoint, load_run

CPU, MEMORY, CONNECTIONS = (
    checks.test_processors_have_room, checks.test_memory_has_room, checks.test_connections_have_room
)  # fmt: skip
BEFORE = ResourceSample(-0.2, 1.0, 1.0, 9.0, 10**12, 10**6)  # from before the load: does not count
LOOKS = (BEFORE, *(ResourceSample(at, at / 10, 0.5, at / 10, at * 100_000_000, 10 * at) for at in range(1, 6)))
RETRIES = Limit(warn="2%", fail="2%")
ERRORS = Limit(warn="0.1%", fail="0.1%")
WATCHED = LoadResources(True, "shop", 0, 0.5, 1_000_000_000, LOOKS, 100)


def judged(check: Any, resources: LoadResources) -> Ledger:
    ledger = open_ledger()
    try:
        check(resources, load_run(), Limit(warn="40%", fail="95%"))
    finally:
        close_ledger()
    return ledger


@pytest.mark.parametrize(
    ("check", "seen"),
    [(CPU, {"": 30.0, "shop": 60.0}), (MEMORY, {"": 50.0, "shop": 50.0}), (CONNECTIONS, {"shop": 50.0})],
)
def test_use_is_told_in_percent_of_what_is_allowed(check: Any, seen: dict[str, float]) -> None:
    """Of processors the mean, of all else the most; of the machine, and of the process."""
    ledger = judged(check, WATCHED)
    assert {each.of: each.value for each in ledger.judgements} == pytest.approx(seen)
    assert ledger.outcome is Outcome.WARNED


@pytest.mark.parametrize("check", [CPU, MEMORY, CONNECTIONS])
def test_a_few_looks_or_none_at_anything_tell_nothing(check: Any) -> None:
    for resources in (replace(WATCHED, samples=LOOKS[:4]), replace(WATCHED, host=False, process="")):
        with pytest.raises(EvidenceProblem):
            judged(check, resources)


@pytest.mark.parametrize("check", [CPU, MEMORY, CONNECTIONS])
@pytest.mark.parametrize(
    "changes", [{"aborted": "27 of the last 40 requests failed"}, {"begun": 25, "dropped": 975}], ids=["ended", "few"]
)
def test_what_was_hardly_loaded_had_room(check: Any, changes: dict[str, Any]) -> None:
    """Everything was refused from some time on: resources that rested prove nothing."""
    still = tuple(replace(look, process_memory=10**8) for look in LOOKS)
    open_ledger()
    try:
        with pytest.raises(EvidenceProblem, match="proves nothing"):
            check(replace(WATCHED, samples=still), load_run(**changes), Limit(fail="95%"))
    finally:
        close_ledger()


def test_connections_of_no_process_and_beside_no_limit() -> None:
    """Where only the machine is watched nothing was declared that could run out; without a limit nothing is known."""
    machine = replace(WATCHED, process="", samples=tuple(replace(each, connections=None) for each in LOOKS))
    assert judged(CONNECTIONS, machine).outcome is Outcome.PASSED
    with pytest.raises(EvidenceProblem, match="the connection limit of shop is not known"):
        judged(CONNECTIONS, replace(WATCHED, connections_allowed=None))
    unseen = replace(WATCHED, samples=tuple(replace(each, connections=None) for each in LOOKS))
    assert judged(CONNECTIONS, unseen).outcome is Outcome.ERRORED


@pytest.mark.parametrize(("check", "share"), [(CPU, 50.0), (MEMORY, 97.0)])
def test_hosts_that_prometheus_watches_are_judged_beside(check: Any, share: float) -> None:
    """What it does not tell, and a host that is not there, is not known."""
    remote = replace(WATCHED, host=False, process="", hosts=(HostUse("web-1", 0.5, 0.97),), hosts_expected=1)
    assert {each.of: each.value for each in judged(check, remote).judgements if each.of == "web-1"} == {"web-1": share}
    silent = replace(remote, hosts=(HostUse("web-1", None, None, "not scraped"),))
    assert [each.outcome for each in judged(check, silent).judgements if each.of == "web-1"] == [Outcome.ERRORED]
    with pytest.raises(EvidenceProblem, match="1 hosts, 2 are expected"):
        judged(check, replace(remote, hosts_expected=2))


def test_a_process_that_got_no_processor_uses_little() -> None:
    """What it used says nothing where others keep the processors; what is past its limit is proven all the same."""
    busy = load_run()
    starved = replace(busy, workers=(LoadWorker("one", 1000, 0.1, True, starved=0.4),))
    limit = Limit(warn="70%", fail="90%")
    ledger = open_ledger()
    try:
        CPU(replace(WATCHED, host=False), busy, limit)
        with pytest.raises(EvidenceProblem, match="waited for a CPU"):
            CPU(replace(WATCHED, host=False), starved, limit)
        CPU(replace(WATCHED, host=False, cores_allowed=0.1), starved, limit)
    finally:
        close_ledger()
    assert [each.outcome for each in ledger.judgements] == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]


TIMES = (
    test_regression.test_p95_is_no_slower_than_before,
    test_regression.test_p99_is_no_slower_than_before,
    test_regression.test_all_times_are_no_longer_than_before,
)
WORSE, GOOD = endpoint([5.0] * 1000, failed=200), endpoint([0.1] * 1000)


@pytest.mark.parametrize(
    ("check", "overall"),
    [(test_regression.test_errors_are_no_more_frequent_than_before, WORSE), *itertools.product(TIMES, (WORSE, GOOD))],
)
def test_a_client_without_a_processor_proves_no_regression(check: Any, overall: LoadEndpoint) -> None:
    """Worse as a whole or at one endpoint: failed, and errored where the client itself had no processor."""
    run, before = load_run(overall=overall, endpoints=(WORSE,)), accepted([0.1] * 1000)
    baseline = Baseline((replace(before, endpoints=(before.overall,)),), False, 0.02, 0.05, 0.001)
    starved = replace(run, workers=(LoadWorker("one", 1000, 0.1, True, starved=0.4),))
    ledger = open_ledger()
    try:
        check(run, baseline, Limit(warn="10%", fail="25%"))
        assert ledger.outcome is Outcome.FAILED
        with pytest.raises(EvidenceProblem, match="waited for a CPU"):
            check(starved, baseline, Limit(warn="10%", fail="25%"))
    finally:
        close_ledger()


@pytest.mark.parametrize(
    ("overall", "wanted"),
    [
        (endpoint([0.1] * 1000), "waited for a CPU"),
        (
            replace(endpoint([0.1] * 900, failed=100), reasons=(("connection reset", 100),)),
            "the load generator may be the cause",
        ),
        (
            replace(endpoint([0.1] * 900, failed=100), reasons=(("not answered within 5 s", 100),)),
            "the load generator may be the cause",
        ),
        (
            replace(endpoint([0.1] * 900, failed=100), reasons=(("timed out: Read timed out. (read timeout=5)", 100),)),
            "the load generator may be the cause",
        ),
        (endpoint([0.1] * 900, failed=100), "failed"),
    ],
    ids=["good", "reset", "timed out", "timed out in a Locust file", "answered 503"],
)
def test_a_client_without_a_processor_proves_what_the_server_said(overall: LoadEndpoint, wanted: str) -> None:
    """Neither good times nor late ends, which may be its own; a status that came is the server's."""
    run = load_run(overall=overall, endpoints=(overall,), workers=(LoadWorker("one", 1000, 0.1, True, starved=0.4),))
    ledger = open_ledger()
    try:
        if wanted == "failed":
            test_load.test_errors_are_rare(run, Limit(fail="0.1%"))
            assert ledger.outcome is Outcome.FAILED
        else:
            with pytest.raises(EvidenceProblem, match=wanted):
                test_load.test_errors_are_rare(run, Limit(fail="0.1%"))
        with pytest.raises(EvidenceProblem, match="waited for a CPU"):
            test_load.test_connections_are_not_reset(replace(run, overall=replace(overall, retried=100)), RETRIES)
    finally:
        close_ledger()


def test_one_failure_at_one_of_many_rare_endpoints_proves_nothing() -> None:
    """Twenty endpoints of 50 requests, one of which failed: a fiftieth of one, and a thousandth of all."""
    good, once, often = endpoint([0.1] * 50), endpoint([0.1] * 49, failed=1), endpoint([0.1] * 47, failed=3)
    overall = endpoint([0.1] * 999, failed=1)
    found = {}
    for rare in (once, often):
        names = [replace(each, name=f"api.{place}") for place, each in enumerate([rare, *[good] * 19])]
        ledger = open_ledger()
        try:
            test_load.test_errors_are_rare(load_run(overall=overall, endpoints=tuple(names)), ERRORS)
        finally:
            close_ledger()
        found[rare.failed] = ledger.outcome
    assert found == {1: Outcome.WARNED, 3: Outcome.FAILED}


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (StressStep(1.2, 12, 12, 0, 0.1), "12 requests at 1.2/s are too few"),
        (StressStep(1.2, 12, 8, 4, 0.1), "failed"),
        (StressStep(1.2, 12, 12, 0, 3.0), "failed"),
        (StressStep(8.0, 80, 60, 20, 0.1), "failed"),
        (StressStep(8.0, 80, 80, 0, 0.1), "passed"),
    ],
)
def test_a_step_of_few_requests_is_no_saturation_point(step: StressStep, wanted: str) -> None:
    """Ten seconds a step at one request a second: nothing was slow, and nothing is proven."""
    recovery = StressStep(1.0, 100, 100, 0, 0.1)
    stress = LoadStress(load_run(), 1.0, (step,), 1.0, recovery)
    ledger = open_ledger()
    try:
        if wanted in ("failed", "passed"):
            test_stress.test_there_is_headroom(stress, Limit(warn="1.1 x", fail="1.1 x"))
            assert ledger.outcome is Outcome(wanted)
        else:
            with pytest.raises(EvidenceProblem, match=wanted):
                test_stress.test_there_is_headroom(stress, Limit(warn="1.1 x", fail="1.1 x"))
    finally:
        close_ledger()


def test_steps_of_a_search_are_found_whatever_their_length() -> None:
    """Sums of lengths such as 0.1 s are not the same in another order."""
    segments = [[0.1, 10.0 * (step + 1), 10.0 * (step + 1)] for step in range(12)]
    plan = {"segments": segments, "by_segment": True, "interval": 1.0}
    cells = {("api.it", place): IntervalCounts(begun=1, good=1) for place in range(12)}
    counted = ProcessCounts(cells)
    spans = results._spans(plan, counted)
    overall = results._overall(counted, spans, results.due(segments))
    steps, recovery = results.steps_of(plan, load_run(overall=overall))
    assert [each.rate for each in steps] == [10.0 * (step + 1) for step in range(10)]
    assert recovery is not None


@pytest.mark.parametrize("check", [*TIMES, test_regression.test_errors_are_no_more_frequent_than_before])
@pytest.mark.parametrize(
    ("names", "paid", "told"),
    [
        (["cart"], 300, "pay: sent 300 times in 3 accepted runs, and never in this one"),
        (["cart"], 3, ""),
        (["cart", "orders/8124"], 300, ""),
        (["cart", "pay"], 300, ""),
    ],
    ids=["never", "rare", "names with ids", "sent"],
)
def test_what_users_never_come_to_is_not_measured(check: Any, names: list[str], paid: int, told: str) -> None:
    """Their carts are empty, so that nobody pays: all that is asked is quick, and answered."""
    run = load_run(endpoints=tuple(endpoint([0.1] * (1000 // len(names)), name=name) for name in names))
    parts = [endpoint([0.1] * (1000 - paid // 3), name="cart"), endpoint([0.1] * (paid // 3), name="pay")]
    before = accepted([0.1] * 1000)
    endpoints = tuple(AcceptedEndpoint(each.name, each.good, each.failed, each.times) for each in parts)
    baseline = Baseline((replace(before, endpoints=endpoints),) * 3, False, 0.02, 0.05, 0.001)
    ledger = open_ledger()
    try:
        if told:
            with pytest.raises(EvidenceProblem, match=told):
                check(run, baseline, Limit(warn="10%", fail="25%"))
        else:
            check(run, baseline, Limit(warn="10%", fail="25%"))
            assert ledger.outcome is Outcome.PASSED
    finally:
        close_ledger()
