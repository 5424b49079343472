"""Workloads that the API server takes and whose pods it refuses: the dry run of their pods says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.dry_run import kubernetes_manifests
from pytest_prodcheck.evidence.kubernetes.template_pods import filled_in_later, refuses_rollout
from tests.cluster import shop
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.namespaces import context_for, emptied, files

Object = dict[str, Any]
SPACE = "templates"
COUNTED = f"/api/v1/namespaces/{SPACE}/resourcequotas/room"
_HERE = {"namespace": SPACE}
_RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", **_HERE},
          "spec": {"limits": [{"type": "Container", "max": {"memory": "128Mi"}}]}}  # fmt: skip
_MUST = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", **_HERE},
         "spec": {"hard": {"limits.cpu": "20"}}}  # fmt: skip
_FULL = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", **_HERE},
         "spec": {"hard": {"pods": "0"}}}  # fmt: skip
_CLASS = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "absent"}, "value": 7}


def workload(kind: str = "Deployment", **specification: Any) -> Object:
    made = shop.workload(kind, "web")
    made["metadata"]["namespace"] = SPACE
    made["spec"]["template"]["spec"] |= specification
    return made


def _root() -> Object:
    made = workload()
    del made["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    return made


def _claiming() -> Object:
    made = workload("StatefulSet")
    made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    made["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    return made


@pytest.mark.parametrize(
    ("there", "labels", "applied", "words"),
    [
        (None, {"pod-security.kubernetes.io/enforce": "restricted"}, [_root()], "violates PodSecurity"),
        (None, {}, [workload(priorityClassName="absent")], "no PriorityClass"),
        (_RANGE, {}, [workload()], "maximum memory usage per Container is 128Mi"),
        (_MUST, {}, [workload()], "must specify limits.cpu"),
        (None, {}, [workload()], ""),
        (None, {}, [_claiming()], ""),
        (None, {}, [_CLASS, workload(priorityClassName="absent")], ""),
        (_FULL, {}, [workload()], ""),
    ],
    ids=["pod-security", "priority", "range", "must-specify", "good", "claims", "class-in-the-files", "quota-s-check"],
)
def test_pods_of_templates(
    there: Object | None, labels: dict[str, str], applied: list[Object], words: str,
    bench: Bench, plane: ControlPlane, tmp_path: Path,
) -> None:  # fmt: skip
    emptied(plane, SPACE, **labels)
    if there:
        plane.apply(there)
    end = time.monotonic() + 120
    while there in (_MUST, _FULL) and "used" not in plane.get(COUNTED).get("status", {}):
        assert time.monotonic() < end
        time.sleep(0.1)
    context = files(context_for(tmp_path, SPACE, plane), *applied)
    found = kubernetes_manifests.gather(SPACE, context, Deadline(20)).manifests
    refused = [(each.name, each.said) for each in found if not each.accepted]
    if not words:
        assert refused == []
        return
    ((name, said),) = refused
    assert name.endswith("its pods")
    assert words in said


@pytest.mark.parametrize(
    ("version", "said", "counted"),
    [
        ("apps/v1", 'Pod "web-x" is invalid: spec.containers[0].name: Required value', True),
        ("serving.knative.dev/v1", 'Pod "web-x" is invalid: spec.containers[0].name: Required value', False),
        ("serving.knative.dev/v1", 'pods "web-x" is forbidden: violates PodSecurity "baseline:latest": x', True),
        ("apps/v1", 'pods "web-x" is forbidden: exceeded quota: room', False),
        ("apps/v1", 'pods "web-x" is forbidden: failed quota: room: must specify limits.cpu', True),
        ("apps/v1", 'pods "web-x" is forbidden: pod rejected: RuntimeClass "gvisor" not found', False),
        ("apps/v1", 'pods "web-x" is forbidden: pod rejected: RuntimeClass "kata" not found', True),
    ],
)
def test_which_refusals_hold_for_the_rollout(version: str, said: str, counted: bool) -> None:
    there = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}}
    later = filled_in_later(said, {"apiVersion": version, "kind": "Any"})
    assert (refuses_rollout(said, [there]) and not later) is counted
