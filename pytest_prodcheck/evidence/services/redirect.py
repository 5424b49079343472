"""`http-redirect`: where plain HTTP leads to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.http.service_requests import declared, host_of, service_host
from pytest_prodcheck.evidence.network.resolving import addresses_of, split_address
from pytest_prodcheck.evidence.network.transport import bracketed
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Exchange
from pytest_prodcheck.records.services import AddressRedirect, RedirectChain

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

MOST_HOPS = 5
MOST_ADDRESSES = 8  # whose first answer is looked at
REDIRECTS = (301, 302, 303, 307, 308)


def _start_url(service: Service) -> str:
    return service.redirect if isinstance(service.redirect, str) else f"http://{bracketed(service.host)}/"


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    parts = urlsplit(_start_url(declared(environment, target)))
    where, path = f"{parts.hostname}:{parts.port or 80}", parts.path or "/"
    return (
        Sending(where, f"GET {path} and what it redirects to"),
        Sending(where, f"GET {path} at each of several addresses"),
    )


@evidence("http-redirect", axis="service", feature="redirect", host=service_host, sends=_sends)
def http_redirect(target: str, context: Context, deadline: Deadline) -> RedirectChain:
    """Every hop to the same or a declared host, at most five; a hop to another host is shown and not followed."""
    service = declared(context.environment, target)
    chain = _chain(service, context, deadline)
    return replace(chain, addresses=_first_answers(service, chain.start, context, deadline))


def _first_answers(
    service: Service, start: str, context: Context, deadline: Deadline
) -> tuple[AddressRedirect, ...]:
    """What each address answers where there are several: the way was followed from one. Silent ones are left out."""
    if service.proxy is not None:
        return ()
    there, path = _service_at(service, start)
    client, part = client_to(context, there), deadline.at_most(deadline.time_left() / 2)
    addresses = addresses_of(context, *split_address(host_of(there)), part)

    def ask(address: ResolvedAddress) -> AddressRedirect | None:
        try:
            answer = client.ask(Request("GET", path), part, fresh=True, retry=False, address=address)
        except EvidenceProblem:  # of dead ones smoke.service.addresses tells
            return None
        return AddressRedirect(address.ip, answer.exchange.status, answer.location())

    several = addresses[:MOST_ADDRESSES] if len(addresses) > 1 else ()
    found = side_by_side([partial(ask, each) for each in several], part.time_left())
    return tuple(each for each in found if each is not None)


def _chain(service: Service, context: Context, deadline: Deadline) -> RedirectChain:
    start = url = _start_url(service)
    own = {service.host, urlsplit(start).hostname or ""}
    allowed = tuple(dict.fromkeys([service.host, *sorted(own), *service.redirect_hosts]))
    hops: list[Exchange] = []
    seen: set[str] = set()
    while url not in seen and len(hops) < MOST_HOPS:
        seen.add(url)
        try:
            exchange, location = _follow_once(service, url, context, deadline)
        except EvidenceProblem as error:
            if not hops and error.problem.kind == "refused":
                return RedirectChain(start, True, (), allowed)
            raise
        hops.append(replace(exchange, body=None))
        if exchange.status not in REDIRECTS or not location:
            return RedirectChain(start, False, tuple(hops), allowed)
        url = urljoin(url, location)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or (parts.hostname or "") not in allowed:
            return RedirectChain(start, False, tuple(hops), allowed)
    return RedirectChain(start, False, tuple(hops), allowed, looped=True)


def _follow_once(service: Service, url: str, context: Context, deadline: Deadline) -> tuple[Exchange, str]:
    there, path = _service_at(service, url)
    # a closed port is an answer here: no second try
    retry = url.startswith("https:")
    answer = client_to(context, there).ask(Request("GET", path), deadline, fresh=True, retry=retry)
    return answer.exchange, answer.location()


def _service_at(service: Service, url: str) -> tuple[Service, str]:
    """The service as it is met at another origin, without credentials; and the path there."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    connect_to = service.connect_to
    if connect_to is not None and (parts.hostname, port) != (service.host, service.port):
        connect_to = f"{connect_to.rpartition(':')[0]}:{port}"  # the same machine, another port
    there = service.model_copy(
        update={
            "url_": f"{parts.scheme}://{parts.netloc}",
            "authentication": None,
            "headers": {},
            "connect_to": connect_to,
        }
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return there, path
