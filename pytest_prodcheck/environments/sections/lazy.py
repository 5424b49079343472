"""Sections that are imported, and whose schemas are built, only where a file has them."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any, cast

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic_core import core_schema


class Lazy:
    """Stands for a model of the same name in another module, as the type of a field."""

    module = ""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The model itself."""
        found: type[BaseModel] = getattr(import_module(cls.module), cls.__name__)
        return found

    @classmethod
    def _validate(cls, value: Any, info: ValidationInfo) -> BaseModel:
        model = cls.model()
        if info.mode == "json":
            return model.model_validate_json(json.dumps(value), strict=True)
        return model.model_validate(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        ref = f"{cls.module}.{cls.__name__}:0"  # a definition of its own in JSON Schemas
        return core_schema.with_info_plain_validator_function(cls._validate, ref=ref)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        made: dict[str, Any] = {**TypeAdapter(cls.model()).core_schema}
        if made["type"] == "definitions":
            made["schema"] = {key: value for key, value in made["schema"].items() if key != "ref"}
        made.pop("ref", None)
        return handler(cast("core_schema.CoreSchema", made))


def section(path: str) -> Any:
    """The type that stands for "module:Model" of this package until a file has such a section."""
    module, _, name = path.partition(":")
    return type(name, (Lazy,), {"module": f"{__package__}.{module}"})


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a type is or stands for, None for any other type."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Lazy):
        return annotation.model()
    return annotation if issubclass(annotation, BaseModel) else None


def module_of(annotation: Any) -> str:
    """The module of the section that a field holds, itself or by name, without importing it; "" for other fields."""
    if isinstance(annotation, type):
        if issubclass(annotation, Lazy):
            return annotation.module
        return annotation.__module__ if hasattr(sys.modules[annotation.__module__], "KINDS") else ""
    return next((found for each in getattr(annotation, "__args__", ()) if (found := module_of(each))), "")
