"""The JSON Schemas of an operation's answers, each whole in itself and in a dialect that validators know. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.evidence.services.openapi_document import DATA, MAPS, references, resolved
from pytest_prodcheck.records.services import AnswerSchema

_COMPOSED = ("$ref", "allOf", "anyOf", "oneOf", "enum")


def answer_schemas(
    document: dict[str, Any], operation: dict[str, Any], statuses: Sequence[int]
) -> tuple[AnswerSchema, ...]:
    """Of the answers with these statuses, all of success where there are none; () where none has a schema."""
    responses = operation.get("responses")
    if not isinstance(responses, dict):
        return ()
    found = []
    for key in dict.fromkeys(_keys(responses, statuses)):
        response = resolved(document, responses[key])
        content = response.get("content") if isinstance(response, dict) else None
        for media, described in content.items() if isinstance(content, dict) else ():
            described = resolved(document, described)
            name = media.partition(";")[0].strip().lower()
            if name.endswith(("json", "/*")) and isinstance(described, dict) and "schema" in described:
                found.append(AnswerSchema(key, name, _standalone(document, described["schema"])))
    return tuple(found)


def _keys(responses: dict[str, Any], statuses: Sequence[int]) -> Iterator[str]:
    """The response that describes each status: its own, that of its class, `default` only where neither is there."""
    for status in map(str, statuses):
        yield from [key for key in (status, f"{status[0]}XX", "default") if key in responses][:1]
    if not statuses:
        yield from [key for key in responses if key.startswith("2")] or [key for key in responses if key == "default"]


def _standalone(document: dict[str, Any], schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    whole: dict[str, Any] = {"allOf": [schema]}
    wanted, parts = [schema], dict[str, Any]()
    while wanted:
        for reference in references(wanted.pop()):
            if reference in parts or not reference.startswith("#/"):
                continue
            try:
                parts[reference] = at_pointer(document, unquote(reference[1:]))
            except LookupError:
                continue  # the schema is refused: it leads nowhere
            wanted.append(parts[reference])
    for reference in sorted(parts, key=len):  # what holds another part before that part
        _graft(whole, reference, parts[reference])
    if str(document.get("openapi", "")).startswith("3.0"):
        return {"$schema": "http://json-schema.org/draft-04/schema#", **_with_null(whole)}
    dialect = str(document.get("jsonSchemaDialect") or "https://spec.openapis.org/")
    if dialect.startswith("https://spec.openapis.org/"):  # OpenAPI's own is 2020-12 with annotations
        dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **whole}


def _graft(whole: dict[str, Any], reference: str, part: Any) -> None:
    inside = whole
    *path, last = [unquote(each).replace("~1", "/").replace("~0", "~") for each in reference.split("/")[1:]]
    for each in path:
        inside = inside.setdefault(each, {})
        if not isinstance(inside, dict):
            return
    inside.setdefault(last, part)


def _with_null(part: Any, names: bool = False) -> Any:
    """OpenAPI 3.0's `nullable: true` in JSON Schema's words. names: the keys are names that somebody chose.

    Beside a reference or composition too: frameworks write it there for a value that may be null, although the
    specification gives it a meaning beside `type` alone.
    """
    if isinstance(part, list):
        return [_with_null(each) for each in part]
    if not isinstance(part, dict):
        return part
    if names:
        return {key: _with_null(value) for key, value in part.items()}
    made = {
        key: value if key in DATA else _with_null(value, names=key in MAPS)
        for key, value in part.items()
        if key != "nullable"
    }
    if part.get("nullable") is not True:
        return made
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        return made
    return {"anyOf": [made, {"type": "null"}]} if any(key in made for key in _COMPOSED) else made
