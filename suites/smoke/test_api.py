"""Endpoints: what they answer, how fast, and the document that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Exchange, Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Contract, OpenApi


@check("smoke.api.endpoint", severity="critical", runbook="api-endpoint")
def test_endpoint_answers_as_declared(
    http_endpoint: Exchange, http_contract: Contract | None, declared: Mapping[str, Any]
) -> None:
    """Status, content type, text and body are as declared, by JSON Schema or OpenAPI document where one is named."""
    good = declared.get("status") or range(200, 300 if declared.get("schema") else 400)  # Endpoint.good_statuses
    judge("status", http_endpoint.status, one_of=tuple(good), reason=f"answered {http_endpoint.status}")
    if declared.get("content_type"):
        judge("content type", http_endpoint.content_type, equals=declared["content_type"].lower())
    if declared.get("contains"):
        judge("declared text is there", declared["contains"] in http_endpoint.text, reason="the text is missing")
    if http_contract is not None:  # where a schema is declared
        _judge_schema(http_endpoint, http_contract)


def _judge_schema(exchange: Exchange, contract: Contract) -> None:
    from pytest_prodcheck.judging.body_schemas import worst_mismatch

    looks_like_json = exchange.content_type.endswith("json")
    if not judge("body is JSON", looks_like_json, reason=f"the content type is {exchange.content_type or 'missing'}"):
        return
    try:
        document = exchange.json()
    except Exception as error:  # an answer that is no JSON is proven bad: the status said that all is well
        judge("body is JSON", False, reason=str(error))
        return
    worst = worst_mismatch(contract.schema, document)
    where = f"{worst.json_path}: {worst.message[:200]}" if worst is not None else ""
    judge(f"body matches {contract.source}", worst is None, reason=where)


@check("smoke.api.budget", severity="high", limit=Limit(warn=1, fail=2), runbook="api-budget")
def test_endpoint_keeps_its_budget(http_budget: Exchange, declared: Mapping[str, Any], limit: Limit) -> None:
    """The answer comes within the endpoint's own budget; the limit counts in budgets."""
    budget = declared["budget"]
    told = f"{1000 * http_budget.seconds:.0f} ms of {1000 * budget:.0f} ms"
    judge("time of the answer", http_budget.seconds / budget, at_most=limit, unit="x budget", reason=told)


@check("smoke.api.openapi", severity="medium", runbook="api-openapi")
def test_openapi_document_declares_the_endpoints(http_openapi: OpenApi) -> None:
    """The served OpenAPI document is valid and declares the endpoints that prodcheck.toml names."""
    judge("status", http_openapi.exchange.status, equals=200)
    judge("document is valid", not http_openapi.problems, reason="; ".join(http_openapi.problems[:5]))
    judge(
        "endpoints are declared",
        not http_openapi.undeclared,
        reason="missing: " + ", ".join(http_openapi.undeclared[:5]),
    )
