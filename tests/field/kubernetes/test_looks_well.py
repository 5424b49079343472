"""Objects whose phase or Ready condition is as it should be, while something else says that they are not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.cluster import kubernetes_nodes
from pytest_prodcheck.evidence.kubernetes.ingresses import kubernetes_ingress
from pytest_prodcheck.evidence.kubernetes.namespace_objects import kubernetes_volumes
from pytest_prodcheck.evidence.kubernetes.rollouts import kubernetes_rollout
from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
from suites.pre_deploy.test_kubernetes import test_claims_are_bound as claims_are_bound
from suites.pre_deploy.test_kubernetes import test_nodes_are_ready as nodes_are_ready
from suites.pre_deploy.test_kubernetes import test_pods_are_in_order as pods_are_in_order
from suites.pre_deploy.test_kubernetes import test_traffic_gets_in as traffic_gets_in
from suites.smoke.test_kubernetes import test_the_rollout_is_done as the_rollout_is_done
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes

Object = dict[str, Any]
SPACE, NODE = "field-looks-well", "field-looks-well"
CORE, APPS = f"/api/v1/namespaces/{SPACE}", f"/apis/apps/v1/namespaces/{SPACE}"
META = {"namespace": SPACE}
SERVICE = '[environments.c.services.web]\nurl = "http://127.0.0.1:9"\nworkload = "deployment/web"\n'
POOL = 'Failed to allocate IP for "field-looks-well/web": no available IPs'
FULL = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    emptied(plane, SPACE)
    yield plane
    plane.delete(f"/api/v1/nodes/{NODE}")
    held = (f"{CORE}/persistentvolumeclaims/data", f"{CORE}/persistentvolumeclaims/logs", f"{APPS}/deployments/web")
    for each in held:  # those that the tests of this run made
        plane.ask("PATCH", each, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    plane.delete(CORE)


@pytest.fixture
def given(space: ControlPlane, tmp_path: Path) -> Context:
    return context_for(tmp_path, SPACE, space, SERVICE)


def test_a_claim_that_is_being_deleted(space: ControlPlane, given: Context) -> None:
    """runwhen-local#226, gluster-csi-driver#62: kubectl says Terminating, its phase is Bound; its data goes."""
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    for name in ("data", "logs"):
        space.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
            "name": name, "finalizers": ["test.example/held"], **META}, "spec": claim})  # fmt: skip
        bound: Object = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
        if name == "logs":  # kubeblocks#5711, democratic-csi#558
            bound["conditions"] = [{"type": "FileSystemResizePending", "status": "True", "message": FULL}]
        space.patch(f"{CORE}/persistentvolumeclaims/{name}/status", {"status": bound})
    before = outcomes(claims_are_bound, kubernetes_volumes.gather("c", given, Deadline(30)))
    assert before.startswith("warned: ")
    assert FULL in before
    space.delete(f"{CORE}/persistentvolumeclaims/data")
    fresh = context_for(given.root, SPACE, space, SERVICE)
    found = outcomes(claims_are_bound, kubernetes_volumes.gather("c", fresh, Deadline(30)))
    assert found.startswith("failed: ")
    assert "data: it is being deleted: its data goes with the last pod that uses it" in found


