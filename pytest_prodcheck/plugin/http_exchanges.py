"""The requests and answers among a run's evidence, found wherever a record holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem, Exchange
from pytest_prodcheck.trace_context import ids_in

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.gathering.store import EvidenceStore, SavedEvidence
    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.records import Evidence
    from pytest_prodcheck.reports.page.first_steps import SentRequest

    Source = EvidenceStore | SavedEvidence

_MOST = 20  # exchanges of one piece of evidence
_DEEPEST = 8
_EXCERPT = 400  # characters of a body


def exchanges(source: Source, keys: Iterable[str]) -> Iterator[tuple[str, list[Exchange]]]:
    """Those of each of these keys of evidence that has any."""
    for key in dict.fromkeys(keys):
        evidence = _evidence_or_none(source, key)
        if evidence is not None and (found := list(_exchanges_in(evidence.record))[:_MOST]):
            yield key, found


def trace_ids(source: Source, keys: Iterable[str]) -> dict[str, list[tuple[int, int]]]:
    """Key of evidence -> trace and span ids by which services named their own traces (`traceresponse`)."""
    found: dict[str, list[tuple[int, int]]] = {}
    for key, each in exchanges(source, keys):
        named = (ids_in(one.header("traceresponse") or one.header("traceparent") or "") for one in each)
        if ids := list(dict.fromkeys(one for one in named if one is not None)):
            found[key] = ids
    return found


def requests_of(source: Source, run: RunRecord, redact: Callable[[str], str] = str) -> dict[str, list[SentRequest]]:
    """Those behind what did not pass, as the page shows them; redact: knows the secrets that the run learned late."""
    from pytest_prodcheck.quantities import format_quantity
    from pytest_prodcheck.reports.measurement_text import needing_attention
    from pytest_prodcheck.reports.page.first_steps import SentRequest

    keys = (key for each in needing_attention(run.results) for key in each.evidence)
    found: dict[str, list[SentRequest]] = {}
    for key, each in exchanges(source, keys):
        for one in each:
            by = f" from {one.address}" if one.address else ""
            line = f"{one.method} {one.url}: {one.status} in {format_quantity(one.seconds, 's')}{by}"
            excerpt = " ".join(redact(one.body or "")[: 4 * _EXCERPT].split())[:_EXCERPT] if one.quotable else ""
            told = (one.method, redact(one.url), one.status, one.seconds)
            found.setdefault(key, []).append(SentRequest(redact(line), excerpt, redact(one.repeat), *told))
    return found


def _evidence_or_none(source: Source, key: str) -> Evidence[Any] | None:
    try:
        return source.get(key, 0.0)
    except EvidenceProblem:
        return None


def _exchanges_in(value: Any, depth: int = 0) -> Iterator[Exchange]:
    if isinstance(value, Exchange):
        yield value
    elif depth > _DEEPEST:
        return
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _exchanges_in(getattr(value, each.name), depth + 1)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _exchanges_in(inner, depth + 1)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _exchanges_in(inner, depth + 1)
