"""`http-redirect`: where plain HTTP leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.http.service_requests import declared, service_host
from pytest_prodcheck.evidence.network.transport import bracketed
from pytest_prodcheck.records import EvidenceProblem, Exchange
from pytest_prodcheck.records.services import RedirectChain

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST_HOPS = 5
REDIRECTS = (301, 302, 303, 307, 308)


def _start_url(service: Service) -> str:
    return service.redirect if isinstance(service.redirect, str) else f"http://{bracketed(service.host)}/"


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    parts = urlsplit(_start_url(declared(environment, target)))
    return (Sending(f"{parts.hostname}:{parts.port or 80}", f"GET {parts.path or '/'} and what it redirects to"),)


@evidence("http-redirect", axis="service", feature="redirect", host=service_host, sends=_sends)
def http_redirect(target: str, context: Context, deadline: Deadline) -> RedirectChain:
    """Every hop to the same or a declared host, at most five; a hop to another host is shown and not followed."""
    service = declared(context.environment, target)
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
    from pytest_prodcheck.evidence.http.messages import Request

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
    # a closed port is an answer here: no second try
    retry = parts.scheme == "https"
    answer = client_to(context, there).ask(Request("GET", path), deadline, fresh=True, retry=retry)
    return answer.exchange, answer.location()
