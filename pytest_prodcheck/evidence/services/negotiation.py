"""`http-negotiation`: what browsers negotiate: other codings of an answer, HTTP/2 by ALPN, HTTP/3's advertisement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.http.service_requests import declared, host_of, service_host
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.network.failures import worth_another_try
from pytest_prodcheck.evidence.services.endpoint import endpoint_answer
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.services import Negotiation, Representation

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient
    from pytest_prodcheck.evidence.http.connection import Connection
    from pytest_prodcheck.evidence.http.http2 import Http2Connection

HTTP2 = "h2"  # as ALPN says it
CODINGS = ("br", "gzip", "identity")
SHARE = 0.8  # of the time; how many answers could be looked at by then is judged

Ask = Callable[[], Exchange]


@dataclass(frozen=True)
class _Page:
    """One GET, and what its answer has to say."""

    name: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    contains: str | None = None
    pointer: str | None = None  # where the revision is


def _pages(service: Service) -> list[_Page]:
    """Version, health, and all declared GETs; the front page where there is nothing else."""
    found = []
    if service.version is not None:
        found.append(_Page("version", service.version.path, pointer=service.version.pointer or ""))
    if service.health is not None:
        found.append(_Page("health", service.health))
    for name, each in service.endpoints.items():
        if each.method == "GET":
            found.append(_Page(name, each.path, each.headers, each.as_, each.contains))
    return found or [_Page("front page", "/")]


def _tries_h2(service: Service) -> bool:
    return service.url.startswith("https:")


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    pages, host = _pages(service), host_of(service)
    lines = [Sending(host, f"GET {each.path}") for each in pages if each.name not in service.endpoints]
    what = "GET of these and all endpoints again, to compare compressed answers (at most)"
    lines.append(Sending(host, what, 5 * len(pages)))
    if _tries_h2(service):
        lines.append(Sending(host, "GET of the same over HTTP/2, where it is offered (at most)", 2 * len(pages)))
    return tuple(lines)


def _seconds(target: str, environment: Environment) -> float:
    service = declared(environment, target)
    return service.timeout * 4 + 5 + 0.3 * len(_pages(service))


@evidence("http-negotiation", axis="service", feature="http", seconds=_seconds, host=service_host, sends=_sends)
def http_negotiation(target: str, context: Context, deadline: Deadline) -> Negotiation:
    """Each declared GET beside its other codings where it came compressed, and over HTTP/2 where that is offered."""
    service = declared(context.environment, target)
    part = deadline.at_most(SHARE * deadline.seconds)
    pages, first, found, tried = _pages(service), list[tuple[_Page, Exchange]](), list[Representation](), 0
    problem = Problem("timeout", f"{target}: no answer within {part.seconds:.3g} s")
    for page in pages:
        if part.expired:
            break
        tried += 1
        try:
            exchange = _judged_answer(target, service, page, context, part)
        except EvidenceProblem as error:
            problem = error.problem
            continue
        first.append((page, exchange))
        found += _other_codings(target, page, exchange, context, part)
    if not first:
        raise EvidenceProblem(problem)
    chosen, over = _over_h2(target, first, context, part) if _tries_h2(service) else ("", [])
    advertised = any("h3" in (exchange.header("Alt-Svc") or "") for _, exchange in first)
    looked = f"{target}: {len(first)} answers checked, {len(found)} further codings, {len(over)} of them over HTTP/2"
    deadline.note(looked + ("; HTTP/3 is advertised and was not tried" if advertised else ""))
    return Negotiation(len(pages), tried, chosen, advertised, (*found, *over))


def _judged_answer(target: str, service: Service, page: _Page, context: Context, deadline: Deadline) -> Exchange:
    """The answer that is judged elsewhere, where it is; as browsers ask for it, over HTTP/1.1."""
    if page.name in service.endpoints and service.endpoints[page.name].path == page.path:
        return endpoint_answer(f"{target}.{page.name}", context, deadline)
    return client_of(context, target).ask(_request(page, {}, context, deadline), deadline).exchange


def _request(page: _Page, headers: Mapping[str, str], context: Context, deadline: Deadline) -> Request:
    session = session_of(context, page.role, deadline).headers
    return Request("GET", page.path, {**page.headers, **session, **headers})


def _other_codings(
    target: str, page: _Page, first: Exchange, context: Context, deadline: Deadline
) -> list[Representation]:
    """An answer that came compressed, asked for in every other coding."""
    seen = {_coding(first)}
    if not seen & {"br", "gzip", "deflate"}:
        return []
    client, found = client_of(context, target), []

    def ask(coding: str) -> Exchange:
        request = _request(page, {"Accept-Encoding": coding}, context, deadline)
        return client.ask(request, deadline).exchange

    for coding in CODINGS:
        if coding in seen or deadline.expired:
            continue
        try:
            other = ask(coding)
        except EvidenceProblem as error:
            found.append(Representation(page.name, coding, _coding(first), error.problem))
            continue
        if _coding(other) not in seen:
            seen.add(_coding(other))
            found.append(_compared(page, first, other, partial(ask, _coding(first)), partial(ask, coding)))
    return found


def _over_h2(
    target: str, first: list[tuple[_Page, Exchange]], context: Context, deadline: Deadline
) -> tuple[str, list[Representation]]:
    """What the server chose by ALPN, and each answer over HTTP/2 beside the one over HTTP/1.1."""
    client, found = client_of(context, target), list[Representation]()
    line, connection = client.http2()
    try:
        for page, exchange in first:
            if deadline.expired:
                break
            request = _request(page, {}, context, deadline)
            try:
                other = _ask_h2(line, connection, request, deadline)
            except EvidenceProblem as error:
                if line.shook_hands and line.chosen != HTTP2:
                    return line.chosen, []
                found.append(Representation(page.name, HTTP2, _coding(exchange), error.problem))
                if error.problem.kind != "protocol":
                    break  # as long for each of them
                continue
            again = partial(_repeat, client, request, deadline)
            over = partial(_ask_h2, line, connection, request, deadline)
            found.append(_compared(page, exchange, other, again, over, HTTP2))
    finally:
        connection.close()
    return line.chosen, found


def _repeat(client: HttpClient, request: Request, deadline: Deadline) -> Exchange:
    return client.ask(request, deadline).exchange


def _ask_h2(line: Http2Connection, connection: Connection, request: Request, deadline: Deadline) -> Exchange:
    """One answer over HTTP/2; once more over a new connection where the open one was closed meanwhile."""
    try:
        return connection.ask(request, deadline).exchange
    except EvidenceProblem as error:
        if (line.shook_hands and line.chosen != HTTP2) or not worth_another_try(error.problem):
            raise
        deadline.note(f"{error.problem.message}; tried again once")
        return connection.ask(request, deadline).exchange


def _coding(exchange: Exchange) -> str:
    return (exchange.header("Content-Encoding") or "").strip().lower().removeprefix("x-") or "identity"


def _compared(
    page: _Page, first: Exchange, other: Exchange, again: Ask, other_again: Ask, how: str = ""
) -> Representation:
    """Two answers to one request. again: asks for each once more where they differ: much changes with every answer."""
    same: bool | None = None
    if first.body is not None and other.body is not None and not first.truncated and not other.truncated:
        same = first.body == other.body
        try:
            if not same and (again().body, other_again().body) != (first.body, other.body):
                same = None
        except EvidenceProblem:
            same = None
    lacks = ""
    if page.contains is not None and page.contains in first.text and page.contains not in other.text:
        lacks = "the declared text"
    elif page.pointer is not None and (revision := _revision_in(first, page.pointer)) != (
        there := _revision_in(other, page.pointer)
    ):
        lacks = f"the revision {revision}: it tells {there}"
    types = (first.content_type, other.content_type)
    statuses = (first.status, other.status)
    return Representation(page.name, how or _coding(other), _coding(first), None, statuses, types, same, lacks)


def _revision_in(exchange: Exchange, pointer: str) -> str:
    try:
        return str(at_pointer(exchange.json(), pointer) if pointer else exchange.text.strip())[:200]
    except (EvidenceProblem, LookupError):
        return "none"
