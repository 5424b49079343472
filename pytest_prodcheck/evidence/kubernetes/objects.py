"""Parts of the API's JSON: quantities, tables and lists within an object."""

from __future__ import annotations

import functools
import re
from typing import Any

Object = dict[str, Any]
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)\Z")


def quantity(value: object) -> float:
    """The number of a quantity such as "250m", "1Gi", 2; raises ValueError."""
    return _number(str(value))


@functools.lru_cache(1024)  # pods ask for few different amounts
def _number(value: str) -> float:
    found = _QUANTITY.match(value)
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"{value!r} is no quantity")
    return float(found[1]) * _SUFFIXES[found[2]]


def table(item: object, *names: str) -> Object:
    """A table within an object, {} where there is none."""
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    return item if isinstance(item, dict) else {}


def rows(item: object, *names: str) -> list[Object]:
    """A list of tables within an object, [] where there is none."""
    found = table(item, *names[:-1]).get(names[-1])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
