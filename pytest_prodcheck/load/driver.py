"""The locustfile of open arrivals: `locust -f driver.py` with PRODCHECK_LOAD naming the folder of the plan.

Locust brings the processes, its master and its workers over several machines; one user in each of them starts
requests on schedule. A worker on another machine has no plan: it is sent one.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust import User, events, task
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from pytest_prodcheck.load import curve_encryption
from pytest_prodcheck.load.coordinator import Coordinator
from pytest_prodcheck.load.renewals import Renewals
from pytest_prodcheck.load.sender import Sender

FOLDER = "PRODCHECK_LOAD"
ON_THE_WAY = 1.0  # seconds that a message may take: clocks that differ by less are taken for equal
SILENCE = 10.0  # seconds without a report after which a worker is lost
_go: AsyncResult[dict[str, Any]] = AsyncResult()
_senders: list[Sender] = []
curve_encryption.secure(os.environ.get(FOLDER, ""))  # before Locust opens its sockets


class Arrivals(User):
    """One of these in each process starts all its requests."""

    @task
    def send_everything(self) -> None:
        """Waits for the start, sends, and rests until Locust ends."""
        runner: Any = self.environment.runner
        runner.send_message("prodcheck-ready", {"node": runner.client_id})
        told = _go.get()
        ahead = seconds_ahead(told["now"])
        sender = Sender(told["plan"], told["index"], told["of"], runner.send_message, ahead)
        _senders.append(sender)
        sender.run()
        gevent.sleep(3600)


def on_init(environment: Environment, **_: Any) -> None:
    """Begins to listen: to the coordinator in a worker, to the workers in the coordinator."""
    runner: Any = environment.runner
    if isinstance(runner, (MasterRunner, LocalRunner)):
        start_coordinator(runner)
    if isinstance(runner, (WorkerRunner, LocalRunner)):
        runner.register_message("prodcheck-go", lambda environment, msg, **_: _go.set(msg.data))
        runner.register_message("prodcheck-stop", lambda environment, msg, **_: _stop())
        runner.register_message("prodcheck-renew", lambda environment, msg, **_: _renew(msg.data))
        runner.register_message("prodcheck-move", lambda environment, msg, **_: _change_addresses(msg.data))


def _stop() -> None:
    for sender in _senders:
        sender.stop()


def _renew(requests: Renewals) -> None:
    for sender in _senders:
        sender.renew(requests)


def _change_addresses(addresses: dict[str, list[list[Any]]]) -> None:
    for sender in _senders:
        sender.move(addresses)


def seconds_ahead(now: float) -> float:
    """How far the clock of this machine is ahead of the coordinator's, which sent `now` (epoch seconds) just now."""
    ahead = time.time() - now
    return ahead if abs(ahead) > ON_THE_WAY else 0.0


def start_coordinator(runner: Any) -> None:
    """Makes this process the one that merges and writes."""
    folder = Path(os.environ[FOLDER])
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    coordinator = Coordinator(plan, folder, runner.send_message, lambda: gevent.spawn(runner.quit) and None)
    runner.register_message("prodcheck-ready", lambda environment, msg, **_: coordinator.ready(msg.data["node"]))
    runner.register_message("prodcheck-part", lambda environment, msg, **_: coordinator.part(msg.data))
    runner.register_message("prodcheck-end", lambda environment, msg, **_: coordinator.end(msg.data))
    gevent.spawn(_watch_parent_process, coordinator)


def _watch_parent_process(coordinator: Coordinator) -> None:
    """Ends everything where whoever started us is gone: a load that nobody watches is an outage."""
    parent = os.getppid()
    while True:
        gevent.sleep(1)
        if os.getppid() != parent:
            os.killpg(0, 9)
        coordinator.watch(SILENCE)


if __name__ != "pytest_prodcheck.load.driver":  # run by Locust as its file, not imported by listener.py
    _hooks: Any = events
    _hooks.init.add_listener(on_init)
