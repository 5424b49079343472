"""From the API's JSON to records: quantities, times, pods, workloads, nodes."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from typing import Any

from pytest_prodcheck.evidence.kubernetes.lost_replicas import scaled_by
from pytest_prodcheck.evidence.kubernetes.node_lifecycle import is_spot, is_virtual, leaving_reason
from pytest_prodcheck.evidence.kubernetes.objects import Object, quantity, rows, table
from pytest_prodcheck.evidence.kubernetes.pod_affinity import host_ports, required_terms
from pytest_prodcheck.evidence.kubernetes.pod_risks import baseline_violations, restricted_violations
from pytest_prodcheck.evidence.kubernetes.pod_security import LATEST
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts, with_allocated
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.kubernetes import Container, Node, Pod, Workload

PRESSURES = (
    "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable",
    # of node-problem-detector and of AKS, which leave a node Ready
    "KernelDeadlock", "ReadonlyFilesystem", "XfsShutdown", "CorruptDockerOverlay2", "FrequentKubeletRestart",
    "FrequentDockerRestart", "FrequentContainerdRestart", "FrequentUnregisterNetDevice", "KubeletUnhealthy",
    "ContainerRuntimeUnhealthy", "CperHardwareErrorFatal", "FilesystemCorruptionProblem", "KubeletProblem",
    "ContainerRuntimeProblem",
)  # fmt: skip
_PLAIN = ("cpu", "memory", "pods")
_NEVER_BEGAN = ("StartError", "ContainerCannotRun")
_POD_LABELS = ("pod-template-hash", "controller-revision-hash")


def epoch_seconds(value: object) -> float:
    """Epoch seconds of an RFC 3339 time; raises ValueError."""
    return datetime.datetime.fromisoformat(str(value)).timestamp()


def conditions(item: Object) -> dict[str, Object]:
    """An object's conditions by type."""
    return {str(each.get("type")): each for each in rows(item, "status", "conditions")}


def controller(item: Object) -> tuple[str, str]:
    """Workload ("deployment/shop") and version hash of a pod."""
    metadata = table(item, "metadata")
    labels = table(metadata, "labels")
    version = next((str(labels[name]) for name in _POD_LABELS if name in labels), "")
    owner = next((each for each in rows(metadata, "ownerReferences") if each.get("controller")), None)
    if owner is None:
        return f"pod/{metadata.get('name', '')}", version
    kind, name = str(owner.get("kind", "")).lower(), str(owner.get("name", ""))
    if kind == "replicaset" and version and name.endswith(f"-{version}"):
        return f"deployment/{name.removesuffix(f'-{version}')}", version
    return f"{kind}/{name}", version


def pod(item: Object, minor: int = LATEST) -> Pod:
    """One pod of a list; minor: the version of the Pod Security Standards that it is measured by."""
    specification = table(item, "spec")
    asked = {
        str(each.get("name")): (str(each.get("image", "")), _starts_again(each, kind, specification))
        for kind in ("initContainers", "containers")
        for each in rows(specification, kind)
    }
    told = conditions(item)
    scheduled, ready = told.get("PodScheduled", {}), told.get("Ready", {})
    since = ready.get("lastTransitionTime")
    return dataclasses.replace(
        pod_footprint(item),
        unscheduled=str(scheduled.get("message", "")) if scheduled.get("status") == "False" else "",
        unready=str(ready.get("message") or "") if ready.get("status") == "False" else "",
        unready_since=epoch_seconds(since) if since and ready.get("status") == "False" else None,
        containers=tuple(
            _container(each, *asked.get(str(each.get("name")), ("", True)), init=name == "initContainerStatuses")
            for name in ("initContainerStatuses", "containerStatuses")
            for each in rows(item, "status", name)
        ),
        claims=tuple(
            str(table(each, "persistentVolumeClaim").get("claimName", ""))
            for each in rows(specification, "volumes")
            if "persistentVolumeClaim" in each
        ),
        grave=tuple(baseline_violations(item, minor)),
        slight=tuple(restricted_violations(item, minor)),
    )


