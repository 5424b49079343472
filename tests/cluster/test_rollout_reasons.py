"""Why a rollout stands: what conditions and events of the real control plane say of it, once, the gravest first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.waiting import wait_until_ready
from pytest_prodcheck.evidence.kubernetes.rollouts import kubernetes_rollout
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.namespaces import context_for, emptied

Object = dict[str, Any]
SPACE = "reasons"
EVENTS = f"/api/v1/namespaces/{SPACE}/events"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def web(kind: str, **specification: Any) -> Object:
    made = shop.workload(kind, "web")
    made["metadata"]["namespace"] = SPACE
    pod = made["spec"]["template"]["spec"]
    pod |= specification
    pod["containers"] = [{**shop.container(), "envFrom": [], "env": []}]
    return made


def _root(kind: str) -> Object:
    made = web(kind)
    made["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {}
    return made


def _wait(there: Callable[[], Any]) -> Any:
    end = time.monotonic() + 120
    while not (found := there()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)
    return found


def _warned(plane: ControlPlane, reason: str) -> list[Object]:
    return [each for each in plane.get(EVENTS)["items"] if each["reason"] == reason]


def reasons_of(kind: str, plane: ControlPlane, folder: Path) -> tuple[str, ...]:
    service = f'[environments.c.services.web]\nurl = "http://127.0.0.1:9"\nworkload = "{kind.lower()}/web"\n'
    context = context_for(folder, SPACE, plane, service)
    why: tuple[str, ...] = kubernetes_rollout.gather("web", context, Deadline(20)).why
    return why


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_pods_that_cannot_be_made(kind: str, bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    """A StatefulSet has no condition for it: events alone say why."""
    emptied(plane, SPACE, **RESTRICTED)
    plane.apply(_root(kind))
    _wait(lambda: _warned(plane, "FailedCreate"))
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/web"
    _wait(lambda: kind != "Deployment" or "ReplicaFailure" in str(plane.get(path).get("status")))
    (why,) = reasons_of(kind, plane, tmp_path)
    assert "violates PodSecurity" in why


def test_pods_without_a_place(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    emptied(plane, SPACE)
    plane.apply(web("Deployment", nodeSelector={"disk": "none"}))
    _wait(lambda: len(_warned(plane, "FailedScheduling")) == 2)
    (why,) = reasons_of("Deployment", plane, tmp_path)
    assert "didn't match Pod's node affinity/selector" in why


def test_what_a_kubelet_says(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    """A pod that is not ready, and the event that its kubelet would write; one of an hour ago says nothing any more."""
    emptied(plane, SPACE)
    plane.apply(web("StatefulSet"))
    pod = _wait(lambda: [each for each in plane.get(PODS)["items"] if each["status"].get("containerStatuses")])[0]
    name = pod["metadata"]["name"]
    unready = {"type": "Ready", "status": "False"}
    image = {**pod["status"]["containerStatuses"][0], "ready": False, "state": {"waiting": {
        "reason": "ImagePullBackOff", "message": "Back-off pulling image x: not found"}}}  # fmt: skip
    plane.patch(f"{PODS}/{name}/status", {"status": {"conditions": [unready], "containerStatuses": [image]}})
    _wait(lambda: plane.get(f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/web")["status"].get("readyReplicas", 0) < 2)
    for number, (age, said) in enumerate(((0, "probe failed: statuscode: 503"), (7200, "an old one"))):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
        event = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{number}", "namespace": SPACE},
            "involvedObject": {"kind": "Pod", "name": name, "namespace": SPACE}, "type": "Warning",
            "reason": "Unhealthy", "message": f"Readiness {said}", "firstTimestamp": when, "lastTimestamp": when,
        }  # fmt: skip
        assert plane.ask("POST", EVENTS, event)[0] == 201
    first, second = reasons_of("StatefulSet", plane, tmp_path)
    assert first == "app: ImagePullBackOff: Back-off pulling image x: not found"
    assert second == "Readiness probe failed: statuscode: 503"


def test_a_rollout_that_is_under_way_is_waited_for(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    """Each pass lists the pods anew, and so does what is gathered after it."""
    emptied(plane, SPACE)
    plane.apply(web("Deployment", nodeSelector={"later": "yes"}))
    _wait(lambda: len(_warned(plane, "FailedScheduling")) == 2)
    service = '[environments.c.services.web]\nurl = "http://127.0.0.1:9"\nworkload = "deployment/web"\n'
    context, node = context_for(tmp_path, SPACE, plane, service), "/api/v1/nodes/node-1"
    told: list[bool] = []
    comes = threading.Timer(1.5, lambda: plane.patch(node, {"metadata": {"labels": {"later": "yes"}}}))
    comes.start()
    try:
        found = wait_until_ready([(kubernetes_rollout, "web")], context, 60, lambda waited: told.append(waited.ready))
    finally:
        comes.join()
        plane.patch(node, {"metadata": {"labels": {"later": None}}})
    assert (found.ready, told[0]) == (True, False), found
    after = kubernetes_rollout.gather("web", context, Deadline(20))
    assert [each.ready for each in after.pods] == [True, True]
