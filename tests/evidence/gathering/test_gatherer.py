"""The gatherer: every piece once, bounded in number and time, gone at Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.collectors import Collector
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
from pytest_prodcheck.evidence.gathering.store import EvidenceStore
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Evidence, EvidenceProblem, Problem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import ok, web


@dataclass(frozen=True)
class Fact:
    """What the tests' collectors return."""

    text: str


Gather = Callable[[str, Context, Deadline], Any]


def kind(gather: Gather, name: str = "fact", host: str = "", **bounds: Any) -> Collector:
    return Collector(name, "thing", gather, Fact, host=lambda target, environment: host or target, **bounds)


def gathered(plan: list[tuple[Collector, str]], context: Context, seconds: float = 10) -> dict[str, Evidence[Any]]:
    store = EvidenceStore()
    gatherer = Gatherer(plan, context, store)
    gatherer.start()
    assert gatherer.wait(seconds), gatherer.progress()
    return {each.key: each for each in store.all()}


def test_gathers_each_piece_exactly_once(tmp_path: Path) -> None:
    calls: Counter[str] = Counter()

    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        calls[target] += 1
        deadline.note("seen")
        return Fact(target)

    collector = kind(gather)
    targets = [f"t{number}" for number in range(300)]
    started = time.time()
    found = gathered([(collector, target) for target in targets * 3], context_for(tmp_path))
    assert calls == Counter(targets)
    assert len(found) == 300
    piece = found["fact:t7"]
    assert (piece.record, piece.problem, piece.notes) == (Fact("t7"), None, ("seen",))
    assert started - 1 < piece.gathered_at <= time.time()


def test_sends_nothing_before_start(tmp_path: Path) -> None:
    calls = []
    gatherer = Gatherer([(kind(lambda *_: calls.append(1)), "t")], context_for(tmp_path), EvidenceStore())
    time.sleep(0.1)
    assert calls == []
    assert gatherer.progress() == (0, 1, "")
    gatherer.stop()


def test_an_empty_plan_is_done(tmp_path: Path) -> None:
    assert gathered([], context_for(tmp_path)) == {}


@pytest.mark.parametrize(
    ("raised", "kind_of_problem", "text"),
    [
        (EvidenceProblem(Problem("denied", "no", "do")), "denied", "no"),
        (ValueError("broken \x1b[31m canary-secret"), "internal", "fact:t: ValueError: broken"),
        (SystemExit(0), "internal", "SystemExit"),
        (KeyboardInterrupt(), "internal", "KeyboardInterrupt"),
        (pytest.fail.Exception("pytest.fail"), "internal", "Failed"),
        (RecursionError("deep" * 1000), "internal", "RecursionError"),
    ],
)
def test_whatever_a_collector_raises_becomes_a_problem(
    tmp_path: Path, raised: BaseException, kind_of_problem: str, text: str
) -> None:
    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        raise raised

    context = context_for(tmp_path)
    context.redactor.add("canary-secret")
    problem = gathered([(kind(gather), "t")], context)["fact:t"].problem
    assert problem is not None
    assert problem.kind == kind_of_problem
    assert text in problem.message
    assert "canary-secret" not in problem.message
    assert problem.message.isprintable()
    assert len(problem.message) <= 1000


@pytest.mark.parametrize("returned", [None, "text", 3])
def test_a_record_of_another_type_is_a_problem(tmp_path: Path, returned: object) -> None:
    problem = gathered([(kind(lambda *_: returned), "t")], context_for(tmp_path))["fact:t"].problem
    assert problem is not None
    assert problem.kind == "internal"


def test_bounds_all_pieces_and_those_to_one_host(tmp_path: Path) -> None:
    lock = threading.Lock()
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        host = target.partition("/")[0]
        with lock:
            for key in ("all", host):
                now[key] += 1
                most[key] = max(most[key], now[key])
        time.sleep(0.02)
        with lock:
            now["all"] -= 1
            now[host] -= 1
        return Fact(target)

    collector = Collector("fact", "thing", gather, Fact, host=lambda target, environment: target.partition("/")[0])
    context = context_for(tmp_path, gathering={"at_once": 10, "per_host": 3})
    gathered([(collector, f"h{number % 5}/{number}") for number in range(100)], context)
    assert 5 < most.pop("all") <= 10
    assert max(most.values()) == 3


