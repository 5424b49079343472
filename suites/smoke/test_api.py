"""Endpoints: what they answer, how fast, and the document that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Exchange, Limit, check, judge
from pytest_prodcheck.answers.expected_answers import answer_checks, expected_answer
from pytest_prodcheck.answers.schemas import mismatch, schema_of

if TYPE_CHECKING:
    from pytest_prodcheck.records import Contract, OpenApi


@check("smoke.api.endpoint", severity="critical", runbook="api-endpoint")
def test_endpoint_answers_as_declared(
    http_endpoint: Exchange, http_contract: Contract | None, declared: Mapping[str, Any]
) -> None:
    """Status, content type, text and body are as declared; the body matches its JSON Schema or OpenAPI document."""
    looked_at = expected_answer(declared)
    status, kind = http_endpoint.status, http_endpoint.content_type
    found = list(
        answer_checks(
            looked_at, status, kind, lambda: looked_at.contains in http_endpoint.text, lambda: http_endpoint.text
        )
    )
    if not found[0].good:  # of an answer of another status nothing else was promised
        judge("status", False, reason=http_endpoint.wrong(f"{found[0].why}, expected {looked_at.status_text}"))
        return
    first = next((each for each in found if not each.good), None)  # with it all that a person needs to look at it
    good = [
        judge(each.what, each.good, reason=http_endpoint.wrong(each.why) if each is first else each.why)
        for each in found
    ]
    if http_contract is not None and all(good):  # where a schema is declared
        schema = schema_of(http_contract, status, kind)
        reason = mismatch(http_endpoint.text, schema, http_contract.source)
        judge(f"body matches {http_contract.source}", not reason, reason=http_endpoint.wrong(reason))


@check("smoke.api.budget", severity="high", limit=Limit(warn=1, fail=2), runbook="api-budget")
def test_endpoint_keeps_its_budget(http_budget: Exchange, declared: Mapping[str, Any], limit: Limit) -> None:
    """The response time of the endpoint, in multiples of its declared budget."""
    budget = declared["budget"]
    told = f"{1000 * http_budget.seconds:.0f} ms of {1000 * budget:.0f} ms"
    judge("response time", http_budget.seconds / budget, at_most=limit, unit="x budget", reason=told)


@check("smoke.api.openapi", severity="medium", runbook="api-openapi")
def test_openapi_document_declares_the_endpoints(http_openapi: OpenApi) -> None:
    """The published OpenAPI document is valid and contains the declared endpoints."""
    judge("status", http_openapi.exchange.status, equals=200)
    judge("document is valid", not http_openapi.problems, reason="; ".join(http_openapi.problems[:5]))
    judge(
        "endpoints are declared",
        not http_openapi.undeclared,
        reason="missing: " + ", ".join(http_openapi.undeclared[:5]),
    )
