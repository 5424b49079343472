"""Documents that the OpenAPI Specification allows and forbids; what no schema tells, as the kept validator tells it."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.services.openapi_rules import problems
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web
from tests.evidence.services.openapi_documents import DOCUMENT, changed

VERSIONS = ("3.0.3", "3.1.0", "3.2.0")
NEW, ITEM, PRICE = "/paths/~1products~1new/get", "/paths/~1products~1{sku}", "/components/schemas/Price"
FINE: dict[str, Any] = {"200": {"description": ""}}
SKU: dict[str, Any] = {"name": "sku", "in": "path", "required": True, "schema": {"type": "string"}}
GOOD: list[tuple[str, Any]] = [
    (PRICE, {"type": "string", "pattern": "^\\p{L}+$", "format": "never-heard-of"}),
    (PRICE, {"allOf": [{"type": "object"}], "required": ["not-among-the-properties"]}),
    (PRICE, {"$ref": "#/components/schemas/Price"}),
    (f"{NEW}/parameters", [{"$ref": "https://elsewhere.example/parameters.json#/a"}]),
    (f"{ITEM}/parameters", [{"$ref": "parameters.json#/sku"}]),
    (f"{NEW}/responses", {"4XX": {"description": ""}, "x-more": 1}),
    (f"{NEW}/x-more", {"any": ["thing"]}),
    (f"{NEW}/requestBody", {"content": {"application/json": {"example": {"$ref": "#/nowhere"}}}}),
    ("/paths/~1x", {}),
    ("/tags", [{"name": "a"}, {"name": "b"}]),
]
# what no schema can tell, and where it is
RULES = [
    ("/paths/~1products~1{id}", {"get": {"responses": FINE, "parameters": [{**SKU, "name": "id"}]}},
     "#/paths/~1products~1{id}: is the same template as #/paths/~1products~1{sku}"),
    (f"{NEW}/operationId", "product", "#/paths/~1products~1new/get: operationId 'product' is that of #/paths/"),
    (f"{ITEM}/parameters", [], "#/paths/~1products~1{sku}/get: {sku} is no declared parameter"),
    (f"{NEW}/parameters", [SKU], "#/paths/~1products~1new/get: path parameter 'sku' is not in the path"),
    (f"{ITEM}/parameters", [SKU, {**SKU, "description": ""}], "parameter 'sku' in path is there 2 times"),
    ("/tags", [{"name": "a"}, {"name": "a", "description": ""}], "#/tags: 'a' is there 2 times"),
    ("/components/schemas/Price", None, "$ref #/components/schemas/Price: leads nowhere"),
]  # fmt: skip
# what its schemas tell, and where it is
STRUCTURE = [
    ("/openapi", "2.0", "#/openapi: '2.0' is no version"),
    ("/info", None, '#: "info" is a required property'),
    ("/info", [], "#/info: it is not of type"),
    ("/info/version", 1, "#/info/version: it is not of type"),
    ("/paths", [], "#/paths: it is not of type"),
    ("/paths/products", {}, "#/paths: "),
    ("/paths/~1products~1new", [], "#/paths/~1products~1new: it is not of type"),
    (NEW, 3, "#/paths/~1products~1new/get: it is not of type"),
    (f"{NEW}/responses", {}, "#/paths/~1products~1new/get/responses: "),
    (f"{NEW}/responses", {"2000": {"description": ""}}, "#/paths/~1products~1new/get/responses: "),
    (f"{NEW}/parameters", {}, "#/paths/~1products~1new/get/parameters: it is not of type"),
    (f"{ITEM}/parameters", [{**SKU, "required": False}], "#/paths/~1products~1{sku}/parameters/0"),
    (f"{ITEM}/parameters", [{"name": "sku"}], "#/paths/~1products~1{sku}/parameters/0"),
    (f"{ITEM}/parameters", [{**SKU, "in": "somewhere"}], "#/paths/~1products~1{sku}/parameters/0/in"),
    (PRICE, {"type": "integerr"}, "#/components/schemas/Price/type: it is not one of"),
    (PRICE, {"type": "object", "properties": {"a": {"minimum": "b"}}},
     "#/components/schemas/Price/properties/a/minimum: it is not of type"),
    ("/servers", [{"url": "https://{a}.example", "variables": {"a": {"enum": ["b"]}}}], "#/servers/0/variables/a"),
    ("/servers", {"url": "https://a.example"}, "#/servers: it is not of type"),
    ("/security", ["token"], "#/security/0: it is not of type"),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_documents(version: str) -> None:
    assert problems({**DOCUMENT, "openapi": version}) == []
    for path, value in GOOD:
        assert problems({**changed(path, value), "openapi": version}) == [], path


@pytest.mark.parametrize(("path", "value", "told"), [*STRUCTURE, *RULES])
def test_broken_documents_are_told_with_their_place(path: str, value: Any, told: str) -> None:
    for version in VERSIONS:
        document = changed(path, value)
        document["openapi"] = value if path == "/openapi" else version
        assert told in "; ".join(problems(document)), version


@pytest.mark.parametrize(
    ("path", "value", "versions"),
    [
        (PRICE, {"type": ["integer", "null"]}, ("3.0.3",)),
        (PRICE, {"type": "integer", "exclusiveMinimum": 1}, ("3.0.3",)),
        (PRICE, {"type": "integer", "exclusiveMinimum": True}, ("3.1.0", "3.2.0")),
        (PRICE, {"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True}, ("3.0.3",)),
        ("/jsonSchemaDialect", "https://own.example/dialect", ("3.0.3",)),
        (f"{NEW}/responses", None, ("3.0.3",)),
        (f"{NEW}/responses/default", {}, ("3.0.3", "3.1.0")),
        ("/paths", None, ("3.0.3",)),
        ("/paths/~1x", {"query": {"responses": FINE}}, ("3.0.3", "3.1.0")),
        ("/components/links", {"a": {"operationId": "new", "server": {"url": "/"}}}, ()),
    ],
)
def test_what_only_some_versions_allow(path: str, value: Any, versions: tuple[str, ...]) -> None:
    """versions: those that forbid it."""
    document = changed(path, value)
    assert tuple(each for each in VERSIONS if problems({**document, "openapi": each})) == versions


@pytest.mark.parametrize("wrong", [{}, {"openapi": "3.1.0", "paths": []}, {"openapi": 3.1}, {"openapi": "3.1"}])
def test_nonsense_is_told_without_a_crash(wrong: dict[str, Any]) -> None:
    assert problems(wrong)


def test_the_rules_are_those_of_the_kept_validator() -> None:
    """openapi-spec-validator on the same documents, where it can: it does not know templates that are the same."""
    from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator, OpenAPIV32SpecValidator

    class V30(OpenAPIV30SpecValidator):
        resolver_handlers = {}  # noqa: RUF012

    class V31(OpenAPIV31SpecValidator):
        resolver_handlers = {}  # noqa: RUF012

    class V32(OpenAPIV32SpecValidator):
        resolver_handlers = {}  # noqa: RUF012

    def refused(validator: Any, document: Any) -> bool:
        try:
            return any(True for _ in validator(document).iter_errors())
        except Exception:  # what leads nowhere ends it
            return True

    twice = {**SKU, "name": "id"}
    for version, validator in zip(VERSIONS, (V30, V31, V32), strict=True):
        assert not refused(validator, {**DOCUMENT, "openapi": version})
        for path, value, _ in [*STRUCTURE[1:], *RULES[1:]]:
            document = {**changed(path, value), "openapi": version}
            assert bool(problems(document)) == refused(validator, document), (version, path)
        # why it is not run: it refuses what is allowed, a schema that stands for itself and another document
        for path, value in GOOD[2], GOOD[3]:
            assert refused(validator, {**changed(path, value), "openapi": version}), path
    assert not refused(V31, changed("/paths/~1products~1{id}", {"get": {"responses": FINE, "parameters": [twice]}}))


def test_a_hostile_document_takes_no_time_and_reaches_nobody() -> None:
    """A pattern that would take for ever, ten thousand faults, nine hundred levels, addresses of our own network."""

    def nested(depth: int, leaf: Any) -> Any:
        for _ in range(depth):
            leaf = {"properties": {"a": leaf}}
        return leaf

    seen: list[Any] = []

    def answer(asked: Seen) -> Answer:
        seen.append(asked)
        return 200, {}, b"{}"

    with web(answer) as server:
        address = f"http://127.0.0.1:{server.port}/x.json"
        hostile = [
            changed(PRICE, {"type": "string", "pattern": "^(a+)+$", "default": "a" * 40 + "!"}),
            changed("/components/schemas", {f"a{at}": 3 for at in range(10_000)}),
            changed(PRICE, nested(450, {"type": "string"})),
            changed(PRICE, nested(450, {"type": 1})),
            changed(PRICE, {"title": "\ud800"}),
            changed(PRICE, {"$ref": address}),
            changed(PRICE, {"$schema": address}),
            changed("/jsonSchemaDialect", address),
        ]
        before = time.thread_time()
        for document in hostile:
            for version in VERSIONS:
                problems({**document, "openapi": version})
        assert time.thread_time() - before < 5
    assert seen == []


def test_deep_documents_in_the_threads_that_collectors_run_in() -> None:
    leaf: Any = []
    for _ in range(900):  # what Python's JSON still reads
        leaf = [leaf]
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(problems(changed(f"{NEW}/x-more", leaf))))
    thread.start()
    thread.join(20)
    assert len(told) == 1


def test_nothing_of_the_document_is_in_what_is_told() -> None:
    assert "hunter2" not in str(problems(changed("/info", "hunter2")) + problems(changed(PRICE, {"type": "hunter2"})))


def test_without_the_schemas_only_a_document_asks_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pytest_prodcheck.evidence.services import openapi_rules

    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    openapi_rules._validator.cache_clear()
    for body, what in ((json.dumps(DOCUMENT).encode(), "pytest-prodcheck[openapi]"), (b"<html>", "")):
        with web(lambda seen, body=body: (200, {}, body)) as server:  # type: ignore[misc]
            settings = {"url": f"http://127.0.0.1:{server.port}", "openapi": "/o"}
            context = context_for(tmp_path, services={"shop": settings})
            if what:
                with pytest.raises(EvidenceProblem) as found:
                    find("http-openapi").gather("shop", context, Deadline(5))
                problem = found.value.problem
                assert (problem.kind, problem.hint) == ("missing-extra", f"pip install '{what}'")
            else:
                assert find("http-openapi").gather("shop", context, Deadline(5)).problems == ("it is no JSON object",)
    openapi_rules._validator.cache_clear()
