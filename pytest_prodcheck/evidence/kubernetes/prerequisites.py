"""What the same files make first: a dry run of what needs it can be asked only once they are applied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.template_pods import refuses_rollout
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.kubernetes import Manifest

_NO_NAMESPACE = re.compile(r'namespaces "([^"]+)" not found')
_NO_ROLE = re.compile(r'\b(?:cluster)?roles\.rbac\.authorization\.k8s\.io "([^"]+)" not found')
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# refusals that come from the schema of a kind
UNKNOWN = "unknown field"
_BY_SCHEMA = (UNKNOWN, "is invalid", "field not declared in schema", "failed to create typed patch object",
              "ValidationError", "strict decoding")  # fmt: skip


def unmet_prerequisite(
    refused: Manifest, item: Object, objects: list[Object], context: Context, deadline: Deadline
) -> str:
    """What of the same files an object waits for that was refused, or not wholly known; "" for nothing."""
    if not refused.served:
        return next((f"{what} is in the same files" for what, _ in _makers(refused, objects)), "")
    if found := _NO_NAMESPACE.search(refused.said):
        return "its namespace is in the same files" if ("Namespace", found[1]) in _kinds_and_names(objects) else ""
    if found := _NO_ROLE.search(refused.said):
        roles = {name for kind, name in _kinds_and_names(objects) if kind in ("Role", "ClusterRole")}
        return "its role is in the same files" if found[1] in roles else ""
    if refused.kind == "Pod" and not refuses_rollout(refused.said, objects):
        return "the object that it refers to is in the same files"
    said = refused.said or "; ".join(refused.warnings)
    if any(each in said for each in _BY_SCHEMA):
        for _, maker in _makers(refused, objects):
            if maker.get("kind") == "CustomResourceDefinition" and _changes(maker, refused, context, deadline):
                return f"the same files change its kind; today: {said[:200]}"
    return ""


def _kinds_and_names(objects: Iterable[Object]) -> set[tuple[str, str]]:
    return {(str(each.get("kind")), str(table(each, "metadata").get("name"))) for each in objects}


def _makers(asked: Manifest, objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """What of the files makes the server serve this version of this kind."""
    group, _, version = asked.api_version.rpartition("/")
    for each in objects:
        kind, spec = str(each.get("kind")), table(each, "spec")
        if kind == "CustomResourceDefinition":
            told = [str(row.get("name")) for row in rows(spec, "versions") if row.get("served")]
            kinds = {table(spec, "names").get("kind")}
        elif kind == "CompositeResourceDefinition":  # Crossplane makes a CRD of it, and one for claims
            told = [str(row.get("name")) for row in rows(spec, "versions") if row.get("served")]
            kinds = {table(spec, "names").get("kind"), table(spec, "claimNames").get("kind")}
        elif kind == "ConstraintTemplate":  # Gatekeeper makes a CRD of it
            told, kinds = [version], {table(spec, "crd", "spec", "names").get("kind")}
            spec = {"group": "constraints.gatekeeper.sh"}
        elif kind == "APIService":
            told, kinds = [str(spec.get("version"))], {asked.kind}
        else:
            continue
        if spec.get("group") == group and asked.kind in kinds and version in told:
            yield f"its kind ({kind})", each


def _changes(definition: Object, asked: Manifest, context: Context, deadline: Deadline) -> bool:
    """Whether the files' definition has another schema for this version than the server's; no where it is not told."""
    name, version = str(table(definition, "metadata").get("name")), asked.api_version.rpartition("/")[2]
    try:
        there = api(context, deadline).get(f"{_CRDS}/{quote(name, safe='')}", deadline)
    except EvidenceProblem:
        return False
    return _schema(there, version) != _schema(definition, version)


def _schema(definition: Object, version: str) -> str:
    found: Any = [row.get("schema") for row in rows(definition, "spec", "versions") if row.get("name") == version]
    return json.dumps(found, sort_keys=True)
