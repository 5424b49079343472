"""`http-addresses`: every address that a service's requests go to, each asked with its name as Host and SNI."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import asks, declared, host_of, service_host
from pytest_prodcheck.evidence.network.fault_location import OURS, is_server_fault
from pytest_prodcheck.evidence.network.resolving import NameNotFound, addresses_of, split_address
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.services import AddressAnswer, Addresses

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient
    from pytest_prodcheck.evidence.http.messages import Request
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

AT_ONCE = 8
GATEWAYS = (502, 503, 504)
GRACE = 1.0  # seconds kept back for the answer about those that never answered


def _seconds(target: str, environment: Environment) -> float:
    return environment.services[target].timeout * 2 + 10


@evidence(
    "http-addresses",
    axis="service",
    feature="http",
    seconds=_seconds,
    host=service_host,
    sends=asks(lambda service: service.health or "/"),
)
def http_addresses(target: str, context: Context, deadline: Deadline) -> Addresses:
    """A status or a problem of each address; one that never answers is a problem of its own, not of the others.

    Asked is where requests go: the addresses of the name, or of `connect_to`; through a proxy once.
    """
    service = declared(context.environment, target)
    if service.proxy is not None:
        return Addresses(service.host, (_through_proxy(client_of(context, target), context, deadline),))
    try:
        addresses = addresses_of(context, *split_address(host_of(service)), deadline)
    except NameNotFound as error:
        return Addresses(service.host, (), error.problem)
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
            answers[place] = _ask(client, addresses[place], context, part)

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
            known or replace(_answer(address, None, part.seconds, late), theirs=False)
            for address, known in zip(addresses, answers, strict=True)
        ),
    )


def _ask(client: HttpClient, address: ResolvedAddress, context: Context, deadline: Deadline) -> AddressAnswer:
    from pytest_prodcheck.evidence.network.transport import has_route

    before = deadline.time_left()
    try:
        answer = client.ask(_request(client), deadline, address=address)
    except EvidenceProblem as error:
        took = before - deadline.time_left()
        routed = error.problem.kind != "unreachable" or has_route(address)
        theirs = is_server_fault(error.problem, address, client.service.host, context, deadline)
        problem = error.problem if theirs else replace(error.problem, hint=OURS.get(error.problem.kind, ""))
        return replace(_answer(address, None, took, problem, routed), theirs=theirs)
    return _answer(address, answer.exchange.status, answer.whole, None)


def _through_proxy(client: HttpClient, context: Context, deadline: Deadline) -> AddressAnswer:
    """What comes through the declared proxy; that it brings no answer may be its own fault, a certificate never is."""
    where, before = f"{client.service.host} through its proxy", deadline.time_left()
    try:
        answer = client.ask(_request(client), deadline, fresh=True)
    except EvidenceProblem as error:
        theirs = error.problem.kind == "tls" and str(client.service.proxy).startswith("http:")
        return AddressAnswer(where, "", None, before - deadline.time_left(), error.problem, theirs=theirs)
    status = answer.exchange.status
    if status in GATEWAYS and client.service.url.startswith("http:"):
        problem = Problem("protocol", f"{where}: answered {status}", "the proxy may have said so itself")
        return AddressAnswer(where, "", status, answer.whole, problem, theirs=False)
    return AddressAnswer(where, "", status, answer.whole)


def _request(client: HttpClient) -> Request:
    from pytest_prodcheck.evidence.http.messages import Request

    return Request("GET", client.service.health or "/")


def _answer(
    address: ResolvedAddress, status: int | None, seconds: float, problem: Problem | None, routed: bool = True
) -> AddressAnswer:
    from pytest_prodcheck.evidence.network.transport import address_text

    return AddressAnswer(address_text(address.ip, address.port), address.family, status, seconds, problem, routed)
