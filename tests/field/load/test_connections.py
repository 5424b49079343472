"""Reports about connections and about loads that end themselves, rebuilt with servers that keep the truth."""

from __future__ import annotations

import itertools
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http import client as http_client
from pytest_prodcheck.evidence.load import address_renewal, plan
from pytest_prodcheck.evidence.load.run import load_latency
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.judging.load_validity import flaws
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from suites.performance import test_latency
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import GOOD, Slowly, server, serving
from tests.evidence.load.test_load import context_of, is_as, judged, outcomes, run_of

UNASKED = b"HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\nYour browser didn't send a complete request."


class Later(Slowly):
    """A good answer, and another one that nobody asked for, after a while."""

    def parts(self) -> Iterator[bytes]:
        yield GOOD
        time.sleep(0.05)
        yield UNASKED


@pytest.mark.parametrize("answer", [Later(), GOOD + UNASKED, GOOD + b"0\r\n\r\n"], ids=["idle", "at once", "too much"])
def test_an_answer_that_nobody_asked_for_is_none(answer: bytes, tmp_path: Path) -> None:
    """openshift/release#378: a proxy says 408 on a kept connection that rests."""
    with serving(lambda head: answer) as port:
        run = run_of(context_of(tmp_path, port, duration="1s"))
    assert (run.overall.good, run.overall.failed, run.overall.retried) == (100, 0, 0)


class Once(socketserver.BaseRequestHandler):
    """Answers one request of a connection, and says 408 to the next one, as if it had been too late."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(GOOD)
        if self.request.recv(65536):
            self.request.sendall(UNASKED)


def test_a_kept_connection_that_has_rested_too_long_is_no_failure(tmp_path: Path) -> None:
    """t2bot/matrix-media-repo#174: 408 crosses the next request; browsers send it again on a new connection."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Once) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        run = run_of(context_of(tmp_path, listening.server_address[1], duration="1s"))
        listening.shutdown()
    assert (run.overall.good, run.overall.failed) == (100, 0)
    assert run.overall.retried > 20


LOCUST = """\
from locust import FastHttpUser, LoadTestShape, constant, task

class Visitor(FastHttpUser):
    wait_time = constant(0.05)
    count = 0

    @task
    def look(self):
        self.client.get("/it")
        Visitor.count += 1
        {quits}
"""
SHAPE = """
class Short(LoadTestShape):
    def tick(self):
        return (4, 4) if self.get_run_time() < 1 else None
"""


@pytest.mark.parametrize(
    "text",
    [
        LOCUST.replace("{quits}", "if Visitor.count > 40: self.environment.runner.quit()"),
        LOCUST.replace("{quits}", "") + SHAPE,
    ],
    ids=["quits", "shape"],
)
def test_a_locust_file_that_ends_its_own_load_proves_nothing(text: str, tmp_path: Path) -> None:
    """locustio/locust#2456, #1653: users that call `runner.quit()`, a shape that returns None before the time is up."""
    (tmp_path / "locustfile.py").write_text(text)
    with server() as (port, _):
        try:
            run = run_of(context_of(tmp_path, port, locustfile="locustfile.py", users=4, rate=None, duration="4s"))
        except EvidenceProblem as error:  # Locust was gone before it had told all
            assert "left no result" in str(error)  # noqa: PT017
            return
    assert run.overall.failed == 0
    assert any("no request was answered for" in each for each in flaws(run))
    assert set(outcomes(run).values()) == {Outcome.ERRORED}


def test_a_name_that_gets_another_address_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mcollina/autocannon#65: a balancer scales, its old address goes away; who asked once loads nothing any more."""
    moved = threading.Event()
    now = [0]

    def answered(number: int, at: float) -> float:
        if number == 20:
            now[0] = new
            moved.set()
        return 0.0

    def addresses(*_: object) -> tuple[ResolvedAddress, ...]:
        return (ResolvedAddress("IPv4", "127.0.0.1", now[0]),)

    monkeypatch.setattr(address_renewal, "EVERY", 0.2)
    monkeypatch.setattr(plan, "addresses_of", addresses)
    with server(answered) as (old, before), server() as (new, after):
        now[0] = old
        run = run_of(context_of(tmp_path, old, duration="4s", rate="50/s"))
    assert moved.is_set()
    assert run.overall.failed == 0
    assert after.requests + before.requests == run.begun == 200
    assert after.requests > 20
    assert [each.address for each in run.addresses] == [f"127.0.0.1:{new}", f"127.0.0.1:{old}"]


