"""Runs beside a team's own Locust file, which stays as it is: listens to its requests, ends it, guards the hosts.

`locust -f listener.py,locustfile.py`. Its users work in a loop of their own: one that waits for an answer asks nothing
meanwhile, so a stall of the server costs few samples. Longest gap and declared rate tell of that.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import gevent
import gevent.socket
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from pytest_prodcheck.load.counters import Counted
from pytest_prodcheck.load.driver import lead_of
from pytest_prodcheck.load.sender import REPORT


class Ear:
    """What one process of the users counted."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.counted = Counted()
        self.began = 0.0
        self.index = 0
        self.stopped = Event()
        self.ended = False
        self.last = 0.0

    def begin(self, told: dict[str, Any]) -> None:
        """All processes are there: counts from now on, for as long as the plan says."""
        self.plan, self.index, self.began = told["plan"], told["index"], time.time()
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
        if not self.began or self.ended:
            return
        interval = max(int(((start_time or time.time()) - self.began) / self.plan["interval"]), 0)
        cell = self.counted.cell(f"{request_type} {name}", interval)
        cell.begun += 1
        self.last = time.time() - self.began
        if exception is not None:
            cell.fail(str(exception)[:200] or type(exception).__name__)
        else:
            cell.good += 1
            self.counted.in_time += 1
            cell.times.record(int(response_time * 1000))

    def _run(self) -> None:
        end, start = time.monotonic() + self.plan["seconds"], time.process_time()
        parent = os.getppid()
        cpu, wall = start, time.monotonic()
        while time.monotonic() < end and not self.stopped.wait(min(REPORT, max(end - time.monotonic(), 0.01))):
            if os.getppid() != parent:  # whoever started us is gone: nobody reads the answer
                os._exit(3)
            now_cpu, now = time.process_time(), time.monotonic()
            self._report("prodcheck-part", cpu=(now_cpu - cpu) / max(now - wall, 0.001), in_flight=0)
            cpu, wall = now_cpu, now
        self.ended = True
        seconds, cpu_seconds = time.time() - self.began, time.process_time() - start
        told = {"began": self.began, "seconds": seconds, "last_begun": self.last, "cpu_seconds": cpu_seconds}
        self._report("prodcheck-end", unanswered=0, **told)

    def _report(self, what: str, **more: Any) -> None:
        counted, self.counted = self.counted, Counted()
        self.runner.send_message(what, {"index": self.index, **counted.dump(), **more})


def guard(hosts: tuple[str, ...]) -> None:
    """Lets names be resolved of the hosts that may be loaded only: a slip in a file must not load others."""
    asked = gevent.socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name not in hosts:
            raise socket.gaierror(socket.EAI_FAIL, f"{name} is not among the hosts that may be loaded")
        return asked(host, *arguments, **named)

    gevent.socket.getaddrinfo = socket.getaddrinfo = getaddrinfo


def on_init(environment: Environment, **_: Any) -> None:
    """Begins to listen where users run, and to merge where there is a master."""
    runner: Any = environment.runner
    if isinstance(runner, (MasterRunner, LocalRunner)):
        lead_of(runner)
    if isinstance(runner, (WorkerRunner, LocalRunner)):
        ear = Ear(runner)
        runner.register_message("prodcheck-go", lambda environment, msg, **_: ear.begin(msg.data))
        runner.register_message("prodcheck-stop", lambda environment, msg, **_: ear.stopped.set())
        hooks: Any = events
        hooks.request.add_listener(ear.request)
        hooks.test_start.add_listener(
            lambda **_: gevent.spawn(runner.send_message, "prodcheck-ready", {"node": runner.client_id})
        )


_hooks: Any = events
_hooks.init.add_listener(on_init)
