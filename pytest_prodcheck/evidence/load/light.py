"""Latency without load: a few hundred requests at an even pace, sent by threads of this process."""

from __future__ import annotations

import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.expected_answers import (
    ExpectedAnswer,
    SameAnswer,
    expected_answer,
    first_mismatch,
)
from pytest_prodcheck.environments.queries import LIGHT, light_endpoints
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.http.service_requests import endpoint
from pytest_prodcheck.evidence.load.results import endpoint_of
from pytest_prodcheck.evidence.load.schema_samples import with_samples
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.load.counters import IntervalCounts, ProcessCounts
from pytest_prodcheck.load.cpu_wait import THREAD, seconds_waited
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun, LoadWorker, ResponseTimes

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

WARM_UP = 2  # requests to each endpoint before any counts
WARM_UP_SHARE = 0.25  # of the time that there is; with many slow endpoints some stay cold
MOST = 32  # requests at once
LANES = 12  # connections to a service that requests go over in turn: balancers give each to one of their servers
ENOUGH = 299  # requests that a P99 needs: for these as much time again is added
SLOWER = 1.5  # what the rate is divided by where the service limits it
SHORTEST_REST, LONGEST_REST = 0.1, 86400.0  # seconds
MOST_SAMPLES = 20  # bodies of an endpoint that are held against its schema


def light_run(context: Context, deadline: Deadline) -> LoadRun:
    """The run; raises EvidenceProblem where a role cannot log in, or nothing is answered."""
    names = light_endpoints(context.environment, context.vantage)
    if not names:
        raise EvidenceProblem(Problem("configuration", "no endpoint is declared to measure latency of"))
    return _LightLoad(names, context, deadline).run()


