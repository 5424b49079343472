"""Patches as kubectl and Helm make them of three objects: what was applied last, what is to be applied, what is live.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-apply-calculates-differences-and-merges-changes
"""

from __future__ import annotations

import json
from typing import Any

from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.openapi import Fields

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class NoMergeKey(ValueError):
    """An item of a list lacks the key that items are told apart by; its text is kubectl's."""


def three_way(original: Object, modified: Object, current: Object, fields: Fields) -> Object:
    """The patch: what `modified` says otherwise than `current`, and null for what `original` said and it does not.

    Raises NoMergeKey.
    """
    return _tables(original, modified, current, fields, retain=False)


def _tables(original: Object, modified: Object, current: Object, fields: Fields, *, retain: bool) -> Object:
    patch: Object = {}
    for name, new in modified.items():
        old, live = original.get(name), current.get(name)
        field = fields.of(name)
        if isinstance(new, dict) and isinstance(live, dict) and field.strategy != "replace":
            before = old if isinstance(old, dict) else {}
            if inside := _tables(before, new, live, field, retain=field.retains_keys):
                patch[name] = inside
        elif isinstance(new, list) and field.strategy == "merge":
            patch |= _merged_list(name, _list(old), new, _list(live), field)
        elif name not in current or not same(new, live):
            patch[name] = new
    patch |= {name: None for name in original if name not in modified}
    if retain and (patch or _more(original, modified) or _more(current, modified)):
        patch["$retainKeys"] = sorted(name for name, value in modified.items() if value is not None)
    return patch


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _more(one: Object, other: Object) -> bool:
    return any(value is not None and name not in other for name, value in one.items())


def _merged_list(name: str, original: list[Any], modified: list[Any], current: list[Any], field: Fields) -> Object:
    if any(isinstance(each, dict) for each in (*original, *modified, *current)):
        return _list_of_tables(name, original, modified, current, field)
    added = [each for each in modified if not _within(each, current)]
    gone = [each for each in original if not _within(each, modified)]
    patch: Object = {name: added} if added else {}
    if gone:
        patch[f"$deleteFromPrimitiveList/{name}"] = gone
    if patch and (current or original):
        patch[f"$setElementOrder/{name}"] = modified
    return patch


def _list_of_tables(name: str, original: list[Any], modified: list[Any], current: list[Any], field: Fields) -> Object:
    """Items are paired by their key in order: of two with one key, the first with the first."""
    before, live = _by_key(original, field), _by_key(current, field)
    changed: list[Object] = []
    for value, items in _by_key(modified, field).items():
        for number, new in enumerate(items):
            if number >= len(live.get(value, ())):
                changed.append(new)
                continue
            old = before.get(value, [])
            inside = _tables(
                old[number] if number < len(old) else {}, new, live[value][number], field, retain=field.retains_keys
            )
            if inside:
                changed.append({**inside, field.key: new[field.key]})
    kept = _by_key(modified, field)
    deleted = [
        {"$patch": "delete", field.key: each[field.key]}
        for value, items in before.items()
        for each in items[len(kept.get(value, ())) :]
    ]
    order = [each[field.key] for each in modified]
    if not current:
        return {name: modified} if modified else {}
    patch: Object = {name: [*changed, *deleted]} if changed or deleted else {}
    if patch or not same(order, [each[field.key] for each in current]):
        patch[f"$setElementOrder/{name}"] = [{field.key: value} for value in order]
    return patch


def _by_key(items: list[Any], field: Fields) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for each in items:
        if not isinstance(each, dict) or field.key not in each:
            raise NoMergeKey(f"map: {json.dumps(each)[:200]} does not contain declared merge key: {field.key}")
        found.setdefault(str(each[field.key]), []).append(each)
    return found


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _within(value: Any, items: list[Any]) -> bool:
    return any(same(value, each) for each in items)


def with_last_applied(item: Object) -> Object:
    """The object as `kubectl apply` sends it: with itself as an annotation, as Go writes JSON."""
    metadata = item.get("metadata") if isinstance(item.get("metadata"), dict) else {}
    annotations = {
        name: value for name, value in ((metadata or {}).get("annotations") or {}).items() if name != LAST_APPLIED
    }
    bare = {**item, "metadata": {**(metadata or {}), "annotations": annotations}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for sign, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(sign, escaped)
    return {**bare, "metadata": {**bare["metadata"], "annotations": {**annotations, LAST_APPLIED: f"{text}\n"}}}


def without_nulls(value: Any) -> Any:
    """Without what is null in tables, as kubectl creates objects."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value
