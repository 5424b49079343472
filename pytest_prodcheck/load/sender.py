"""One process of the load: starts its share of the requests on schedule, counts, reports to the coordinator.

Open arrivals: a request begins when it is due, however many are unanswered, and its time counts from when it was due.
A closed loop stops asking while the server is stuck, and so does not see most of what its users would see.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import Event

from pytest_prodcheck.load.answer import Answer
from pytest_prodcheck.load.client import Call, Client, OwnShortage, RequestFailed, TimedOut, calls, clock
from pytest_prodcheck.load.counters import ProcessCounts
from pytest_prodcheck.load.cpu_wait import seconds_waited
from pytest_prodcheck.load.feeds import Feed
from pytest_prodcheck.load.flow import Judge, User, flows
from pytest_prodcheck.load.http2 import Http2Answer
from pytest_prodcheck.load.renewals import Renewals
from pytest_prodcheck.load.samples import Samples
from pytest_prodcheck.load.schedule import Segment, round_robin
from pytest_prodcheck.load.templates import Template

REPORT = 0.5  # seconds between two reports
REAP = 0.1  # seconds between two looks for what is over its time
GRACE = 1.0  # seconds after the end of the schedule in which an answer is still in time
TURN = 8  # requests begun in one go before others get their turn
UNAUTHORIZED = 401
ON_THE_WAY = 1.0  # seconds that the answer with a token may have taken, by which it ends earlier than we think
Send = Callable[[str, dict[str, Any]], None]


class Sender:
    """The sender of one process: `index` of `of`. `send` takes its messages to the coordinator.

    ahead: seconds that this machine's clock is ahead of the coordinator's, by which all times of day are told.
    """

    def __init__(self, plan: Mapping[str, Any], index: int, of: int, send: Send, ahead: float) -> None:
        self.plan, self.index, self.of, self.send, self.ahead = plan, index, of, send, ahead
        self.clients = {name: Client(each) for name, each in plan["clients"].items()}
        self.calls = calls(plan, self.clients)
        self.flows = flows(plan, self.calls)
        self.feeds = {name: Feed(each, index, of) for name, each in plan["feeds"].items()}
        self.order = round_robin(plan["arrivals"])
        self.segments = [Segment(*each) for each in plan["segments"]]
        self.final: int = plan["final"]  # segments from here on are sent whatever happens before
        self.counted = ProcessCounts()
        self.in_flight = 0
        self.most_in_flight = max(plan["in_flight"] // of, 1)
        self.width: float = plan["interval"]
        self.stopped = Event()
        self.skipped = False
        self.begun_at = 0.0
        self.until = 0.0
        self.ended_at = 0.0
        self.last_begun = 0.0
        self._unbroken = 0
        self._sampled = {name for name, each in plan["endpoints"].items() if each["sampled"]}
        self._samples = Samples(plan["samples"])

    def run(self) -> None:
        """Sends everything, waits for what is unanswered, tells the coordinator that this was all."""
        gc.collect()
        gc.freeze()
        gc.disable()  # a run is bounded, and a pause would make requests late
        self.begun_at, epoch = clock(), time.time() - self.ahead
        self.until = self.begun_at + sum(segment.seconds for segment in self.segments) + GRACE
        cpu = time.process_time()
        reporter = gevent.spawn(self._report_regularly)
        reaper = gevent.spawn(self._reap_regularly)
        self._send_all()
        self.ended_at = clock()
        until = clock() + self.plan["longest"] + 1
        while self.in_flight and clock() < until:
            gevent.sleep(0.02)
        gevent.killall([reporter, reaper])
        self._report(
            "prodcheck-end",
            began=epoch,
            unanswered=self.in_flight,
            seconds=self.ended_at - self.begun_at,
            last_begun=self.last_begun,
            cpu_seconds=time.process_time() - cpu,
            users_left=None,
            addresses=[
                [name, str(each), each.requests, each.failed, each.connections, each.refused, each.http2]
                for name, client in self.clients.items()
                for each in (*client.addresses, *client.left)
            ],
        )

    def stop(self) -> None:
        """Begins no further request; in a search for the knee, goes on with what follows it."""
        if self.final < len(self.segments) and not self.skipped:
            self.skipped = True
        else:
            self.stopped.set()

    def renew(self, requests: Renewals) -> None:
        """Sends other bytes from now on: those with a new token."""
        for name, (raw, ends) in requests.items():
            self.calls[name].template, self.calls[name].ends = Template(raw), ends

    def move(self, addresses: Mapping[str, list[list[Any]]]) -> None:
        """Goes to other addresses from now on, as names say them."""
        for name, found in addresses.items():
            self.clients[name].move(found)

    # -- sending

    def _send_all(self) -> None:
        base, number = self.begun_at, 0
        skipping = False
        for place, segment in enumerate(self.segments):
            if self.skipped and place < self.final:
                skipping = True
                continue
            if skipping:
                base, skipping = clock(), False
            for due in segment.due():
                if number % self.of == self.index:
                    if not self._wait_until(base + due, place >= self.final):
                        break
                    self._start_request(self.order[number % len(self.order)], base + due, place)
                number += 1
            if self.stopped.is_set():
                return
            base += segment.seconds
        self._wait_until(base, True)

    def _wait_until(self, due: float, final: bool) -> bool:
        """Waits until a request is due; whether it is still to be sent."""
        left = due - clock()
        self._unbroken = 0 if left > 0 else self._unbroken + 1
        if self._unbroken >= TURN:  # late already: the requests that were begun must get their turn all the same
            self._unbroken = 0
            gevent.sleep(0)
        while left > 0:
            if self.stopped.wait(left):
                return False
            if self.skipped and not final:
                return False
            left = due - clock()
        return not self.stopped.is_set() and (final or not self.skipped)

    def _start_request(self, name: str, due: float, place: int) -> None:
        if self.in_flight >= self.most_in_flight:
            self.counted.dropped += 1
            return
        self.counted.arrived += 1
        self.in_flight += 1
        interval = place if self.plan["by_segment"] else int((due - self.begun_at) / self.width)
        gevent.spawn_raw(self._run_user if name in self.flows else self._ask, name, due, interval)

    def _ask(self, name: str, due: float, interval: int) -> None:
        """One request to an endpoint."""
        self.last_begun = clock() - self.begun_at
        call = self.calls[name]
        self.counted.cell(name, interval).begun += 1
        raw = call.template.render(self.feeds[name].take() if name in self.feeds else {})
        if self._send(call, raw, call.trouble, due, interval):
            self.counted.in_time += clock() <= self.until
        self.in_flight -= 1

    def _run_user(self, name: str, due: float, interval: int) -> None:
        """One user of a flow, whose first request is due now and each other one a pause after the one before."""
        flow, thought = self.flows[name], 0.0
        self.last_begun = clock() - self.begun_at

        def send(call: Call, raw: bytes, judge: Judge) -> bool:
            nonlocal due
            self.counted.cell(call.name, interval).begun += 1
            good = self._send(call, raw, judge, due, interval)
            due = clock()
            return good

        def pause() -> bool:
            nonlocal due, thought
            due += flow.think
            thought += flow.think
            return not self.stopped.wait(flow.think)

        if User(flow, self.feeds[name].take() if name in self.feeds else {}).go(send, pause):
            self.counted.in_time += clock() - thought <= self.until
        self.in_flight -= 1

    def _send(self, call: Call, raw: bytes, judge: Judge, due: float, interval: int) -> bool:
        """Sends one request, counts what came of it; whether that was good."""
        began = clock()
        reason, again, late = "", False, False
        answer: Answer | Http2Answer | None = None
        try:
            answer, again = call.client.ask(call, raw, due + call.timeout)
            reason = judge(answer)
        except OwnShortage as shortage:
            self.counted.short_of(str(shortage))
            return False
        except RequestFailed as failure:
            reason, late = str(failure), isinstance(failure, TimedOut)
        except Exception as error:  # nobody else would count it
            reason = f"{type(error).__name__}: {error}"[:200]
        if reason and answer is not None and answer.get_code() == UNAUTHORIZED and self._is_expired(call):
            self.counted.short_of("a token had expired, and the login for a new one was not finished")
            return False
        took = clock() - due
        counted = self.counted
        cell = counted.cell(call.name, interval)
        if reason:
            cell.fail(reason)
        elif answer is not None:
            cell.good += 1
            counted.cached += answer.from_cache
            if call.name in self._sampled:
                self._sample(call, answer)
        if late or not reason:
            cell.times.record(int(took * 1e6))
        counted.lag.record(int((began - due) * 1e6))
        cell.retried += again
        return not reason

    def _is_expired(self, call: Call) -> bool:
        """Whether the token of a request has ended."""
        return call.ends is not None and time.time() - self.ahead > call.ends - ON_THE_WAY

    def _sample(self, call: Call, answer: Answer | Http2Answer) -> None:
        size = len(answer.kept)
        if size <= call.keep and self._samples.wants(call.name, size, clock()):
            self.counted.samples.append((call.name, answer.kept_text))

    # -- telling

    def _reap_regularly(self) -> None:
        while True:
            gevent.sleep(REAP)
            now = clock()
            for client in self.clients.values():
                client.reap(now)

    def _report_regularly(self) -> None:
        parent = os.getppid()
        cpu, wall, wait = time.process_time(), clock(), seconds_waited()
        while True:
            gevent.sleep(REPORT)
            if os.getppid() != parent:  # whoever started us is gone: nobody reads the answer
                os._exit(3)
            now_cpu, now, now_wait = time.process_time(), clock(), seconds_waited()
            self._report(
                "prodcheck-part",
                cpu=(now_cpu - cpu) / (now - wall), wait=(now_wait - wait) / (now - wall), in_flight=self.in_flight,
            )  # fmt: skip
            cpu, wall, wait = now_cpu, now, now_wait

    def _report(self, what: str, **more: Any) -> None:
        counted, self.counted = self.counted, ProcessCounts()
        for client in self.clients.values():
            counted.add(ProcessCounts(phases=client.take_phases()))
        self.send(what, {"index": self.index, **counted.dump(), **more})
