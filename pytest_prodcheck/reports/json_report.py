"""The JSON report: the run, counts and verdicts as strict JSON with a schema; and reading a run record back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from pytest_prodcheck.outcomes import SCHEMA as RUN_SCHEMA
from pytest_prodcheck.outcomes import Outcome, RunRecord, counts
from pytest_prodcheck.plain_data import from_plain, schema_of, to_plain
from pytest_prodcheck.reports.checklist import checklist_document
from pytest_prodcheck.reports.escaping import safe_json
from pytest_prodcheck.reports.role_matrix import matrix_document
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, views

SCHEMA = "prodcheck-report/1"
_MOST_CHARACTERS = 256 * 1024 * 1024
_encode = json.JSONEncoder(allow_nan=False, default=vars).encode


def run_document(run: RunRecord, verdicts: Iterable[AnyVerdict]) -> dict[str, Any]:
    """The report of a run as plain JSON data: schema, run, counts by outcome, verdict documents. Never holds NaN."""
    table, verdicts = matrix_document(run), list(verdicts)
    asked = checklist_document(run, views(verdicts))
    return {
        **({"checklist": asked} if asked else {}),
        **({"matrix": table} if table is not None else {}),
        "schema": SCHEMA,
        "counts": {str(outcome): number for outcome, number in counts(run.results).items()},
        "run": to_plain(run),
        "verdicts": [dict(each) if isinstance(each, Mapping) else each.to_document() for each in verdicts],
    }


def run_json(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The report as JSON text, ASCII only so that nothing in it can be obeyed by a terminal; ends with a line break."""
    return safe_json(_lines(run_document(run, verdicts), 3)) + "\n"


def dump_run(run: RunRecord) -> str:
    """The run record alone as JSON text, for `run.json`; `read_run` reads it."""
    try:
        return _lines(vars(run), 2) + "\n"
    except ValueError:  # a number that JSON has no word for
        return _lines(to_plain(run), 2) + "\n"


def _lines(data: Any, depth: int) -> str:
    """JSON text of data and dataclasses, one line an entry down to a depth; json's own `indent` is 5 x slower."""
    if depth and data and isinstance(data, dict):
        inner = [f"{json.dumps(name)}: {_lines(each, depth - 1)}" for name, each in data.items()]
        return "{\n" + ",\n".join(inner) + "\n}"
    if depth and data and isinstance(data, (list, tuple)):
        return "[\n" + ",\n".join(_lines(each, depth - 1) for each in data) + "\n]"
    return _encode(data)


def read_run(text: str | bytes) -> RunRecord:
    """The run record of `dump_run`'s text or of a JSON report; raises ValueError in one line for anything else."""
    try:
        if len(text) > _MOST_CHARACTERS:
            raise ValueError("it is larger than 256 MB")
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        if isinstance(data, dict) and data.get("schema") == SCHEMA:
            data = data.get("run")
        found = data.get("schema") if isinstance(data, dict) else None
        if found != RUN_SCHEMA:
            raise ValueError(f"expected schema {RUN_SCHEMA!r}, not {str(found)[:40]!r}")
        return from_plain(RunRecord, data, "run")
    except RecursionError:
        raise ValueError("not a run record: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not a run record: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not a run record: it is not JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"not a run record: {error}") from None


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `run_document`."""
    number = {"type": "integer", "minimum": 0}
    verdict = {
        "type": "object",
        "required": ["schema", "gate", "environment", "status", "code", "reasons"],
        "properties": {
            "schema": {"const": "prodcheck-verdict/1"},
            "status": {"enum": ["open", "blocked", "usage-error", "cannot-tell", "refused"]},
            "code": {"type": "integer", "minimum": 0, "maximum": 4},
        },
    }
    outcomes = [str(each) for each in Outcome]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "prodcheck report of one run",
        "type": "object",
        "required": ["schema", "counts", "run", "verdicts"],
        "additionalProperties": False,
        "properties": {
            "schema": {"const": SCHEMA},
            "counts": {
                "type": "object",
                "properties": dict.fromkeys(outcomes, number),
                "required": outcomes,
                "additionalProperties": False,
            },
            "run": schema_of(RunRecord),
            "verdicts": {"type": "array", "items": verdict},
            "matrix": _matrix_schema(outcomes),
            "checklist": _checklist_schema(),
        },
    }


def _matrix_schema(outcomes: list[str]) -> dict[str, Any]:
    """Roles at endpoints; only there where they were judged."""
    text: dict[str, Any] = {"type": "string"}
    cell = {"outcome": {"enum": outcomes}, "way": {"enum": ["in", "out"]}, "reason": text}
    cells = {"type": "object", "properties": {**cell, "status": {"type": ["integer", "null"]}}}
    row = {"target": text, "outcome": {"enum": outcomes}, "note": text,
           "cells": {"type": "object", "additionalProperties": cells}}  # fmt: skip
    return {
        "type": "object",
        "required": ["check", "columns", "rows"],
        "properties": {
            "check": text,
            "columns": {"type": "array", "items": text},
            "rows": {"type": "array", "items": {"type": "object", "required": list(row), "properties": row}},
        },
    }


def _checklist_schema() -> dict[str, Any]:
    """What had to be in order before the deployment; only there where that was judged."""
    row = {"name": {"type": "string"}, "state": {"enum": ["ticked", "crossed", "open"]}, "detail": {"type": "string"}}
    line = {"type": "object", "properties": row, "required": list(row), "additionalProperties": False}
    return {"type": "array", "items": line}


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("names a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is no JSON number")
