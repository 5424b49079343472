"""Patches as kubectl and Helm make them of three objects: what was applied last, what is to be applied, what is live.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-apply-calculates-differences-and-merges-changes
"""

from __future__ import annotations

import json
from typing import Any

from pytest_prodcheck.evidence.kubernetes.objects import Object, table
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
        elif name not in current or not json_equal(new, live):
            patch[name] = new
    patch |= {name: None for name in original if name not in modified}
    if retain and (patch or _has_more_keys(original, modified) or _has_more_keys(current, modified)):
        patch["$retainKeys"] = sorted(name for name, value in modified.items() if value is not None)
    return patch


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _has_more_keys(one: Object, other: Object) -> bool:
    return any(value is not None and name not in other for name, value in one.items())


def _merged_list(name: str, original: list[Any], modified: list[Any], current: list[Any], field: Fields) -> Object:
    if any(isinstance(each, dict) for each in (*original, *modified, *current)):
        return _list_of_tables(name, original, modified, current, field)
    added = [each for each in modified if not _contains(each, current)]
    gone = [each for each in original if not _contains(each, modified)]
    patch: Object = {name: added} if added else {}
    if gone:
        patch[f"$deleteFromPrimitiveList/{name}"] = gone
    if patch and (current or original):
        patch[f"$setElementOrder/{name}"] = modified
    return patch


def _list_of_tables(name: str, original: list[Any], modified: list[Any], current: list[Any], field: Fields) -> Object:
    """Items are paired by their key; of several with one key, the last with the last, as Go's sort happens to do."""
    before, wanted, live = (_by_key(each, field) for each in (original, modified, current))
    order = [each[field.key] for each in modified]
    if not current:
        return {name: modified} if modified else {}
    changed: list[Object] = []
    for value, items in wanted.items():
        olds, lives = before.get(value, []), live.get(value, [])
        for number, new in enumerate(items):
            old = olds[number] if number < len(olds) else {}
            if number >= len(lives):
                changed.append(new)
            elif inside := _tables(old, new, lives[number], field, retain=field.retains_keys):
                changed.append({**inside, field.key: new[field.key]})
    deleted = [
        {"$patch": "delete", field.key: each[field.key]}
        for value, items in before.items()
        for each in items[len(wanted.get(value, ())) :]
    ]
    pairs = (pair for value in before for pair in zip(before[value], wanted.get(value, ()), strict=False))
    if deleted or any(_drops_keys(*pair) for pair in pairs):
        changed = _one_of_each(changed, field.key)
    patch: Object = {name: [*changed, *deleted]} if changed or deleted else {}
    if patch or not json_equal(order, [each[field.key] for each in current]):
        patch[f"$setElementOrder/{name}"] = [{field.key: value} for value in order]
    return patch


def _drops_keys(original: Object, modified: Object) -> bool:
    """Whether something of `original` is not in `modified`."""
    return any(
        name not in modified or (isinstance(old, dict) and _drops_keys(old, table(modified, name)))
        for name, old in original.items()
    )


def _one_of_each(items: list[Object], key: str) -> list[Object]:
    """Those with one key as one, the later one's values before the earlier one's: what kubectl sends with deletions."""
    found: dict[str, Object] = {}
    for each in items:
        found[str(each[key])] = {**found.get(str(each[key]), {}), **each}
    return list(found.values())


def _by_key(items: list[Any], field: Fields) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for each in items:
        if not isinstance(each, dict) or field.key not in each:
            raise NoMergeKey(f"map: {json.dumps(each)[:200]} does not contain declared merge key: {field.key}")
        found.setdefault(str(each[field.key]), []).insert(0, each)
    return found


def json_equal(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _contains(value: Any, items: list[Any]) -> bool:
    return any(json_equal(value, each) for each in items)


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
