"""`kubernetes-rollout`: a service's workload, its pods, and who may have scaled it since."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import api, listed, now
from pytest_prodcheck.evidence.kubernetes.cluster import host, namespaced, node_grace, pods_of, reads, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import manifests_of
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.rollout_reasons import reasons
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import Rollout

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.kubernetes import Pod, Workload

PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
REVISION = "deployment.kubernetes.io/revision"
SEEN = 3.0  # seconds that a controller takes at most to see what an autoscaler or a kubelet has just written
JOINED = 300.0  # seconds in which a new node's daemons start
# what scales to zero: path of its list, how it names what it scales, its least number, and that where it names none
_KEDA = "keda.sh/v1alpha1", "scaledobjects", "minReplicaCount", 0
_PAUSED = "autoscaling.keda.sh/paused-replicas"
_HPA = "autoscaling/v2", "horizontalpodautoscalers", "minReplicas", 1


def _ready(record: Rollout) -> bool:
    found = record.workload
    if found is None or found.observed < found.generation or found.paused or found.stuck:
        return False
    if min(found.ready, found.available) < found.replicas or not (found.replicas or found.asleep):
        return False
    if found.held:
        return found.updated >= max(1, found.replicas - found.held)
    if found.updated < found.replicas:
        return False
    return all(each.hash == found.hash for each in record.pods if each.lives and found.hash)


@evidence(
    "kubernetes-rollout", axis="workload", seconds=seconds, host=host, ready=_ready,
    sends=reads("pods", "workloads", "replicasets", "events, where the rollout is not whole", "nodes, of a DaemonSet",
                "autoscalers, of one at zero or below its manifest"),
)  # fmt: skip
def kubernetes_rollout(target: str, context: Context, deadline: Deadline) -> Rollout:
    """A service's workload and its pods."""
    wanted = workload_name(target, context)
    kind, _, name = wanted.partition("/")
    items = listed("raw", namespaced("apps/v1", PLURALS[kind], context), context, deadline, lambda item: item)
    found = next((each for each in items if table(each, "metadata").get("name") == name), None)
    mine = tuple(each for each in pods_of(context, deadline) if each.workload == wanted and not each.deleting)
    if found is None:
        return Rollout(None, wanted, mine, now(context, deadline))
    found = _settled(found, kind, name, mine, context, deadline)
    asleep = _asleep(found, kind, name, context, deadline)
    made = parsing.workload(found, kind, _hash(found, kind, context, deadline), asleep)
    asked_at = now(context, deadline)
    why = reasons(made, mine, asked_at, context, deadline)
    short = min(made.updated, made.ready, made.available) < made.replicas
    joined = _recent_nodes(context, deadline) if kind == "daemonset" and short else ()
    return Rollout(made, wanted, mine, asked_at, why, joined, _replicas_in_file(made, kind, name, context, deadline))


def workload_name(service: str, context: Context) -> str:
    """The workload of a service ("deployment/shop"), as the slot names it; raises EvidenceProblem (configuration)."""
    environment = context.environment
    declared = environment.services[service].workload if service in environment.services else None
    if declared is None:
        raise EvidenceProblem(Problem("configuration", f"service {service} declares no workload"))
    pattern = environment.slots[environment.slot].workload if environment.slot else None
    if pattern is None:
        return declared
    kind, _, name = declared.partition("/")
    filled = pattern.replace("{workload}", name)
    return filled if "/" in filled else f"{kind}/{filled}"


def _settled(
    found: Object, kind: str, name: str, pods: tuple[Pod, ...], context: Context, deadline: Deadline
) -> Object:
    """The workload once its controller has seen it and counted its pods: autoscalers and nodes change both any time."""
    path, end = namespaced("apps/v1", PLURALS[kind], context), time.monotonic() + SEEN
    while _is_outdated(found, kind, pods) and time.monotonic() < end and deadline.time_left() > SEEN:
        time.sleep(0.3)
        again = rows(api(context, deadline).get(path, deadline, fieldSelector=f"metadata.name={name}"), "items")
        found = again[0] if again else found
    return found


