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
from pytest_prodcheck.evidence.kubernetes.cluster import kubernetes_nodes
from pytest_prodcheck.evidence.kubernetes.ingresses import kubernetes_ingress
from pytest_prodcheck.evidence.kubernetes.namespace_objects import kubernetes_volumes
from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
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
PROBE = "Readiness probe failed: HTTP probe failed with statuscode: 503"
PULL = 'Back-off pulling image "registry.test/shop:1"'
GATE = 'the status of pod readiness gate "target-health.elbv2.k8s.aws/shop" is not "True", but False'
HOMELESS = "0/3 nodes are available: 3 Insufficient memory."
ADDRESS = {"podIP": "10.8.0.7", "podIPs": [{"ip": "10.8.0.7"}]}
STATES: dict[str, Object] = {  # of pods that no scheduler takes: as kubelet and scheduler would write it
    "probed": {"phase": "Running", **ADDRESS, "conditions": [
        {"type": "Ready", "status": "False", "message": "containers with unready status: [app]"}]},
    "pulled": {"phase": "Pending", **ADDRESS, "containerStatuses": [{
        "name": "app", "image": "registry.test/shop:1", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": PULL}}}]},
    "gated": {"phase": "Running", **ADDRESS, "conditions": [{"type": "Ready", "status": "False", "message": GATE}]},
    "homeless": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": HOMELESS}]},
}  # fmt: skip
MODEL = 'Failed build model due to ingress: field-reasons/shop: Service "echo-sew" not found'


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A node without a network, a pod on it, a claim that nothing binds, an Ingress that its controller gave up."""
    emptied(plane, SPACE)
    meta = {"namespace": SPACE}
    backend = {"service": {"name": "echo-sew", "port": {"number": 80}}}
    app = {"name": "app", "image": "registry.test/etcd:1"}
    plane.apply(
        *services(),
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
    for name, status in STATES.items():
        plane.patch(f"{CORE}/pods/{name}/status", {"status": status})
    event(plane, "Pod", "etcd-0", "FailedMount", MOUNT)
    event(plane, "Pod", "probed", "Unhealthy", PROBE)
    event(plane, "Ingress", "shop", "FailedBuildModel", MODEL)
    end = time.monotonic() + 60
    while not (has_event(plane, "FailedBinding") and failing(plane)):
        assert time.monotonic() < end, (plane.get(f"{CORE}/events"), failing(plane))
        time.sleep(0.2)
    yield plane
    for each in (f"{CORE}/pods", f"/api/v1/nodes/{NODE}", CORE):
        plane.delete(each)


def services() -> Iterator[Object]:
    """A service each of a pod whose probe fails, one without its image, one that waits for a gate, one without a node.

    And of a Deployment whose pods are refused, and of nothing.
    """
    meta = {"namespace": SPACE}
    app = {"name": "app", "image": "registry.test/shop:1", "ports": [{"containerPort": 80}]}
    for name in (*STATES, "refused", "mistyped"):
        ports = [{"port": 80}]
        yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **meta},
               "spec": {"selector": {"app": name}, "ports": ports}}  # fmt: skip
    for name in STATES:
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}, **meta},
               "spec": {"schedulerName": "nobody", "containers": [app]}}  # fmt: skip
    labels = {"app": "refused"}
    pod = {"priorityClassName": "nobody-made-it", "containers": [app]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "refused", **meta},
           "spec": {"selector": {"matchLabels": labels}, "template": template}}  # fmt: skip
    yield {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "probed", **meta},
           "spec": {"defaultBackend": {"service": {"name": "probed", "port": {"number": 80}}}}}  # fmt: skip


def has_event(plane: ControlPlane, reason: str) -> bool:
    return any(each["reason"] == reason for each in plane.get(f"{CORE}/events")["items"])


def failing(plane: ControlPlane) -> bool:
    """Whether the Deployment says why it has no pods."""
    found = plane.get(f"/apis/apps/v1/namespaces/{SPACE}/deployments/refused").get("status", {})
    return any(each["type"] == "ReplicaFailure" for each in found.get("conditions", ()))


def event(plane: ControlPlane, kind: str, name: str, reason: str, message: str) -> None:
    """As a kubelet or controller writes it, which do not run here."""
    plane.apply({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}-{reason.lower()}", "namespace": SPACE},
        "type": "Warning", "reason": reason, "message": message,
        "involvedObject": {"kind": kind, "name": name, "namespace": SPACE},
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    })  # fmt: skip


NEVER = 'Container image "error_pages:local" is not present with pull policy of Never'
RUN = 'exec: "/srv/shop": stat /srv/shop: no such file or directory'
BACKOFF = "back-off 5m0s restarting failed container=app pod=shop_field"


@pytest.mark.parametrize(
    ("reason", "message", "ended", "told"),
    [
        ("CrashLoopBackOff", BACKOFF, {"exitCode": 137, "reason": "OOMKilled", "message": "password=hunter2"},
         "app: CrashLoopBackOff: it ended with exit code 137 (OOMKilled); back-off 5m0s"),
        ("CrashLoopBackOff", BACKOFF, {"exitCode": 128, "reason": "StartError", "message": RUN},
         f"app: CrashLoopBackOff: StartError: {RUN}; back-off 5m0s"),
        ("ErrImageNeverPull", NEVER, None, f"app: ErrImageNeverPull: {NEVER}"),
        ("PostStartHookError", "command '/warm' exited with 7", None, "app: PostStartHookError: command '/warm'"),
    ],
    ids=["memory", "program", "never-pulled", "hook"],
)  # fmt: skip
def test_how_a_container_ended(
    reason: str, message: str, ended: Object | None, told: str, space: ControlPlane, tmp_path: Path
) -> None:
    """k8sgpt-ai/k8sgpt#792, kubernetes/kubernetes#10861, hystax/optscale#701: the reason stood in its last state alone.

    What a container wrote itself is not shown.
    """
    app = {"name": "app", "image": "registry.test/shop:1"}
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "crashed", "namespace": SPACE},
                 "spec": {"schedulerName": "nobody", "containers": [app]}})  # fmt: skip
    state = {**app, "imageID": "", "ready": False, "restartCount": 0,
             "state": {"waiting": {"reason": reason, "message": message}},
             **({"lastState": {"terminated": ended}} if ended else {})}  # fmt: skip
    space.patch(f"{CORE}/pods/crashed/status", {"status": {"phase": "Running", "containerStatuses": [state]}})
    found = kubernetes_pods.gather("c", context_for(tmp_path, SPACE, space), Deadline(60))
    space.delete(f"{CORE}/pods/crashed")
    said = outcomes(pods_are_in_order, found)
    assert told in said, said
    assert "hunter2" not in said


def _claims(context: Context) -> str:
    return outcomes(claims_are_bound, kubernetes_volumes.gather("c", context, Deadline(60)))


def _nodes(context: Context) -> str:
    found = kubernetes_nodes.gather("c", context, Deadline(60))
    mine = tuple(each for each in found.nodes if each.name == NODE)
    return outcomes(nodes_are_ready, dataclasses.replace(found, nodes=mine))


def _pods(context: Context) -> str:
    found = kubernetes_pods.gather("c", context, Deadline(60))
    return outcomes(pods_are_in_order, dataclasses.replace(found, asked_at=found.asked_at + 400))


def _services(context: Context) -> str:
    found = kubernetes_ingress.gather("c", context, Deadline(60))
    mine = tuple(each for each in found.ingresses if each.name == "probed")
    addressed = tuple(dataclasses.replace(each, addresses=("192.0.2.1",)) for each in mine)
    return outcomes(traffic_gets_in, dataclasses.replace(found, ingresses=addressed))


def _ingress(context: Context) -> str:
    return outcomes(traffic_gets_in, kubernetes_ingress.gather("c", context, Deadline(60)))


@pytest.mark.parametrize(("judge", "begins", "reason"), [
    # hashicorp/consul-helm#48, kubevious/helm#6: an event of the type Normal
    (_claims, "it is Pending", "no persistent volumes available for this claim and no storage class is set"),
    (_nodes, f"{NODE}: not ready", NETWORK),  # aws/karpenter-provider-aws#1391
    (_pods, "etcd-0: Pending for", MOUNT),  # clastix/kamaji#181, Consensys-Incorporated/quorum-kubernetes#240
    # kubernetes-sigs/aws-load-balancer-controller#1637, #2772
    (_ingress, "no ingress controller assigned an address", MODEL),
    # kubernetes/website#9014, KBVE/kbve#12574: users get 503, and the service has no endpoints
    (_services, "it has no ready endpoint: 1 of 1 selected pods are not ready: probed: ", PROBE),
    (_services, "service pulled: 0", f"app: ImagePullBackOff: {PULL}"),
    (_services, "service gated: 0", GATE),
    (_services, "service homeless: 0", HOMELESS),
    (_services, "service refused: 0", "the selected deployment/refused has no pods: pods "),
    (_services, "service mistyped: 0", "its selector app=mistyped matches no pod"),
], ids=["claim", "node", "pod", "ingress", "probe", "image", "gate", "nodes", "refused", "selector"])  # fmt: skip
def test_the_reason_is_quoted(
    judge: Callable[[Context], str], begins: str, reason: str, space: ControlPlane, tmp_path: Path
) -> None:
    context = context_for(tmp_path, SPACE, space)
    told = judge(context)
    context.close()
    assert told.startswith("failed: "), told
    assert begins in told
    assert told.count(reason) == 1, told