def pod_footprint(item: Object) -> Pod:
    """A pod as far as it takes up room on its node."""
    metadata, specification, status = table(item, "metadata"), table(item, "spec"), table(item, "status")
    workload, version = controller(item)
    needs = resource_amounts(with_allocated(item), "requests")
    told = status.get("conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in told)
    leaves = metadata.get("deletionTimestamp")
    return Pod(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        workload=workload,
        hash=version,
        phase=str(status.get("phase", "Unknown")),
        reason=str(status.get("reason", "")),
        node=str(specification.get("nodeName") or ""),
        created_at=epoch_seconds(metadata.get("creationTimestamp")),
        deleting=leaves is not None,
        ends_at=epoch_seconds(leaves) if leaves is not None else None,
        ready=ready,
        unscheduled="",
        containers=(),
        cpu=needs.get("cpu", 0.0),
        memory=int(needs.get("memory", 0)),
        daemon=workload.startswith(("daemonset/", "node/")),
        gated=bool(specification.get("schedulingGates")),
        labels=_shared(tuple(labels_of(item).items())),
        extended=_shared(tuple((name, value) for name, value in needs.items() if name not in _PLAIN and value)),
        ports=_shared(host_ports(specification)),
        apart=required_terms(specification, "podAntiAffinity", labels_of(item)),
        priority=int(specification.get("priority") or 0),
        priority_class=str(specification.get("priorityClassName") or ""),
        preempts=specification.get("preemptionPolicy") != "Never",
    )


@functools.lru_cache(4096)
def _shared(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """One of each: thousands of pods have the same labels."""
    return value


def _starts_again(container: Object, kind: str, pod: Object) -> bool:
    """Whether one that ends well is started again: one of an application, a sidecar; no init container, no step.

    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    usual = "OnFailure" if kind == "initContainers" else pod.get("restartPolicy")
    return (container.get("restartPolicy") or usual or "Always") == "Always"


def _container(status: Object, asked: str, starts_again: bool, init: bool) -> Container:
    ended = table(status, "state", "terminated") or table(status, "lastState", "terminated")
    digest = re.search(r"@(sha256:[0-9a-f]{64})", str(status.get("imageID", "")))  # without "@" it is an image's id
    return Container(
        name=str(status.get("name", "")),
        image=asked or str(status.get("image", "")),
        digest=digest[1] if digest else "",
        ready=bool(status.get("ready")),
        restarts=int(status.get("restartCount") or 0),
        waiting=str(table(status, "state", "waiting").get("reason") or ""),
        ended=str(ended.get("reason") or ""),
        ended_at=epoch_seconds(ended["finishedAt"]) if ended.get("finishedAt") else None,
        began_at=epoch_seconds(ended["startedAt"]) if ended.get("startedAt") else None,
        init=init,
        done=not starts_again and table(status, "state", "terminated").get("exitCode") == 0,
        why="; ".join(filter(None, (_last_end(ended), str(table(status, "state", "waiting").get("message") or "")))),
    )


def _last_end(ended: Object) -> str:
    """How a container ended last; what the runtime says of one that could not begin, never what the container wrote."""
    code, reason = ended.get("exitCode"), str(ended.get("reason") or "")
    if reason in _NEVER_BEGAN:
        return plain(f"{reason}: {ended.get('message') or ''}", 300)
    return f"it ended with exit code {code} ({reason})" if code else ""


def workload(item: Object, kind: str, version: str, asleep: str = "") -> Workload:
    """A Deployment, StatefulSet or DaemonSet (kind in lower case); version: the hash of its current pods.

    asleep: who scaled it to zero.
    """
    metadata, specification, status = table(item, "metadata"), table(item, "spec"), table(item, "status")
    daemons = kind == "daemonset"
    going = conditions(item).get("Progressing", {})
    failing = conditions(item).get("ReplicaFailure", {})
    done = going.get("reason") == "NewReplicaSetAvailable" and going.get("lastUpdateTime")
    stuck = going.get("reason") == "ProgressDeadlineExceeded" or going.get("status") == "False"
    return Workload(
        name=f"{kind}/{metadata.get('name', '')}",
        replicas=_count(status, "desiredNumberScheduled") if daemons else int(specification.get("replicas", 1)),
        generation=int(metadata.get("generation") or 0),
        observed=_count(status, "observedGeneration"),
        updated=_count(status, "updatedNumberScheduled" if daemons else "updatedReplicas"),
        ready=_count(status, "numberReady" if daemons else "readyReplicas"),
        available=_count(status, "numberAvailable" if daemons else "availableReplicas"),
        hash=version,
        paused=bool(specification.get("paused")),
        failure=str(failing.get("message") or "") if failing.get("status") == "True" else "",
        completed_at=epoch_seconds(going["lastUpdateTime"]) if done else _completed_set(item, kind),
        stuck=str(going.get("message") or going.get("reason")) if stuck else "",
        asleep=asleep,
        leaving="deletionTimestamp" in metadata,
        held=_held(specification) if kind == "statefulset" else 0,
    )


def _completed_set(item: Object, kind: str) -> float | None:
    """0 for a StatefulSet whose newest version was whole and which was scaled by itself, else None.

    Its controller sets `currentRevision` only when all pods are updated and ready.
    """
    now, wanted = (table(item, "status").get(name) for name in ("currentRevision", "updateRevision"))
    return 0.0 if kind == "statefulset" and now and now == wanted and scaled_by(item) else None


def _held(specification: Object) -> int:
    """How many pods a StatefulSet's partition keeps as they are, counted as its controller and kubectl do.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#partitions
    """
    rolling = table(specification, "updateStrategy", "rollingUpdate")
    return min(int(rolling.get("partition") or 0), int(specification.get("replicas", 1)))


def node(item: Object) -> Node:
    """One node of a list."""
    told, room = conditions(item), table(item, "status", "allocatable")
    ready = told.get("Ready", {})
    return Node(
        name=str(table(item, "metadata").get("name", "")),
        ready=ready.get("status") == "True",
        pressures=tuple(name for name in PRESSURES if told.get(name, {}).get("status") == "True"),
        cordoned=bool(table(item, "spec").get("unschedulable")),
        cpu=quantity(room.get("cpu", 0)),
        memory=int(quantity(room.get("memory", 0))),
        pods=int(quantity(room.get("pods", 0))),
        labels={str(key): str(value) for key, value in table(item, "metadata", "labels").items()},
        taints=tuple(
            (str(each.get("key", "")), str(each.get("value", "")), str(each.get("effect", "")))
            for each in rows(item, "spec", "taints")
        ),
        joined_at=_optional_epoch_seconds(table(item, "metadata").get("creationTimestamp")),
        changed_at=_optional_epoch_seconds(ready.get("lastTransitionTime")),
        leaving=leaving_reason(item),
        spot=is_spot(item),
        virtual=is_virtual(item),
        extended={name: quantity(value) for name, value in room.items() if name not in _PLAIN},
        why="" if ready.get("status") == "True" else plain(str(ready.get("message") or ready.get("reason") or ""), 300),
    )


def _optional_epoch_seconds(value: object) -> float:
    return epoch_seconds(value) if value else 0.0


def _count(status: Object, name: str) -> int:
    return int(status.get(name) or 0)
