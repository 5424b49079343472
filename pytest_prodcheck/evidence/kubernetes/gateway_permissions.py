"""Whether objects of the Gateway API may refer into another namespace: by its ReferenceGrants, or by its Gateway.

https://gateway-api.sigs.k8s.io/api-types/referencegrant/ , https://gateway-api.sigs.k8s.io/guides/multiple-ns/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import api, listed
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.kubernetes.references import ExistingObjects

GROUP = "gateway.networking.k8s.io"


def crossings(item: Object, there: ExistingObjects) -> Iterator[tuple[str, str]]:
    """Each reference into another namespace, and why it does not count, "" for nothing."""
    if str(item.get("apiVersion", "")).rpartition("/")[0] != GROUP:
        return
    own = there.space_of(item)
    for each in _parents(item):
        if str(each.get("namespace") or own) != own:
            try:
                yield _reference_text("Gateway", each), _of_gateway(each, own, there)
            except LookupError:
                continue
    for kind, each in _granted(item):
        space = str(each.get("namespace") or own)
        if space != own:
            try:
                good = _grants(str(item.get("kind")), own, kind, str(each.get("name")), space, there)
            except LookupError:
                continue
            told = f"no ReferenceGrant in {space} allows {item.get('kind')}s of {own} to refer to it"
            yield _reference_text(kind, each), "" if good else told


def _reference_text(kind: str, reference: Object) -> str:
    return f"{kind} {reference.get('name')} of {reference.get('namespace')}"


def _parents(item: Object) -> list[Object]:
    return [each for each in rows(item, "spec", "parentRefs") if each.get("kind", "Gateway") == "Gateway"]


def _granted(item: Object) -> Iterator[tuple[str, Object]]:
    """What takes a ReferenceGrant: back ends of routes, but for those of a mesh, and certificates of Gateways."""
    if item.get("kind") == "Gateway":
        for listener in rows(item, "spec", "listeners"):
            yield from (("Secret", each) for each in rows(listener, "tls", "certificateRefs")
                        if each.get("kind", "Secret") == "Secret")  # fmt: skip
    if rows(item, "spec", "parentRefs") and not _parents(item):
        return
    for rule in rows(item, "spec", "rules"):
        mirrors = [table(each, "requestMirror", "backendRef") for each in rows(rule, "filters")]
        for each in (*rows(rule, "backendRefs"), *mirrors):
            if each and each.get("kind", "Service") == "Service":
                yield "Service", each


def _grants(kind: str, own: str, to: str, name: str, space: str, there: ExistingObjects) -> bool:
    return any(
        any((row.get("group"), row.get("kind"), row.get("namespace")) == (GROUP, kind, own)
            for row in rows(each, "spec", "from"))
        and any((row.get("group") or "", row.get("kind")) == ("", to) and row.get("name") in (None, "", name)
                for row in rows(each, "spec", "to"))
        for each in _objects_of_kind("v1beta1", "ReferenceGrant", "referencegrants", space, there)
    )  # fmt: skip


def _of_gateway(parent: Object, own: str, there: ExistingObjects) -> str:
    """Why a Gateway takes no route of this namespace; "" where it takes it, or where there is none of that name."""
    space = str(parent.get("namespace"))
    found = next((each for each in _objects_of_kind("v1", "Gateway", "gateways", space, there)
                  if name_of(each) == parent.get("name")), None)  # fmt: skip
    listeners = [
        each for each in rows(found, "spec", "listeners")
        if parent.get("sectionName") in (None, each.get("name")) and parent.get("port") in (None, each.get("port"))
    ]  # fmt: skip
    if found is None or any(_lets_in(each, own, there) for each in listeners):
        return ""
    return f"none of its listeners allows routes of {own} (allowedRoutes)" if listeners else "it has no such listener"


def _lets_in(listener: Object, own: str, there: ExistingObjects) -> bool:
    told = table(listener, "allowedRoutes", "namespaces")
    if told.get("from") == "Selector":
        return fits(table(told, "selector"), _labels(own, there))
    return told.get("from") == "All"


def _labels(space: str, there: ExistingObjects) -> dict[str, str]:
    always = {"kubernetes.io/metadata.name": space}
    coming = [each for each in there.objects if each.get("kind") == "Namespace" and name_of(each) == space]
    try:
        live = api(there.context, there.deadline).live(f"/api/v1/namespaces/{quote(space, safe='')}", there.deadline)
    except EvidenceProblem:
        there.unread.add(f"the labels of {space}")
        raise LookupError(space) from None
    return {key: value for each in (live or {}, *coming) for key, value in labels_of(each).items()} | always


def _objects_of_kind(version: str, kind: str, plural: str, space: str, there: ExistingObjects) -> Iterator[Object]:
    """Those of the files, then the live ones that they leave; raises LookupError for what may not be read."""
    coming = {
        name_of(each): each for each in there.objects
        if each.get("kind") == kind and str(each.get("apiVersion", "")).startswith(f"{GROUP}/")
        and there.space_of(each) == space
    }  # fmt: skip
    yield from coming.values()
    path = f"/apis/{GROUP}/{version}/namespaces/{quote(space, safe='')}/{plural}"
    try:
        live = listed("raw", path, there.context, there.deadline, lambda item: item)
    except EvidenceProblem as error:
        there.unread.add(f"{kind} in {space}")
        there.deadline.note(f"the ReferenceGrants of {space} were not checked: {error.problem.message}")
        raise LookupError(kind) from None
    yield from (each for each in live if name_of(each) not in coming)
