"""`http-errors`: what a service tells when a request is wrong. At most 12 requests, one after another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import bounded_seconds, declared, host_of, service_host
from pytest_prodcheck.evidence.web.public_addresses import (
    control,
    control_path,
    open_endpoints,
    private_endpoints,
    random_name,
)
from pytest_prodcheck.evidence.web.stack_traces import leaks_in
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.web import ProvokedError, ProvokedErrors

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Request

NO_TEXT = "%FF%FE"  # no UTF-8
MOST = 3  # endpoints of one kind


def _cases(name: str, environment: Environment) -> list[tuple[str, Request]]:
    """What is sent, by what is wrong with it; POST only to endpoints declared `safe`, never where protected."""
    from pytest_prodcheck.evidence.http.messages import Request

    service = declared(environment, name)
    home = control_path(service)
    joint = "&" if "?" in home else "?"
    cases = [
        ("a page that is not there", Request("GET", f"/{random_name()}")),
        ("a query that is no text", Request("GET", f"{home}{joint}prodcheck={NO_TEXT}&page=-1e999&a[=b]")),
        ("a path that is no text", Request("GET", f"/{NO_TEXT}")),
    ]
    for key, each in open_endpoints(service):
        path = each.path.partition("?")[0]
        if path.strip("/"):
            broken = f"{path.rstrip('/').rpartition('/')[0]}/{NO_TEXT}"
            cases.append((f"a broken name in {key}", Request("GET", broken, dict(each.headers))))
    cases = cases[: 3 + MOST]
    for full in private_endpoints(name, environment):
        key = full.removeprefix(f"{name}.")
        each = service.endpoints[key]
        auth = environment.auth
        wrong = auth.token_headers(".") if auth and auth.kind == "token" else {"Authorization": "Bearer ."}
        garbage = {**each.headers, **wrong}
        cases.append((f"a malformed token for {key}", Request("GET", each.path, garbage)))
    return cases


def _broken_documents(service: Service, environment: Environment) -> list[tuple[str, str, str]]:
    """(endpoint, method, path) of the safe endpoints that take JSON and may be sent some that breaks off."""
    if environment.protected:
        return []
    return [
        (key, each.method, each.path)
        for key, each in service.endpoints.items()
        if each.safe and each.json_ is not None and each.as_ is None
    ][:MOST]


def _lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    host, cases = host_of(service), _cases(target, environment)
    wrong = [Sending(host, f"GET with {case}") for case, _ in cases]
    broken = [
        Sending(host, f"{method} {path} with JSON that breaks off")
        for _, method, path in _broken_documents(service, environment)
    ]
    return (Sending(host, f"GET {control_path(service)}"), *wrong, *broken)


@evidence("http-errors", axis="service", feature="http", seconds=bounded_seconds(4), host=service_host, sends=_lines)
def http_errors(target: str, context: Context, deadline: Deadline) -> ProvokedErrors:
    """The answers to requests that are wrong on purpose; a connection that is closed instead is told as a problem."""
    from pytest_prodcheck.evidence.http.messages import Request

    service = declared(context.environment, target)
    good = control(target, context, deadline)
    cases = _cases(target, context.environment)
    for key, method, path in _broken_documents(service, context.environment):
        headers = {**service.endpoints[key].headers, "Content-Type": "application/json"}
        cases.append((f"JSON that breaks off for {key}", Request(method, path, headers, text='{"prodcheck": ')))
    answers = []
    for case, request in cases:
        try:
            answer = client_of(context, target).ask(request, deadline, retry=False)
            answers.append(ProvokedError(case, replace(answer.exchange, body=None), leaks_in(answer.text)))
        except EvidenceProblem as error:
            if deadline.expired:
                raise
            answers.append(ProvokedError(case, None, problem=error.problem))
    return ProvokedErrors(good, tuple(answers))
