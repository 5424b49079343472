"""One object sent as it will be applied, with dryRun=All, which stores nothing.

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.dry_run_answers import with_answer
from pytest_prodcheck.evidence.kubernetes.lost_list_entries import shorter
from pytest_prodcheck.evidence.kubernetes.lost_replicas import fewer_replicas
from pytest_prodcheck.evidence.kubernetes.merge_patches import NoMergeKey, three_way, with_last_applied, without_nulls
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.openapi import STRATEGIC, Fields
from pytest_prodcheck.records.kubernetes import Manifest

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.kubernetes.apply_methods import ApplyMethod
    from pytest_prodcheck.evidence.kubernetes.openapi import Description
    from pytest_prodcheck.evidence.kubernetes.resolved_objects import ResolvedObject

TRIES = 3  # of replacing what changes meanwhile
CONFLICT = 409
JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"  # JSON is YAML
_RIGHTS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Request:
    """What is sent; kind: of the body."""

    method: str
    path: str
    body: Object
    kind: str = JSON


def applied(
    asked: Manifest,
    each: ResolvedObject,
    way: ApplyMethod,
    described: Description,
    context: Context,
    deadline: Deadline,
) -> tuple[Manifest, Object]:
    """The object as the server takes it, and as it would be then; raises EvidenceProblem where it cannot be asked."""
    made, result = _sent(asked, each, way, described, context, deadline)
    if made.accepted or made.problem is not None or not way.recreates or not _unchangeable(made.said):
        return made, result
    anew = replace(way, kind="anew", recreates=False)
    told = replace(asked, way=f"{asked.way}, deleted and created again")
    again, result = _sent(told, each, anew, described, context, deadline)
    if not again.accepted:
        return again, result
    return replace(again, lost=(*again.lost, f"applying deletes and creates it again: {made.said[:300]}")), result


def _unchangeable(said: str) -> bool:
    """What deployers take for a field that cannot be changed: what is invalid, as kubectl does, and words to say so."""
    return " is invalid: " in said or " immutable" in said


def _sent(
    asked: Manifest, each: ResolvedObject, way: ApplyMethod, described: Description, context: Context,
    deadline: Deadline,
) -> tuple[Manifest, Object]:
    checks = {"fieldManager": way.manager, "fieldValidation": "Warn" if way.kind == "helm" else "Strict"}
    if way.kind == "server-side":
        checks["force"] = str(way.force).lower()
    try:
        sent = request(each, way, STRATEGIC if described.strategic else MERGE, described.fields)
    except NoMergeKey as error:
        return replace(asked, said=str(error)), {}
    if sent is None:
        return replace(asked, accepted=True, lost=_leaving(each)), each.live or each.item
    server = api(context, deadline)
    for _ in range(TRIES):
        answer = server.dry_run(sent.method, sent.path, sent.body, deadline, sent.kind, **checks)
        if sent.method != "PUT" or answer[0] != CONFLICT:
            break  # else a controller was faster
        sent = replace(sent, body=_of_version(each.item, server.live(each.path, deadline) or {}))
    if way.kind == "anew" and each.live is not None and answer[0] == CONFLICT:
        return replace(asked, accepted=True), each.item  # the old one goes first, and all the rest was looked at before
    made = with_answer(asked, answer, _RIGHTS[sent.method])
    if not made.accepted:
        return made, {}
    result = json.loads(answer[1])
    lost = shorter(each.item, result) if sent.kind == STRATEGIC else ()
    lost = (*(() if way.kind == "anew" else _leaving(each)), *lost, *fewer_replicas(each.item, each.live, result))
    return replace(made, lost=lost), result


def request(each: ResolvedObject, way: ApplyMethod, patch_kind: str, fields: Fields) -> Request | None:
    """What the deployer sends, None where that is nothing; raises NoMergeKey."""
    if way.kind == "untouched":
        return None
    if way.kind == "server-side":
        return Request("PATCH", each.path, each.item, APPLY)
    if way.kind == "replace":
        return Request("PUT", each.path, _of_version(each.item, each.live or {}))
    item = with_last_applied(each.item) if way.kind == "client-side" else each.item
    if way.kind in ("create", "anew") or each.live is None:
        return Request("POST", each.collection, without_nulls(item))
    patch = three_way(way.original or {}, item, each.live, fields)
    return Request("PATCH", each.path, patch, patch_kind) if patch else None


def _leaving(each: ResolvedObject) -> tuple[str, ...]:
    """An object that waits for its finalizers takes changes, and is gone with them."""
    since = table(each.live, "metadata").get("deletionTimestamp")
    return (f"it has been in deletion since {since}; applied changes are deleted with it",) if since else ()


def _of_version(item: Object, live: Object) -> Object:
    """Replacing takes the version that is replaced."""
    metadata, version = table(item, "metadata"), table(live, "metadata").get("resourceVersion")
    if metadata.get("resourceVersion") or not version:
        return item
    return {**item, "metadata": {**metadata, "resourceVersion": version}}
