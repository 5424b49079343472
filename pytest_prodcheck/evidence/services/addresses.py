"""`http-addresses`: every address behind a service's name, each asked with the name as Host and SNI."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import asks, declared, host_of, service_host
from pytest_prodcheck.evidence.network.resolving import addresses_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.services import AddressAnswer, Addresses

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

AT_ONCE = 8
GRACE = 1.0  # seconds kept back for the answer about those that never answered


def _seconds(target: str, environment: Environment) -> float:
    return environment.services[target].timeout * 2 + 10


@evidence(
    "http-addresses",
    axis="service",
    feature="addresses",
    seconds=_seconds,
    host=service_host,
    sends=asks(lambda service: service.health or "/"),
)
def http_addresses(target: str, context: Context, deadline: Deadline) -> Addresses:
    """A status or a problem of each address; one that never answers is a problem of its own, not of the others."""
    service = declared(context.environment, target)
    if service.connect_to is not None or service.proxy is not None:
        hint = "the addresses behind its name are not where requests go"
        raise EvidenceProblem(Problem("configuration", f"service {target} has `connect_to` or `proxy`", hint))
    addresses = addresses_of(context, service.host, service.port, deadline)
    client = client_of(context, target)
    part = deadline.at_most(max(deadline.time_left() - GRACE, GRACE))
    answers: list[AddressAnswer | None] = [None] * len(addresses)
    places = iter(range(len(addresses)))
    lock = threading.Lock()

    def ask_on() -> None:
        while True:
            with lock:
                place = next(places, None)
            if place is None or part.expired:
                return
            answers[place] = _ask(client, addresses[place], service.health or "/", part)

    with context.slots.more(host_of(service), min(AT_ONCE, len(addresses)) - 1) as more:
        helpers = [threading.Thread(target=ask_on, name="prodcheck-addresses", daemon=True) for _ in range(more)]
        for helper in helpers:
            helper.start()
        ask_on()
        for helper in helpers:
            helper.join(max(part.time_left(), 0.0) + GRACE / 2)
    late = Problem("timeout", f"{service.host}: not asked within {part.seconds:.3g} s")
    return Addresses(
        service.host,
        tuple(
            known or _answer(address, None, part.seconds, late)
            for address, known in zip(addresses, answers, strict=True)
        ),
    )


def _ask(client: HttpClient, address: ResolvedAddress, path: str, deadline: Deadline) -> AddressAnswer:
    from pytest_prodcheck.evidence.http.messages import Request
    from pytest_prodcheck.evidence.network.transport import has_route

    before = deadline.time_left()
    try:
        answer = client.ask(Request("GET", path), deadline, address=address)
    except EvidenceProblem as error:
        routed = error.problem.kind != "unreachable" or has_route(address)
        return _answer(address, None, before - deadline.time_left(), error.problem, routed)
    return _answer(address, answer.exchange.status, answer.whole, None)


def _answer(
    address: ResolvedAddress, status: int | None, seconds: float, problem: Problem | None, routed: bool = True
) -> AddressAnswer:
    from pytest_prodcheck.evidence.network.transport import show

    return AddressAnswer(show(address.ip, address.port), address.family, status, seconds, problem, routed)
