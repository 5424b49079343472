"""Load runs against servers of known behaviour: percentiles as the servers know them, and the right verdict of each.

Rates are low and runs short, for CI machines are busy; the truth is kept by the server. The client's own cost, which
counts in the times it measures, is stated: how late requests began (measured, `lag`) and 15 ms to send and to read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_prodcheck.demo.shop.performance_faults import MemoryBlocks
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.resources import load_resources
from pytest_prodcheck.evidence.load.run import load_latency, load_run, load_stress
from pytest_prodcheck.judging.ledger import Ledger, close_ledger, open_ledger
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.judging.load_validity import ACHIEVED, achieved, starved
from pytest_prodcheck.load.histogram import read_log
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.load import LoadRun
from suites.performance import test_latency, test_load, test_resources, test_stress
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import BROKEN, GOOD, LIMITED, Delay, Say, Truth, at_once, server, well

BUSY = 0.1  # share of five seconds without a processor: times are then partly the machine's
COST = 0.015  # seconds: what the client itself takes to send a request and to read its answer, on a busy machine


def context_of(root: Path, port: int, **load: Any) -> Context:
    settings = {"rate": "100/s", "duration": "2s", "mix": {"api.it": 1}, "hosts": ["127.0.0.1"], **load}
    if "locustfile" in load:
        settings.pop("mix")
    endpoints = {
        "it": {"request": "GET /it", "status": 200},
        "send": {"request": "POST /send", "json": {"a": 1}, "status": 200, "safe": True},
        "order": {"request": "POST /order", "json": {"a": 1}, "status": 200},
    }
    context = context_for(
        root,
        services={"api": {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints, "timeout": "5s"}},
        load={"it": settings},
        light={"seconds": "3s"},
    )
    context.state = root / ".prodcheck"
    return context


def run_of(context: Context) -> LoadRun:
    found: LoadRun = load_run.gather("it", context, Deadline(60))
    return found


def judged(check: Any, *arguments: Any) -> Ledger:
    """The ledger of a check; errored where it raises as it does for what proves nothing."""
    ledger = open_ledger()
    try:
        check(*arguments)
    except EvidenceProblem:
        ledger.judgements.clear()
    finally:
        close_ledger()
    return ledger


def is_as(found: Outcome, wanted: Outcome, run: LoadRun) -> bool:
    """Whether an outcome is right: on a machine too busy to tell, errored is.

    Too busy it was also where all was sent, the last of it late: 20 ms are a hundredth of the rate of two seconds.
    """
    sent_late = run.begun == run.asked > 0 and achieved(run) < ACHIEVED
    return found is wanted or (found is Outcome.ERRORED and (sent_late or starved(run, 0.1) != ""))


def outcomes(run: LoadRun) -> dict[str, Outcome]:
    return {
        "validity": judged(test_load.test_load_run_is_valid, run).outcome,
        "errors": judged(test_load.test_errors_are_rare, run, Limit(warn="5%", fail="0.1%")).outcome,
        "throughput": judged(test_load.test_the_rate_is_sustained, run, Limit(warn="99%", fail="95%")).outcome,
        "p50": judged(test_latency.test_half_of_the_answers_are_quick, run, Limit(fail="500ms")).outcome,
        "p95": judged(test_latency.test_most_answers_are_quick, run, Limit(fail="1s")).outcome,
    }


def from_schedule(run: LoadRun, truth: Truth) -> list[float]:
    """The times of good answers as the server knows them: from when each request was due to when its answer left."""
    due = [run.began + (number + 0.5) / run.asked_rate for number in range(run.asked)]
    return sorted(left - at for left, at in zip(sorted(truth.left), due, strict=True))


def busy(run: LoadRun) -> bool:
    """Whether times are partly this machine's."""
    return max(each.starved for each in run.workers) > BUSY