class _LightLoad:
    """Asks in turn, each request when it is due: a stall delays what is due meanwhile, as it delays users."""

    def __init__(self, names: tuple[str, ...], context: Context, deadline: Deadline) -> None:
        self.names, self.context, self.deadline = names, context, deadline
        self.settings = context.environment.light
        self.counted = ProcessCounts()
        self.limited = 0
        self.waited = 0.0  # seconds, all threads together, that were spent ready to run and without a processor
        self.lock = threading.Lock()
        self.samples: dict[str, list[str]] = {name: [] for name in names}
        self.same: dict[str, SameAnswer] = {}  # of endpoints without a declared status
        self.asks = {name: self._request(name) for name in names}

    def _request(self, name: str) -> tuple[Request, ExpectedAnswer, str]:
        _, declared, service = endpoint(self.context.environment, name)
        if declared.status is None:
            self.same[name] = SameAnswer()
        session = session_of(self.context, declared.as_, self.deadline)
        headers = {**declared.headers, **session.headers}
        request = Request(declared.method, declared.path, headers, declared.json_, declared.form)
        return request, expected_answer(declared.model_dump(by_alias=True)), service

    def run(self) -> LoadRun:
        """Warms up, asks, and tells."""
        self._warm_up(time.monotonic() + self.settings.seconds * WARM_UP_SHARE)
        self.pace = Pace(self.settings.requests, self.settings.seconds, time.monotonic())
        self.epoch = time.time()
        threads = [threading.Thread(target=self._work, name="prodcheck-light", daemon=True) for _ in range(MOST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(self.deadline.time_left(), 0.1))
        if self.limited:
            told = f"the service limited our rate (429) {self.limited} times; the final rate was {self.pace.rate:.3g}/s"
            self.deadline.note(told)
        with self.lock:
            found = self._record(time.monotonic() - self.pace.began)
        samples = [(name, text) for name, texts in self.samples.items() for text in texts]
        return with_samples(found, samples, (), self.context, self.deadline)

    def _warm_up(self, end: float) -> None:
        """Asks each endpoint, those that there is time for, one after the other: a cold start is no latency."""
        for number, name in enumerate([name for name in self.names for _ in range(WARM_UP)]):
            if time.monotonic() > end:
                return
            self._answered(name, number, time.monotonic())

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            number, due = turn
            late = 0.0
            while (left := due - time.monotonic()) > 0:
                time.sleep(left)
                late = max(time.monotonic() - due, 0.0)  # this thread was free: that is no slowness of the service
            self._count(self.names[number % len(self.names)], number // len(self.names), due, late)

    def _next(self) -> tuple[int, float] | None:
        with self.lock:
            return self.pace.next()

    def _count(self, name: str, number: int, due: float, late: float) -> None:
        own = seconds_waited(THREAD)
        took, reason, rest = self._answered(name, number, due)
        own = seconds_waited(THREAD) - own
        with self.lock:
            self.waited += own
            if rest is not None:
                self.limited += 1
                self.pace.slow_down(rest, time.monotonic())
                return
            cell = self.counted.cell(name, 0)
            cell.begun += 1
            if reason:
                cell.fail(reason)
            if not reason or reason == "timeout":
                cell.good += not reason
                cell.times.record(int(took * 1e6))
                self.counted.lag.record(int((late + own) * 1e6))

    def _answered(self, name: str, number: int, due: float) -> tuple[float, str, float | None]:
        """Seconds from when it was due, why the answer is not as declared, and how long to rest where it says so.

        number: of this endpoint's requests, in the order in which they are due.
        """
        request, declared, service = self.asks[name]
        try:
            exchange = client_of(self.context, service).ask(request, self.deadline, lane=number % LANES).exchange
        except EvidenceProblem as error:
            return time.monotonic() - due, str(error.problem.kind), None
        took, reason = time.monotonic() - due, _mismatch(exchange, declared)
        if not reason and name in self.same:
            reason = self.same[name].mismatch(exchange.status)
        if declared.json and not reason and len(self.samples[name]) < MOST_SAMPLES:
            self.samples[name].append(exchange.text)
        return took, reason, seconds_to_wait(exchange, declared)

    def _record(self, took: float) -> LoadRun:
        spans = {0: (0.0, took)}
        found = tuple(endpoint_of(name, self.counted, spans) for name in self.names)
        begun = self.counted.begun
        lag = ResponseTimes(tuple(self.counted.lag.values()))
        return LoadRun(
            LIGHT, "light", begun, begun / took, self.epoch, took, begun, took, 0, 0, begun, lag, "", "", 0.0,
            (LoadWorker("here", begun, 0.0, True, min(self.waited / took, 1.0)),), 1, found,
            _overall(self.counted, spans),
        )  # fmt: skip


class Pace:
    """When each request is due: evenly over the time there is, later and slower where the service limits it."""

    def __init__(self, requests: int, seconds: float, began: float) -> None:
        self.requests, self.seconds, self.began = requests, seconds, began
        self.rate = requests / seconds
        self._number = 0
        self._due = began

    def next(self) -> tuple[int, float] | None:
        """The number of the next request and when it is due; None after the last one."""
        late = self._due - self.began - self.seconds
        over = self._number >= self.requests or late > self.seconds or (late > 0 and self._number >= ENOUGH)
        if over:
            return None
        found = (self._number, self._due)
        self._number += 1
        self._due += 1 / self.rate
        return found

    def slow_down(self, rest: float, now: float) -> None:
        """One request was refused for its rate: it is due again after a rest, and all that follow more slowly.

        A rest that is longer than what there is time for ends it: who asks on is a nuisance, or banned.
        """
        self._number -= 1
        if now >= self._due - 1 / self.rate:  # of several refusals at once the first one counts
            self.rate /= SLOWER
        self._due = max(self._due, now + rest)


def seconds_to_wait(exchange: Exchange, declared: ExpectedAnswer) -> float | None:
    """Seconds that a limiter asks to wait (RFC 6585, 4; RFC 9110, 10.2.3), None where this is no such answer."""
    if exchange.status != 429 or 429 in declared.statuses:
        return None
    asked = exchange.header("Retry-After") or "1"
    if asked.isascii() and asked.isdigit():
        return min(max(float(asked), SHORTEST_REST), LONGEST_REST)
    try:
        left = parsedate_to_datetime(asked).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 1.0  # says nothing that can be read
    return min(max(left, SHORTEST_REST), LONGEST_REST)


def _overall(counted: ProcessCounts, spans: dict[int, tuple[float, float]]) -> LoadEndpoint:
    whole = IntervalCounts()
    for cell in counted.cells.values():
        whole.add(cell)
    return endpoint_of("overall", ProcessCounts({("overall", 0): whole}), spans)


def _mismatch(exchange: Exchange, declared: ExpectedAnswer) -> str:
    """Why an answer is not as declared, "" where it is."""
    return first_mismatch(
        declared, exchange.status, exchange.content_type,
        lambda: declared.contains in exchange.text, lambda: exchange.text,
    )  # fmt: skip
