"""A JSON Schema (2020-12) of prodcheck.toml as it is written, before inheritance, for editors.

Everything below an environment may be left out, because it may be inherited, and any table may be `false`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from pytest_prodcheck.environments.project import SET_BY_LOADER, Project
from pytest_prodcheck.environments.sections.lazy import model_of

# not inherited: what they require is required
_WHOLE = ("Project", "Gate", "GateDefaults", "Need", "Waiver", "Seal", "Events")
# the comment lines right above a field, its name, the comment behind it
_FIELD = re.compile(r"((?:^    # .+\n)*)^    (\w+):(?:[^#\n]*?  # (.+))?", re.MULTILINE)
Schema = dict[str, Any]
ADDRESS = "https://pytest-prodcheck.readthedocs.io/en/stable/prodcheck.schema.json"  # published with the documentation


def schema() -> Schema:
    """The schema as plain JSON data."""
    made = Project.model_json_schema(by_alias=True)
    definitions: dict[str, Schema] = made.pop("$defs")
    definitions["Project"] = made
    _name_tables(definitions)
    for model in _models(Project):
        _describe(definitions[model.__name__], model)
    _as_written(definitions)
    for name, definition in definitions.items():
        if name not in _WHOLE:
            definition.pop("required", None)
            for each in definition.get("properties", {}).values():
                _removable(each)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ADDRESS,
        **definitions.pop("Project"),
        "title": "prodcheck.toml",
        "description": "The targets that pytest-prodcheck checks, and the conditions of its gates.",
        "$defs": definitions,
    }


def comments_of(model: type) -> dict[str, str]:
    """Field -> the comment above or behind it in the source, for fields that have one."""
    found = [line for each in reversed(_package_models(model)) for line in _FIELD.findall(inspect.getsource(each))]
    texts = {name: " ".join([*re.findall(r"# (.+)", above), behind]).strip() for above, name, behind in found}
    return {name: text for name, text in texts.items() if text}


def _package_models(model: type) -> list[type]:
    """A model and those of the package that it inherits fields from."""
    return [each for each in model.__mro__ if each.__module__.partition(".")[0] == model.__module__.partition(".")[0]]


def _models(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> Iterator[type[BaseModel]]:
    """A model and all models in its fields, each once."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _models(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    model = model_of(annotation)
    if model is not None:
        yield model
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _name_tables(part: Any) -> None:
    """Tables of named things: other names are refused, which `patternProperties` alone does not do."""
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _name_tables(inner)
    if isinstance(part, dict) and isinstance(part.get("patternProperties"), dict):
        ((pattern, values),) = part.pop("patternProperties").items()
        part["propertyNames"] = {**part.get("propertyNames", {}), "pattern": pattern}
        part["additionalProperties"] = values


def _describe(definition: Schema, model: type[BaseModel]) -> None:
    """Gives each property the comment above or behind its field as description."""
    comments = comments_of(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in definition["properties"]:
            definition["properties"][key].pop("title", None)
            if name in comments:
                definition["properties"][key]["description"] = comments[name]


def _as_written(definitions: dict[str, Schema]) -> None:
    """What the loader turns into something else before a model sees it."""
    environment = definitions["Environment"]["properties"]
    for key in SET_BY_LOADER:
        del environment[key]
    environment["extends"] = {"type": "string", "description": "the environment that this one inherits from"}
    top = definitions["Project"]["properties"]
    top["gates"]["properties"] = {"defaults": top.pop("gate_defaults") | {"description": "defaults of all gates"}}


def _removable(property_: Schema) -> None:
    """Lets `false` stand where a table may: it removes an inherited one."""
    options = property_.get("anyOf", [property_])
    if any(each.get("type") == "object" or "$ref" in each for each in options):
        plain = {key: property_.pop(key) for key in list(property_) if key not in ("description", "default", "anyOf")}
        if "anyOf" not in property_:
            property_["anyOf"] = [plain]
        property_["anyOf"].append({"const": False})
    for option in [property_, *property_.get("anyOf", ())]:
        inner = option.get("additionalProperties")
        if isinstance(inner, dict) and inner:
            _removable(inner)
