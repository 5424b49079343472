"""What makes an OpenAPI 3 document invalid: its structure by the published schemas, and the rules no schema can tell.

The schemas are those of openapi-spec-validator, tried by jsonschema-rs. Its own validation is not run: it gets what
"$ref" names, may hang on a document's `pattern`, says seldom where, and refuses what is allowed (docs/decisions.md).
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn
from urllib.parse import unquote

from pytest_prodcheck.answers.variables import at_pointer
from pytest_prodcheck.evidence.services.openapi_document import NAME, references, resolved
from pytest_prodcheck.records import EvidenceProblem, Problem

MOST_PROBLEMS = 50
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_OURS = ("", _JSON_SCHEMA, "https://spec.openapis.org/oas/3.")  # dialects that are JSON Schema 2020-12


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong, each with its place as a JSON pointer; at most fifty, [] for a valid document.

    Of a wrong structure the first fault only. "$ref" is not followed out of the document. Raises EvidenceProblem where
    the libraries are missing.
    """
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith(("3.0.", "3.1.", "3.2.")):
        return [f"#/openapi: {str(version)[:40]!r} is no version 3.0, 3.1 or 3.2"]
    fault = _structure_fault(document, version[:3])
    return [fault] if fault else list(islice(_broken_rules(document), MOST_PROBLEMS))


def _structure_fault(document: dict[str, Any], version: str) -> str:
    dialect = str(document.get("jsonSchemaDialect", ""))
    validator = _validator(version, any(dialect == each or (each and dialect.startswith(each)) for each in _OURS))
    from jsonschema_rs import ValidationError

    try:
        validator.validate(document)
    except ValidationError as error:
        return _worded(error)
    except (ValueError, RecursionError) as error:
        return f"#: it is nested too deeply or is no text ({str(error)[:100]})"
    return ""


def _worded(error: Any) -> str:
    while inner := [each[0] for each in getattr(error.kind, "context", ()) if each]:
        error = max(inner, key=lambda each: len(each.instance_path))  # of the alternative that got furthest
    return f"{_pointer(*error.instance_path)}: {error.message[:200]}"


@functools.lru_cache(8)
def _validator(version: str, json_schema: bool) -> Any:
    """One that says the first fault; json_schema: "schema" is JSON Schema 2020-12 (3.0 has a language of its own)."""
    try:
        from jsonschema_rs import validator_for
        from openapi_spec_validator.schemas import schema_v30, schema_v31, schema_v32
    except ImportError:
        what, hint = "judging an OpenAPI document needs its schemas", "pip install 'pytest-prodcheck[openapi]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None

    schema = json.loads(json.dumps(dict({"3.0": schema_v30, "3.1": schema_v31, "3.2": schema_v32}[version])))
    if version != "3.0" and json_schema:
        schema["$defs"]["schema"] = {
            "$dynamicAnchor": "meta", "type": ["object", "boolean"],
            "if": {"type": "object", "required": ["$schema"]}, "else": {"$ref": _JSON_SCHEMA},
        }  # fmt: skip
    if version == "3.1":  # published with `body` in place of `server` at first
        schema["$defs"]["link"]["properties"]["server"] = {"$ref": "#/$defs/server"}
    return validator_for(schema, validate_formats=False, mask="it", retriever=_refuse)


def _refuse(address: str) -> NoReturn:
    raise LookupError(f"{address} is not asked for")


def _broken_rules(document: dict[str, Any]) -> Iterator[str]:
    """https://spec.openapis.org/oas/v3.1 , of a document whose structure is right."""
    for name, times in Counter(each["name"] for each in document.get("tags", ())).items():
        if times > 1:
            yield f"#/tags: {name[:100]!r} is there {times} times"
    templates: dict[str, str] = {}
    ids: dict[str, str] = {}
    for path, told in document.get("paths", {}).items():
        if not path.startswith("/"):
            continue
        here = _pointer("paths", path)
        if (other := templates.setdefault(NAME.sub("{}", path), here)) != here:
            yield f"{here}: is the same template as {other}"
        item = resolved(document, told)
        if not isinstance(item, dict):
            continue
        more = item.get("additionalOperations")
        operations = {each: item[each] for each in _METHODS if each in item} | (more if isinstance(more, dict) else {})
        for method, operation in operations.items():
            if not isinstance(operation, dict):
                continue
            place = f"{here}{_pointer(method)[1:]}"
            if isinstance(name := operation.get("operationId"), str) and ids.setdefault(name, place) != place:
                yield f"{place}: operationId {name[:100]!r} is that of {ids[name]} too"
            yield from _parameter_problems(document, place, path, (item.get("parameters"), operation.get("parameters")))
    yield from _reference_problems(document)


def _parameter_problems(document: dict[str, Any], place: str, path: str, both: tuple[Any, Any]) -> Iterator[str]:
    named: set[str] = set()
    unseen = False  # one of them stands in another document
    for parameters in both:
        found = [resolved(document, each) for each in (parameters if isinstance(parameters, list) else ())]
        known = [(str(each["name"]), each.get("in")) for each in found if isinstance(each, dict) and "name" in each]
        unseen = unseen or len(known) < len(found)
        for (name, where), times in Counter(known).items():
            if times > 1:
                yield f"{place}: parameter {name[:100]!r} in {where} is there {times} times"
        named |= {name for name, where in known if where == "path"}
    wanted = set(NAME.findall(path))
    for name in sorted(wanted - named) if not unseen else ():
        yield f"{place}: {{{name[:100]}}} is no declared parameter"
    for name in sorted(named - wanted):
        yield f"{place}: path parameter {name[:100]!r} is not in the path"


def _reference_problems(document: dict[str, Any]) -> Iterator[str]:
    told: set[str] = set()
    for reference in references(document):
        if reference.startswith("#") and reference not in told and not _is_resolvable(document, reference):
            told.add(reference)
            yield f"$ref {reference[:200]}: leads nowhere"


def _is_resolvable(document: dict[str, Any], reference: str) -> bool:
    if reference.startswith("#/"):
        try:
            at_pointer(document, unquote(reference[1:]))
        except LookupError:
            return False
    return True  # "#": the document; "#name": an anchor


def _pointer(*parts: str | int) -> str:
    return ("#" + "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in parts))[:400]
