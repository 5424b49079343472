"""Latency without load: a few hundred requests in turn, as few at once as will do, sent by threads of this process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.reach import LIGHT, light_endpoints
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.http.service_requests import endpoint
from pytest_prodcheck.evidence.load.results import endpoint_of
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.load.counters import Cell, Counted
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun, LoadWorker, Timed

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Endpoint
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

WARM_UP = 2  # requests to each endpoint before any counts
WARM_UP_SHARE = 0.25  # of the time that there is; with many slow endpoints some stay cold
FEWEST, MOST = 2, 32  # requests at once
ENOUGH = 299  # requests that a P99 needs: for these a third of the time is added


def light_run(context: Context, deadline: Deadline) -> LoadRun:
    """The run; raises EvidenceProblem where a role cannot log in, or nothing is answered."""
    names = light_endpoints(context.environment, context.vantage)
    if not names:
        raise EvidenceProblem(Problem("configuration", "no endpoint is declared that latency could be told of"))
    return _Light(names, context, deadline).run()


class _Light:
    """Asks in turn, with as few requests at once as get done in the time there is."""

    def __init__(self, names: tuple[str, ...], context: Context, deadline: Deadline) -> None:
        self.names, self.context, self.deadline = names, context, deadline
        self.settings = context.environment.light
        self.counted = Counted()
        self.lock = threading.Lock()
        self.turn = 0
        self.asks = {name: self._request(name) for name in names}

    def _request(self, name: str) -> tuple[Request, Endpoint, str]:
        _, declared, service = endpoint(self.context.environment, name)
        session = session_of(self.context, declared.as_, self.deadline)
        headers = {**declared.headers, **session.headers}
        return Request(declared.method, declared.path, headers, declared.json_), declared, service

    def run(self) -> LoadRun:
        """Warms up, asks, and tells."""
        self.epoch, start = time.time(), time.monotonic()
        self.end = start + self.settings.seconds
        usual = self._warm_up(start + self.settings.seconds * WARM_UP_SHARE)
        self._together(self._work, _at_once(self.settings.requests, usual, self.end - time.monotonic()))
        with self.lock:
            return self._record(time.monotonic() - start)

    def _warm_up(self, end: float) -> float:
        """Asks each endpoint, those that there is time for; returns the longest time that an answer took."""
        usual = max(self._answered(self.names[0])[0] for _ in range(WARM_UP))
        left = [name for name in self.names[1:] for _ in range(WARM_UP)]
        count = _at_once(len(left), usual, end - time.monotonic())

        def work() -> None:
            nonlocal usual
            while time.monotonic() < end:
                with self.lock:
                    if not left:
                        return
                    name = left.pop(0)
                took = self._answered(name)[0]
                with self.lock:
                    usual = max(usual, took)

        self._together(work, count)
        return usual

    def _together(self, work: Callable[[], None], count: int) -> None:
        threads = [threading.Thread(target=work, name="prodcheck-light", daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(self.deadline.time_left(), 0.1))

    def _work(self) -> None:
        while True:
            with self.lock:
                number, self.turn = self.turn, self.turn + 1
            over = time.monotonic() - self.end
            if over > self.settings.seconds / 3 or (over > 0 and number >= ENOUGH):
                return
            if number >= self.settings.requests:
                return
            name = self.names[number % len(self.names)]
            seconds, reason = self._answered(name)
            with self.lock:
                cell = self.counted.cell(name, 0)
                cell.begun += 1
                if reason:
                    cell.fail(reason)
                else:
                    cell.good += 1
                    cell.times.record(int(seconds * 1e6))

    def _answered(self, name: str) -> tuple[float, str]:
        """Seconds from sending to the last byte, and why the answer is not as declared ("" where it is)."""
        request, declared, service = self.asks[name]
        began = time.monotonic()
        try:
            exchange = client_of(self.context, service).ask(request, self.deadline).exchange
        except EvidenceProblem as error:
            return time.monotonic() - began, str(error.problem.kind)
        return exchange.seconds, trouble(exchange, declared)

    def _record(self, took: float) -> LoadRun:
        spans = {0: (0.0, took)}
        found = tuple(endpoint_of(name, self.counted, spans) for name in self.names)
        begun = self.counted.begun
        return LoadRun(
            LIGHT, "light", begun, begun / took, self.epoch, took, begun, took, 0, 0, begun, Timed(()), "", "", 0.0,
            (LoadWorker("here", begun, 0.0, True),), 1, found, _whole(self.counted, spans),
        )  # fmt: skip


def _at_once(requests: int, usual: float, seconds: float) -> int:
    """How many requests at once get so many done in time, and a quarter more."""
    return min(max(math.ceil(1.25 * requests * usual / max(seconds, 0.001)), FEWEST), MOST)


def _whole(counted: Counted, spans: dict[int, tuple[float, float]]) -> LoadEndpoint:
    whole = Cell()
    for cell in counted.cells.values():
        whole.add(cell)
    return endpoint_of("overall", Counted({("overall", 0): whole}), spans)


def trouble(exchange: Exchange, declared: Endpoint) -> str:
    """Why an answer is not as declared, "" where it is."""
    if exchange.status not in (declared.status or range(200, 400)):
        return f"answered {exchange.status}"
    if declared.content_type and exchange.content_type != declared.content_type.lower():
        return f"answered {exchange.content_type or 'no content type'}"
    if declared.contains and (exchange.body is None or declared.contains not in exchange.body):
        return "the declared text is missing"
    return ""
