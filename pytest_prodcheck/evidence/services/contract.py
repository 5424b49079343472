"""`http-contract`: the JSON Schema that an endpoint's answer has to match, from a file or the OpenAPI document."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pytest_prodcheck import json_schemas
from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.services.endpoint import endpoint_seconds
from pytest_prodcheck.evidence.services.openapi import fetch
from pytest_prodcheck.evidence.services.openapi_document import operation, references
from pytest_prodcheck.evidence.services.openapi_schemas import answer_schemas
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.services import AnswerSchema, Contract

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

OPENAPI = "openapi"
LARGEST = 16 * 1024 * 1024  # bytes of a schema file


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, declared, _ = endpoint(environment, target)
    return (Sending(host_of(service), f"GET {service.openapi}"),) if declared.schema_ == OPENAPI else ()


@evidence(
    "http-contract",
    axis="endpoint",
    feature="answer",
    only="schema",
    seconds=endpoint_seconds,
    host=endpoint_host,
    sends=_sends,
)
def http_contract(target: str, context: Context, deadline: Deadline) -> Contract:
    """The schemas, each whole in itself."""
    service, declared, name = endpoint(context.environment, target)
    if declared.schema_ is None:
        raise EvidenceProblem(Problem("configuration", f"endpoint {target} declares no `schema`"))
    if declared.schema_ != OPENAPI:
        context.relies_on(declared.schema_)
        schema = _checked(_read(context.root / declared.schema_, declared.schema_), declared.schema_)
        return Contract(declared.schema_, (AnswerSchema("default", "*/*", schema),))
    exchange, document = fetch(name, context, deadline)
    if not 200 <= exchange.status < 300 or not isinstance(document, dict):
        raise EvidenceProblem(
            Problem("protocol", f"{exchange.url}: answered {exchange.status} without an OpenAPI document")
        )
    source = f"{service.openapi}, {declared.request}"
    found = operation(document, service.url, declared)
    if found is None:
        raise EvidenceProblem(Problem("protocol", f"{exchange.url}: does not describe {declared.request}"))
    answers = answer_schemas(document, found, declared.status or ())
    if not answers:
        raise EvidenceProblem(
            Problem("protocol", f"{exchange.url}: has no JSON schema for answers of {declared.request}")
        )
    return Contract(source, tuple(replace(each, schema=_checked(each.schema, source)) for each in answers))


def _read(file: Path, name: str) -> Any:
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvidenceProblem(Problem("configuration", f"schema {name} cannot be read: {reason}")) from None


def _checked(schema: Any, source: str) -> Any:
    """The schema, if it is one that needs nothing from elsewhere; raises EvidenceProblem."""
    from jsonschema import exceptions, validators

    if not isinstance(schema, (dict, bool)):
        raise EvidenceProblem(Problem("configuration", f"schema {source}: is no JSON object"))
    if why := json_schemas.refused(schema):
        raise EvidenceProblem(Problem("too-large", f"schema {source}: {why}"))
    dialect = schema.get("$schema", "") if isinstance(schema, dict) else ""
    known = {
        validator.META_SCHEMA.get("$id", validator.META_SCHEMA.get("id", "")).rstrip("#") for validator in _dialects()
    }
    if dialect and str(dialect).rstrip("#") not in known:
        raise EvidenceProblem(Problem("configuration", f"schema {source}: dialect {str(dialect)[:100]} is not known"))
    try:
        validators.validator_for(schema, default=validators.Draft202012Validator).check_schema(schema)
    except (exceptions.SchemaError, RecursionError) as error:
        what = (
            f"{error.json_path}: {error.message[:200]}"
            if isinstance(error, exceptions.SchemaError)
            else "nested too deeply"
        )
        raise EvidenceProblem(Problem("configuration", f"schema {source}: is no JSON Schema: {what}")) from None
    own_id = schema.get("$id", "") if isinstance(schema, dict) else ""
    for reference in references(schema):
        inside = reference.startswith("#") or (own_id and reference.startswith(f"{own_id}#"))
        if not inside:
            hint = "put the parts into one file, under $defs"
            raise EvidenceProblem(
                Problem("configuration", f"schema {source}: $ref {reference[:200]} leads outside of it", hint)
            )
        try:
            at_pointer(schema, unquote(reference.partition("#")[2])) if "#/" in reference else None
        except LookupError:
            raise EvidenceProblem(
                Problem("configuration", f"schema {source}: $ref {reference[:200]} leads nowhere")
            ) from None
    return schema


def _dialects() -> tuple[Any, ...]:
    from jsonschema import validators as v

    return (
        v.Draft3Validator,
        v.Draft4Validator,
        v.Draft6Validator,
        v.Draft7Validator,
        v.Draft201909Validator,
        v.Draft202012Validator,
    )