def test_a_read_only_node_that_is_ready(space: ControlPlane, given: Context) -> None:
    """kubernetes#99126, #101655, node-problem-detector#1071: pods are placed there and do not start."""
    space.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    told = [{"type": "Ready", "status": "True"}, {"type": "ReadonlyFilesystem", "status": "False"}]
    for status, expected in (("False", ""), ("True", f"{NODE}: ReadonlyFilesystem")):
        told[1]["status"] = status
        space.patch(f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": told}})
        fresh = context_for(given.root, SPACE, space, SERVICE)
        found = outcomes(nodes_are_ready, kubernetes_nodes.gather("c", fresh, Deadline(30)))
        assert (expected in found) if expected else (NODE not in found)


def test_a_load_balancer_without_an_address(space: ControlPlane, given: Context) -> None:
    """kubernetes#23562, cloudstack#7431, hcloud-cloud-controller-manager#78: EXTERNAL-IP is <pending>."""
    space.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", **META},
                 "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})  # fmt: skip
    found = outcomes(traffic_gets_in, kubernetes_ingress.gather("c", given, Deadline(30)))
    assert "web: no load balancer was assigned" in found
    space.apply({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "web-allocation", **META}, "type": "Warning",
        "reason": "AllocationFailed", "message": POOL,
        "involvedObject": {"kind": "Service", "name": "web", "namespace": SPACE},
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    })  # fmt: skip
    fresh = context_for(given.root, SPACE, space, SERVICE)
    found = outcomes(traffic_gets_in, kubernetes_ingress.gather("c", fresh, Deadline(30)))
    assert found.startswith("failed: ")
    assert POOL in found
    address = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    space.patch(f"{CORE}/services/web/status", address)
    fresh = context_for(given.root, SPACE, space, SERVICE)
    assert "load balancer" not in outcomes(traffic_gets_in, kubernetes_ingress.gather("c", fresh, Deadline(30)))


def test_a_workload_that_is_being_deleted(space: ControlPlane, given: Context) -> None:
    """kubernetes#115570, #77081: a finalizer holds it, and its pods run for the moment."""
    labels = {"app": "web"}
    pod = {"containers": [{"name": "app", "image": "registry.test/web:1"}]}
    space.apply({"apiVersion": "apps/v1", "kind": "Deployment",
                 "metadata": {"name": "web", "finalizers": ["test.example/held"], **META},
                 "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                          "template": {"metadata": {"labels": labels}, "spec": pod}}})  # fmt: skip
    before = outcomes(the_rollout_is_done, kubernetes_rollout.gather("web", given, Deadline(30)))
    assert "it is being deleted" not in before
    space.delete(f"{APPS}/deployments/web")
    fresh = context_for(given.root, SPACE, space, SERVICE)
    found = outcomes(the_rollout_is_done, kubernetes_rollout.gather("web", fresh, Deadline(30)))
    assert found.startswith("failed: ")
    assert "web: it is being deleted" in found


def before(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def ran(begun: float, ended: float, **more: Any) -> Object:
    told = {"exitCode": 1, "reason": "Error", "startedAt": before(begun), "finishedAt": before(ended)}
    return {"terminated": {**told, **more}}


def container(state: Object, restarts: int = 0, last: Object | None = None, name: str = "app") -> Object:
    return {"name": name, "image": "registry.test/web:1", "imageID": "", "ready": "running" in state, "state": state,
            "restartCount": restarts, "lastState": last or {}}  # fmt: skip


APP = {"name": "app", "image": "registry.test/web:1"}


def running() -> Object:
    return {"running": {"startedAt": before(60)}}


UNREADY = "containers with unready status: [app]"


@pytest.mark.parametrize(("restarts", "last", "unready", "said"), [
    (0, None, None, ""),
    (0, None, 200.0, ""),
    # kubernetes-mixin#850
    (0, None, 400.0, UNREADY),
    # vtmocanu/uzi#145, dokku/dokku#3857: it runs, and is ready, between two crashes
    (9, (150, 90), None, "restarted 9 times, without 10 minutes between: it ended with exit code 1 (Error)"),
    (2, (150, 90), None, ""),
    (9, (9000, 90), None, ""),
    (9, (9000, 8940), None, ""),
], ids=["good", "a-moment", "unready", "looping", "starting", "one-crash", "long-ago"])  # fmt: skip
def test_a_pod_that_is_running(
    restarts: int, last: tuple[float, float] | None, unready: float | None, said: str,
    space: ControlPlane, given: Context,
) -> None:  # fmt: skip
    space.delete(f"{CORE}/pods/worker?gracePeriodSeconds=0")
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker", **META},
                 "spec": {"schedulerName": "nobody", "containers": [APP]}})  # fmt: skip
    ready: Object = {"type": "Ready", "status": "True" if unready is None else "False"}
    ready |= {} if unready is None else {"lastTransitionTime": before(unready), "message": UNREADY}
    crashed = None if last is None else ran(*last)
    status = {"phase": "Running", "conditions": [ready], "containerStatuses": [container(running(), restarts, crashed)]}
    space.patch(f"{CORE}/pods/worker/status", {"status": status})
    found = outcomes(pods_are_in_order, kubernetes_pods.gather("c", given, Deadline(30)))
    assert said in found if said else "worker" not in found
    assert found.startswith("failed") or not said


def test_a_workload_without_pods(space: ControlPlane, given: Context) -> None:
    """kubernetes-mixin#844, kubernetes/kubernetes#96634, SREGym#880: other pods run, and no service selects these."""
    labels = {"app": "queue"}
    pod = {"priorityClassName": "nobody-made-it", "containers": [APP]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    for kind, name in (("Deployment", "queue"), ("StatefulSet", "shards")):
        space.apply({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, **META},
                     "spec": {"selector": {"matchLabels": labels}, "template": template}})  # fmt: skip
    end = time.monotonic() + 60
    while True:
        fresh = context_for(given.root, SPACE, space, SERVICE)
        refused = dict(kubernetes_pods.gather("c", fresh, Deadline(30)).refused)
        if {"deployment/queue", "statefulset/shards"} <= refused.keys():
            break
        assert time.monotonic() < end, refused
        time.sleep(0.2)
    assert all("no PriorityClass with name nobody-made-it" in each for each in refused.values())
    found = outcomes(pods_are_in_order, kubernetes_pods.gather("c", fresh, Deadline(30)))
    assert found.startswith("failed: ")
    space.patch(f"{APPS}/deployments/queue", {"spec": {"replicas": 0}})
    space.delete(f"{APPS}/statefulsets/shards")


def test_an_init_container_that_succeeded_at_last(space: ControlPlane, given: Context) -> None:
    """Its newest end counts, not the one before: the pod runs, and nothing is to be told of it."""
    space.delete(f"{CORE}/pods/migrated?gracePeriodSeconds=0")
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "migrated", **META},
                 "spec": {"schedulerName": "nobody", "containers": [APP],
                          "initContainers": [{**APP, "name": "wait"}]}})  # fmt: skip
    done = container(ran(50, 40, exitCode=0, reason="Completed"), 2, ran(90, 80), "wait")
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
              "initContainerStatuses": [done], "containerStatuses": [container(running())]}  # fmt: skip
    space.patch(f"{CORE}/pods/migrated/status", {"status": status})
    pods = kubernetes_pods.gather("c", given, Deadline(30)).pods
    (told,) = [each for pod in pods if pod.name == "migrated" for each in pod.containers if each.init]
    assert (told.ended, told.why) == ("Completed", "")


