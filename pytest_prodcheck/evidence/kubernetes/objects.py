"""Parts of the API's JSON: quantities, tables and lists within an object."""

from __future__ import annotations

import functools
import re
from typing import Any

Object = dict[str, Any]
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_TENS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_TWOS = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60}
_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+)|([a-zA-Z]*))\Z")
_MOST = 2.0**63  # what a larger one is taken for


def quantity(value: object) -> float:
    """The number of a quantity such as "250m", "1Gi", 2; raises ValueError for what the API server refuses."""
    return _number(str(value))


@functools.lru_cache(1024)  # pods ask for few different amounts
def _number(value: str) -> float:
    value = value.strip(" ")
    found = _QUANTITY.match(value) if value else None
    sign, whole, part, exponent, suffix = found.groups() if found else ("", "", "", None, "?")
    number = f"{sign}{whole or 0}.{part or 0}"  # "m" is 0
    if suffix in _TWOS:
        amount = float(number) * _TWOS[suffix]
    elif exponent or suffix in _TENS:
        amount = float(f"{number}e{exponent or _TENS[suffix]}")  # "700m" and "0.7" are the same number
    else:
        raise ValueError(f"{value!r} is no quantity")
    return max(-_MOST, min(_MOST, amount))


def table(item: object, *names: str) -> Object:
    """A table within an object, {} where there is none."""
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    return item if isinstance(item, dict) else {}


def rows(item: object, *names: str) -> list[Object]:
    """A list of tables within an object, [] where there is none."""
    found = table(item, *names[:-1]).get(names[-1])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
