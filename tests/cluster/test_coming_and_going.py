"""Pods and nodes that come and go: which count, which are trouble, and what is no reason to undo a rollout."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.capacity import kubernetes_capacity
from pytest_prodcheck.evidence.kubernetes.cluster import kubernetes_nodes
from pytest_prodcheck.evidence.kubernetes.node_lifecycle import without_startup_taints
from pytest_prodcheck.evidence.kubernetes.rollouts import kubernetes_rollout
from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
from pytest_prodcheck.records.kubernetes import KubernetesNodes, Node
from suites.pre_deploy.test_kubernetes import test_nodes_are_ready as nodes_are_ready
from suites.pre_deploy.test_kubernetes import test_pods_are_in_order as pods_are_in_order
from suites.smoke.test_kubernetes import test_pods_stay_up as pods_stay_up
from suites.smoke.test_kubernetes import test_the_rollout_is_done as the_rollout_is_done
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.namespaces import context_for, emptied, files
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "coming"
CORE, APPS = f"/api/v1/namespaces/{SPACE}", f"/apis/apps/v1/namespaces/{SPACE}"
SERVICE = '[environments.c.services.web]\nurl = "http://127.0.0.1:9"\nworkload = "{kind}/web"\n'
SCALED = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {"group": "keda.sh", "scope": "Namespaced",
             "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
             "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                 "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
}  # fmt: skip
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def workload(kind: str = "Deployment", replicas: int = 2) -> Object:
    labels = {"app": "web"}
    pod = {"containers": [{"name": "app", "image": "registry.test/web:1"}]}
    told: Object = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    if kind != "DaemonSet":
        told["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": SPACE}, "spec": told}


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    shop.make(plane)
    emptied(plane, SPACE)
    yield plane
    for each in (f"{APPS}/deployments", f"{APPS}/daemonsets", f"{CORE}/pods", CORE):
        plane.delete(each)


def wait(done: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.2)


def wait_until_available(plane: ControlPlane, count: int) -> None:
    told = f"{APPS}/deployments/web"
    plane.apply(workload(replicas=count))
    wait(lambda: plane.get(told).get("status", {}).get("availableReplicas", 0) == count
         and plane.get(told)["status"].get("observedGeneration") == plane.get(told)["metadata"]["generation"]
         and len(running_pods(plane)) == count)  # fmt: skip


def running_pods(plane: ControlPlane) -> list[Object]:
    return [each for each in plane.get(f"{CORE}/pods")["items"]
            if each["status"].get("phase") == "Running" and "deletionTimestamp" not in each["metadata"]]  # fmt: skip


def container(plane: ControlPlane, **state: Any) -> None:
    pod = running_pods(plane)[0]
    told = {**pod["status"]["containerStatuses"][0], **state}
    plane.patch(f"{CORE}/pods/{pod['metadata']['name']}/status", {"status": {"containerStatuses": [told]}})


def rollout(plane: ControlPlane, folder: Path, check: Callable[..., None] = the_rollout_is_done,
            kind: str = "deployment", *manifests: Object) -> str:  # fmt: skip
    context = context_for(folder, SPACE, plane, SERVICE.format(kind=kind))
    files(context, *(manifests or ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},)))
    try:
        return outcomes(check, kubernetes_rollout.gather("web", context, Deadline(20)))
    finally:
        context.close()


def test_restarts_count_by_when(space: ControlPlane, tmp_path: Path) -> None:
    """kuberhealthy/kuberhealthy#80, Azure/prometheus-collector#325: seven restarts of last week are over."""

    def ended(ago: float) -> Object:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))
        return {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": when}}

    wait_until_available(space, 1)
    container(space, restartCount=7, lastState=ended(7 * 86400))
    assert rollout(space, tmp_path, pods_stay_up) == "passed"
    container(space, restartCount=7, lastState=ended(600))
    assert rollout(space, tmp_path, pods_stay_up).startswith("failed")
    long_before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86400))
    container(space, restartCount=7, lastState={"terminated": {**ended(600)["terminated"], "startedAt": long_before}})
    assert rollout(space, tmp_path, pods_stay_up) == "passed"  # one within the hour, the others before that day


