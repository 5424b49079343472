"""Runs beside a team's own Locust file, which stays as it is: listens to its requests, ends it, guards the hosts.

`locust -f listener.py,locustfile.py`. Its users work in a loop of their own: one that waits for an answer asks nothing
meanwhile, so a stall of the server costs few samples. Longest gap and declared rate tell of that. Locust tells of
requests when they end: those that never do are known because both of its HTTP clients are wrapped here.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gevent
import gevent.socket
import locust.clients
import locust.contrib.fasthttp
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from pytest_prodcheck.load.counters import IntervalCounts, ProcessCounts
from pytest_prodcheck.load.cpu_wait import seconds_waited
from pytest_prodcheck.load.driver import seconds_ahead, start_coordinator
from pytest_prodcheck.load.request_errors import own_shortage, timed_out
from pytest_prodcheck.load.sender import REPORT

PATIENCE = 10.0  # seconds after the end in which a request that was sent before may still be answered


@dataclass
class PendingMessage:
    """A request that was sent and has not ended."""

    name: str
    began: float  # epoch seconds


class Listener:
    """What one process of the users counted."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.counted = ProcessCounts()
        self.began = 0.0
        self.ahead = 0.0  # seconds that this machine's clock is ahead of the coordinator's
        self.index = 0
        self.ends = float("inf")
        self.stopped = Event()
        self.ended = False
        self.last = 0.0
        self.pending: dict[int, PendingMessage] = {}
        self._numbers = iter(range(1 << 62))

    def begin(self, told: dict[str, Any]) -> None:
        """All processes are there: counts from now on, for as long as the plan says."""
        self.plan, self.index, self.began = told["plan"], told["index"], time.time()
        self.ends = self.began + self.plan["seconds"]
        self.ahead = seconds_ahead(told["now"])
        guard(tuple(self.plan["hosts"]))
        gevent.spawn(self._run)

    def request(
        self,
        request_type: str,
        name: str,
        response_time: float,
        exception: Any = None,
        start_time: float = 0.0,
        **_: Any,
    ) -> None:
        """One request that ended."""
        if not self.began or (self.ended and (start_time or time.time()) > self.ends):
            return
        interval = max(int(((start_time or time.time()) - self.began) / self.plan["interval"]), 0)
        cell = self.counted.cell(f"{request_type} {name}", interval)
        cell.begun += 1
        self.last = min(time.time(), self.ends) - self.began
        self.counted.moments.add(int((time.time() - self.began) * 10))
        if exception is not None:
            self._count_failure(cell, exception, response_time)
        else:
            cell.good += 1
            self.counted.in_time += 1
            cell.times.record(int(response_time * 1000))

    def _count_failure(self, cell: IntervalCounts, exception: object, response_time: float) -> None:
        if shortage := own_shortage(exception):
            self.counted.short_of(shortage)
            return
        reason = str(exception)[:200] or type(exception).__name__
        if not timed_out(exception):
            cell.fail(reason)
            return
        cell.fail(f"timed out: {reason}")
        cell.times.record(int(response_time * 1000))  # its answer would have taken at least that long

    def _run(self) -> None:
        end, start = time.monotonic() + self.plan["seconds"], time.process_time()
        parent = os.getppid()
        cpu, wall, wait = start, time.monotonic(), seconds_waited()
        while time.monotonic() < end and not self.stopped.wait(min(REPORT, max(end - time.monotonic(), 0.01))):
            if os.getppid() != parent:  # whoever started us is gone: nobody reads the answer
                os._exit(3)
            now_cpu, now, now_wait = time.process_time(), time.monotonic(), seconds_waited()
            took = max(now - wall, 0.001)
            self._report("prodcheck-part", cpu=(now_cpu - cpu) / took, wait=(now_wait - wait) / took, in_flight=0)
            cpu, wall, wait = now_cpu, now, now_wait
        self.ended, self.ends = True, time.time()
        left = len(self.runner.user_greenlets) if self.runner.environment.shape_class is None else None
        seconds, cpu_seconds = self.ends - self.began, time.process_time() - start
        self._wait_for_answers()
        began = self.began - self.ahead
        told = {"began": began, "seconds": seconds, "last_begun": self.last, "cpu_seconds": cpu_seconds}
        self._report("prodcheck-end", unanswered=0, addresses=[], users_left=left, **told)

    def _wait_for_answers(self) -> None:
        """Lets what was sent in time be answered; counts what is not as failed, and as late as it is."""
        told = time.time()
        while self.pending and time.time() < self.ends + PATIENCE:
            gevent.sleep(0.05)
            if time.time() > told + REPORT:  # who is silent for long is taken for lost
                told = time.time()
                self._report("prodcheck-part", cpu=0.0, wait=0.0, in_flight=len(self.pending))
        for pending in self.pending.values():
            took = time.time() - pending.began
            interval = max(int((pending.began - self.began) / self.plan["interval"]), 0)
            cell = self.counted.cell(pending.name, interval)
            cell.begun += 1
            cell.fail(f"not answered within {took:.0f} s at the end of the load")
            cell.times.record(int(took * 1e6))

    def watch(self, session: Any) -> None:
        """Wraps the `request` of one of Locust's HTTP clients: who begins a request is known until it ends."""
        original = session.request

        @wraps(original)
        def request(client: Any, method: Any, url: Any, name: Any = None, *arguments: Any, **named: Any) -> Any:
            if self.ended:
                raise StopUser
            number = next(self._numbers)
            verb = method.decode() if isinstance(method, bytes) else str(method)
            self.pending[number] = PendingMessage(f"{verb} {name or url}", time.time())
            try:
                return original(client, method, url, name, *arguments, **named)
            finally:
                self.pending.pop(number, None)

        session.request = request

    def error(self, user_instance: Any, exception: BaseException, tb: Any) -> None:
        """A task, or the start of a user, raised."""
        if not self.ended:
            told = f"{type(exception).__name__}: {exception}"[:150]
            self.counted.errors[told] = self.counted.errors.get(told, 0) + 1

    def _report(self, what: str, **more: Any) -> None:
        counted, self.counted = self.counted, ProcessCounts()
        self.runner.send_message(what, {"index": self.index, **counted.dump(), **more})


def guard(hosts: tuple[str, ...]) -> None:
    """Lets names be resolved of the hosts that may be loaded only: a slip in a file must not load others."""
    asked = gevent.socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name not in hosts:
            raise socket.gaierror(socket.EAI_FAIL, f"load may not be sent to {name}: it is not in `hosts`")
        return asked(host, *arguments, **named)

    gevent.socket.getaddrinfo = socket.getaddrinfo = getaddrinfo


def on_init(environment: Environment, **_: Any) -> None:
    """Begins to listen where users run, and to merge where there is a master."""
    runner: Any = environment.runner
    if isinstance(runner, (MasterRunner, LocalRunner)):
        start_coordinator(runner)
    if isinstance(runner, (WorkerRunner, LocalRunner)):
        listener = Listener(runner)
        runner.register_message("prodcheck-go", lambda environment, msg, **_: listener.begin(msg.data))
        runner.register_message("prodcheck-stop", lambda environment, msg, **_: listener.stopped.set())
        hooks: Any = events
        hooks.request.add_listener(listener.request)
        hooks.user_error.add_listener(listener.error)
        for session in (locust.clients.HttpSession, locust.contrib.fasthttp.FastHttpSession):
            listener.watch(session)
        hooks.test_start.add_listener(
            lambda **_: gevent.spawn(runner.send_message, "prodcheck-ready", {"node": runner.client_id})
        )


_hooks: Any = events
_hooks.init.add_listener(on_init)
