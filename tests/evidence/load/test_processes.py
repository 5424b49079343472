"""Processes of a load: workers here and elsewhere, a team's own Locust file, loads that end early or are interrupted.

Nothing here is judged by how long it took: these run beside others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.judging.load_validity import starved
from pytest_prodcheck.load.worker import words
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from suites.performance import test_load
from tests.evidence.load.servers import BROKEN, GOOD, server
from tests.evidence.load.test_load import context_of, is_as, judged, outcomes, run_of


def test_it_stops_by_itself_when_too_much_fails(tmp_path: Path) -> None:
    with server(say=lambda number, at: BROKEN if number > 100 else GOOD) as (port, truth):
        began = time.monotonic()
        run = run_of(context_of(tmp_path, port, duration="30s", abort={"error_ratio": "20%"}))
    assert time.monotonic() - began < 20
    assert run.begun == truth.requests < 1500
    assert "failed, more than 20" in run.aborted
    found = outcomes(run)
    assert found["errors"] is Outcome.FAILED  # proven bad
    assert {found[name] for name in ("validity", "throughput", "p50", "p95")} == {Outcome.ERRORED}


def test_nothing_answers(tmp_path: Path) -> None:
    """No success at all: no percentile of nothing, no error rate of nothing (rows 12, 19, 44)."""
    with server(say=lambda number, at: None) as (port, _):
        run = run_of(context_of(tmp_path, port, abort={"error_ratio": "100%"}, duration="1s"))
    found = outcomes(run)
    assert run.overall.good == 0
    assert is_as(found["errors"], Outcome.FAILED, run)
    assert {found[name] for name in ("validity", "p50", "p95")} == {Outcome.ERRORED}


def test_two_processes_send_one_schedule(tmp_path: Path) -> None:
    with server() as (port, truth):
        run = run_of(context_of(tmp_path, port, workers=2))
    assert truth.requests == run.begun == run.overall.good == 200
    assert sorted(worker.begun for worker in run.workers) == [100, 100]
    assert is_as(outcomes(run)["validity"], Outcome.PASSED, run)


SLOW_CLOCK = """
import runpy, time
now = time.time
time.time = lambda: now() - 600
runpy.run_module("locust", run_name="__main__")
"""


def test_workers_on_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust's own master and workers: here the workers are processes that somebody else started."""
    with server() as (port, truth):
        from pytest_prodcheck.evidence.load.process import _free_port

        bind = f"127.0.0.1:{_free_port()}"
        monkeypatch.setenv("PRODCHECK_LOAD_SECRET", "a-secret-that-both-sides-know")
        commands = (["-m", "pytest_prodcheck.load.worker", bind], ["-c", SLOW_CLOCK, *words(bind)[3:]])
        workers = [subprocess.Popen([sys.executable, *each], stderr=subprocess.DEVNULL) for each in commands]
        began = time.time()
        try:
            run = run_of(context_of(tmp_path, port, expect_workers=2, bind=bind))
        finally:
            for worker in workers:
                worker.kill()
                worker.wait(10)
    assert truth.requests == run.begun == 200
    assert len(run.workers) == 2
    assert began < run.began < time.time(), "the time of the load, whatever a worker's clock says"
    assert is_as(outcomes(run)["validity"], Outcome.PASSED, run)


def test_a_lost_worker_makes_the_run_invalid(tmp_path: Path) -> None:
    """What it had counted and not told is lost with it (row 20)."""
    ended: list[int] = []

    def kill_one() -> None:
        me = os.getpid()
        for _ in range(300):
            time.sleep(0.1)
            if truth.requests > 30:
                break
        children = locust_processes_below(me)
        ended.append(max(children))
        os.kill(max(children), signal.SIGKILL)

    with server() as (port, truth):
        threading.Thread(target=kill_one, daemon=True).start()
        run = run_of(context_of(tmp_path, port, workers=2, duration="4s"))
    assert ended
    assert any("lost" in each for each in (run.trouble, run.aborted))
    assert set(outcomes(run).values()) == {Outcome.ERRORED}


def locust_processes_below(pid: int) -> list[int]:
    """The Locust processes below one of ours, by what the system says of them."""
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if "locust" in " ".join(child.cmdline())]


