"""`http-pages`, `http-private` and `http-cookies`: the answers whose headers browsers and caches go by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import private_roles
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import (
    bounded_seconds,
    declared,
    endpoint,
    endpoint_host,
    host_of,
    service_host,
)
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.services.endpoint import endpoint_seconds
from pytest_prodcheck.evidence.web.public_addresses import (
    BROWSER,
    ask,
    control,
    control_path,
    followed,
    open_endpoints,
    plan_lines,
)
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.web import CookieAnswers, Page, Pages, PrivateAnswer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _page_lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    home = control_path(service)
    open_ones = [(endpoint.request, 1) for _, endpoint in open_endpoints(service)]
    where = "GET where it redirects to, within the service (at most)"
    return plan_lines(target, environment, (f"GET {home}", 1 + service.html), (where, 3 * service.html), *open_ones)


@evidence(
    "http-pages", axis="service", feature="http", seconds=bounded_seconds(4), host=service_host, sends=_page_lines
)
def http_pages(target: str, context: Context, deadline: Deadline) -> Pages:
    """The front page of `html` services (twice, and where it leads), the health page of others, the open endpoints."""
    return context.once(("pages", target), lambda: _pages(target, context, deadline), deadline)


@evidence(
    "http-secure",
    axis="service",
    feature="https",
    seconds=bounded_seconds(4),
    host=service_host,
    sends=lambda target, environment: (),  # the requests of http-pages
)
def http_secure(target: str, context: Context, deadline: Deadline) -> Pages:
    """The answers of `http-pages` over TLS of a host with a name, bodies left out."""
    found: Pages = http_pages.gather(target, context, deadline)
    return replace(found, pages=_without_bodies(found.pages), again=None)


@evidence(
    "http-html",
    axis="service",
    feature="html",
    seconds=bounded_seconds(4),
    host=service_host,
    sends=lambda target, environment: (),  # the requests of http-pages
)
def http_html(target: str, context: Context, deadline: Deadline) -> Pages:
    """The answers of `http-pages` of a service that serves pages for browsers."""
    found: Pages = http_pages.gather(target, context, deadline)
    return found


def _without_bodies(pages: tuple[Page, ...]) -> tuple[Page, ...]:
    """The pages without their bodies."""
    return tuple(replace(page, exchange=replace(page.exchange, body=None)) for page in pages)


def _pages(target: str, context: Context, deadline: Deadline) -> Pages:
    service = declared(context.environment, target)
    first = control(target, context, deadline)
    path = control_path(service)
    pages = [Page(path, first)]
    again = None
    if service.html:
        pages += [Page(each.url, each) for each in followed(target, first, context, deadline)]
        again = ask(target, "GET", path, context, deadline, BROWSER).exchange
    for name, each in open_endpoints(service):
        if each.path != path:
            pages.append(Page(name, _endpoint(f"{target}.{name}", context, deadline)))
    return Pages(service.host, service.url.startswith("https:"), tuple(pages), again)


def _endpoint(target: str, context: Context, deadline: Deadline, role: str | None = None) -> Exchange:
    """The answer of one declared endpoint, the same that other evidence uses where the role is the declared one."""
    _, found, service = endpoint(context.environment, target)

    def send() -> Exchange:
        headers = {**found.headers, **session_of(context, role, deadline).headers}
        return ask(service, found.method, found.path, context, deadline, headers).exchange

    return context.once(("endpoint", target) if role == found.as_ else ("endpoint", target, role), send, deadline)


def _private_lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, found, _ = endpoint(environment, target)
    return (Sending(host_of(service), f"{found.request} as {private_roles(environment, found)[0]}"),)


@evidence(
    "http-private",
    axis="endpoint",
    feature="private",
    seconds=endpoint_seconds,
    host=endpoint_host,
    sends=_private_lines,
)
def http_private(target: str, context: Context, deadline: Deadline) -> PrivateAnswer:
    """The answer of an endpoint that is not for everybody, as the first role that it lets in gets it."""
    from pytest_prodcheck.evidence.login.sessions import expected

    _, found, _ = endpoint(context.environment, target)
    role = private_roles(context.environment, found)[0]
    session = session_of(context, role, deadline)
    exchange = _endpoint(target, context, deadline, role)
    bare = replace(exchange, body=None)  # what it says is nobody's business here
    return PrivateAnswer(role, session.carrier, expected(target, context), bare)


def _cookie_lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    auth = environment.auth
    logs_in = auth is not None and auth.service == target and auth.signs_in and bool(auth.roles)
    return plan_lines(target, environment, (f"{auth.login} (login)" if auth else "", int(logs_in)))


@evidence(
    "http-cookies", axis="service", feature="http", seconds=bounded_seconds(6), host=service_host, sends=_cookie_lines
)
def http_cookies(target: str, context: Context, deadline: Deadline) -> CookieAnswers:
    """The answers of `http-pages`, and of the first role's login where people log in at this service."""
    from pytest_prodcheck.evidence.login.sessions import shared_login

    found = http_pages.gather(target, context, deadline)
    auth, login = context.environment.auth, None
    if auth is not None and auth.service == target and auth.signs_in and auth.roles:
        role = next(iter(auth.roles))
        told = shared_login(role, context, deadline).login
        if not told.granted or told.exchange is None:
            what = f"role {role} cannot log in ({told.reason}), so nothing is known of the cookies that a login sets"
            raise EvidenceProblem(Problem("denied", what))
        login = Page(f"login as {role}", replace(told.exchange, body=None))
    session = auth.cookie or "" if auth is not None and auth.service == target else ""
    return CookieAnswers(found.host, found.https, _without_bodies(found.pages), login, session)
