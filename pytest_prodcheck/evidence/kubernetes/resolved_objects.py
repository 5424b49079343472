"""Objects of the files with where they belong in the API, and what is live there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@dataclass(frozen=True)
class ResolvedObject:
    """One object, with its namespace filled in."""

    item: Object
    collection: str  # path of the objects of its kind
    live: Object | None

    @property
    def path(self) -> str:
        """Its own path."""
        return f"{self.collection}/{quote(str(table(self.item, 'metadata').get('name', '')), safe='')}"


def resolved_object(item: Object, context: Context, deadline: Deadline) -> ResolvedObject | None:
    """None where the server does not serve this version of the kind; raises EvidenceProblem."""
    version = str(item["apiVersion"])
    resource = _resource(version, str(item["kind"]), context, deadline)
    if resource is None:
        return None
    plural, namespaced = resource
    server = api(context, deadline)
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    metadata = dict(table(item, "metadata"))
    if not namespaced:
        metadata.pop("namespace", None)
        where = ""
    else:
        metadata["namespace"] = str(metadata.get("namespace") or server.namespace)
        where = f"/namespaces/{quote(metadata['namespace'], safe='')}"
    found = ResolvedObject({**item, "metadata": metadata}, f"{root}{where}/{plural}", None)
    if not metadata.get("name"):
        return found
    return ResolvedObject(found.item, found.collection, server.live(found.path, deadline))


def _resource(version: str, kind: str, context: Context, deadline: Deadline) -> tuple[str, bool] | None:
    """Plural and whether it lies in a namespace; None where the server does not serve this version of the kind."""
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"

    def ask() -> dict[str, tuple[str, bool]] | None:
        status, text = api(context, deadline).text(path, deadline)
        if status == 404:
            return None
        if status != 200:
            raise EvidenceProblem(Problem("protocol", f"GET {path}: answered {status}"))
        return {
            str(each.get("kind")): (str(each.get("name")), bool(each.get("namespaced")))
            for each in rows(json.loads(text), "resources")
            if "/" not in str(each.get("name"))
        }

    known = context.once(("kubernetes-resources", version), ask, deadline)
    return None if known is None else known.get(kind)