USERS = """\
import csv
import itertools
from pathlib import Path
from locust import HttpUser, FastHttpUser, constant, task

FEED = itertools.cycle(csv.reader(Path("skus.csv").open()))

class Visitor(HttpUser):
    wait_time = constant(0.05)
    def on_start(self):
        self.token = self.client.post("/login", json={"user": "u"}).status_code
    @task(3)
    def look(self):
        self.client.get(f"/products/{next(FEED)[0]}", name="/products/{sku}", headers={"X-Token": str(self.token)})
    @task
    def elsewhere(self):
        self.client.get("http://elsewhere.test/", name="elsewhere")

class Robot(FastHttpUser):
    wait_time = constant(0.1)
    @task
    def poll(self):
        self.client.get("/poll")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_teams_own_locust_file(workers: int, tmp_path: Path) -> None:
    """Login first, a data feed, think time, two kinds of users; and a host that may not be loaded is not."""
    (tmp_path / "skus.csv").write_text("a\nb\n")
    (tmp_path / "locustfile.py").write_text(USERS)
    with server(lambda number, at: 0.01) as (port, truth):
        context = context_of(
            tmp_path, port, locustfile="locustfile.py", users=8, workers=workers, rate=None, duration="2.5s",
            abort={"error_ratio": "60%"},
        )  # fmt: skip
        run = run_of(context)
    named = {each.name: each for each in run.endpoints}
    assert named["GET /products/{sku}"].good > 20
    assert named["GET /poll"].good > 20
    assert named["GET elsewhere"].good == 0
    assert "load may not be sent to" in named["GET elsewhere"].reasons[0][0]
    assert abs(truth.requests - run.overall.good) <= 16  # those that were under way at the end, and logins at the start
    if starved(run):
        pytest.skip("the machine is too busy to tell")
    assert judged(test_load.test_load_run_is_valid, run).outcome is Outcome.PASSED
    assert judged(test_load.test_errors_are_rare, run, Limit(fail="0.1%")).outcome is Outcome.FAILED


def test_a_closed_loop_that_was_stuck_is_invalid(tmp_path: Path) -> None:
    """Users that wait ask nothing: the samples of the stall are missing, and the run says so (row 20)."""

    def stall(number: int, at: float) -> float:
        if number == 30:
            time.sleep(2.5)
        return 0.0

    (tmp_path / "locustfile.py").write_text(
        "from locust import FastHttpUser, constant, task\n"
        "class U(FastHttpUser):\n    wait_time = constant(0.1)\n    @task\n    def x(self): self.client.get('/x')\n"
    )
    with server(stall) as (port, _):
        run = run_of(context_of(tmp_path, port, locustfile="locustfile.py", users=4, rate=None, duration="4s"))
    assert run.longest_gap > 2
    assert (run.overall.times.percentile(75) or 9) < 1  # what a closed loop makes of it
    assert outcomes(run)["p95"] is Outcome.ERRORED


def test_a_client_that_is_too_slow_makes_the_run_invalid(tmp_path: Path) -> None:
    """Users that compute keep their own processor busy: what they measure is themselves."""
    (tmp_path / "locustfile.py").write_text(
        "import time\nfrom locust import FastHttpUser, task\n"
        "class U(FastHttpUser):\n    @task\n    def x(self):\n        self.client.get('/x')\n"
        "        end = time.process_time() + 0.2\n        while time.process_time() < end: pass\n"
    )
    with server() as (port, _):
        context = context_of(tmp_path, port, locustfile="locustfile.py", users=4, rate="400/s", duration="2s")
        run = run_of(context)
    assert set(outcomes(run).values()) == {Outcome.ERRORED}


def test_a_host_that_may_not_be_loaded(tmp_path: Path) -> None:
    context = context_of(tmp_path, 9, hosts=["localhost"])
    with pytest.raises(EvidenceProblem, match="load may not be sent to"):
        run_of(context)


def test_an_interrupted_run_leaves_no_process_behind(tmp_path: Path) -> None:
    with server() as (port, truth):
        context = context_of(tmp_path, port, duration="60s", workers=2)
        caught: list[str] = []

        def gather() -> None:
            try:
                run_of(context)
            except EvidenceProblem as error:
                caught.append(str(error))

        thread = threading.Thread(target=gather, daemon=True)
        thread.start()
        for _ in range(300):
            time.sleep(0.1)
            if truth.requests > 20:
                break
        context.close()
        thread.join(10)
    assert not thread.is_alive()
    assert caught
    assert not locust_processes_below(os.getpid())
