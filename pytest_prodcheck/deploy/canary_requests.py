"""Asks the canary and the copy beside it in turn, at an even pace, and has them compared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pytest_prodcheck.deploy.canary_analysis import Sample, compare_samples
from pytest_prodcheck.deploy.evidence_context import evidence_context
from pytest_prodcheck.deploy.gate_client import CANNOT_TELL, GateAnswer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

CONCURRENCY = 8  # requests to one copy
WARM_UP = 5  # requests to each endpoint of each copy before any counts
SendRequest = Callable[[], bool]  # sends one request and waits for its end; whether the answer was as declared
Senders = Sequence[tuple[str, SendRequest]]  # of one copy, with the names of their endpoints


class RequestSampler:
    """Sends so many requests to each copy, evenly, both at the same times.

    A time counts from when the request was sent: what waits for its turn here would make times of neighbours alike, and
    the tests take them for independent. That the pace was kept is asked of the whole.
    """

    def __init__(
        self, senders: Mapping[str, Senders], settings: DeployAnalysis, on_progress: Callable[[int], None]
    ) -> None:
        self._senders, self._settings, self._on_progress = senders, settings, on_progress
        self._lock = threading.Lock()
        self._next = dict.fromkeys(senders, 0)
        self._results: dict[str, list[_Result]] = {name: [] for name in senders}
        self._ended = dict.fromkeys(senders, 0.0)
        self._stopped = False

    def run(self) -> dict[str, Sample]:
        """The samples; takes at most twice the planned time, and then leaves out what is missing."""
        warm_ups = [
            threading.Thread(target=_warm_up, args=(senders,), daemon=True) for senders in self._senders.values()
        ]
        for thread in warm_ups:
            thread.start()
        for thread in warm_ups:
            thread.join()
        self._began = time.monotonic()
        names = [name for name in self._senders for _ in range(CONCURRENCY)]
        threads = [threading.Thread(target=self._send_loop, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        end = self._began + 2 * self._settings.least / self._settings.rate + 10
        try:
            while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
                time.sleep(0.05)
                with self._lock:
                    self._on_progress(min(len(each) for each in self._results.values()))
        finally:
            self._stopped = True
        with self._lock:
            return {name: _make_sample(each, self._ended[name]) for name, each in self._results.items()}

    def _send_loop(self, name: str) -> None:
        from pytest_prodcheck.load.cpu_wait import THREAD, seconds_waited

        while not self._stopped:
            with self._lock:
                number = self._next[name]
                self._next[name] += 1
            if number >= self._settings.least:
                return
            due = self._began + number / self._settings.rate
            while (left := due - time.monotonic()) > 0:
                time.sleep(left)
            endpoint, send = self._senders[name][number % len(self._senders[name])]
            client_delay, sent = seconds_waited(THREAD), time.monotonic()
            try:
                good = send()
            except Exception:  # of our own, not of the copy: what is missing cannot tell
                return
            ended, client_delay = time.monotonic(), seconds_waited(THREAD) - client_delay
            with self._lock:
                self._results[name].append(_Result(number, endpoint, good, ended - sent, client_delay))
                self._ended[name] = ended - self._began


class _Result(NamedTuple):
    number: int
    endpoint: str
    good: bool
    seconds: float
    client_delay: float


def _warm_up(senders: Senders) -> None:
    with suppress(Exception):  # what fails now fails again when it counts
        for _, send in [*senders] * WARM_UP:
            send()


def _make_sample(results: list[_Result], seconds: float) -> Sample:
    """In the order in which they were sent: slow ones come to their end together.

    What this machine itself is known to have waited for a processor is no part of a time.
    """
    good = sorted(each for each in results if each.good)
    failed = tuple(each.endpoint for each in results if not each.good)
    delay = sum(each.client_delay for each in results)
    times = tuple(max(0.0, each.seconds - each.client_delay) for each in good)
    return Sample(times, len(failed), delay, seconds, tuple(each.endpoint for each in good), failed)


class RequestComparison:
    """Compares copies of one unit by the declared endpoints, each reached as its slot says."""

    def __init__(
        self,
        configuration: Configuration,
        environment: str,
        unit: str,
        comparison_count: int,
        on_progress: Callable[[str], None],
    ) -> None:
        declared = configuration.project.environments[environment].deploy
        assert declared is not None
        self._configuration, self._environment, self._unit = configuration, environment, unit
        self._settings, self._comparison_count, self._on_progress = declared.analysis, comparison_count, on_progress

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        """0: no worse; 1: worse; 3: cannot tell. repetition: which repetition of a look it is, 0 for a first look."""
        from pytest_prodcheck.records import EvidenceProblem

        try:
            found = self.sample((slot, baseline))
        except EvidenceProblem as error:
            return GateAnswer(CANNOT_TELL, str(error.problem))
        comparison = compare_samples(found[slot], found[baseline], self._settings, self._comparison_count, repetition)
        return GateAnswer(comparison.code, "\n".join(comparison.lines))

    def sample(self, slots: Sequence[str]) -> dict[str, Sample]:
        """The answers of the copies in these slots, all of the same minutes. Raises EvidenceProblem."""
        from pytest_prodcheck.evidence.deadlines import Deadline

        deadline = Deadline(3 * self._settings.least / self._settings.rate + 60)
        contexts: dict[str, Context] = {}
        try:
            for slot in slots:
                contexts[slot] = self._context(slot)
            names = self.endpoints(slots)
            senders = {
                slot: [(name, _sender(context, name, deadline)) for name in names] for slot, context in contexts.items()
            }
            return RequestSampler(senders, self._settings, self._progress).run()
        finally:
            for context in contexts.values():
                context.close()

    def _progress(self, number: int) -> None:
        self._on_progress(f"{number} of {self._settings.least} requests to each copy")

    def _context(self, slot: str) -> Context:
        passed_environment = self._configuration.project.pass_environment
        return evidence_context(self._in_slot(slot), self._configuration.root, passed_environment)

    def endpoints(self, slots: Sequence[str]) -> list[str]:
        """Those in reach in all slots: what only one of them serves cannot be compared. Raises EvidenceProblem."""
        from pytest_prodcheck.environments.queries import light_endpoints
        from pytest_prodcheck.records import EvidenceProblem, Problem

        reached = [self._settings.endpoints or light_endpoints(self._in_slot(slot)) for slot in slots]
        names = [name for name in reached[0] if all(name in each for each in reached)]
        if not names:
            text = f"slots {', '.join(slots)}: no endpoint can be requested in all of them: declare one"
            raise EvidenceProblem(Problem("configuration", text))
        return names

    def _in_slot(self, slot: str) -> Environment:
        return self._configuration.environment(self._environment, unit=self._unit, slot=slot)


def _sender(context: Context, name: str, deadline: Deadline) -> SendRequest:
    """One endpoint's request, with its session, as a function."""
    from pytest_prodcheck.answers.expected_answers import expected_answer, first_mismatch
    from pytest_prodcheck.evidence.http.clients import client_of
    from pytest_prodcheck.evidence.http.messages import Request
    from pytest_prodcheck.evidence.http.service_requests import endpoint
    from pytest_prodcheck.evidence.login.sessions import session_of
    from pytest_prodcheck.records import EvidenceProblem

    _, declared, service = endpoint(context.environment, name)
    headers = {**declared.headers, **session_of(context, declared.as_, deadline).headers}
    request = Request(declared.method, declared.path, headers, declared.json_, declared.form)
    good = expected_answer(declared.model_dump(by_alias=True))

    def send() -> bool:
        try:
            exchange = client_of(context, service).ask(request, deadline, retry=False).exchange
        except EvidenceProblem:
            return False
        return not first_mismatch(
            good, exchange.status, exchange.content_type, lambda: good.contains in exchange.text, lambda: exchange.text
        )

    return send
