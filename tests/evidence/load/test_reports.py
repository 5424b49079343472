"""Situations from public reports of load tools, against servers that keep the truth; sources: tests/field/README.md."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.answers.expected_answers import ExpectedAnswer
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.fingerprint import fingerprint
from pytest_prodcheck.evidence.load.light import Pace, seconds_to_wait
from pytest_prodcheck.evidence.load.run import load_latency
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.judging.load_validity import flaws
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem, Exchange
from pytest_prodcheck.records.load import LoadRun, ResponseTimes
from suites.performance import test_latency, test_load
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import BROKEN, GOOD, server
from tests.evidence.load.test_load import context_of, is_as, judged, outcomes, run_of
from tests.evidence.load.test_processes import locust_processes_below

ERRORS = Limit(warn="5%", fail="0.1%")
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /waiting\r\nContent-Length: 0\r\n\r\n"


def errors(run: LoadRun) -> Outcome:
    return judged(test_load.test_errors_are_rare, run, ERRORS).outcome


def settings(port: int, endpoint: dict[str, Any], **load: Any) -> dict[str, Any]:
    scenario = {"rate": "100/s", "duration": "2s", "mix": {"api.it": 1}, "hosts": ["127.0.0.1"], **load}
    service = {"url": f"http://127.0.0.1:{port}", "endpoints": {"it": endpoint}, "timeout": "5s"}
    return {"services": {"api": service}, "load": {"it": scenario}}


def test_all_addresses_of_a_name_are_loaded(tmp_path: Path) -> None:
    """grafana/k6#738: the first address answers well, the other one 503, and half of the users meet it."""
    with server(say=lambda number, at: BROKEN) as (bad, _), server() as (good, truth):
        context = context_of(tmp_path, good, abort={"error_ratio": "90%"})
        run = run_with_addresses(context, [("127.0.0.1", good), ("127.0.0.1", bad)])
    assert all(60 < each.requests < 140 for each in run.addresses)
    assert run.overall.failed == run.addresses[1].requests
    assert errors(run) is Outcome.FAILED
    assert truth.connections > 1, "a balancer in front would have sent all to one backend"


def test_an_address_that_refuses_is_passed_over_and_told(tmp_path: Path) -> None:
    with socket.socket() as nobody, server() as (good, _):
        nobody.bind(("127.0.0.1", 0))  # not listening
        run = run_with_addresses(context_of(tmp_path, good), [nobody.getsockname(), ("127.0.0.1", good)])
    assert run.overall.failed == 0
    assert [each.refused > 0 for each in run.addresses] == [True, False]


def run_with_addresses(context: Context, addresses: list[tuple[str, int]]) -> LoadRun:
    """A run whose one name has these addresses: of ports on loopback, for /etc/hosts cannot be changed here."""
    from pytest_prodcheck.evidence.load import plan

    told = plan.client

    def client(*arguments: Any) -> dict[str, Any]:
        return {**told(*arguments), "addresses": [list(each) for each in addresses]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "client", client)
        return run_of(context)


def test_a_cold_start_does_not_end_a_load(tmp_path: Path) -> None:
    """grafana/k6#449: six of the first requests fail, and none after them."""
    with server(say=lambda number, at: BROKEN if number < 6 else GOOD) as (port, _):
        run = run_of(context_of(tmp_path, port))
    assert (run.aborted, run.overall.failed) == ("", 6)


def test_a_load_of_few_requests_ends_itself_too(tmp_path: Path) -> None:
    """200 requests a minute, all of which fail."""
    with server(say=lambda number, at: BROKEN) as (port, _):
        run = run_of(context_of(tmp_path, port, rate="200/min", duration="20s"))
    assert "requests failed" in run.aborted
    assert run.begun < 20


