"""From the API's JSON to records: quantities, times, pods, workloads, nodes."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

from pytest_prodcheck.records.kubernetes import Container, Node, Pod, Workload

Object = dict[str, Any]
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)\Z")
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_POD_LABELS = ("pod-template-hash", "controller-revision-hash")


def quantity(value: object) -> float:
    """The number of a quantity such as "250m", "1Gi", 2; raises ValueError."""
    found = _QUANTITY.match(str(value))
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"{value!r} is no quantity")
    return float(found[1]) * _SUFFIXES[found[2]]


def moment(value: object) -> float:
    """Epoch seconds of an RFC 3339 time; raises ValueError."""
    return datetime.datetime.fromisoformat(str(value)).timestamp()


def table(item: object, *names: str) -> Object:
    """A table within an object, {} where there is none."""
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    return item if isinstance(item, dict) else {}


def rows(item: object, *names: str) -> list[Object]:
    """A list of tables within an object, [] where there is none."""
    found = table(item, *names[:-1]).get(names[-1])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def conditions(item: Object) -> dict[str, Object]:
    """An object's conditions by type."""
    return {str(each.get("type")): each for each in rows(item, "status", "conditions")}


def requests(specification: Object) -> tuple[float, int]:
    """Cores and bytes that a pod's specification asks for, as the scheduler counts them (init containers, overhead)."""
    total = {"cpu": 0.0, "memory": 0.0}
    sidecars = {"cpu": 0.0, "memory": 0.0}
    highest = {"cpu": 0.0, "memory": 0.0}
    for each in rows(specification, "containers"):
        for name in total:
            total[name] += quantity(table(each, "resources", "requests").get(name, 0))
    for each in rows(specification, "initContainers"):
        always = each.get("restartPolicy") == "Always"
        for name in total:
            asked = quantity(table(each, "resources", "requests").get(name, 0))
            if always:
                sidecars[name] += asked
            highest[name] = max(highest[name], sidecars[name] + (0 if always else asked))
    for name in total:
        total[name] = max(total[name] + sidecars[name], highest[name])
        total[name] += quantity(table(specification, "overhead").get(name, 0))
    return total["cpu"], int(total["memory"])


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


def pod(item: Object) -> Pod:
    """One pod of a list."""
    metadata, specification, status = table(item, "metadata"), table(item, "spec"), table(item, "status")
    workload, version = controller(item)
    told = conditions(item)
    scheduled = told.get("PodScheduled", {})
    cpu, memory = requests(specification)
    return Pod(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        workload=workload,
        hash=version,
        phase=str(status.get("phase", "Unknown")),
        reason=str(status.get("reason", "")),
        node=str(specification.get("nodeName") or ""),
        created_at=moment(metadata.get("creationTimestamp")),
        deleting="deletionTimestamp" in metadata,
        ready=told.get("Ready", {}).get("status") == "True",
        unscheduled=str(scheduled.get("message", "")) if scheduled.get("status") == "False" else "",
        containers=tuple(
            _container(each, init=name == "initContainerStatuses")
            for name in ("initContainerStatuses", "containerStatuses")
            for each in rows(status, name)
        ),
        cpu=cpu,
        memory=memory,
        daemon=workload.startswith(("daemonset/", "node/")),
        claims=tuple(
            str(table(each, "persistentVolumeClaim").get("claimName", ""))
            for each in rows(specification, "volumes")
            if "persistentVolumeClaim" in each
        ),
        risks=tuple(risks(specification)),
    )


def _container(status: Object, init: bool) -> Container:
    ended = table(status, "lastState", "terminated") or table(status, "state", "terminated")
    digest = re.search(r"sha256:[0-9a-f]{64}", str(status.get("imageID", "")))
    return Container(
        name=str(status.get("name", "")),
        image=str(status.get("image", "")),
        digest=digest[0] if digest else "",
        ready=bool(status.get("ready")),
        restarts=int(status.get("restartCount") or 0),
        waiting=str(table(status, "state", "waiting").get("reason") or ""),
        ended=str(ended.get("reason") or ""),
        ended_at=moment(ended["finishedAt"]) if ended.get("finishedAt") else None,
        init=init,
    )


def risks(specification: Object) -> Iterable[str]:
    """What a pod may do to its node: https://kubernetes.io/docs/concepts/security/pod-security-standards/ ."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if specification.get(name):
            yield name
    for volume in rows(specification, "volumes"):
        if "hostPath" in volume:
            yield f"hostPath {table(volume, 'hostPath').get('path', '')}"
    whole = table(specification, "securityContext")
    for each in (*rows(specification, "initContainers"), *rows(specification, "containers")):
        own = table(each, "securityContext")
        where = f"container {each.get('name', '')}"
        if own.get("privileged"):
            yield f"{where}: privileged"
        if own.get("allowPrivilegeEscalation", True) is not False and not own.get("privileged"):
            yield f"{where}: may gain privileges"
        user = own.get("runAsUser", whole.get("runAsUser"))
        if user == 0 or (user is None and not own.get("runAsNonRoot", whole.get("runAsNonRoot"))):
            yield f"{where}: may run as root"
        added = table(own, "capabilities").get("add") or []
        if extra := sorted({str(name) for name in added} - {"NET_BIND_SERVICE"}):
            yield f"{where}: capabilities {', '.join(extra)}"


def workload(item: Object, kind: str, version: str) -> Workload:
    """A Deployment, StatefulSet or DaemonSet (kind in lower case); version: the hash of its current pods."""
    metadata, specification, status = table(item, "metadata"), table(item, "spec"), table(item, "status")
    daemons = kind == "daemonset"
    going = conditions(item).get("Progressing", {})
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
        stuck=str(going.get("message") or going.get("reason")) if stuck else "",
    )


def node(item: Object) -> Node:
    """One node of a list."""
    told, room = conditions(item), table(item, "status", "allocatable")
    return Node(
        name=str(table(item, "metadata").get("name", "")),
        ready=told.get("Ready", {}).get("status") == "True",
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
    )


def _count(status: Object, name: str) -> int:
    return int(status.get(name) or 0)
