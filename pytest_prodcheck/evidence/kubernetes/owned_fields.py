"""Which part of a live object a field manager set.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from typing import Any

from pytest_prodcheck.evidence.kubernetes.objects import Object


def owned(live: Any, fields: Object) -> Any:
    """The live value with nothing but what `fieldsV1` names."""
    inside = {name: told for name, told in fields.items() if name != "."}
    if not inside:
        return live
    if isinstance(live, dict):
        return {
            name: owned(live[name], told if isinstance(told, dict) else {})
            for key, told in inside.items()
            if key.startswith("f:") and (name := key[2:]) in live
        }
    if isinstance(live, list):
        return [owned(each, told) for each in live for key, told in inside.items() if _item_matches_key(each, key)]
    return live


def _item_matches_key(item: Any, key: str) -> bool:
    kind, _, text = key.partition(":")
    try:
        told = json.loads(text)
    except ValueError:
        return False
    if kind == "k":
        return isinstance(item, dict) and isinstance(told, dict) and told.items() <= item.items()
    return kind == "v" and bool(item == told)


def shared(one: Any, other: Any) -> int:
    """How many values both name, whatever they are."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(shared(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return sum(map(shared, one, other))
    return 1
