"""Answers that a load kept, held against their JSON Schemas: a status alone says little of what users get."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import json_schemas
from pytest_prodcheck.evidence.services.contract import http_contract
from pytest_prodcheck.evidence.tools.sanitizing import plain as plain_text
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.load import LoadRun, SchemaSample

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.services import Contract


def with_samples(run: LoadRun, result: Mapping[str, Any], context: Context, deadline: Deadline) -> LoadRun:
    """The run with what became of its samples; raises EvidenceProblem where a schema cannot be read."""
    bodies: dict[str, list[str]] = {}
    for endpoint, text in result["samples"]:
        bodies.setdefault(str(endpoint), []).append(str(text))
    samples = tuple(
        _sample(endpoint, texts, http_contract.gather(endpoint, context, deadline), context)
        for endpoint, texts in bodies.items()
    )
    return replace(run, samples=samples)


def _sample(endpoint: str, texts: Sequence[str], contract: Contract, context: Context) -> SchemaSample:
    reasons = [reason for text in texts if (reason := mismatch(text, contract))]
    first = plain_text(context.redactor.redact(reasons[0]), 200) if reasons else ""
    return SchemaSample(endpoint, len(texts), len(reasons), first)


def mismatch(text: str, contract: Contract) -> str:
    """Where a body is not as its schema says, "" where it is."""
    try:
        worst = json_schemas.worst_mismatch(contract.schema, json.loads(text))
    except json_schemas.PatternProblem as error:
        raise EvidenceProblem(Problem("too-large", f"{contract.source}: {error}")) from None
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    return f"{worst.json_path} does not match {contract.source}: {worst.validator}" if worst is not None else ""