def test_time_outs_are_latencies_of_at_least_the_time_out(tmp_path: Path) -> None:
    """One of ten is never answered in time: without them P95 would be that of the quick ones."""

    def delay(number: int, at: float) -> float:
        return 3.0 if number % 10 == 9 else 0.0

    with server(delay) as (port, _):
        declared = settings(port, {"request": "GET /it", "status": 200}, abort={"error_ratio": "50%"})
        declared["services"]["api"]["timeout"] = "1.2s"
        run = run_of(context_for(tmp_path, **declared))
    assert run.overall.failed >= 20
    assert (run.overall.times.percentile(95) or 0) >= 1.2
    assert is_as(outcomes(run)["p95"], Outcome.FAILED, run)


LOCUST = """\
from locust import HttpUser, constant, task
from locust.exception import StopUser

class Visitor(HttpUser):
    fixed_count = 3
    wait_time = constant(0.05)
    @task
    def look(self): self.client.get("/item")

class Other(HttpUser):
    fixed_count = 1
    wait_time = constant(0.05)
    {body}
"""
BODIES = {
    "hung": "@task\n    def pay(self):\n        self.client.get('/pay', timeout=0.3, name='/given-up')\n"
            "        self.client.get('/pay')",
    "dead": "def on_start(self): raise StopUser\n    @task\n    def pay(self): pass",
    "raises": "@task\n    def pay(self): self.client.get('/item').json()['price']",
}


@pytest.mark.parametrize(
    ("body", "told"), [("dead", "users were still running"), ("raises", "raised KeyError: 'price'")]
)
def test_users_that_do_not_work_make_a_run_invalid(body: str, told: str, tmp_path: Path) -> None:
    """locustio/locust#1172: users that stop, and tasks that raise (plain Locust ends with 1)."""
    (tmp_path / "locustfile.py").write_text(LOCUST.replace("{body}", BODIES[body]))
    with server(lambda number, at: 0.01) as (port, _):
        run = run_of(context_of(tmp_path, port, locustfile="locustfile.py", users=4, rate=None))
    assert any(told in each for each in flaws(run))
    assert outcomes(run)["validity"] is Outcome.ERRORED


def test_users_that_wait_for_ever_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """locustio/locust#3010: Locust tells of requests when they end, and these never do."""
    (tmp_path / "locustfile.py").write_text(LOCUST.replace("{body}", BODIES["hung"]))
    answers = hung_server()
    run = run_of(context_of(tmp_path, answers, locustfile="locustfile.py", users=4, rate=None))
    pay = next(each for each in run.endpoints if each.name == "GET /pay")
    assert (pay.begun, pay.good, pay.failed) == (1, 0, 1)
    assert "at the end of the load" in pay.reasons[0][0]
    given_up = next(each for each in run.endpoints if each.name == "GET /given-up")
    assert (given_up.begun, given_up.good, given_up.failed) == (1, 0, 1)
    assert (given_up.times.percentile(100) or 0) >= 0.3, "locustio/locust#1363: a time-out is no quick failure"
    assert is_as(errors(run), Outcome.FAILED, run)


def hung_server() -> int:
    """A server that answers all but /pay; returns its port. Its threads end with this process."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def talk(client: socket.socket) -> None:
        with client:
            while data := client.recv(65536):
                if b"/pay" in data:
                    time.sleep(40)
                    return
                client.sendall(GOOD)

    def serve() -> None:
        while True:
            client, _ = listening.accept()
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


def test_what_this_machine_is_short_of_is_no_failure(tmp_path: Path) -> None:
    """grafana/k6#2006: too few open files here; the server answered whatever reached it."""

    def narrow(number: int, at: float) -> float:
        if number == 0:
            for pid in locust_processes_below(os.getpid()):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 20,) * 2)
        return 2.0

    with server(narrow) as (port, _):
        try:
            run = run_of(context_of(tmp_path, port, rate="60/s", duration="3s"))
        except EvidenceProblem as error:  # Locust itself may end of it
            assert "Too many open files" in str(error)  # noqa: PT017
            return
    assert any("Too many open files" in what for what, _ in run.shortages)
    assert errors(run) is not Outcome.FAILED
    assert outcomes(run)["validity"] is Outcome.ERRORED


