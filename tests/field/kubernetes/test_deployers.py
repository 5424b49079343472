"""Reports of what a dry run said and the deployer did not, rebuilt with kubectl and the managers' own names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.records.kubernetes import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.deployers import Kubectl, listed
from tests.cluster.namespaces import context_for, emptied, files

Object = dict[str, Any]
SPACE = "field-deployers"
_HERE = {"namespace": SPACE}


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Iterator[Kubectl]:
    emptied(plane, SPACE)
    yield Kubectl(plane, SPACE)
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def judged(kubectl: Kubectl, folder: Path, item: Object, declared: str = "") -> Manifest:
    context = files(context_for(folder, SPACE, kubectl.plane, declared), item)
    found: Manifest = kubernetes_manifests.gather(SPACE, context, Deadline(60)).manifests[0]
    return found


def _post(kubectl: Kubectl, path: str, item: Object, manager: str) -> None:
    status, said = kubectl.plane.ask("POST", f"{path}?fieldManager={manager}", item)
    assert status == 201, said


@pytest.mark.parametrize(("apply", "words"), [
    ("client-side", "metadata.annotations: Too long"), ("server-side", ""), ("replace", ""),
])  # fmt: skip
def test_larger_than_the_note_of_the_last_apply(apply: str, words: str, kubectl: Kubectl, tmp_path: Path) -> None:
    """apache/solr-operator#215, prometheus-operator/kube-prometheus#1511: kubectl notes what it applies."""
    item: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"large-{apply}", **_HERE}}
    kubectl.apply(item)
    item["data"] = {f"rules-{number}": "x" * 100_000 for number in range(3)}
    found = judged(kubectl, tmp_path, item, f'apply = "{apply}"')
    assert found.problem is None
    assert (found.accepted, words in found.said) == (not words, True), found.said
    if apply == "client-side":
        assert words in kubectl.refused(item)[item["metadata"]["name"]]


def test_a_port_by_tcp_and_by_udp(kubectl: Kubectl, tmp_path: Path) -> None:
    """kubernetes/kubernetes#105610, #59482, #136340: the patch is taken and leaves one port of two."""
    item: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns", **_HERE},
                    "spec": {"ports": [{"name": "tcp", "port": 53, "protocol": "TCP"}]}}  # fmt: skip
    kubectl.apply(item)
    item["spec"]["ports"].append({"name": "udp", "port": 53, "protocol": "UDP"})
    found = judged(kubectl, tmp_path, item)
    assert (found.accepted, found.lost) == (
        True, ("spec.ports: only 1 of 2 entries would remain, because some have the same key",)), found  # fmt: skip
    assert len(kubectl.results(item)["dns"]["spec"]["ports"]) == 1
    server_side = judged(kubectl, tmp_path, item, 'apply = "server-side"')
    assert (server_side.accepted, server_side.lost) == (True, ()), server_side


def _deployment(name: str, replicas: int) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **_HERE},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "registry.test/web:1.0"}]},
        }},
    }  # fmt: skip


@pytest.mark.parametrize(("manager", "words"), [("helm", "1 conflict"), ("argocd-controller", ""), ("", "")])
def test_replicas_that_an_autoscaler_has_set(manager: str, words: str, kubectl: Kubectl, tmp_path: Path) -> None:
    """NatLabRockies/openstudio-server-helm#110, pulumi/pulumi-kubernetes#2491: Helm 4 applies server-side."""
    item = _deployment(f"scaled-{manager or 'kubectl'}", 0)
    flags = ["--server-side", f"--field-manager={manager}"] if manager else []
    kubectl.done("apply", *flags, "-f", "-", text=listed(item))
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{item['metadata']['name']}"
    status, said = kubectl.plane.ask(
        "PATCH", f"{path}/scale?fieldManager=kube-controller-manager", {"spec": {"replicas": 1}},
        "application/merge-patch+json",
    )  # fmt: skip
    assert status == 200, said
    found = judged(kubectl, tmp_path, item)
    assert found.accepted == (not words), found.said
    assert words in found.said
    assert (manager or "kubectl apply") in found.way


@pytest.mark.parametrize(("named", "words"), [
    (1, "spec.replicas: kube-controller-manager has scaled to 3, applying sets 1"), (3, ""), (4, ""),
    (None, "spec.replicas: 3 become 1, because the file no longer names a number"),
])  # fmt: skip
def test_replicas_that_applying_takes_away(named: int | None, words: str, kubectl: Kubectl, tmp_path: Path) -> None:
    """kubernetes/kubernetes#66385, #25238, helm/helm#11917, #12650: ten pods become one under load."""
    item = _deployment(f"busy-{named or 'unnamed'}", 1)
    item["spec"]["template"]["spec"]["schedulingGates"] = [{"name": "test.example/held"}]
    kubectl.apply(item)
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{item['metadata']['name']}"
    scaled = {"spec": {"replicas": 3}}
    kubectl.plane.ask("PATCH", f"{path}/scale?fieldManager=kube-controller-manager", scaled,
                      "application/merge-patch+json")  # fmt: skip
    del item["spec"]["replicas"]
    item["spec"] |= {} if named is None else {"replicas": named}
    found = judged(kubectl, tmp_path, item)
    assert (found.accepted, found.lost) == (True, (words,) if words else ())
    assert kubectl.results(item)[item["metadata"]["name"]]["spec"]["replicas"] == (named or 1)


def test_claims_that_carry_the_chart_s_version(kubectl: Kubectl, tmp_path: Path) -> None:
    """groundhog2k/helm-charts#191, weaviate/weaviate-helm#218, helm/helm#7998: templates of claims cannot change."""
    item = _deployment("shelf", 0)
    claim = {"metadata": {"name": "data", "labels": {"helm.sh/chart": "shelf-1.0"}},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    item |= {"kind": "StatefulSet", "spec": {**item["spec"], "serviceName": "shelf", "volumeClaimTemplates": [claim]}}
    marks = {"annotations": {"meta.helm.sh/release-name": "shelf"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    live = {**item, "metadata": {**item["metadata"], **marks}}
    _post(kubectl, f"/apis/apps/v1/namespaces/{SPACE}/statefulsets", live, "helm")
    assert judged(kubectl, tmp_path, item).accepted
    claim["metadata"] = {"name": "data", "labels": {"helm.sh/chart": "shelf-1.1"}}
    found = judged(kubectl, tmp_path, item)
    assert (found.accepted, found.way) == (False, "helm upgrade")
    assert "updates to statefulset spec for fields other than" in found.said


def test_a_secret_that_gets_a_type(kubectl: Kubectl, tmp_path: Path) -> None:
    """helm/helm#8524: set after the first release, the type is immutable."""
    item: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry", **_HERE}}
    _post(kubectl, f"/api/v1/namespaces/{SPACE}/secrets", item, "helm")
    item |= {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{}"}}
    found = judged(kubectl, tmp_path, item)
    assert not found.accepted
    assert "field is immutable" in found.said