@pytest.mark.parametrize(("instances", "outcome"), [
    ({"primary": "True"}, "warned"), ({"primary": "True", "": "False"}, "failed"), ({"primary": "False"}, "failed"),
])  # fmt: skip
def test_a_service_for_replicas(
    instances: dict[str, str], outcome: str, space: ControlPlane, given: Context
) -> None:
    """percona/percona-postgresql-operator#1726, zalando/postgres-operator#2687: one instance has none; two have one."""
    name = f"db{len(instances)}{instances['primary'].lower()}"
    selector = {"cluster": name, "role": "replica"}
    space.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{name}-ro", **META},
                 "spec": {"selector": selector, "ports": [{"port": 5432}]}})  # fmt: skip
    for number, (role, ready) in enumerate(instances.items()):
        labels = {"cluster": name} | ({"role": role} if role else {})
        metadata = {"name": f"{name}-{number}", "labels": labels, **META}
        space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                     "spec": {"schedulerName": "nobody", "containers": [APP]}})  # fmt: skip
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        space.patch(f"{CORE}/pods/{name}-{number}/status", {"status": status})
    found = kubernetes_ingress.gather("c", given, Deadline(30))
    mine = [each for each in found.services if each[0] == f"{name}-ro"]
    alone = tuple(each for each in found.alone if each == f"{name}-ro")
    only = replace(found, services=tuple(mine), alone=alone, without_address=())
    assert outcomes(traffic_gets_in, only).startswith(outcome)
