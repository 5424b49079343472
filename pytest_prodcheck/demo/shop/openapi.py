"""The shop's OpenAPI document, made from its routes."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from pytest_prodcheck.demo.files.configuration import PRODUCT_SCHEMA
from pytest_prodcheck.demo.shop.routing import Route, Routes


def document(revision: str, routes: Routes) -> dict[str, Any]:
    """OpenAPI 3.1 with every route."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    product = {key: value for key, value in PRODUCT_SCHEMA.items() if key != "$schema"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": revision, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Product": product, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_PROBLEM = {
    "type": "object",
    "required": ["title", "status"],
    "properties": {"title": {"type": "string"}, "status": {"type": "integer"}},
}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "responses": {str(status): _response(route, status) for status in route.statuses},
        "security": [{"token": []}] if route.roles else [],
    }
    if names := re.findall(r"\{(\w+)\}", route.path):
        schema = {"type": "string"}
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]
    if route.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": route.body}}}
    return operation


def _response(route: Route, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status >= 400:
        response["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    elif status != 204:
        schema: dict[str, Any] = {"type": "object"} if route.content_type.endswith("json") else {"type": "string"}
        if route.path == "/products/{sku}":
            schema = {"$ref": "#/components/schemas/Product"}
        response["content"] = {route.content_type: {"schema": schema}}
    return response
