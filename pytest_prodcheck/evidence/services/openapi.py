"""`http-openapi`: the served OpenAPI document, and whether it holds the declared endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import asks, declared, service_host
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.services import OpenApi

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@evidence(
    "http-openapi",
    axis="service",
    feature="openapi",
    host=service_host,
    sends=asks(lambda service: service.openapi),
)
def http_openapi(target: str, context: Context, deadline: Deadline) -> OpenApi:
    """The document, what is wrong with its structure, and the declared endpoints it lacks (pages in HTML left out)."""
    from pytest_prodcheck.evidence.services.openapi_document import operation
    from pytest_prodcheck.evidence.services.openapi_rules import problems

    service = declared(context.environment, target)
    exchange, document = fetch(target, context, deadline)
    if not isinstance(document, dict):
        return OpenApi(exchange, None, ("it is no JSON object",), ())
    wrong = tuple(context.redactor.redact(text) for text in problems(document))
    lacking = [
        f"{endpoint.request} ({name})"
        for name, endpoint in service.endpoints.items()
        if (endpoint.content_type or "").lower() != "text/html" and operation(document, service.url, endpoint) is None
    ]
    return OpenApi(exchange, context.redactor.redact_data(document), wrong, tuple(lacking))


def fetch(target: str, context: Context, deadline: Deadline) -> tuple[Exchange, Any]:
    """The document's exchange and its JSON, None where it is none; asked for once in a run. Raises EvidenceProblem."""
    service = declared(context.environment, target)
    return context.once(("openapi", target), lambda: _fetch(service, target, context, deadline), deadline)


def _fetch(service: Service, target: str, context: Context, deadline: Deadline) -> tuple[Exchange, Any]:
    from pytest_prodcheck.evidence.http.messages import Request

    if service.openapi is None:
        raise EvidenceProblem(Problem("configuration", f"service {target} has no `openapi`"))
    answer = client_of(context, target).ask(
        Request("GET", service.openapi, {"Accept": "application/json, */*;q=0.5"}), deadline
    )
    if answer.exchange.truncated:
        hint = "raise gathering.body"
        raise EvidenceProblem(
            Problem("too-large", f"{answer.exchange.url}: the document is larger than was read", hint)
        )
    try:
        return answer.exchange, answer.json()
    except EvidenceProblem:
        return answer.exchange, None