def _is_outdated(item: Object, kind: str, pods: tuple[Pod, ...]) -> bool:
    """Whether its controller has not seen it yet, or has made or counted fewer pods than there should be or are."""
    made = parsing.workload(item, kind, "")
    if made.observed < made.generation:
        return True
    if made.failure or made.stuck or min(made.updated, made.ready, made.available) >= made.replicas:
        return False
    live = [each for each in pods if each.lives]
    return len(live) < made.replicas or sum(each.ready for each in live) >= made.replicas


def _recent_nodes(context: Context, deadline: Deadline) -> tuple[str, ...]:
    """Listed now: one that joined since the run began is the one that matters."""
    cluster = context.environment.kubernetes
    if cluster is None or "nodes" not in cluster.reach:
        return ()
    since = now(context, deadline) - max(JOINED, node_grace(context))
    nodes = api(context, deadline).items("/api/v1/nodes", deadline, parsing.node)
    return tuple(each.name for each in nodes if each.joined_at > since)


def _asleep(item: Object, kind: str, name: str, context: Context, deadline: Deadline) -> str:
    """Who scaled a workload to zero on purpose, "" where it is not there or nobody says so."""
    if table(item, "spec").get("replicas") != 0:
        return ""
    if manifest := next(manifests_of(kind, name, context), None):
        return "its manifest requests no pod" if table(manifest, "spec").get("replicas") == 0 else ""
    for (_, plural, least, usual), each in _autoscalers_of(kind, name, context, deadline):
        if how := _to_zero(each, least, usual):
            return f"{each.get('kind') or plural} {table(each, 'metadata').get('name')} {how}"
    return ""


def _replicas_in_file(made: Workload, kind: str, name: str, context: Context, deadline: Deadline) -> int | None:
    """The replicas that its manifest asks for, where those are more than now and no autoscaler is in charge."""
    try:
        manifest = next(manifests_of(kind, name, context), {})
    except EvidenceProblem:
        return None  # other checks say so, and the rollout is what it is
    asked = table(manifest, "spec").get("replicas")
    if not isinstance(asked, int) or made.replicas >= asked or made.asleep:
        return None
    return None if any(_autoscalers_of(kind, name, context, deadline)) else asked


def _autoscalers_of(
    kind: str, name: str, context: Context, deadline: Deadline
) -> Iterator[tuple[tuple[str, str, str, int], Object]]:
    """What scales a workload: `_KEDA` or `_HPA`, and the object."""
    for autoscaler in (_KEDA, _HPA):
        version, plural, _, _ = autoscaler
        for each in _autoscalers(version, plural, context, deadline):
            target = table(each, "spec", "scaleTargetRef")
            if (str(target.get("kind") or "Deployment").lower(), target.get("name")) == (kind, name):
                yield autoscaler, each


def _to_zero(autoscaler: Object, least: str, usual: int) -> str:
    """How an autoscaler brings its workload to zero, "" where it does not.

    https://keda.sh/docs/latest/reference/scaledobject-spec/
    """
    if str(table(autoscaler, "metadata", "annotations").get(_PAUSED)) == "0":
        return "is paused at zero"
    told = table(autoscaler, "spec")
    return "scales it to zero" if 0 in (told.get(least, usual), told.get("idleReplicaCount")) else ""


def _autoscalers(version: str, plural: str, context: Context, deadline: Deadline) -> list[Object]:
    try:
        return listed("raw", namespaced(version, plural, context), context, deadline, lambda item: item)
    except EvidenceProblem:
        return []  # not installed, or not to be read: nobody says that it is on purpose


def _hash(item: Object, kind: str, context: Context, deadline: Deadline) -> str:
    """The version hash of the pods that the workload's current template makes, "" where it cannot be known."""
    if kind != "deployment":
        return str(table(item, "status").get("updateRevision", ""))
    name = table(item, "metadata").get("name")
    revision = str(table(item, "metadata", "annotations").get(REVISION, ""))
    path = namespaced("apps/v1", "replicasets", context)
    for each in listed("replicasets", path, context, deadline, _replica_set):
        if each == (name, revision, each[2]):
            return str(each[2])
    return ""


def _replica_set(item: Object) -> tuple[str, str, str]:
    metadata = table(item, "metadata")
    owner = next((each for each in rows(metadata, "ownerReferences") if each.get("controller")), {})
    labels = table(metadata, "labels")
    annotations = table(metadata, "annotations")
    return str(owner.get("name", "")), str(annotations.get(REVISION, "")), str(labels.get("pod-template-hash", ""))
