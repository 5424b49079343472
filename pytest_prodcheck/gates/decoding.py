"""Turns JSON data into frozen dataclasses, strictly: no missing, no unknown key, no other type, no NaN."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], data: object, where: str = "") -> T:
    """An instance of a dataclass from plain data; raises ValueError that says where what was expected."""
    return cast(T, _decode(kind, data, where or kind.__name__))


def _decode(kind: Any, data: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _instance(cast(type, kind), data, where)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), data, where)
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise ValueError(f"{where}: expected a list")
        return tuple(_decode(get_args(kind)[0], each, f"{where}[{place}]") for place, each in enumerate(data))
    if origin is Mapping:
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise ValueError(f"{where}: expected a table")
        return {key: _decode(get_args(kind)[1], each, f"{where}.{key}") for key, each in data.items()}
    return _scalar(kind, data, where)


def _scalar(kind: Any, data: object, where: str) -> object:
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool) and math.isfinite(data):
        return data
    if kind is not float and type(data) is kind:
        return data
    raise ValueError(f"{where}: expected {'null' if kind is type(None) else kind.__name__}, not {str(data)[:40]!r}")


def _one_of(kinds: tuple[Any, ...], data: object, where: str) -> object:
    for kind in kinds:
        try:
            return _decode(kind, data, where)
        except ValueError:
            if dataclasses.is_dataclass(kind) and data is not None:
                raise
    names = " or ".join("null" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise ValueError(f"{where}: expected {names}, not {str(data)[:40]!r}")


def _instance(kind: type, data: object, where: str) -> object:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected a table")
    hints = get_type_hints(kind)
    names = {each.name for each in dataclasses.fields(kind)}
    if names != set(data):
        unknown, missing = sorted(map(str, set(data) - names)), sorted(names - set(data))
        raise ValueError(f"{where}: keys missing: {', '.join(missing) or '-'}; unknown: {', '.join(unknown) or '-'}")
    return kind(**{name: _decode(hints[name], data[name], f"{where}.{name}") for name in names})
