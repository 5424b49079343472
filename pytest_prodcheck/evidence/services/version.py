"""`http-version`: the revision that many new connections tell, over all addresses, and the images of the pods."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.decoding import BROWSERS
from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.environments.queries import pods_tell
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.freshness import FRESH, stale
from pytest_prodcheck.evidence.http.service_requests import declared, host_of, service_host
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.services import Revisions, RevisionSeen, RunningImage

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import VersionSource
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient

AT_ONCE = 8  # connections
CODINGS = (BROWSERS, "identity", "gzip")  # in turn: a stale compressed file beside a new one is another version


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    source = service.version
    sent = [Sending(host_of(service), f"GET {source.path}", source.connections)] if source else []
    if service.workload is not None and environment.kubernetes is not None:
        sent.append(Sending("Kubernetes API", "GET pods"))
    return tuple(sent)


def _host(target: str, environment: Environment) -> str:
    return service_host(target, environment) if environment.services[target].speaks_http else "Kubernetes API"


def _seconds(target: str, environment: Environment) -> float:
    service = declared(environment, target)
    connections = service.version.connections if service.version else 1
    cluster = environment.kubernetes.timeout if environment.kubernetes and service.workload else 0.0
    return service.timeout * 2 + 5 + connections / 4 + cluster


def _ready(record: Revisions) -> bool:
    if record.pods_read and (not record.images or any(each.as_shipped is False for each in record.images)):
        return False
    if not record.asked:
        return True
    return bool(record.seen) and all(seen.revision == record.expected for seen in record.seen)


@evidence(
    "http-version", axis="service", feature="version", seconds=_seconds, host=_host, sends=_sends, ready=_ready
)
def http_version(target: str, context: Context, deadline: Deadline) -> Revisions:
    """What each new connection said, none tried again; an address that takes none is stood in for by the next one.

    Where the service's workload is in reach, also what all its pods run: a connection that nobody makes tells nothing.
    """
    service = declared(context.environment, target)
    source, pods_read = service.version, pods_tell(context.environment, target, context.vantage)
    images: tuple[RunningImage, ...] = ()
    if pods_read:
        from pytest_prodcheck.evidence.services.running_images import running_images

        images = running_images(target, context, deadline)
    if source is None and not pods_read:
        raise EvidenceProblem(Problem("configuration", f"service {target} has no `version`"))
    if source is None:
        return Revisions(context.revision, 0, (), pods_read, images)
    return replace(_revisions_by_request(target, source, context, deadline), pods_read=pods_read, images=images)


def _revisions_by_request(target: str, source: VersionSource, context: Context, deadline: Deadline) -> Revisions:
    service = declared(context.environment, target)
    client = client_of(context, target)
    seen: list[RevisionSeen] = []
    turns = iter(range(source.connections))
    lock = threading.Lock()

    def ask_on() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None or deadline.expired:
                return
            found = _ask(client, source, turn, deadline)
            with lock:
                seen.append(found)

    with context.slots.more(host_of(service), min(AT_ONCE, source.connections) - 1) as more:
        helpers = [threading.Thread(target=ask_on, name="prodcheck-version", daemon=True) for _ in range(more)]
        for helper in helpers:
            helper.start()
        ask_on()
        for helper in helpers:
            helper.join(max(deadline.time_left(), 0.0) + 0.2)
    with lock:
        complete = tuple(seen)
    if not any(each.problem is None for each in complete):
        raise EvidenceProblem(
            next((each.problem for each in complete if each.problem), _timeout_problem(target, deadline))
        )
    return Revisions(context.revision, source.connections, complete)


def _timeout_problem(target: str, deadline: Deadline) -> Problem:
    return Problem("timeout", f"{target}: no revision within {deadline.seconds:.3g} s")


def _ask(client: HttpClient, source: VersionSource, turn: int, deadline: Deadline) -> RevisionSeen:
    from pytest_prodcheck.evidence.http.messages import Request

    try:
        headers = {**FRESH, "Accept-Encoding": CODINGS[turn % len(CODINGS)]}
        answer = client.ask(Request("GET", source.path, headers), deadline, fresh=True, turn=turn, retry=False)
    except EvidenceProblem as error:
        return RevisionSeen("", None, error.problem)
    exchange = answer.exchange
    what = f"{exchange.method} {exchange.url}"
    nothing = RevisionSeen(exchange.address, None, coding=exchange.header("Content-Encoding") or "")
    if problem := stale(exchange, "the version"):
        return replace(nothing, problem=problem)
    if not 200 <= exchange.status < 300:
        return replace(nothing, problem=Problem("protocol", f"{what}: answered {exchange.status}"))
    try:
        value = at_pointer(answer.json(), source.pointer) if source.pointer else exchange.text.strip()
    except EvidenceProblem as error:
        return replace(nothing, problem=error.problem)
    except LookupError:
        return replace(nothing, problem=Problem("protocol", f"{what}: its answer has nothing at {source.pointer}"))
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not 0 < len(str(value)) <= 200:
        return replace(nothing, problem=Problem("protocol", f"{what}: what it tells is no revision"))
    return replace(nothing, revision=client.context.redactor.redact(str(value)))