def test_a_pod_that_should_have_ended_long_ago(space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#51835, #72226: a finalizer, or a node that is gone, holds it."""
    held = {"name": "held", "namespace": SPACE, "finalizers": ["shop.test/held"]}
    pod = {"containers": [{"name": "app", "image": "registry.test/web:1"}], "nodeSelector": {"none": "such"}}
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": held, "spec": pod})
    space.delete(f"{CORE}/pods/held")
    context = context_for(tmp_path, SPACE, space)
    found = kubernetes_pods.gather("c", context, Deadline(20))
    context.close()
    space.patch(f"{CORE}/pods/held", {"metadata": {"finalizers": None}})
    assert next(each for each in found.pods if each.name == "held").deleting
    alone = dataclasses.replace(found, pods=tuple(each for each in found.pods if each.name == "held"))
    assert outcomes(pods_are_in_order, alone) == "passed"
    late = outcomes(pods_are_in_order, dataclasses.replace(alone, asked_at=alone.asked_at + 400))
    assert late.startswith("failed")
    assert "should have finished" in late


def test_scaled_to_zero_on_purpose(space: ControlPlane, tmp_path: Path) -> None:
    """argoproj/argo-cd#5424: by the file, or by a ScaledObject; else nobody has said so."""
    space.apply(workload(replicas=0))
    wait(lambda: not running_pods(space))
    assert rollout(space, tmp_path).startswith("failed")
    assert rollout(space, tmp_path, the_rollout_is_done, "deployment", workload(replicas=0)) == "passed"
    assert rollout(space, tmp_path, pods_stay_up, "deployment", workload(replicas=0)) == "passed"
    assert rollout(space, tmp_path, the_rollout_is_done, "deployment", workload(replicas=2)).startswith("failed")
    assert space.ask("POST", CRDS, SCALED)[0] in (201, 409)
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web", "namespace": SPACE},
              "spec": {"scaleTargetRef": {"name": "web"}}}  # fmt: skip
    path = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledobjects"
    wait(lambda: space.ask("POST", path, scaled)[0] in (201, 409))
    assert rollout(space, tmp_path) == "passed"
    space.patch(f"{path}/web", {"spec": {"minReplicaCount": 1}})
    assert rollout(space, tmp_path).startswith("failed")
    space.patch(f"{path}/web", {"spec": {"idleReplicaCount": 0}})  # kedacore/keda#6903
    assert rollout(space, tmp_path) == "passed"
    paused = {"autoscaling.keda.sh/paused-replicas": "0"}  # kedacore/keda#6982: at night, by a cron job
    space.patch(f"{path}/web", {"spec": {"idleReplicaCount": None}, "metadata": {"annotations": paused}})
    assert rollout(space, tmp_path) == "passed"
    space.patch(f"{path}/web", {"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "2"}}})
    assert rollout(space, tmp_path).startswith("failed")
    space.delete(f"{CRDS}/scaledobjects.keda.sh")


def test_fewer_replicas_than_the_manifest_asks_for(space: ControlPlane, tmp_path: Path) -> None:
    """Scaled by hand, all of it is ready; with an autoscaler it is that one's affair."""
    wait_until_available(space, 1)
    told = rollout(space, tmp_path, the_rollout_is_done, "deployment", workload(replicas=3))
    assert told.startswith("warned"), told
    assert "replicas of its manifest: 1 is less than 3" in told
    assert rollout(space, tmp_path, the_rollout_is_done, "deployment", workload(replicas=1)) == "passed"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    space.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                 "metadata": {"name": "web", "namespace": SPACE}, "spec": scaler})  # fmt: skip
    assert rollout(space, tmp_path, the_rollout_is_done, "deployment", workload(replicas=3)) == "passed"
    space.delete("/apis/autoscaling/v2/namespaces/coming/horizontalpodautoscalers/web")


def test_an_autoscaler_after_the_rollout_is_not_yet(space: ControlPlane, tmp_path: Path) -> None:
    """argoproj/argo-cd#6287: a pod that it adds runs and is not ready yet; scaled in again, nothing is wrong."""
    wait_until_available(space, 2)
    time.sleep(1.1)  # times of the API are whole seconds
    before = {each["metadata"]["name"] for each in running_pods(space)}
    space.patch(f"{APPS}/deployments/web", {"spec": {"replicas": 3}})
    wait(lambda: len(running_pods(space)) == 3)
    (new,) = (each for each in running_pods(space) if each["metadata"]["name"] not in before)
    told = [{**each, "status": "False"} for each in new["status"]["conditions"] if each["type"] == "Ready"]
    space.patch(f"{CORE}/pods/{new['metadata']['name']}/status", {"status": {"conditions": told}})
    wait(lambda: space.get(f"{APPS}/deployments/web")["status"].get("readyReplicas") == 2)
    said = rollout(space, tmp_path)
    assert said.startswith("warned")
    assert "after the rollout" in said
    wait_until_available(space, 2)
    assert rollout(space, tmp_path) == "passed"


