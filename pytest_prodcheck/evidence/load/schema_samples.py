"""Answers that a load kept, held against their JSON Schemas: a status alone says little of what users get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.schemas import mismatch
from pytest_prodcheck.evidence.services.contract import http_contract
from pytest_prodcheck.evidence.tools.sanitizing import plain as plain_text
from pytest_prodcheck.records.load import LoadRun, SchemaSample

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.services import Contract


def with_samples(
    run: LoadRun, samples: Iterable[Sequence[str]], names: Iterable[str], context: Context, deadline: Deadline
) -> LoadRun:
    """The run with what became of its samples; raises EvidenceProblem where a schema cannot be read.

    names: the endpoints with a schema; nothing is there of those whose answers are too large.
    """
    answered = {each.name for each in run.endpoints if each.good}
    bodies: dict[str, list[str]] = {name: [] for name in names if name in answered}
    for endpoint, text in samples:
        bodies.setdefault(str(endpoint), []).append(str(text))
    judged = tuple(
        _sample(endpoint, texts, http_contract.gather(endpoint, context, deadline), context)
        for endpoint, texts in bodies.items()
    )
    return replace(run, samples=judged)


def _sample(endpoint: str, texts: Sequence[str], contract: Contract, context: Context) -> SchemaSample:
    schemas = [each.schema for each in contract.answers]  # any of them: what status a text came with is not kept
    told = [[mismatch(text, schema, contract.source, values=False) for schema in schemas] for text in texts]
    reasons = [each[0] for each in told if all(each)]
    first = plain_text(context.redactor.redact(reasons[0]), 200) if reasons else ""
    return SchemaSample(endpoint, len(texts), len(reasons), first)
