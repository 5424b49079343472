"""Validates data against a model and says in plain words what was expected; shows no value, for it may be a secret."""

from __future__ import annotations

import datetime
import json
import re
import types
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pytest_prodcheck.environments.sections.lazy import model_of
from pytest_prodcheck.environments.toml.error_collector import Complaint
from pytest_prodcheck.environments.toml.errors import did_you_mean
from pytest_prodcheck.environments.toml.key_lines import KeyPath

Model = TypeVar("Model", bound=BaseModel)

_WORDS = {
    "string_type": "a string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "tuple_type": "a list in [ ]",
    "list_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date such as 2027-01-31",
    "date_parsing": "a date such as 2027-01-31",
    "date_from_datetime_inexact": "a date without a time, such as 2027-01-31",
    "date_from_datetime_parsing": "a date such as 2027-01-31",
    "finite_number": "a finite number",
    "string_too_long": "a shorter text",
    "string_too_short": "a string that is not empty",
}
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "a name of letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
    r"^(/.*)?$": 'a JSON pointer such as "/id"',
    r"^/.*$": 'a JSON pointer such as "/token"',
}


def validate(model: type[Model], data: dict[str, Any]) -> tuple[Model | None, list[Complaint]]:
    """The model, or None and everything that is wrong. Types are strict: "yes" is no boolean."""
    try:
        return model.model_validate_json(json.dumps(data, default=_toml_date_as_json), strict=True), []
    except ValidationError as error:
        return None, _complaints(error, model, data)


_TABLES = {
    "SecretRef": 'a secret reference such as { env = "NAME" }',
    "Threshold": 'a table such as { warn = "500ms", fail = "2s" }',
    "VersionSource": 'a table such as { path = "/version", pointer = "/revision" }',
}


def _toml_date_as_json(value: object) -> str:
    """TOML's dates and times as JSON has them; everything else of TOML is JSON."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in a TOML file")


def _complaints(error: ValidationError, model: type[BaseModel], data: dict[str, Any]) -> list[Complaint]:
    expected: dict[KeyPath, list[str]] = {}
    told: dict[KeyPath, list[Complaint]] = {}
    for each in error.errors(include_url=False, include_input=False):
        path, value = _path_and_value(each["loc"], data, each["type"])
        kind, context = each["type"], each.get("ctx", {})
        if kind == "extra_forbidden":
            hint = did_you_mean(path[-1], keys_at(model, path[:-1]))
            told.setdefault(path, []).append((path, "unknown key", hint))
        elif kind == "missing":
            told.setdefault(path, []).append((path[:-1], f"`{path[-1]}` is missing", ""))
        elif kind == "value_error" and not str(context.get("error", "")).startswith("expected "):
            told.setdefault(path, []).append((path, str(context.get("error", each["msg"])), ""))
        elif value is False and kind in ("model_type", "dict_type"):
            told.setdefault(path, []).append((path, "there is no inherited value to remove here", ""))
        else:
            expected.setdefault(path, []).append(
                _expected(kind, context, each["msg"], bool(each["loc"]) and each["loc"][-1] == "[key]")
            )
    for path, words in expected.items():
        if path not in told and not any(other[: len(path)] == path for other in [*told, *expected] if other != path):
            told[path] = [(path, f"expected {' or '.join(dict.fromkeys(words))}", "")]
    return [complaint for complaints in told.values() for complaint in complaints]


def _path_and_value(loc: tuple[int | str, ...], data: Any, kind: str) -> tuple[KeyPath, Any]:
    """The key path of an error without pydantic's tags for the members of a union, and the value there."""
    path: KeyPath = ()
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(part, int) and isinstance(data, list) and part < len(data):
            path, data = (*path, f"[{part}]"), data[part]
        elif isinstance(data, dict) and part in data:
            path, data = (*path, str(part)), data[part]
        elif last and kind == "missing":
            path, data = (*path, str(part)), None
    return path, data


def _expected(kind: str, context: dict[str, Any], message: str, is_key: bool) -> str:
    if kind == "value_error":
        return str(context["error"]).removeprefix("expected ")
    if kind == "literal_error":
        return str(context["expected"]).replace("'", '"').replace("False", "false").replace("True", "true")
    if kind == "string_pattern_mismatch":
        found = _PATTERNS.get(str(context["pattern"]), f"a text like {context['pattern']}")
        return f"{found} as key" if is_key else found
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return f"at {'least' if 'ge' in context else 'most'} {bound}"
    if kind == "too_short":
        return "at least one entry"
    if kind == "model_type" and context.get("class_name") in _TABLES:
        return _TABLES[context["class_name"]]
    return _WORDS.get(kind, re.sub(r"^Input should be ", "", message))


def keys_at(annotation: Any, path: KeyPath) -> set[str]:
    """The keys that a model knows at a path; empty where names are free."""
    models = [model for each in _members(annotation) if (model := model_of(each)) is not None]
    if not path:
        return {field.alias or name for model in models for name, field in model.model_fields.items()}
    first, rest = path[0], path[1:]
    found: set[str] = set()
    for each in _members(annotation):
        if get_origin(each) is dict and not first.startswith("["):
            found |= keys_at(get_args(each)[1], rest)
        elif get_origin(each) in (tuple, list) and first.startswith("["):
            found |= keys_at(get_args(each)[0], rest)
    for model in models:
        for name, field in model.model_fields.items():
            if (field.alias or name) == first:
                found |= keys_at(field.annotation, rest)
    return found


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for each in get_args(annotation) for member in _members(each)]
    return [annotation]
