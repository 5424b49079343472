"""Compares a body with its JSON Schema, within bounds."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck import json_schemas
from pytest_prodcheck.records import EvidenceProblem, Problem


def worst_mismatch(schema: Any, document: Any) -> Any:
    """The most telling error (`json_path`, `message`), None where all is well; raises EvidenceProblem."""
    try:
        return json_schemas.worst_mismatch(schema, document)
    except json_schemas.PatternProblem as error:
        raise EvidenceProblem(Problem("too-large", str(error), "is the schema right, and whose is it?")) from None
    except RecursionError:
        raise EvidenceProblem(Problem("too-large", "the schema or the body is nested too deeply")) from None