def test_daemons_of_a_node_that_has_just_joined(bench: Bench, space: ControlPlane, tmp_path: Path) -> None:
    """No kubelet plays the fourth node yet, so that its daemon stays Pending."""
    space.delete(f"{APPS}/deployments/web")
    space.apply(workload("DaemonSet"))
    path = f"{APPS}/daemonsets/web"
    try:
        wait(lambda: space.get(path).get("status", {}).get("numberAvailable") == 3)
        assert rollout(space, tmp_path, the_rollout_is_done, "daemonset") == "passed"
        space.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-4"}})
        bench.node("node-4", Ready="True")
        wait(lambda: space.get(path)["status"].get("desiredNumberScheduled") == 4)
        said = rollout(space, tmp_path, the_rollout_is_done, "daemonset")
    finally:
        space.delete("/api/v1/nodes/node-4")
        space.delete(path)
    assert said.startswith("warned"), said


def test_a_node_that_joins_within_its_grace(bench: Bench, space: ControlPlane, tmp_path: Path) -> None:
    """deckhouse/deckhouse#2992, helm/charts#21371: not ready as long as declared; without a declaration it counts."""
    space.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-4"}})
    bench.node("node-4", Ready="False")
    said = {}
    try:
        for grace in ("", 'node_grace = "10m"\n', "autoscaling = true\n", 'autoscaling = true\nnode_grace = "1ms"\n'):
            context = context_for(tmp_path, SPACE, space, grace)
            found = kubernetes_nodes.gather("c", context, Deadline(20))
            said[grace] = outcomes(nodes_are_ready, found).partition(":")[0]
            context.close()
    finally:
        space.delete("/api/v1/nodes/node-4")
    assert list(said.values()) == ["failed", "passed", "passed", "failed"]


NOW = 1_800_000_000.0
WELL = Node("well", True, (), False, joined_at=NOW - 90000, changed_at=NOW - 90000)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"ready": False, "changed_at": NOW - 60}, "failed"),  # nobody has sent it away
        ({"ready": False, "changed_at": NOW - 60, "cordoned": True}, "passed"),
        ({"ready": False, "changed_at": NOW - 60, "leaving": "taint ToBeDeletedByClusterAutoscaler"}, "passed"),
        ({"ready": False, "changed_at": NOW - 60, "spot": True}, "passed"),
        ({"ready": False, "changed_at": NOW - 700, "cordoned": True}, "failed"),  # and never came back
        ({"ready": False, "changed_at": NOW - 700, "spot": True}, "failed"),
        ({"ready": False, "joined_at": NOW - 60, "changed_at": NOW - 60}, "passed"),
        ({"pressures": ("DiskPressure",), "cordoned": True}, "failed"),
    ],
)
def test_nodes_within_ten_minutes(change: dict[str, Any], outcome: str) -> None:
    nodes = (WELL, dataclasses.replace(WELL, name="other", **change))
    assert outcomes(nodes_are_ready, KubernetesNodes(nodes, 600, NOW)).partition(":")[0] == outcome
    alone = KubernetesNodes((nodes[1],), 600, NOW)
    assert outcomes(nodes_are_ready, alone).startswith("failed")  # no node is ready, whatever the reason


@pytest.mark.parametrize(
    ("taint", "age", "kept"),
    [
        ("node.cilium.io/agent-not-ready", 60, 0), ("node.cilium.io/agent-not-ready", 900, 1),
        ("startup-taint.cluster-autoscaler.kubernetes.io/gpu", 60, 0), ("team/ours", 60, 1),
        ("ToBeDeletedByClusterAutoscaler", 60, 1),
    ],
)  # fmt: skip
def test_taints_for_the_start_are_over_soon(taint: str, age: float, kept: int) -> None:
    node = dataclasses.replace(WELL, joined_at=NOW - age, taints=((taint, "", "NoSchedule"),))
    assert len(without_startup_taints(node, NOW - 600).taints) == kept


def test_room_is_that_of_the_nodes_that_stay(bench: Bench, space: ControlPlane, tmp_path: Path) -> None:
    """A node that its autoscaler takes away holds no pod of the rollout, and loses its own."""
    asks = workload(replicas=3)
    asks["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "5"}}
    fits = {}
    try:
        for taints in ([], [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]):
            space.patch("/api/v1/nodes/node-3", {"spec": {"taints": taints or None}})
            context = files(context_for(tmp_path, SPACE, space), asks)
            (fit,) = kubernetes_capacity.gather("c", context, Deadline(20)).fits
            context.close()
            fits[len(taints)] = fit.left
    finally:
        space.patch("/api/v1/nodes/node-3", {"spec": {"taints": None}})
    assert fits == {0: 0, 1: 1}
