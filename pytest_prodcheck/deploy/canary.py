"""Asks the canary and the copy beside it in turn, at an even pace, and has them compared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.analysis import Sample, judge
from pytest_prodcheck.deploy.asking import CANNOT_TELL, Answer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.loading import Configuration
    from pytest_prodcheck.environments.sections.deploy import DeployAnalysis
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

AT_ONCE = 8  # requests to one copy
WARM_UP = 5  # requests to each endpoint of each copy before any counts
Ask = Callable[[], bool]  # sends one request and waits for its end; whether the answer was as declared


class Sampler:
    """Sends so many requests to each copy, evenly, both at the same times.

    A time counts from when the request was sent: what waits for its turn here would make times of neighbours alike, and
    the tests take them for independent. That the pace was kept is asked of the whole.
    """

    def __init__(self, asks: Mapping[str, list[Ask]], settings: DeployAnalysis, tell: Callable[[int], None]) -> None:
        self._asks, self._settings, self._tell = asks, settings, tell
        self._lock = threading.Lock()
        self._next = dict.fromkeys(asks, 0)
        self._found: dict[str, list[tuple[int, bool, float, float]]] = {name: [] for name in asks}
        self._ended = dict.fromkeys(asks, 0.0)
        self._stopped = False

    def run(self) -> dict[str, Sample]:
        """What came of them; it takes twice as long as it should at most, and what is missing then is missing."""
        warm_ups = [threading.Thread(target=_warm_up, args=(asks,), daemon=True) for asks in self._asks.values()]
        for thread in warm_ups:
            thread.start()
        for thread in warm_ups:
            thread.join()
        self._began = time.monotonic()
        names = [name for name in self._asks for _ in range(AT_ONCE)]
        threads = [threading.Thread(target=self._work, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        end = self._began + 2 * self._settings.least / self._settings.rate + 10
        try:
            while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
                time.sleep(0.05)
                with self._lock:
                    self._tell(min(len(each) for each in self._found.values()))
        finally:
            self._stopped = True
        with self._lock:
            return {name: _sample(each, self._ended[name]) for name, each in self._found.items()}

    def _work(self, name: str) -> None:
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
            own, sent = seconds_waited(THREAD), time.monotonic()
            try:
                good = self._asks[name][number % len(self._asks[name])]()
            except Exception:  # of our own, not of the copy: what is missing cannot tell
                return
            ended, own = time.monotonic(), seconds_waited(THREAD) - own
            with self._lock:
                self._found[name].append((number, good, ended - sent, own))
                self._ended[name] = ended - self._began


def _warm_up(asks: list[Ask]) -> None:
    with suppress(Exception):  # what fails now fails again when it counts
        for ask in asks * WARM_UP:
            ask()


def _sample(found: list[tuple[int, bool, float, float]], seconds: float) -> Sample:
    """In the order in which they were sent: slow ones come to their end together."""
    times = tuple(took for _, good, took, _ in sorted(found) if good)
    return Sample(times, len(found) - len(times), sum(own for *_, own in found), seconds)


class Canary:
    """Compares copies of one unit by the declared endpoints, each reached as its slot says."""

    def __init__(
        self, configuration: Configuration, environment: str, unit: str, looks: int, tell: Callable[[str], None]
    ) -> None:
        declared = configuration.project.environments[environment].deploy
        assert declared is not None
        self._configuration, self._environment, self._unit = configuration, environment, unit
        self._settings, self._looks, self._tell = declared.analysis, looks, tell

    def compare(self, slot: str, beside: str, again: int) -> Answer:
        """0: no worse; 1: worse; 3: cannot tell. again: which repetition of a look it is, 0 for a first look."""
        from pytest_prodcheck.records import EvidenceProblem

        try:
            found = self.sample((slot, beside))
        except EvidenceProblem as error:
            return Answer(CANNOT_TELL, str(error.problem))
        finding = judge(found[slot], found[beside], self._settings, self._looks, again)
        return Answer(finding.code, "\n".join(finding.lines))

    def sample(self, slots: Sequence[str]) -> dict[str, Sample]:
        """The answers of the copies in these slots, all of the same minutes. Raises EvidenceProblem."""
        from pytest_prodcheck.evidence.deadlines import Deadline

        deadline = Deadline(3 * self._settings.least / self._settings.rate + 60)
        contexts: list[Context] = []
        try:
            asks = {}
            for slot in slots:
                contexts.append(self._context(slot))
                asks[slot] = self._requests(contexts[-1], deadline)
            return Sampler(asks, self._settings, self._progress).run()
        finally:
            for context in contexts:
                context.close()

    def _progress(self, number: int) -> None:
        self._tell(f"{number} of {self._settings.least} requests to each copy")

    def _context(self, slot: str) -> Context:
        from pytest_prodcheck.environments.redaction import Redactor
        from pytest_prodcheck.environments.secrets import SecretResolver
        from pytest_prodcheck.evidence.context import Context

        environment = self._configuration.environment(self._environment, unit=self._unit, slot=slot)
        root, passed = self._configuration.root, self._configuration.project.pass_environment
        return Context(
            environment, root, secrets=SecretResolver(root, passed), redactor=Redactor(), run_id="deploy", passed=passed
        )

    def _requests(self, context: Context, deadline: Deadline) -> list[Ask]:
        from pytest_prodcheck.environments.queries import light_endpoints
        from pytest_prodcheck.records import EvidenceProblem, Problem

        names = self._settings.endpoints or light_endpoints(context.environment)
        if not names:
            raise EvidenceProblem(Problem("configuration", f"slot {context.environment.slot}: no endpoint is in reach"))
        return [_request(context, name, deadline) for name in names]


def _request(context: Context, name: str, deadline: Deadline) -> Ask:
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

    def ask() -> bool:
        try:
            exchange = client_of(context, service).ask(request, deadline, retry=False).exchange
        except EvidenceProblem:
            return False
        return not first_mismatch(good, exchange.status, exchange.content_type, lambda: good.contains in exchange.text)

    return ask
