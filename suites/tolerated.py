"""What is declared to be meant as it is."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.records import SchemaObject


def is_tolerated(name: str, kind: str, declared: dict[str, Any]) -> bool:
    """Whether `tolerate.KIND` of the target names it."""
    return SchemaObject(name, kind).is_among(declared.get("tolerate", {}).get(kind, ()))