def test_a_hung_collector_is_given_up_and_its_worker_replaced(tmp_path: Path) -> None:
    release = threading.Event()

    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        if target == "hangs":
            release.wait(20)
        return Fact(target)

    context = context_for(tmp_path, gathering={"at_once": 1, "per_host": 1})
    started = time.monotonic()
    found = gathered([(kind(gather, host="one", seconds=0.3), target) for target in ("hangs", "a", "b")], context)
    assert time.monotonic() - started < 3
    assert found["fact:hangs"].problem is not None
    assert found["fact:hangs"].problem.kind == "timeout"
    assert found["fact:b"].record == Fact("b")
    release.set()  # what comes after the deadline changes nothing
    time.sleep(0.1)
    assert found["fact:hangs"].record is None
    assert context.slots.take("one")


def test_the_run_has_a_deadline(tmp_path: Path) -> None:
    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        time.sleep(0.3)
        return Fact(target)

    context = context_for(tmp_path, gathering={"deadline": 0.5, "per_host": 1})
    started = time.monotonic()
    found = gathered([(kind(gather, host="one"), str(number)) for number in range(20)], context)
    assert time.monotonic() - started < 2
    assert found["fact:0"].record == Fact("0")
    problem = found["fact:19"].problem
    assert problem is not None
    assert problem.kind == "timeout"
    assert "the run's deadline" in problem.message


def test_stop_returns_at_once_and_leaves_problems(tmp_path: Path) -> None:
    store = EvidenceStore()
    gatherer = Gatherer(
        [(kind(lambda *_: time.sleep(5)), str(number)) for number in range(100)], context_for(tmp_path), store
    )
    gatherer.start()
    time.sleep(0.1)
    assert gatherer.progress()[:2] == (0, 100)
    assert gatherer.progress()[2].startswith("fact:")
    started = time.monotonic()
    gatherer.stop()
    assert time.monotonic() - started < 2
    assert gatherer.wait(0)
    assert {each.problem.kind for each in store.all() if each.problem} == {"interrupted"}
    assert len(store.all()) == 100


def test_exclusive_pieces_run_alone_after_all_others(tmp_path: Path) -> None:
    log: list[tuple[str, str]] = []

    def gather(target: str, context: Context, deadline: Deadline) -> Fact:
        log.append(("begin", target))
        time.sleep(0.03)
        log.append(("end", target))
        return Fact(target)

    alone = kind(gather, "alone", exclusive=True)
    plan = [(alone, "x1"), (alone, "x2"), *((kind(gather), f"q{number}") for number in range(5))]
    gathered(plan, context_for(tmp_path))
    assert log[-4:] == [("begin", "x1"), ("end", "x1"), ("begin", "x2"), ("end", "x2")]


def test_the_cap_per_host_counts_the_extra_connections_of_one_piece(tmp_path: Path) -> None:
    def answer(seen: Any) -> Any:
        time.sleep(0.02)
        return ok(seen)

    with web(answer) as server:
        url = f"http://127.0.0.1:{server.port}"
        service = {"url": url, "version": {"path": "/version", "pointer": "/status"}, "health": "/healthz"}
        endpoints = {f"e{number}": {"request": f"GET /e{number}", "status": 200} for number in range(20)}
        context = context_for(
            tmp_path, services={"shop": {**service, "endpoints": endpoints}}, gathering={"per_host": 4}
        )
        plan = [(find("http-version"), "shop"), (find("http-health"), "shop")]
        plan += [(find("http-endpoint"), f"shop.{name}") for name in endpoints]
        found = gathered(plan, context)
    assert server.most_at_once <= 4
    assert not [each for each in found.values() if each.problem]
    assert len(server.requests) == 44 + 7 + 20


def test_control_c_ends_the_process_within_a_second(tmp_path: Path) -> None:
    script = tmp_path / "hangs.py"
    script.write_text(
        "import pathlib, signal, sys, time, threading, os\n"
        "from tests.evidence.contexts import context_for\n"
        "from tests.evidence.network.speakers import raw_server\n"
        "from pytest_prodcheck.evidence.gathering.gatherer import Gatherer\n"
        "from pytest_prodcheck.evidence.gathering.store import EvidenceStore\n"
        "from pytest_prodcheck.evidence.table import find\n"
        "with raw_server(lambda connection: time.sleep(60)) as port:\n"
        "    service = {'url': f'http://127.0.0.1:{port}', 'health': '/', 'timeout': 60}\n"
        "    services = {f's{n}': service for n in range(20)}\n"
        "    context = context_for(pathlib.Path(), services=services)\n"
        "    gatherer = Gatherer([(find('http-health'), n) for n in services], context, EvidenceStore())\n"
        "    gatherer.start()\n"
        "    time.sleep(0.5)\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    started = time.monotonic()\n"
        "    try:\n"
        "        gatherer.wait(60)\n"
        "    except KeyboardInterrupt:\n"
        "        gatherer.stop()\n"
        "    print(time.monotonic() - started, flush=True)\n"
    )
    started = time.monotonic()
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0
    assert time.monotonic() - started < 6
