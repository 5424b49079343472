"""`kubernetes-capacity`: do the pods of a rollout find room, on the way and in the end, also with one node gone."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import all_pods, host, node_grace, reads, seconds
from pytest_prodcheck.evidence.kubernetes.node_constraints import NodeConstraints
from pytest_prodcheck.evidence.kubernetes.node_lifecycle import without_startup_taints
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand, rollouts
from pytest_prodcheck.evidence.kubernetes.scheduling import (
    OVER,
    allowed,
    best,
    free_capacity,
    roll,
    unschedulable_reason,
)
from pytest_prodcheck.records.kubernetes import KubernetesCapacity, Node, Pod, Schedulability

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LEFT_OUT = (
    "affinity to other workloads", "topology spread", "preferences", "priorities and preemption",
    "volumes bound to a zone", "extended resources",
)  # fmt: skip


@evidence(
    "kubernetes-capacity", axis="kubernetes", feature="nodes", seconds=seconds, host=host,
    sends=reads("nodes", "pods of all namespaces", "workloads", "limitranges", "runtimeclasses, of pods that name one"),
)  # fmt: skip
def kubernetes_capacity(target: str, context: Context, deadline: Deadline) -> KubernetesCapacity:
    """The rollouts placed on the nodes that stay, and with the one gone whose pods are the hardest to place."""
    since = time.time() - node_grace(context)
    listed_nodes: list[Node] = listed("nodes", "/api/v1/nodes", context, deadline, parsing.node)
    found = [without_startup_taints(each, since) for each in listed_nodes]
    nodes, pods, homeless = _staying(found, all_pods(context, deadline))
    demands = rollouts(context, deadline)
    cluster = context.environment.kubernetes
    lost = _heaviest(nodes, pods)
    without: list[Schedulability] = list(homeless)
    if lost is not None:
        left = [each for each in nodes if each.name != lost.name]
        moved, more = _moved(pods, lost, left)
        without += [*more, *roll(demands, left, moved)]
    return KubernetesCapacity(
        tuple(roll(demands, nodes, pods)),
        tuple(each for each in without if each.left) or tuple(without[:1]),
        lost.name if lost else "",
        bool(cluster and cluster.autoscaling),
        LEFT_OUT,
    )


def _staying(nodes: list[Node], pods: list[Pod]) -> tuple[list[Node], list[Pod], list[Schedulability]]:
    """The nodes that nobody takes away, with the pods of those that go on them, and those without a place."""
    homeless: list[Schedulability] = []
    for gone in [each for each in nodes if each.leaving]:
        nodes = [each for each in nodes if each.name != gone.name]
        pods, more = _moved(pods, gone, [each for each in nodes if not each.leaving])
        homeless += more
    return nodes, pods, homeless


def _heaviest(nodes: list[Node], pods: list[Pod]) -> Node | None:
    """The machine whose pods ask for most; None where it is the only one that takes pods."""
    open_ = [each for each in nodes if each.ready and not each.cordoned and not each.virtual]
    load = dict.fromkeys((each.name for each in open_), 0.0)
    for pod in pods:
        if pod.node in load:
            load[pod.node] += pod.cpu + pod.memory / 2**32
    return max(open_, key=lambda each: load[each.name]) if len(open_) > 1 else None


def _moved(pods: list[Pod], lost: Node, nodes: list[Node]) -> tuple[list[Pod], list[Schedulability]]:
    """The pods after a lost node's are placed elsewhere, and those without a place.

    Their own selectors are not known from a list of pods.
    """
    stay = [each for each in pods if each.node != lost.name]
    rooms = free_capacity(nodes, stay)
    tolerations = tuple((key, "Equal", value, effect) for key, value, effect in lost.taints)
    gone = [each for each in pods if each.node == lost.name and not each.daemon and each.phase not in OVER]
    homeless = []
    for pod in sorted(gone, key=lambda each: (each.cpu, each.memory), reverse=True):
        demand = Demand(pod.workload, pod.namespace, 1, pod.cpu, pod.memory, NodeConstraints(tolerations=tolerations))
        room = best(demand, allowed(demand, rooms))
        if room is None:
            homeless.append(Schedulability(pod.workload, 1, 1, unschedulable_reason(demand, rooms)))
            continue
        room.hold((pod.namespace, pod.workload), pod.cpu, pod.memory)
        stay.append(dataclasses.replace(pod, node=room.node.name))
    return stay, homeless