def assert_true(run: LoadRun, truth: list[float], percents: tuple[int, ...] = (50, 95, 99)) -> None:
    """Percentiles within 1 % of the truth plus the stated cost of the client."""
    assert run.overall.times.count == len(truth)
    if busy(run):
        return  # how late answers were read is not known: what is judged of them is errored where it matters
    for percent in percents:
        true = truth[max(0, -(-percent * len(truth) // 100) - 1)]
        seen = run.overall.times.percentile(percent)
        assert seen is not None
        cost = COST + (run.lag.percentile(99) or 0)
        assert true * 0.99 - 0.002 <= seen <= true * 1.01 + cost, f"P{percent}: {seen} for {true}, cost {cost}"


def only(run: LoadRun, endpoint: str, asked: int) -> LoadRun:
    """A run as if it had been of one of its endpoints."""
    (found,) = (each for each in run.endpoints if each.name == endpoint)
    return replace(
        run, asked=asked, asked_rate=asked / run.seconds, begun=found.begun, arrived=found.begun, in_time=found.good,
        endpoints=(found,), overall=replace(found, name="overall"),
        samples=tuple(each for each in run.samples if each.endpoint == endpoint),
    )  # fmt: skip


# -- one load of several services, each of which has a server of its own


@dataclass(frozen=True)
class Served:
    """A service: how it answers, and how often it is asked in three seconds."""

    delay: Delay = at_once
    say: Say = well
    request: str = "GET /it"
    asked: int = 60
    timeout: str = "5s"


def one_in(number: int, answer: bytes | None) -> Say:
    return lambda count, at: answer if count % number == number - 1 else GOOD


SERVED = {
    "fixed": Served(lambda number, at: 0.1),
    "two-kinds": Served(lambda number, at: 0.3 if number % 10 == 9 else 0.02),
    "slower": Served(lambda number, at: 0.02 + at / 10),
    "resets": Served(say=one_in(5, None), asked=100),
    "resets-of-orders": Served(say=one_in(20, None), request="POST /order"),
    "limited": Served(lambda number, at: 0.0 if number % 2 else 0.2, one_in(2, LIMITED)),
    "silent": Served(lambda number, at: 8.0 if number % 4 == 3 else 0.0, timeout="1s"),
    "half-a-percent": Served(say=one_in(200, BROKEN), asked=200),
    "two-percent": Served(say=one_in(50, BROKEN), asked=200),
}


@dataclass(frozen=True)
class Met:
    """What the load saw, and what each server knows."""

    run: LoadRun
    truth: Mapping[str, Truth]
    log: str

    def only(self, service: str) -> LoadRun:
        """The run as if it had been of one service."""
        return only(self.run, f"{service}.it", SERVED[service].asked)


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    folder = tmp_path_factory.mktemp("load")
    with ExitStack() as servers:
        running = {name: servers.enter_context(server(each.delay, each.say)) for name, each in SERVED.items()}
        services = {
            name: {
                "url": f"http://127.0.0.1:{port}", "timeout": SERVED[name].timeout,
                "endpoints": {"it": {"request": SERVED[name].request, "status": 200}},
            }
            for name, (port, _) in running.items()
        }  # fmt: skip
        load = {
            "hosts": ["127.0.0.1"], "mix": {f"{name}.it": each.asked for name, each in SERVED.items()},
            "duration": "3s", "rate": f"{sum(each.asked for each in SERVED.values()) / 3}/s",
            "abort": {"error_ratio": 1},
        }  # fmt: skip
        context = context_for(folder, services=services, load={"it": load})
        context.state = folder / ".prodcheck"
        run = run_of(context)
    log = (folder / ".prodcheck/runs/run-7/load/it.hlog").read_text()
    return Met(run, {name: truth for name, (_, truth) in running.items()}, log)


@pytest.mark.parametrize("service", ["fixed", "two-kinds", "slower"])
def test_percentiles_are_true(service: str, met: Met) -> None:
    run, truth = met.only(service), met.truth[service]
    assert (run.begun, run.overall.good, truth.requests) == (60, 60, 60)
    assert_true(run, sorted(truth.took), (50, 95))
    found = outcomes(run)
    assert all(is_as(found[name], Outcome.PASSED, run) for name in found)


def test_histograms_are_saved_with_the_run(met: Met) -> None:
    _, lines = read_log(met.log)
    assert sum(line.histogram.total for line in lines) == met.run.overall.times.count
    assert {line.tag for line in lines} == {f"{name}.it" for name in SERVED}
    assert [(each.name, each.begun) for each in met.run.endpoints] == [
        (f"{name}.it", each.asked) for name, each in SERVED.items()
    ]


@pytest.mark.parametrize(
    ("service", "failed", "expected"), [("half-a-percent", 1, Outcome.PASSED), ("two-percent", 4, Outcome.FAILED)]
)
def test_error_rates(service: str, failed: int, expected: Outcome, met: Met) -> None:
    run, truth = met.only(service), met.truth[service]
    assert run.overall.failed == truth.bad == failed
    assert run.overall.reasons == (("answered 503", failed),)
    assert is_as(judged(test_load.test_errors_are_rare, run, Limit(warn="5%", fail="1%")).outcome, expected, run)
    assert is_as(outcomes(run)["p95"], Outcome.PASSED, run)
    assert_true(run, sorted(truth.took), (50,))


def test_resets_of_kept_connections_are_sent_again_and_judged_by_how_many(met: Met) -> None:
    """RFC 9110, 9.2.2: clients repeat safe requests. One in five is more than connections that happen to end."""
    run, truth = met.only("resets"), met.truth["resets"]
    twice = sum(number for reason, number in run.overall.reasons if "also on a new connection" in reason)
    assert truth.requests == run.begun + run.overall.retried + twice == 100 + truth.resets - run.overall.failed
    assert run.overall.retried >= 6
    found = judged(test_load.test_connections_are_not_reset, run, Limit(fail="2%")).outcome
    assert is_as(found, Outcome.FAILED, run)


def test_resets_of_requests_that_change_something_are_errors(met: Met) -> None:
    run, truth = met.only("resets-of-orders"), met.truth["resets-of-orders"]
    assert truth.requests == run.begun == 60
    assert run.overall.retried == 0
    assert run.overall.failed == truth.resets == 3
    assert run.overall.reasons == (("connection reset", 3),)
    assert is_as(outcomes(run)["errors"], Outcome.FAILED, run)


def test_a_rate_limiter_is_no_success_and_its_speed_no_latency(met: Met) -> None:
    """429 comes at once: were it counted, it would pull the percentiles down (row 21)."""
    run, truth = met.only("limited"), met.truth["limited"]
    assert run.overall.failed == truth.bad == 30
    assert_true(run, sorted(truth.took), (50,))
    assert (run.overall.times.percentile(5) or 0) >= 0.2
    found = outcomes(run)
    assert all(is_as(found[name], Outcome.FAILED, run) for name in ("errors", "throughput"))


def test_slow_answers_time_out_and_leave_the_load_on_schedule(met: Met) -> None:
    run = met.only("silent")
    assert run.overall.failed == 15
    assert run.overall.reasons == (("not answered within 1 s", 15),)
    assert met.run.dropped == 0
    assert met.run.begun_in < met.run.seconds + 0.5


# -- loads of their own


def test_a_stall_is_seen_as_users_see_it(tmp_path: Path) -> None:
    """One stall of 3 s in 4 s: requests due meanwhile count from when they were due. A closed loop sees one of them."""

    def stall(number: int, at: float) -> float:
        if number == 50:
            time.sleep(3)
        return 0.0

    with server(stall) as (port, truth):
        run = run_of(context_of(tmp_path, port, duration="4s"))
    assert run.overall.good == run.begun == 400
    assert_true(run, from_schedule(run, truth))
    p95 = run.overall.times.percentile(95)
    assert p95 is not None
    assert p95 > 2.5
    assert is_as(outcomes(run)["p95"], Outcome.FAILED, run)
    assert is_as(outcomes(run)["errors"], Outcome.PASSED, run)


def test_a_leak_is_told_and_its_times_are_true(tmp_path: Path) -> None:
    """A server that keeps 250 kB of each request; the process that is watched is this one, in which it runs."""
    process, kept = psutil.Process(), MemoryBlocks()

    def leak(number: int, at: float) -> float:
        kept.more(250_000)
        return 0.05

    (tmp_path / "pid").write_text(str(os.getpid()))
    allowed = process.memory_info().rss + 400_000_000
    with server(leak) as (port, truth):
        resources = {"host": False, "pidfile": "pid", "memory": allowed}
        context = context_of(tmp_path, port, duration="3s", resources=resources)
        run = run_of(context)
        seen = load_resources.gather("it", context, Deadline(5))
    kept.give_back()
    assert_true(run, from_schedule(run, truth), (50, 95))
    left = Limit(warn="24h", fail="2h")
    assert judged(test_resources.test_process_neither_leaks_nor_restarts, seen, run, left).outcome is Outcome.FAILED
    room = judged(test_resources.test_memory_has_room, seen, run, Limit(fail="95%")).outcome
    assert is_as(room, Outcome.PASSED, run)


def test_a_server_that_cannot_keep_up_fails_and_does_not_slow_the_load_down(tmp_path: Path) -> None:
    free = [0.0]

    def one_by_one(number: int, at: float) -> float:
        free[0] = max(free[0], at) + 0.02  # 50 a second
        return free[0] - at

    with server(one_by_one) as (port, truth):
        run = run_of(context_of(tmp_path, port, duration="3s"))
    found = outcomes(run)
    assert run.begun == truth.requests == 300
    assert is_as(found["validity"], Outcome.PASSED, run)
    assert all(is_as(found[name], Outcome.FAILED, run) for name in ("throughput", "p95"))


def test_the_knee_and_the_recovery(tmp_path: Path) -> None:
    seen: list[float] = []

    def over(number: int, at: float) -> float:
        seen.append(at)
        while seen and seen[0] < at - 0.5:
            seen.pop(0)
        return 1.5 if len(seen) > 90 else 0.0  # 180 a second and more

    stress = {"until": "240/s", "steps": 2, "hold": "1s", "recover": "2s", "p95": "1s"}
    with server(over) as (port, _):
        context = context_of(tmp_path, port, rate="80/s", stress=stress)
        found = load_stress.gather("it", context, Deadline(60))
    assert [step.rate for step in found.steps] == [160, 240]
    ledger = judged(test_stress.test_there_is_headroom, found, Limit(warn="1.5 x", fail="1.1 x"))
    found_of = [(each.what, each.value, each.outcome) for each in ledger.judgements]
    assert found_of == [
        ("headroom", 2.0, Outcome.PASSED),
        ("recovers afterwards", True, Outcome.PASSED),
    ] or starved(found.run)


def test_latency_without_load(tmp_path: Path) -> None:
    """Needs no Locust; as many requests as a P99 needs, within seconds."""
    with server(lambda number, at: 0.005) as (port, truth):
        context = context_of(tmp_path, port)
        began = time.monotonic()
        run = load_latency.gather("light", context, Deadline(30))
    assert time.monotonic() - began < 15
    assert run.overall.good == 300
    assert {each.name for each in run.endpoints} == {"api.it", "api.send"}
    assert truth.requests == 304  # with two to warm up, of each endpoint
    assert is_as(outcomes(run)["p95"], Outcome.PASSED, run)


def test_latency_without_load_of_many_slow_endpoints_takes_no_longer(tmp_path: Path) -> None:
    """Never more than half again of `seconds`: 15 s of its ten; here of two, so that this test is quick."""
    endpoints = {f"e{number}": {"request": f"GET /{number}", "status": 200} for number in range(80)}
    with server(lambda number, at: 0.1) as (port, _):
        services = {"api": {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints, "timeout": "5s"}}
        context = context_for(tmp_path, services=services, light={"seconds": "2s"})
        began = time.monotonic()
        run = load_latency.gather("light", context, Deadline(30))
    assert time.monotonic() - began < 1.5 * 2  # one after the other, warming up alone would take 16 s
    assert run.overall.good >= 59  # enough for a P95


def test_latency_without_load_of_what_fails_cannot_be_told(tmp_path: Path) -> None:
    with server(say=lambda number, at: BROKEN if number % 10 == 9 else GOOD) as (port, _):
        run = load_latency.gather("light", context_of(tmp_path, port), Deadline(30))
    assert outcomes(run)["p95"] is Outcome.ERRORED


def test_wrk_agrees(tmp_path: Path) -> None:
    """A fixed delay of 100 ms, measured by us and by wrk: the medians agree within the client's stated cost."""
    wrk = shutil.which("wrk")
    if wrk is None:
        pytest.skip("needs wrk; install: apt-get install wrk")
    with server(lambda number, at: 0.1) as (port, _):
        words = [wrk, "-t1", "-c4", "-d3s", "--latency", f"http://127.0.0.1:{port}/it"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as beside:
            run = run_of(context_of(tmp_path, port, rate="40/s"))
            said = beside.communicate(timeout=30)[0]
    found = re.search(r"50%\s+([0-9.]+)ms", said)
    assert found, said
    ours = run.overall.times.percentile(50)
    assert ours is not None
    assert busy(run) or ours == pytest.approx(float(found[1]) / 1000, abs=COST + (run.lag.percentile(99) or 0))
