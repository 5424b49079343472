"""Evidence as JSON text and back, checked on the way in."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Evidence, EvidenceProblem, Exchange, Problem

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = "prodcheck-evidence/1"
LARGEST = 256 * 1024 * 1024  # bytes of one file
_ENVELOPE = {"schema", "key", "collector", "target", "gathered_at", "seconds", "record", "problem", "notes"}


def dump(evidence: Evidence[Any], *, keep_bodies: bool = True) -> dict[str, Any]:
    """Evidence as plain data; raises ValueError or TypeError for a record that JSON cannot hold (NaN, objects)."""
    record = None
    if evidence.record is not None:
        kept = evidence.record if keep_bodies else _without_bodies(evidence.record)
        record = _to_plain_data(kept, find(evidence.collector).record)
        _refuse_no_numbers(kept)
    return {
        "schema": SCHEMA,
        "key": evidence.key,
        "collector": evidence.collector,
        "target": evidence.target,
        "gathered_at": evidence.gathered_at,
        "seconds": evidence.seconds,
        "record": record,
        "problem": asdict(evidence.problem) if evidence.problem else None,
        "notes": list(evidence.notes),
    }


def _to_plain_data(record: Any, kind: Any) -> Any:
    """As plain data; a team's own record is held to its annotations on the way, which ours are by the type checker."""
    if str(kind.__module__).startswith("pytest_prodcheck."):
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(record)
    return _adapter(kind).dump_python(record, mode="json", warnings="error")


def text(plain: dict[str, Any]) -> str:
    """Plain data as JSON text."""
    text = json.dumps(plain, allow_nan=False, ensure_ascii=False)
    return (text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()) + "\n"


def parse(content: bytes) -> dict[str, Any]:
    """The envelope of one file, its record not looked at yet; raises ValueError that says what is wrong."""
    try:
        plain = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(plain, dict) or set(plain) != _ENVELOPE or plain["schema"] != SCHEMA:
        raise ValueError(f"this is not evidence of the format {SCHEMA}")
    good = (
        all(isinstance(plain[name], str) for name in ("key", "collector", "target"))
        and plain["key"] == f"{plain['collector']}:{plain['target']}"
        and all(
            isinstance(plain[name], (int, float)) and not isinstance(plain[name], bool)
            for name in ("gathered_at", "seconds")
        )
        and isinstance(plain["notes"], list)
        and all(isinstance(note, str) for note in plain["notes"])
        and (plain["record"] is None) != (plain["problem"] is None)
    )
    if not good:
        raise ValueError("its fields contradict each other")
    return plain


def load(plain: dict[str, Any]) -> Evidence[Any]:
    """Evidence from an envelope; raises ValueError for a record or problem of another shape."""
    from pydantic import ValidationError

    try:
        record = problem = None
        if plain["problem"] is not None:
            problem = _adapter(Problem).validate_python(plain["problem"])
        else:
            kind = find(plain["collector"]).record
            record = _adapter(kind).validate_json(json.dumps(plain["record"]), strict=True)
    except KeyError:
        raise ValueError(f"there is no collector {plain['collector']!r}") from None
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deeply"}
        raise ValueError(f"record: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return Evidence(
        plain["key"],
        plain["collector"],
        plain["target"],
        float(plain["gathered_at"]),
        float(plain["seconds"]),
        record,
        problem,
        tuple(plain["notes"]),
    )


def file_name(key: str) -> str:
    """A file name for a key: readable, safe on every file system, different for different keys."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', key).lstrip('.')[:80]}-{sha256(key.encode()).hexdigest()[:10]}.json"


def unread_problem(key: str, why: str) -> EvidenceProblem:
    """The problem of evidence that is not there."""
    return EvidenceProblem(Problem("unread", f"{key}: {why}"))


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made once a kind of record: building one takes longer than writing a thousand records with it."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _without_bodies(value: Any) -> Any:
    if isinstance(value, Exchange):
        return replace(value, body=None)
    if is_dataclass(value) and not isinstance(value, type):
        from pytest_prodcheck.records.services import OpenApi  # not at a start that gathers nothing of it

        if isinstance(value, OpenApi):
            value = replace(value, document=None)
        return replace(
            value, **{each.name: _without_bodies(getattr(value, each.name)) for each in fields(value) if each.init}
        )
    if isinstance(value, (tuple, list)):
        return type(value)(_without_bodies(each) for each in value)
    return {key: _without_bodies(each) for key, each in value.items()} if isinstance(value, dict) else value


def _refuse_no_numbers(record: Any) -> None:
    """Looks at the record itself, for pydantic writes NaN as null."""
    stack = [record]
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            continue
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{value} is not a JSON number")
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, (tuple, list, set, frozenset)):
            stack.extend(value)
        elif is_dataclass(value) and not isinstance(value, type):
            stack.extend([getattr(value, each.name) for each in fields(value)])


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
