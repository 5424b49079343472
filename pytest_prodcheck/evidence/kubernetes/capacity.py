"""`kubernetes-capacity`: do the pods of a rollout find room, on the way and in the end, also with one node gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import listed, now
from pytest_prodcheck.evidence.kubernetes.cluster import all_pods, host, node_grace, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.node_lifecycle import without_startup_taints
from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.preemption import preempting, with_priority
from pytest_prodcheck.evidence.kubernetes.rolling_updates import rescheduled, roll, rolled_in_all_orders
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand, rollouts, scaled_only
from pytest_prodcheck.evidence.kubernetes.scheduling import OVER, Surroundings
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.evidence.kubernetes.unchanged_templates import keeps_its_pods, reads_and_dry_runs
from pytest_prodcheck.evidence.kubernetes.volume_constraints import StorageObjects
from pytest_prodcheck.records.kubernetes import KubernetesCapacity, Node, Pod, Schedulability

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_VOLUMES = "how many volumes a node can attach, and how much room their storage has"
PLACING = (("", "namespaces"), ("", "persistentvolumes"), ("storage.k8s.io", "storageclasses"))  # (API group, resource)


_LISTS = (
    "nodes", "pods of all namespaces", "workloads", "limitranges", "runtimeclasses, of pods that name one",
    "persistentvolumeclaims, persistentvolumes, storageclasses, of pods with claims",
    "namespaces, of affinity to other namespaces by label",
)  # fmt: skip


@evidence(
    "kubernetes-capacity", axis="kubernetes", feature="nodes", seconds=seconds, host=host,
    sends=reads_and_dry_runs(*_LISTS),
)  # fmt: skip
def kubernetes_capacity(target: str, context: Context, deadline: Deadline) -> KubernetesCapacity:
    """The rollouts placed on the nodes that stay, and with the one gone whose pods are the hardest to place."""
    listed_nodes: list[Node] = listed("nodes", "/api/v1/nodes", context, deadline, parsing.node)
    asked_at = now(context, deadline)
    nodes = [without_startup_taints(each, asked_at - node_grace(context)) for each in listed_nodes]
    pods = all_pods(context, deadline)
    classes = [each for _, each in documents(context) if each.get("kind") == "PriorityClass"]
    demands = [with_priority(_read(each, context), pods, classes) for each in rollouts(context, deadline)]
    around = Surroundings(
        tuple(nodes),
        tuple(pods),
        _spaces(demands, pods, context, deadline),
        _storage(demands, context, deadline),
        asked_at,
    )
    around, homeless = _without_leaving_nodes(around, demands)
    cluster = context.environment.kubernetes
    lost = _heaviest(around.nodes, around.pods)
    without: list[Schedulability] = list(homeless)
    if lost is not None:
        left, more = _without_node(around, lost, demands)
        without += [*more, *roll(demands, left)]
    fits = rolled_in_all_orders(demands, around)
    short = {each.what for each in fits if each.left or each.doubt}
    if not any(each.ready and not each.cordoned for each in around.nodes):
        short = set()  # where no node takes pods nothing fits, whatever the change is
    again = [_as_it_will_be(each, pods, context, deadline) if each.what in short else each for each in demands]
    if any(each.unchanged for each in again):
        fits = rolled_in_all_orders(again, around)
    fits = preempting(again, fits, around)
    return KubernetesCapacity(
        tuple(dataclasses.replace(each, not_placed_by=_VOLUMES if demand.claims else "")
              for demand, each in zip(again, fits, strict=True)),
        tuple(each for each in without if each.left) or tuple(without[:1]),
        lost.name if lost else "",
        bool(cluster and cluster.autoscaling),
    )  # fmt: skip


def _read(demand: Demand, context: Context) -> Demand:
    """The same; of another namespace than the declared one the claims are not read."""
    cluster = context.environment.kubernetes
    if not demand.claims or cluster is None or demand.namespace == cluster.namespace:
        return demand
    unread = (
        f"its claims are in the namespace {demand.namespace}, but prodcheck reads claims of {cluster.namespace} only"
    )
    return dataclasses.replace(demand, unread=unread)


def _spaces(
    demands: Iterable[Demand], pods: Iterable[Pod], context: Context, deadline: Deadline
) -> dict[str, dict[str, str]]:
    """The labels of namespaces, asked for only where affinity selects namespaces by label."""
    terms = [term for each in demands for term in (*each.beside.near, *each.beside.apart)]
    terms += [term for each in pods for term in each.apart]
    if not any(each.namespaces_by for each in terms):
        return {}
    coming = [each for _, each in documents(context) if each.get("kind") == "Namespace"]
    live = listed("raw", "/api/v1/namespaces", context, deadline, _as_it_is)
    return {name_of(each): labels_of(each) for each in (*live, *coming)}


def _storage(demands: Iterable[Demand], context: Context, deadline: Deadline) -> StorageObjects:
    """Claims, volumes and classes, asked for only where pods have claims."""
    if not any(each.claims for each in demands):
        return StorageObjects()
    files = [each for _, each in documents(context)]

    def by_name(kind: str, live: Iterable[Object]) -> dict[str, Object]:
        coming = {name_of(each): each for each in files if each.get("kind") == kind}
        return coming | {name_of(each): each for each in live}

    return StorageObjects(
        by_name("PersistentVolumeClaim", raw("", "persistentvolumeclaims", context, deadline)),
        by_name("PersistentVolume", listed("raw", "/api/v1/persistentvolumes", context, deadline, _as_it_is)),
        by_name("StorageClass", listed("raw", "/apis/storage.k8s.io/v1/storageclasses", context, deadline, _as_it_is)),
    )


def _as_it_will_be(demand: Demand, pods: Iterable[Pod], context: Context, deadline: Deadline) -> Demand:
    """A rollout that does not fit, but for the pods that the change leaves as they are: the server says which."""
    if not keeps_its_pods(demand, context, deadline):
        return demand
    mine = [each for each in pods if (each.namespace, each.workload) == (demand.namespace, demand.what) and each.lives]
    newest = max(mine, key=lambda each: each.created_at, default=None)
    placed = sum(1 for each in mine if each.node)  # one that waits for a place already needs one all the same
    return demand if newest is None else scaled_only(demand, dict(newest.labels), placed)


def _as_it_is(item: Object) -> Object:
    return item


def _without_leaving_nodes(
    around: Surroundings, demands: Sequence[Demand]
) -> tuple[Surroundings, list[Schedulability]]:
    """The nodes that nobody takes away, with the pods of those that go on them, and those without a place."""
    homeless: list[Schedulability] = []
    for gone in [each for each in around.nodes if each.leaving]:
        around, more = _without_node(around, gone, demands)
        homeless += more
    return around, homeless


def _heaviest(nodes: Iterable[Node], pods: Iterable[Pod]) -> Node | None:
    """The machine whose pods ask for most; None where it is the only one that takes pods."""
    open_ = [each for each in nodes if each.ready and not each.cordoned and not each.virtual]
    load = dict.fromkeys((each.name for each in open_), 0.0)
    for pod in pods:
        if pod.node in load:
            load[pod.node] += pod.cpu + pod.memory / 2**32
    return max(open_, key=lambda each: load[each.name]) if len(open_) > 1 else None


def _without_node(
    around: Surroundings, lost: Node, demands: Iterable[Demand]
) -> tuple[Surroundings, list[Schedulability]]:
    """All without one node, its pods on the others that stay, and those of them without a place."""
    nodes = tuple(each for each in around.nodes if each.name != lost.name)
    stay = [each for each in around.pods if each.node != lost.name]
    gone = [each for each in around.pods if each.node == lost.name and not each.daemon and each.phase not in OVER]
    open_ = dataclasses.replace(around, nodes=tuple(each for each in nodes if not each.leaving), pods=tuple(stay))
    known = {(each.namespace, each.what): each for each in demands}
    there, homeless = rescheduled(gone, open_, known, lost.taints)
    return dataclasses.replace(around, nodes=nodes, pods=(*stay, *there)), homeless
