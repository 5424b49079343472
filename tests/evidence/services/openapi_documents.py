"""A valid OpenAPI document, and copies with one change."""

from __future__ import annotations

import json
from typing import Any

from pytest_prodcheck.answers.variables import at_pointer

SCHEMA = {"application/json": {"schema": {"$ref": "#/components/schemas/P"}}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://shop.example/api"}],
    "paths": {
        "/products/{sku}": {
            "parameters": [{"name": "sku", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "product", "responses": {"200": {"description": "ok", "content": SCHEMA}}},
        },
        "/products/new": {"get": {"operationId": "new", "responses": {"default": {"description": "all"}}}},
    },
    "components": {
        "schemas": {
            "P": {
                "type": "object",
                "required": ["price"],
                "properties": {"price": {"$ref": "#/components/schemas/Price"}},
            },
            "Price": {"type": "integer"},
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a JSON pointer, None for none."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    parent, _, last = path.rpartition("/")
    inside = at_pointer(document, parent)
    if value is None:
        del inside[last.replace("~1", "/")]
    else:
        inside[last.replace("~1", "/")] = value
    return document
