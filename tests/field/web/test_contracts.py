"""Answers beside OpenAPI documents as frameworks and bundlers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.services import Endpoint
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.services.contract import http_contract
from pytest_prodcheck.evidence.services.endpoint import http_endpoint
from pytest_prodcheck.evidence.services.openapi_document import operation
from suites.smoke import test_api
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web
from tests.evidence.load.test_load import judged


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


JSON = "application/json"
USER = _object(("name", "password"), name={"type": "string"}, password={"type": "string", "writeOnly": True})
PET = _object(("id", "name"), id={"type": "integer"}, name={"type": "string"})
SCHEMAS = {
    "User": USER, "Pet": PET, "Error": _object(("message",), message={"type": "string"}),
    "Owner": _object(pet={"allOf": [_ref("Pet")], "nullable": True}, other={"nullable": True, "oneOf": [_ref("Pet")]},
                     plain=_ref("Pet")),
    "Flags": {**_object(nullable={"type": "boolean"}), "additionalProperties": False},
    "Bundled": _object(id={"$ref": "#/components/schemas/Pet/properties/id"}, pet=_ref("Pet")),
}  # fmt: skip
Responses = dict[str, dict[str, dict[str, Any]]]
# name -> responses (status -> media type -> schema), declared status, status and body of the answer, what comes of it
CASES: dict[str, tuple[Responses, list[int] | None, int, Any, str]] = {
    "springdoc": ({"200": {"*/*": _ref("Pet")}}, [200], 200, {"id": 1, "name": "x"}, "passed"),
    "springdoc-broken": ({"200": {"*/*": _ref("Pet")}}, [200], 200, {"id": 1}, "failed"),
    "error-is-no-answer": ({"200": {"text/csv": {}}, "default": {JSON: _ref("Error")}}, [200], 200, {"message": ""},
                           "errored"),
    "second-status": ({"200": {JSON: _ref("Pet")}, "202": {JSON: _ref("Error")}}, [200, 202], 202, {"message": ""},
                      "passed"),
    "second-status-broken": ({"200": {JSON: _ref("Pet")}, "202": {JSON: _ref("Error")}}, [200, 202], 202,
                             {"id": 1, "name": "x"}, "failed"),
    "created": ({"201": {JSON: _ref("Pet")}, "default": {JSON: _ref("Error")}}, None, 201, {"id": 1, "name": "x"},
                "passed"),
    "created-broken": ({"201": {JSON: _ref("Pet")}, "default": {JSON: _ref("Error")}}, None, 201, {"message": ""},
                       "failed"),
    "class": ({"2XX": {JSON: _ref("Pet")}}, [200], 200, {"id": 1}, "failed"),
    "undescribed": ({"200": {JSON: _ref("Pet")}}, [200, 203], 203, {"id": 1, "name": "x"}, "errored"),
    "media-type": ({"200": {"application/hal+json": _ref("Error"), JSON: _ref("Pet")}}, [200], 200,
                   {"id": 1, "name": "x"}, "passed"),
    "write-only": ({"200": {JSON: _ref("User")}}, [200], 200, {"name": "x"}, "passed"),
    "write-only-leaks": ({"200": {JSON: _ref("User")}}, [200], 200, {"name": "x", "password": "$2y$10"}, "failed"),
    "required": ({"200": {JSON: _ref("User")}}, [200], 200, {}, "failed"),
    "nullable-beside-all-of": ({"200": {JSON: _ref("Owner")}}, [200], 200, {"pet": None, "other": None}, "passed"),
    "nullable-nowhere": ({"200": {JSON: _ref("Owner")}}, [200], 200, {"plain": None}, "failed"),
    "nullable-is-a-name": ({"200": {JSON: _ref("Flags")}}, [200], 200, {"nullable": True}, "passed"),
    "nullable-is-a-name-broken": ({"200": {JSON: _ref("Flags")}}, [200], 200, {"nullable": "x"}, "failed"),
    "bundled": ({"200": {JSON: _ref("Bundled")}}, [200], 200, {"id": 1, "pet": {"id": 1}}, "failed"),
}  # fmt: skip


def _document(version: str) -> dict[str, Any]:
    def response(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
        described = {media: {"schema": schema} if schema else {} for media, schema in content.items()}
        return {"description": "", "content": described}

    paths = {
        f"/{name}": {"get": {"responses": {status: response(each) for status, each in responses.items()}}}
        for name, (responses, *_) in CASES.items()
    }
    info = {"title": "Shop", "version": "1"}
    return {"openapi": version, "info": info, "paths": paths, "components": {"schemas": SCHEMAS}}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_answers_are_compared_with_what_describes_them(version: str, tmp_path: Path) -> None:
    """Sources: tests/field/README.md, "Web"."""

    def answer(seen: Seen) -> Answer:
        if seen.path == "/openapi.json":
            return 200, {}, json.dumps(_document(version)).encode()
        *_, status, body, _ = CASES[seen.path[1:]]
        return status, {"Content-Type": JSON}, json.dumps(body).encode()

    with web(answer) as server:
        endpoints = {
            name: {"request": f"GET /{name}", "schema": "openapi", **({"status": declared} if declared else {})}
            for name, (_, declared, *_) in CASES.items()
        }
        service = {"url": f"http://127.0.0.1:{server.port}", "openapi": "/openapi.json", "endpoints": endpoints}
        context = context_for(tmp_path, services={"shop": service})
        found = {name: _outcome(name, context) for name in CASES}
    wanted = {name: expected for name, (*_, expected) in CASES.items()}
    if version == "3.1.0":  # which has no `nullable`
        wanted["nullable-beside-all-of"] = "failed"
    assert found == wanted


def _outcome(name: str, context: Context) -> str:
    from pytest_prodcheck.records import EvidenceProblem

    declared = context.environment.services["shop"].endpoints[name].model_dump(by_alias=True)
    try:
        contract = http_contract.gather(f"shop.{name}", context, Deadline(20))
    except EvidenceProblem:
        return "errored"
    exchange = http_endpoint.gather(f"shop.{name}", context, Deadline(20))
    return judged(test_api.test_endpoint_answers_as_declared, exchange, contract, declared).outcome.value


@pytest.mark.parametrize(
    ("server", "service"),
    [
        ({"url": "https://{host}/v1"}, ""),
        ({"url": "{protocol}://shop.example:8443/v1"}, ""),
        ({"url": "https://shop.example{basePath}", "variables": {"basePath": {"default": "/sell/v1"}}}, ""),
        ({"url": "https://x/{basePath}", "variables": {"basePath": {"default": "sell/v1"}}}, ""),
        ({"url": "https://x/{stage}/", "variables": {"stage": {"default": "prod"}}}, "/staging"),
        ({"url": "/v1"}, "/v1"),
    ],
)
def test_variables_of_servers(server: dict[str, Any], service: str) -> None:
    """thephpleague/openapi-psr7-validator#240, express-openapi-validator#380, OpenAPIValidators#89: eBay's, AWS's."""
    document = {"servers": [server], "paths": {"/items": {"get": {"operationId": "items"}}}}
    below = "/sell/v1" if "basePath" in server["url"] else "/v1" if not service else ""
    endpoint = Endpoint.model_validate({"request": f"GET {below}/items"})
    assert operation(document, f"https://shop.example{service}", endpoint)
    assert operation(document, "https://shop.example", Endpoint.model_validate({"request": "GET /x/y/items"})) is None
