"""What the same files make first: what needs it is not judged yet, said, and not failed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from suites.pre_deploy.test_configuration import test_api_versions_last as api_versions_last
from suites.pre_deploy.test_configuration import test_the_server_would_take_them as server_takes_them
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied, files
from tests.judged import outcomes

Object = dict[str, Any]
SPACE, NEW, STRICT = "same-files", "same-files-new", "same-files-strict"
_ENFORCE = "pod-security.kubernetes.io/enforce"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NEW}}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": NEW}}
TILL = {"apiVersion": "shop.test/v1", "kind": "Till", "metadata": {"name": "front"}, "spec": {"lanes": 2}}
JOB = {
    "apiVersion": "batch/v1", "kind": "Job",
    "metadata": {"generateName": "migrate-", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
    "spec": {"template": {"spec": {"restartPolicy": "Never",
                                   "containers": [{"name": "app", "image": "registry.test/web:2.0"}]}}},
}  # fmt: skip


def definition(name: str = "tills", version: str = "v1", **properties: Any) -> Object:
    spec = {"type": "object", "properties": {"lanes": {"type": "integer"}, **properties}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.shop.test"},
        "spec": {"group": "shop.test", "scope": "Namespaced", "names": {"kind": name.title()[:-1], "plural": name},
                 "versions": [{"name": version, "served": True, "storage": True, "schema": schema}]},
    }  # fmt: skip


def shelf(**spec: Any) -> Object:
    return {**TILL, "kind": "Shelve", "spec": spec}


XRD = {"apiVersion": "apiextensions.crossplane.io/v1", "kind": "CompositeResourceDefinition",
       "metadata": {"name": "xtills.shop.test"},
       "spec": {"group": "shop.test", "names": {"kind": "XTill"}, "claimNames": {"kind": "Till"},
                "versions": [{"name": "v1", "served": True}]}}  # fmt: skip


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    import time

    shop.make(plane)
    emptied(plane, SPACE)
    emptied(plane, STRICT, **{_ENFORCE: "restricted"})
    assert plane.ask("POST", CRDS, definition("shelves"))[0] in (201, 409)
    end = time.monotonic() + 120
    served = (f"/apis/shop.test/v1/namespaces/{SPACE}/shelves", "/openapi/v3/apis/shop.test/v1")
    while any(plane.ask("GET", each)[0] != 200 for each in served):
        assert time.monotonic() < end
        time.sleep(0.2)
    yield plane
    plane.delete(f"{CRDS}/shelves.shop.test")
    for each in (SPACE, STRICT):
        plane.delete(f"/api/v1/namespaces/{each}")


WIDER = definition("shelves", colour={"type": "string"})
def enforcing(name: str, level: str = "", version: str = "latest") -> Object:
    told = {f"{_ENFORCE}": level, f"{_ENFORCE}-version": version} if level else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": told}}


def web(space: str, kind: str = "Deployment", **context: Any) -> Object:
    app = {"name": "app", "image": "registry.test/web:1", **({"securityContext": context} if context else {})}
    pod, labels = {"containers": [app]}, {"app": "web"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "v1" if kind == "Pod" else "apps/v1", "kind": kind,
            "metadata": {"name": "web", "namespace": space}, "spec": pod if kind == "Pod" else spec}  # fmt: skip


SAFE: Object = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
CASES: dict[str, tuple[list[Object], str, str]] = {
    "namespace": ([NAMESPACE, SETTINGS], "warned", "namespace is in the same"),
    "namespace of nobody": ([SETTINGS], "failed", "not found"),
    "CRD": ([definition(), TILL], "warned", "its kind (CustomResourceDefinition) is in the same files"),
    "CRD of another version": ([definition(version="v2"), TILL], "failed", "is not served"),
    "CRD of another kind": ([definition("racks"), TILL], "failed", "is not served"),
    "CRD of nobody": ([TILL], "failed", "is not served"),
    "Crossplane's": ([XRD, TILL], "failed", "CompositeResourceDefinition"),  # Crossplane itself is not installed
    "a field that comes with its kind": ([WIDER, shelf(colour="green")], "warned", "same files change its kind"),
    "a field that does not": ([definition("shelves"), shelf(colour="green")], "warned", "unknown field"),
    "a wrong value": ([definition("shelves"), shelf(lanes="two")], "failed", "lanes"),
    "generateName": ([JOB], "passed", ""),
    "restricted from now on": ([enforcing(SPACE, "restricted"), web(SPACE)], "failed", "same files are applied"),
    "a pod of its own": ([enforcing(SPACE, "restricted"), web(SPACE, "Pod")], "failed", "may gain privileges"),
    "restricted, and it complies": ([enforcing(SPACE, "restricted"), web(SPACE, **SAFE)], "passed", ""),
    "baseline is enough": ([enforcing(SPACE, "baseline"), web(SPACE)], "passed", ""),
    "an old version": ([enforcing(SPACE, "restricted", "v1.0"), web(SPACE, runAsNonRoot=True)], "passed", ""),
    "no longer restricted": ([enforcing(STRICT, "baseline"), web(STRICT)], "warned", "change the Pod Security level"),
    "still too much": ([enforcing(STRICT, "baseline"), web(STRICT, privileged=True)], "failed", "app: privileged"),
    "restricted as before": ([enforcing(STRICT, "restricted"), web(STRICT)], "failed", "violates PodSecurity"),
    "a new one that is restricted": ([enforcing(NEW, "restricted"), web(NEW)], "failed", '"restricted:latest"'),
    "a new one that complies": ([enforcing(NEW, "restricted"), web(NEW, **SAFE)], "warned", "namespace is in the"),
}


@pytest.mark.parametrize("name", CASES)
def test_files(name: str, space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#83562, kubernetes/kubectl#711, kubernetes/kubernetes#44501, argoproj/argo-cd#1639."""
    objects, outcome, words = CASES[name]
    context = files(context_for(tmp_path, SPACE, space), *copy.deepcopy(objects))
    found = kubernetes_manifests.gather("c", context, Deadline(20))
    context.close()
    said = outcomes(server_takes_them, found)
    assert (said.partition(":")[0], words in said) == (outcome, True), said
    served = outcomes(api_versions_last, found)
    assert served.startswith("failed") == (words in ("is not served", "CompositeResourceDefinition")), served
