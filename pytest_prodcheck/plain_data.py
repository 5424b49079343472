"""Frozen dataclasses to and from plain JSON data, strictly, and their JSON Schema; all from the type hints."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
_JSON = {str: "string", bool: "boolean", int: "integer", float: "number", types.NoneType: "null"}


def to_plain(value: Any) -> Any:
    """JSON data; a number that JSON has no word for becomes its name where text is allowed, else null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _field(value, each) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(each) for each in value]
    return value


def _field(owner: Any, field: Field[Any]) -> Any:
    value = getattr(owner, field.name)
    if isinstance(value, float) and not math.isfinite(value):
        kinds = get_args(get_type_hints(type(owner))[field.name])
        return str(value) if str in kinds else None if types.NoneType in kinds else 0.0
    return to_plain(value)


def from_plain(kind: type[T], data: object, where: str = "", *, complete: bool = False) -> T:
    """A dataclass from JSON data; raises ValueError that says where what was expected.

    Unknown keys are refused. Keys with a default may be left out, unless the data has to be `complete`.
    """
    return cast(T, _Reader(complete).read(kind, data, where or kind.__name__))


class _Reader:
    def __init__(self, complete: bool) -> None:
        self._complete = complete

    def read(self, kind: Any, data: object, where: str) -> Any:
        if is_dataclass(kind):
            return self._instance(cast(type, kind), data, where)
        if isinstance(kind, type) and issubclass(kind, Enum):
            choices = [each.value for each in kind]
            if not isinstance(data, str) or data not in choices:
                raise ValueError(f"{where}: expected one of {', '.join(map(str, choices))}, not {_short_text(data)}")
            return kind(data)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self._one_of(arguments, data, where)
        if origin is tuple:
            if not isinstance(data, list):
                raise ValueError(f"{where}: expected a list, not {_short_text(data)}")
            return tuple(self.read(arguments[0], each, f"{where}[{place}]") for place, each in enumerate(data))
        if origin is Mapping:
            if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
                raise ValueError(f"{where}: expected a table, not {_short_text(data)}")
            return {key: self.read(arguments[1], each, f"{where}.{key}"[:200]) for key, each in data.items()}
        return _scalar(kind, data, where)

    def _one_of(self, kinds: tuple[Any, ...], data: object, where: str) -> object:
        if data is None and types.NoneType in kinds:
            return None
        others = [kind for kind in kinds if kind is not types.NoneType]
        for kind in others:
            try:
                return self.read(kind, data, where)
            except ValueError:
                if len(others) == 1:
                    raise
        raise ValueError(f"{where}: expected {' or '.join(_JSON[kind] for kind in kinds)}, not {_short_text(data)}")

    def _instance(self, kind: type, data: object, where: str) -> object:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: expected a table, not {_short_text(data)}")
        known = {each.name: each for each in fields(kind)}
        unknown = sorted(_short_text(key) for key in data if key not in known)
        needed = [name for name, each in known.items() if self._complete or not _has_default(each)]
        absent = sorted(name for name in needed if name not in data)
        if unknown or absent:
            told = f"keys missing: {', '.join(absent) or '-'}; unknown: {', '.join(unknown[:5]) or '-'}"
            raise ValueError(f"{where}: {told}")
        hints = get_type_hints(kind)
        return kind(**{name: self.read(hints[name], each, f"{where}.{name}") for name, each in data.items()})


def _scalar(kind: Any, data: object, where: str) -> object:
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        try:
            number = float(data)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    elif kind is not float and type(data) is kind:
        return data
    raise ValueError(f"{where}: expected a {_JSON[kind]}, not {_short_text(data)}")


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _short_text(data: object) -> str:
    if isinstance(data, (dict, list)):
        return "a table" if isinstance(data, dict) else "a list"
    return repr(data)[:40] if isinstance(data, (str, float, bool)) or data is None else f"a {type(data).__name__}"


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of what `to_plain` makes of a dataclass: every key is there, no other is."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        names = [each.name for each in fields(kind)]
        return {
            "type": "object",
            "properties": {name: schema_of(hints[name]) for name in names},
            "required": names,
            "additionalProperties": False,
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(each) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    return {"type": _JSON[kind]}
