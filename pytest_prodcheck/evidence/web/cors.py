"""`http-cors`: what a service lets pages of other origins read. At most 33 requests, one after another."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.cookies.parsing import site_of
from pytest_prodcheck.environments.queries import is_address, private_roles
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import bounded_seconds, declared, endpoint, host_of, service_host
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.web.pages import http_private
from pytest_prodcheck.evidence.web.public_addresses import ask, control, control_path, private_endpoints
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.web import CorsAnswer, CorsAnswers, PrivateAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

ELSEWHERE = "prodcheck.example"  # reserved for examples (RFC 2606): nobody's
PLAIN = "our name over plain HTTP"
SIBLING = "any name of our site"
PREFLIGHTS = ("another site", "null")
ALLOWED = "Access-Control-Allow-Origin"
THROWN = 500  # what Express and its like answer where code throws an error for an origin that it does not know


def origins(service: Service, mark: str) -> dict[str, str]:
    """Case -> `Origin`; mark makes the foreign names new, so that no list can hold them."""
    scheme = service.url.partition(":")[0]
    port = "" if service.port == (443 if scheme == "https" else 80) else f":{service.port}"
    found = {"another site": f"https://{mark}.{ELSEWHERE}", "null": "null"}
    if not is_address(service.host):
        found["our name as a prefix"] = f"{scheme}://{service.host}.{mark}.{ELSEWHERE}"
        site = site_of(service.host)  # strangers can have no name below it
        found["our name as a suffix"] = f"{scheme}://{mark}{site}{port}"
        if site != service.host:
            found[SIBLING] = f"{scheme}://{mark}{service.host}{port}"
        if "." in service.host:
            below = service.host.removesuffix(site).removesuffix(".")
            other = f"{below}x{site}" if below else site.replace(".", "x", 1)
            found["our name with another letter for its dot"] = f"{scheme}://{other}{port}"
    if scheme == "https":
        found[PLAIN] = f"http://{service.host}"
    return found


def _lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    host, count = host_of(service), len(origins(service, "x"))
    found = [Sending(host, f"GET {control_path(service)} from another origin", count)]
    found.append(Sending(host, f"OPTIONS {control_path(service)} from another origin", len(PREFLIGHTS)))
    found.append(Sending(host, f"GET {control_path(service)} again if an origin was answered {THROWN}", 2))
    for full in private_endpoints(target, environment):
        _, each, _ = endpoint(environment, full)
        who = private_roles(environment, each)[0]
        found.append(Sending(host, f"GET {each.path} as {who} from another origin", count))
        found.append(Sending(host, f"OPTIONS {each.path} from another origin", len(PREFLIGHTS)))
        found.append(Sending(host, f"GET {each.path} as {who} again if an origin was answered {THROWN}", 2))
    return tuple(found)


@evidence("http-cors", axis="service", feature="http", seconds=bounded_seconds(6), host=service_host, sends=_lines)
def http_cors(target: str, context: Context, deadline: Deadline) -> CorsAnswers:
    """Simple requests and preflights of hostile origins: to the page of the control, and to what roles may read."""
    service = declared(context.environment, target)
    good = control(target, context, deadline)
    found = origins(service, f"x{secrets.token_hex(6)}")
    answers = _answers_to_origins(target, control_path(service), found, {}, context, deadline)
    for full in private_endpoints(target, context.environment):
        _, each, _ = endpoint(context.environment, full)
        _require_control(http_private.gather(full, context, deadline))
        session = session_of(context, private_roles(context.environment, each)[0], deadline)
        answers += _answers_to_origins(target, each.path, found, {**each.headers, **session.headers}, context, deadline)
    return CorsAnswers(good, tuple(answers))


def _carrier(context: Context) -> str:
    """The header that carries credentials, in lower case as browsers ask for it."""
    auth = context.environment.auth
    return auth.header.lower() if auth else "authorization"


def _require_control(allowed: PrivateAnswer) -> None:
    """Raises EvidenceProblem where the role itself does not get its answer: then it proves nothing for others."""
    exchange = allowed.exchange
    if exchange.status not in allowed.expected:
        what = f"{exchange.method} {exchange.url} as {allowed.role} answered {exchange.status}"
        raise EvidenceProblem(Problem("protocol", f"{what}, so what other origins may not read proves nothing"))


def _answers_to_origins(
    target: str,
    path: str,
    found: Mapping[str, str],
    headers: Mapping[str, str],
    context: Context,
    deadline: Deadline,
) -> list[CorsAnswer]:
    answers = []
    wish = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": _carrier(context)}
    for case, origin in found.items():
        exchange = ask(target, "GET", path, context, deadline, {**headers, "Origin": origin}).exchange
        answers.append(CorsAnswer(path, case, origin, False, bool(headers), replace(exchange, body=None)))
        if case in PREFLIGHTS:
            exchange = ask(target, "OPTIONS", path, context, deadline, {"Origin": origin, **wish}).exchange
            answers.append(CorsAnswer(path, case, origin, True, False, replace(exchange, body=None)))

    def status(more: Mapping[str, str]) -> int:
        return ask(target, "GET", path, context, deadline, {**headers, **more}).exchange.status

    gets = [each for each in answers if not each.preflight and not each.exchange.header(ALLOWED)]
    if not gets or any(each.exchange.status != THROWN for each in gets):
        return answers
    if status({}) >= 400 or status({"Origin": gets[0].origin}) != THROWN:
        return answers
    return [replace(each, refused=each.exchange.status == THROWN) for each in answers]