def test_tokens_that_end_before_the_load_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """grafana/k6#3268: tokens live for two seconds and say so, the load lasts five."""
    monkeypatch.setenv("PRODCHECK_TEST_PASSWORD", "correct-horse")
    port, logins = token_server(2.0)
    endpoint = {"request": "GET /orders", "status": 200, "as": "customer"}
    auth = {
        "kind": "json", "service": "api", "login": "POST /login", "token": "/access_token",
        "roles": {"customer": {"user": "c", "password": {"env": "PRODCHECK_TEST_PASSWORD"}}},
    }  # fmt: skip
    run = run_of(context_for(tmp_path, **settings(port, endpoint, rate="40/s", duration="5s"), auth=auth))
    assert run.overall.failed == 0
    late = sum(number for _, number in run.shortages)  # a busy machine logs in too late: its own doing
    assert run.overall.good + late == 200
    assert late < 100
    assert len(logins) >= 3


def token_server(life: float) -> tuple[int, list[float]]:
    """A server whose tokens end; returns its port and when each token was given. It ends with this process."""
    given: list[float] = []

    class Shop(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            given.append(time.time())
            self.answer(200, json.dumps({"access_token": f"token-{len(given) - 1}", "expires_in": life}))

        def do_GET(self) -> None:
            number = int(self.headers.get("Authorization", "Bearer token-0").rpartition("-")[2])
            self.answer(200 if time.time() < given[number] + life else 401, "{}")

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None: ...

    made = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made.server_address[1], given


def test_light_sees_a_stall_that_comes_now_and_then(tmp_path: Path) -> None:
    """rakyll/boom#100: the process stands still for 0.9 s of every 3 s; asked in turn, few requests meet that."""

    def stall(number: int, at: float) -> float:
        if at % 3 > 2.1:
            time.sleep(3 - at % 3)
        return 0.0

    with server(stall) as (port, _):
        declared = settings(port, {"request": "GET /it", "status": 200})
        context = context_for(tmp_path, **declared, light={"seconds": "4s", "requests": 120})
        run = load_latency.gather("light", context, Deadline(30))
    assert (run.overall.times.percentile(90) or 0) > 0.3


def test_light_counts_no_cold_start(tmp_path: Path) -> None:
    """gatling/gatling#532: the first answer takes two seconds."""
    with server(lambda number, at: 2.0 if number == 0 else 0.01) as (port, truth):
        declared = settings(port, {"request": "GET /it", "status": 200})
        context = context_for(tmp_path, **declared, light={"seconds": "2s", "requests": 100})
        run = load_latency.gather("light", context, Deadline(30))
    assert max(truth.took) >= 2
    assert (run.overall.times.percentile(100) or 9) < 2
    assert run.overall.good == truth.requests - 1 >= 100


PORTS = """
import pathlib, socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
from pytest_prodcheck.answers.expected_answers import ExpectedAnswer
from pytest_prodcheck.load.client import Call, Client, OwnShortage, clock
from pytest_prodcheck.load.templates import Template
listening = socket.create_server(("127.0.0.1", 50000), backlog=64)
client = Client({"addresses": [["127.0.0.1", 50000]], "server_name": "x", "tls": None, "http": "1.1"})
call = Call("it", client, "GET", Template("GET / HTTP/1.1\\r\\n\\r\\n"), True, ExpectedAnswer(statuses=(200,)), 5.0)
kept = []
try:
    for _ in range(9):
        kept.append(client._open(call, clock() + 5))
except OwnShortage as shortage:
    print(len(kept), shortage)
"""


def test_no_port_left_here_is_no_failure_of_the_server(tmp_path: Path) -> None:
    """grafana/k6#826: in a network of its own that has four ports to connect from."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode or not shutil.which("ip"):
        pytest.skip("no network namespaces here")
    words += [sys.executable, "-c", PORTS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "4 this machine could not connect: Cannot assign requested address\n", done.stderr


def test_light_keeps_to_the_rate_that_a_limiter_allows(tmp_path: Path) -> None:
    """40 at once and 20 a second for each client, as many APIs have it; 429 says so and is no failure."""
    bucket = [20.0, 0.0]

    def limit(number: int, at: float) -> bytes | None:
        bucket[0], bucket[1] = min(20.0, bucket[0] + (at - bucket[1]) * 20), at
        if bucket[0] < 1:
            return b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        bucket[0] -= 1
        return GOOD

    with server(say=limit) as (port, _):
        declared = settings(port, {"request": "GET /it", "status": 200})
        context = context_for(tmp_path, **declared, light={"seconds": "3s", "requests": 100})
        run = load_latency.gather("light", context, Deadline(30))
    assert run.overall.failed == 0
    assert run.overall.good > 59


def test_a_pace_is_even_and_ends() -> None:
    pace = Pace(10, 5.0, 100.0)
    assert [pace.next() for _ in range(11)] == [*((number, 100 + number / 2) for number in range(10)), None]
    pace = Pace(10, 5.0, 100.0)
    pace.next()
    pace.slow_down(2.0, 100.6)
    assert pace.next() == (0, 102.6)
    assert [round(each, 2) for each in pace.next() or ()] == [1, 103.35]
    pace.slow_down(30.0, 103.4)
    assert pace.next() is None


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [("30", 30, 30), ("0", 0.1, 0.1), ("3600", 3600, 3600), ("9" * 400, 86400, 86400), ("soon", 1, 1), ("1.5", 1, 1),
     ("a date", 3000, 3600), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.1, 0.1)],
    ids=lambda value: str(value)[:9],
)  # fmt: skip
def test_a_rest_is_as_long_as_the_service_asks(said: str, least: float, most: float) -> None:
    """kieranklaassen/compound-cli#19: long ones were cut short, and each further request was refused, too."""
    said = formatdate(time.time() + 3600, usegmt=True) if said == "a date" else said
    exchange = Exchange("GET", "http://it/", 429, (("Retry-After", said),), "", 0, 0.1)
    assert least <= (seconds_to_wait(exchange, ExpectedAnswer((200,))) or 0) <= most


def test_runs_are_compared_with_those_of_the_same_requests(tmp_path: Path) -> None:
    """The endpoint of one name became another request; a Locust file's helper was changed, or its users' data."""

    def digest(endpoint: dict[str, Any], headers: Mapping[str, str] | None = None, **load: Any) -> str:
        declared = settings(1, endpoint, **load)
        declared["services"]["api"]["headers"] = headers or {}
        context = context_for(tmp_path, **declared)
        return fingerprint("it", context.environment, tmp_path, "outside")

    one = {"request": "GET /light", "status": 200}
    assert digest(one) == digest(dict(one))
    assert digest(one) != digest({**one, "request": "GET /report"})
    assert digest(one) != digest(one, rate="50/s")
    assert digest(one) != digest(one, headers={"Cache-Control": "no-cache"})
    (tmp_path / "locustfile.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("A = 1\n")
    users: dict[str, Any] = {"locustfile": "locustfile.py", "mix": {}, "rate": None}
    first = digest(one, **users)
    (tmp_path / "helper.py").write_text("A = 2\n")
    assert digest(one, **users) != first
    (tmp_path / "items.csv").write_text("1\n")
    (tmp_path / "helper.py").write_text('A = open("items.csv")\n')
    first = digest(one, **users)
    (tmp_path / "items.csv").write_text("2\n")
    assert digest(one, **users) != first


def test_a_busy_machine_makes_nothing_fail_that_was_late(tmp_path: Path) -> None:
    """Slow answers while the client had no processor prove nothing; a bad status does."""
    with server() as (port, _):
        run = run_of(context_of(tmp_path, port, rate="20/s", duration="1s", mix={"api.it": 1}))
    workers = tuple(replace(each, starved=0.5) for each in run.workers)
    slow = replace(run, workers=workers, overall=replace(run.overall, times=ResponseTimes(((2_000_000, 400),))))
    assert judged(test_latency.test_most_answers_are_quick, slow, Limit(fail="1s")).outcome is Outcome.ERRORED