class Handshake(Slowly):
    """The head of a large record, and a byte of it now and then."""

    def parts(self) -> Iterator[bytes]:
        yield b"\x16\x03\x03\x40\x00"
        for _ in range(20):
            time.sleep(0.2)
            yield b"x"


def test_a_handshake_that_drips_is_as_late_as_one_that_hangs(tmp_path: Path) -> None:
    """A time-out of each read is none of the whole: the load's deadline is that of the request."""
    service: dict[str, Any] = {"timeout": "1s", "tls": {"verify": "off"}}
    load = {"rate": "20/s", "duration": "1s", "mix": {"api.it": 1}, "hosts": ["127.0.0.1"], "abort": {"error_ratio": 1}}
    with serving(lambda head: Handshake()) as port:
        service |= {"url": f"https://127.0.0.1:{port}", "endpoints": {"it": {"request": "GET /it", "status": 200}}}
        run = run_of(context_for(tmp_path, services={"api": service}, load={"it": load}))
    assert run.overall.reasons == (("timed out in the TLS handshake: 1 s", 20),)
    assert (run.unanswered, run.dropped) == (0, 0)


class Balancer(socketserver.BaseRequestHandler):
    """Gives each connection to the next of three servers, as kube-proxy does; one of them is slow."""

    number = itertools.count()
    slow = 0.6  # seconds

    def handle(self) -> None:
        slow = next(self.number) % 3 == 1
        while self.request.recv(65536):
            time.sleep(self.slow if slow else 0)
            self.request.sendall(GOOD)


class SlowerBalancer(Balancer):
    slow = 2.0


def test_a_load_avoids_no_slow_server_behind_a_balancer(tmp_path: Path) -> None:
    """The same: who takes any connection that rests takes those of the quick servers, as no user can."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), SlowerBalancer) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        run = run_of(context_of(tmp_path, listening.server_address[1], rate="60/s", duration="4s"))
        listening.shutdown()
    assert (run.overall.good, run.overall.reasons) == (240, ())
    slow = sum(number for microseconds, number in run.overall.times.histogram if microseconds > 1_900_000)
    assert slow > 30, "more than an eighth, where users meet a third"
    assert is_as(outcomes(run)["p95"], Outcome.FAILED, run)


def test_latency_without_load_meets_all_servers_behind_a_balancer(tmp_path: Path) -> None:
    """openfaas/faas-netes#482, kubernetes/kubernetes#38456: who keeps one connection keeps to one pod."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Balancer) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        port = listening.server_address[1]
        endpoints = {"it": {"request": "GET /it", "status": 200}}
        services = {"api": {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints}}
        context = context_for(tmp_path, services=services, light={"seconds": "3s", "requests": 100})
        run = load_latency.gather("light", context, Deadline(30))
        listening.shutdown()
    found = judged(test_latency.test_most_answers_are_quick, run, Limit(fail="500ms"))
    assert is_as(found.outcome, Outcome.FAILED, run)


def test_latency_without_load_meets_all_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (one, first), server(lambda number, at: 0.6) as (other, second):
        found = (ResolvedAddress("IPv4", "127.0.0.1", one), ResolvedAddress("IPv4", "127.0.0.1", other))
        monkeypatch.setattr(http_client, "addresses_of", lambda *_: found)
        endpoints = {"it": {"request": "GET /it", "status": 200}}
        services = {"api": {"url": f"http://shop.test:{one}", "endpoints": endpoints}}
        context = context_for(tmp_path, services=services, light={"seconds": "3s", "requests": 100})
        run = load_latency.gather("light", context, Deadline(30))
    assert first.requests + second.requests == 102
    assert second.requests > 40
    judgement = judged(test_latency.test_most_answers_are_quick, run, Limit(fail="500ms"))
    assert is_as(judgement.outcome, Outcome.FAILED, run)
