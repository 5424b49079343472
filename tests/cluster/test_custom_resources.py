"""Objects of a CRD: kubectl sends JSON merge patches, for the server knows no merge keys of them."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from tests.cluster.control_plane import ControlPlane
from tests.cluster.deployers import Kubectl
from tests.cluster.namespaces import context_for, emptied, files

Object = dict[str, Any]
SPACE = "custom"
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "maximum": 9}
_DRAWER = {"type": "object", "required": ["name"], "properties": {"name": _TEXT, "coins": _NUMBER}}
_SPEC = {"type": "object", "properties": {
    "drawers": {"type": "array", "items": _DRAWER}, "label": _TEXT,
    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}  # fmt: skip
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "tills.custom.test"},
    "spec": {
        "group": "custom.test", "scope": "Namespaced", "names": {"plural": "tills", "kind": "Till"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": _SPEC}}}}],
    },
}  # fmt: skip


def till(name: str) -> Object:
    drawers = [{"name": "a", "coins": 1}, {"name": "b", "coins": 2}]
    return {"apiVersion": "custom.test/v1", "kind": "Till", "metadata": {"name": name, "namespace": SPACE},
            "spec": {"drawers": drawers, "label": "x", "open": {"any": {"thing": [1]}}}}  # fmt: skip


# what is changed: (path within spec, value), and the words of the refusal
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "same": ({}, ""), "shorter": ({"drawers": [{"name": "b", "coins": 3}]}, ""), "gone": ({"label": None}, ""),
    "inside": ({"open": {"other": {}}}, ""), "too-many": ({"drawers": [{"name": "a", "coins": 10}]}, "less than or"),
    "nameless": ({"drawers": [{"coins": 1}]}, "Required value"), "odd-type": ({"label": 3}, "string"),
    "unknown": ({"lable": "y"}, "lable"),
}  # fmt: skip


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Iterator[Kubectl]:
    emptied(plane, SPACE)
    made = Kubectl(plane, SPACE)
    made.apply(CRD)
    end = time.monotonic() + 120
    while plane.ask("GET", "/openapi/v3/apis/custom.test/v1")[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
    yield made
    made.done("delete", "crd", "tills.custom.test")


@pytest.mark.parametrize("server", [False, True], ids=["client-side", "server-side"])
def test_as_kubectl_takes_them(server: bool, kubectl: Kubectl, tmp_path: Path) -> None:
    """Those that are there, and one that is new."""
    way = "server" if server else "client"
    before = [till(f"{way}-{name}") for name in CHANGES]
    kubectl.apply(*before, server=server)
    objects = []
    for item, (changed, _) in zip(before, CHANGES.values(), strict=True):
        after = copy.deepcopy(item)
        after["spec"] = {name: value for name, value in {**after["spec"], **changed}.items() if value is not None}
        objects.append(after)
    objects.append(till(f"{way}-new"))
    refused = kubectl.refused(*objects, server=server)
    context = files(context_for(tmp_path, SPACE, kubectl.plane), *objects)
    found = kubernetes_manifests.gather(SPACE, context, Deadline(60)).manifests
    for item, each in zip(objects, found, strict=True):
        name = item["metadata"]["name"]
        words = CHANGES.get(name.removeprefix(f"{way}-"), ({}, ""))[1]
        assert (each.accepted, each.problem) == (not refused[name], None), (each, refused[name])
        assert (each.accepted, words in each.said) == (not words, True), each
        assert each.way == ("server-side apply by kubectl" if server else "kubectl apply")
