"""Reports whose reason stood in a condition or an event alone: the message quotes it, once, behind what is wrong."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.cluster import kubernetes_nodes, kubernetes_pods
from pytest_prodcheck.evidence.kubernetes.ingresses import kubernetes_ingress
from pytest_prodcheck.evidence.kubernetes.namespace_objects import kubernetes_volumes
from suites.pre_deploy.test_kubernetes import test_claims_are_bound as claims_are_bound
from suites.pre_deploy.test_kubernetes import test_nodes_are_ready as nodes_are_ready
from suites.pre_deploy.test_kubernetes import test_pods_are_in_order as pods_are_in_order
from suites.pre_deploy.test_kubernetes import test_traffic_gets_in as traffic_gets_in
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes

Object = dict[str, Any]
SPACE, NODE = "field-reasons", "field-reasons"
CORE = f"/api/v1/namespaces/{SPACE}"
NETWORK = ("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
           "message:Network plugin returns error: cni plugin not initialized")  # fmt: skip
MOUNT = 'MountVolume.SetUp failed for volume "certs" : secret "etcd-certs" not found'
MODEL = 'Failed build model due to ingress: field-reasons/shop: Service "echo-sew" not found'


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A node without a network, a pod on it, a claim that nothing binds, an Ingress that its controller gave up."""
    emptied(plane, SPACE)
    meta = {"namespace": SPACE}
    backend = {"service": {"name": "echo-sew", "port": {"number": 80}}}
    app = {"name": "app", "image": "registry.test/etcd:1"}
    plane.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", **meta},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                  "resources": {"requests": {"storage": "1Gi"}}}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etcd-0", **meta},
         "spec": {"nodeName": NODE, "containers": [app], "volumes": [
             {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop", **meta},
         "spec": {"defaultBackend": backend}},
    )  # fmt: skip
    ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": NETWORK}
    plane.patch(f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [ready]}})
    event(plane, "Pod", "etcd-0", "FailedMount", MOUNT)
    event(plane, "Ingress", "shop", "FailedBuildModel", MODEL)
    end = time.monotonic() + 60
    while not any(each["reason"] == "FailedBinding" for each in plane.get(f"{CORE}/events")["items"]):
        assert time.monotonic() < end, plane.get(f"{CORE}/events")
        time.sleep(0.2)
    yield plane
    for each in (f"{CORE}/pods", f"/api/v1/nodes/{NODE}", CORE):
        plane.delete(each)


def event(plane: ControlPlane, kind: str, name: str, reason: str, message: str) -> None:
    """As a kubelet or controller writes it, which do not run here."""
    plane.apply({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}-{reason.lower()}", "namespace": SPACE},
        "type": "Warning", "reason": reason, "message": message,
        "involvedObject": {"kind": kind, "name": name, "namespace": SPACE},
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    })  # fmt: skip


def _claims(context: Context) -> str:
    return outcomes(claims_are_bound, kubernetes_volumes.gather("c", context, Deadline(60)))


def _nodes(context: Context) -> str:
    found = kubernetes_nodes.gather("c", context, Deadline(60))
    mine = tuple(each for each in found.nodes if each.name == NODE)
    return outcomes(nodes_are_ready, dataclasses.replace(found, nodes=mine))


def _pods(context: Context) -> str:
    found = kubernetes_pods.gather("c", context, Deadline(60))
    return outcomes(pods_are_in_order, dataclasses.replace(found, asked_at=found.asked_at + 400))


def _ingress(context: Context) -> str:
    return outcomes(traffic_gets_in, kubernetes_ingress.gather("c", context, Deadline(60)))


@pytest.mark.parametrize(("judge", "begins", "reason"), [
    # hashicorp/consul-helm#48, kubevious/helm#6: an event of the type Normal
    (_claims, "it is Pending", "no persistent volumes available for this claim and no storage class is set"),
    (_nodes, f"{NODE}: not ready", NETWORK),  # aws/karpenter-provider-aws#1391
    (_pods, "etcd-0: Pending for", MOUNT),  # clastix/kamaji#181, Consensys-Incorporated/quorum-kubernetes#240
    # kubernetes-sigs/aws-load-balancer-controller#1637, #2772
    (_ingress, "no controller has given it one", MODEL),
], ids=["claim", "node", "pod", "ingress"])  # fmt: skip
def test_the_reason_is_quoted(
    judge: Callable[[Context], str], begins: str, reason: str, space: ControlPlane, tmp_path: Path
) -> None:
    context = context_for(tmp_path, SPACE, space)
    said = judge(context)
    context.close()
    assert said.startswith("failed: "), said
    assert begins in said
    assert said.count(reason) == 1, said
