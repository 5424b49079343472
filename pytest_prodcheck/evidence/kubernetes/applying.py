"""One object sent as it will be applied, with dryRun=All, which stores nothing.

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.answers import told
from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.lost_entries import lost
from pytest_prodcheck.evidence.kubernetes.merge_patches import NoMergeKey, three_way, with_last_applied, without_nulls
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.openapi import STRATEGIC, Description
from pytest_prodcheck.records.kubernetes import Manifest

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.kubernetes.placed_objects import Placed
    from pytest_prodcheck.evidence.kubernetes.ways import Way

EXISTS = 409
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"


def applied(
    asked: Manifest, each: Placed, way: Way, described: Description, context: Context, deadline: Deadline
) -> Manifest:
    """The object as the server takes it; raises EvidenceProblem where it cannot be reached."""
    server = api(context, deadline)
    checks = {"fieldManager": way.manager, "fieldValidation": "Warn" if way.kind == "helm" else "Strict"}
    if way.kind == "untouched":
        return _accepted(asked)
    if way.kind == "server-side":
        checks["force"] = str(way.force).lower()
        answer = server.dry_run("PATCH", each.path, each.item, deadline, _APPLY, **checks)
        return told(asked, answer, "patch")
    if way.kind == "replace":
        body = each.item if each.live is None else _of_version(each.item, each.live)
        return told(asked, server.dry_run("PUT", each.path, body, deadline, **checks), "update")
    if way.kind in ("create", "anew") or each.live is None:
        body = without_nulls(with_last_applied(each.item) if way.kind == "client-side" else each.item)
        answer = server.dry_run("POST", each.collection, body, deadline, **checks)
        if way.kind == "anew" and each.live is not None and answer[0] == EXISTS:
            return _accepted(asked)  # the old one goes first, and all the rest was looked at before
        return told(asked, answer, "create")
    modified = with_last_applied(each.item) if way.kind == "client-side" else each.item
    try:
        patch = three_way(way.original or {}, modified, each.live, described.fields)
    except NoMergeKey as error:
        return replace(asked, said=str(error))
    if not patch:
        return _accepted(asked)
    kind = STRATEGIC if described.strategic else _MERGE
    answer = server.dry_run("PATCH", each.path, patch, deadline, kind, **checks)
    made = told(asked, answer, "patch")
    return replace(made, lost=lost(each.item, answer[1])) if made.accepted else made


def _accepted(asked: Manifest) -> Manifest:
    return replace(asked, accepted=True)


def _of_version(item: Object, live: Object) -> Object:
    """Replacing takes the version that is replaced."""
    metadata = table(item, "metadata")
    if metadata.get("resourceVersion"):
        return item
    return {**item, "metadata": {**metadata, "resourceVersion": table(live, "metadata").get("resourceVersion")}}
