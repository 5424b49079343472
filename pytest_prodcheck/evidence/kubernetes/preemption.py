"""Pods of lower priority that the scheduler ends so that others have a place.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.rolling_updates import roll
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.evidence.kubernetes.scheduling import Surroundings
from pytest_prodcheck.records.kubernetes import Pod, Schedulability

_BUILT_IN = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def with_priority(demand: Demand, pods: Iterable[Pod], classes: Iterable[Object]) -> Demand:
    """The same with the priority of its class, as the files and the pods that run tell it; classes: of the files."""
    name = str(demand.pod.get("priorityClassName") or "")
    coming = next((each for each in classes if (name_of(each) == name if name else each.get("globalDefault"))), None)
    if coming is not None:
        never = coming.get("preemptionPolicy") == "Never"
        return dataclasses.replace(demand, priority=int(coming.get("value") or 0), preempts=not never)
    if name in _BUILT_IN:
        return dataclasses.replace(demand, priority=_BUILT_IN[name])
    like = next((each for each in pods if (each.priority_class == name if name else _same(each, demand))), None)
    if like is not None:
        return dataclasses.replace(demand, priority=like.priority, preempts=like.preempts)
    return dataclasses.replace(demand, priority=None) if name else demand


def _same(pod: Pod, demand: Demand) -> bool:
    """Whether a pod shows which class those get that name none: one of the workload, which names none either."""
    mine = (pod.namespace, pod.workload) == (demand.namespace, demand.what)
    return mine and not demand.old.get("priorityClassName")


def preempting(demands: Sequence[Demand], fits: Sequence[Schedulability], around: Surroundings) -> list[Schedulability]:
    """The same, with what would be ended where only that makes room."""
    return [_one(demand, each, demands, around) for demand, each in zip(demands, fits, strict=True)]


def _one(demand: Demand, found: Schedulability, demands: Sequence[Demand], around: Surroundings) -> Schedulability:
    if not found.left or found.doubt or not demand.preempts:
        return found
    own = {(each.namespace, each.what) for each in demands}
    low: list[Pod] = []
    stay: list[Pod] = []
    for each in around.pods:
        lower = demand.priority is None or each.priority < demand.priority
        goes = lower and each.node and (each.namespace, each.workload) not in own
        (low if goes else stay).append(each)
    if not low:
        return found
    place = demands.index(demand)
    if roll(demands, dataclasses.replace(around, pods=tuple(stay)))[place].left:
        return found
    if demand.priority is None:
        why = f"no pod that runs shows the priority of its class {demand.pod.get('priorityClassName')}"
        return dataclasses.replace(found, doubt=f"{found.why}; {why}: pods of a lower one would make room")
    return dataclasses.replace(found, ends=tuple(sorted({each.workload for each in low})))
