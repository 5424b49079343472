"""What the collectors about a service's HTTP side share: which addresses are open to visitors, the positive control."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.environments.queries import ANONYMOUS
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import declared, host_of
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service
    from pytest_prodcheck.evidence.collectors import Sending
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Answer

MOST_ENDPOINTS = 8  # declared endpoints of a service that are visited
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def open_endpoints(service: Service) -> list[tuple[str, Endpoint]]:
    """The declared GET requests that need no login, at most MOST_ENDPOINTS."""
    found = [
        (name, endpoint)
        for name, endpoint in service.endpoints.items()
        if endpoint.method == "GET"
        and endpoint.as_ in (None, ANONYMOUS)
        and (endpoint.allow is None or ANONYMOUS in endpoint.allow)
    ]
    return found[:MOST_ENDPOINTS]


def private_endpoints(name: str, environment: Environment) -> list[str]:
    """The full names of a service's endpoints whose answers are for one role, at most 2."""
    from pytest_prodcheck.environments.queries import reads_privately

    service = declared(environment, name)
    found = [f"{name}.{key}" for key, each in service.endpoints.items() if reads_privately(environment, each)]
    return found[:2]


def control_path(service: Service) -> str:
    """The address that shows whether the service answers: the front page, the health page, an open endpoint."""
    if service.html:
        return "/"
    open_ones = open_endpoints(service)
    return service.health or (open_ones[0][1].path if open_ones else "/")


def control(name: str, context: Context, deadline: Deadline, *, anew: bool = False) -> Exchange:
    """The answer that proves that the service answers us; raises EvidenceProblem where it is none (400 and up).

    Asked once in a run, or once more (`anew`), to see that it did not shut us out meanwhile.
    """

    def send() -> Exchange:
        service = declared(context.environment, name)
        answer = ask(name, "GET", control_path(service), context, deadline, BROWSER if service.html else {})
        return answer.exchange

    found = send() if anew else context.once(("control", name), send, deadline)
    if found.status >= 400:
        what = f"{found.method} {found.url} answered {found.status}"
        if anew:
            hint = "did a firewall or a rate limiter take us for an attacker? let our User-Agent pass"
            raise EvidenceProblem(Problem("denied", f"{what} after the other requests, so they prove nothing", hint))
        hint = "declare `health` or an endpoint that anonymous may open, so that it can be seen to answer"
        if found.status >= 500 or declared(context.environment, name).health:
            hint = "fix this answer first; `prodcheck run smoke` checks it"
        why = f"{what}, so its refusals and missing headers prove nothing"
        raise EvidenceProblem(Problem("protocol", why, hint, at=name))
    return found


def ask(
    name: str, method: str, path: str, context: Context, deadline: Deadline, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request of a visitor; raises EvidenceProblem."""
    from pytest_prodcheck.evidence.http.messages import Request

    return client_of(context, name).ask(Request(method, path, headers or {}), deadline)


def followed(name: str, first: Exchange, context: Context, deadline: Deadline) -> Iterator[Exchange]:
    """The answers that a redirect leads to, at most 3, as long as they stay with the service's own origin."""
    origin, here = urlsplit(client_of(context, name).url("/"))[:2], first
    for _ in range(3):
        to = urljoin(here.url, here.header("Location") or "")
        if here.status not in (301, 302, 303, 307, 308) or urlsplit(to)[:2] != origin or "[redacted]" in to:
            return
        here = ask(name, "GET", to, context, deadline, BROWSER).exchange
        yield here


def random_name() -> str:
    """A name that nothing has."""
    return f"prodcheck-{secrets.token_hex(8)}"


def plan_lines(target: str, environment: Environment, *requests: tuple[str, int]) -> tuple[Sending, ...]:
    """Lines of a plan about one service: what and how often."""
    from pytest_prodcheck.evidence.collectors import Sending

    host = host_of(declared(environment, target))
    return tuple(Sending(host, what, times) for what, times in requests if times)
