"""Rollouts placed on nodes, step by step as their controllers go: a new pod, then an old one away, to the end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_prodcheck.evidence.kubernetes.node_constraints import may_go
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.records.kubernetes import Node, Pod, Schedulability

OVER = ("Succeeded", "Failed")
# taints that a DaemonSet's pods tolerate: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
_PRESSED = "node.kubernetes.io/"


@dataclass
class FreeCapacity:
    """What is free on a node, and which workloads have pods there."""

    node: Node
    cpu: float
    memory: float
    pods: int
    holds: Counter[tuple[str, str]] = field(default_factory=Counter)

    def takes(self, demand: Demand) -> bool:
        """Whether one more pod finds room."""
        if demand.where.alone and self.holds[demand.namespace, demand.what]:
            return False
        return self.cpu + 1e-9 >= demand.cpu and self.memory >= demand.memory and self.pods >= 1

    def hold(self, who: tuple[str, str], cpu: float, memory: float, count: int = 1) -> None:
        """Takes a pod in, or gives its room back (count: -1)."""
        self.cpu, self.memory, self.pods = self.cpu - count * cpu, self.memory - count * memory, self.pods - count
        self.holds[who] += count


@dataclass
class _Going:
    """One workload's rollout: its old pods that are left, and how many new ones have a place."""

    demand: Demand
    old: list[Pod]
    allowed: list[FreeCapacity]
    placed: int = 0
    without: int = 0  # nodes that a DaemonSet's pod has no room on

    def step(self, rooms: dict[str, FreeCapacity]) -> bool:
        """Makes new pods as far as there is room for them, then takes old ones away; False where neither went."""
        demand, before = self.demand, (self.placed, len(self.old))
        who = (demand.namespace, demand.what)
        most = demand.count + demand.kept
        while self.placed < demand.count and len(self.old) + self.placed < most + demand.surge:
            room = best(demand, self.allowed)
            if room is None:
                break
            room.hold(who, demand.cpu, demand.memory)
            self.placed += 1
        while len(self.old) > demand.kept and self._may_lose_one(most):
            gone = max(self.old, key=lambda pod: (not pod.ready, _beside(pod, rooms), pod.created_at))
            self.old.remove(gone)
            if gone.node in rooms:
                rooms[gone.node].hold(who, gone.cpu, gone.memory, -1)
        return (self.placed, len(self.old)) != before

    def _may_lose_one(self, most: int) -> bool:
        ready = sum(each.ready for each in self.old) + self.placed
        return ready > most - self.demand.unavailable or not all(each.ready for each in self.old)

    def daemons(self, rooms: dict[str, FreeCapacity]) -> None:
        """One on each node that lets it in, in the place of the old one."""
        demand, who = self.demand, (self.demand.namespace, self.demand.what)
        there = {each.node: each for each in self.old}
        for name, room in rooms.items():
            if not room.node.ready or not may_go(demand.where, _without_pressure(room.node)):
                continue
            if name in there:
                room.hold(who, there[name].cpu, there[name].memory, -1)
            if room.takes(demand):
                room.hold(who, demand.cpu, demand.memory)
                self.placed += 1
            else:
                self.without += 1


def _beside(pod: Pod, rooms: dict[str, FreeCapacity]) -> int:
    return rooms[pod.node].holds[pod.namespace, pod.workload] if pod.node in rooms else 0


def _without_pressure(node: Node) -> Node:
    return dataclasses.replace(node, taints=tuple(each for each in node.taints if not each[0].startswith(_PRESSED)))


def _open(room: FreeCapacity) -> bool:
    return room.node.ready and not room.node.cordoned


def best(demand: Demand, rooms: Iterable[FreeCapacity]) -> FreeCapacity | None:
    """The node with the most room left."""
    return max(
        (each for each in rooms if each.takes(demand)), key=lambda each: (each.cpu, each.memory), default=None
    )


def allowed(demand: Demand, rooms: dict[str, FreeCapacity]) -> list[FreeCapacity]:
    """The nodes that take pods and let this one in."""
    return [each for each in rooms.values() if _open(each) and may_go(demand.where, each.node)]


def free_capacity(nodes: Iterable[Node], pods: Iterable[Pod]) -> dict[str, FreeCapacity]:
    """The nodes with what their pods leave."""
    rooms = {each.name: FreeCapacity(each, each.cpu, each.memory, each.pods) for each in nodes}
    for pod in pods:
        if pod.node in rooms and pod.phase not in OVER:
            rooms[pod.node].hold((pod.namespace, pod.workload), pod.cpu, pod.memory)
    return rooms


def roll(demands: Iterable[Demand], nodes: Iterable[Node], pods: Iterable[Pod]) -> list[Schedulability]:
    """Rolls all of them out at once, the largest pods first; what is left has no place."""
    live = [each for each in pods if each.phase not in OVER and not each.deleting]
    rooms = free_capacity(nodes, pods)
    mine: dict[tuple[str, str], list[Pod]] = {}
    for pod in live:
        mine.setdefault((pod.namespace, pod.workload), []).append(pod)
    largest = sorted(demands, key=lambda each: (each.cpu, each.memory), reverse=True)
    going = [_Going(each, mine.get((each.namespace, each.what), []), allowed(each, rooms)) for each in largest]
    for each in going:
        if each.demand.daemon:
            each.daemons(rooms)
    rolling = [each for each in going if not each.demand.daemon]
    while sum(each.step(rooms) for each in rolling):
        pass
    return [_fit(each, rooms) for each in going]


def _fit(going: _Going, rooms: dict[str, FreeCapacity]) -> Schedulability:
    demand = going.demand
    wanted = going.placed + going.without if demand.daemon else demand.count
    left = going.without if demand.daemon else demand.count - going.placed
    return Schedulability(demand.what, wanted, left, unschedulable_reason(demand, rooms) if left else "")


def unschedulable_reason(demand: Demand, rooms: dict[str, FreeCapacity]) -> str:
    """Why a pod has no place."""
    open_ = sum(map(_open, rooms.values()))
    fitting = allowed(demand, rooms)
    asked = f"{demand.cpu:g} cpu and {demand.memory / 2**20:.0f} MiB"
    if not fitting and not demand.daemon:
        return f"none of {open_} nodes that take pods matches its selectors and tolerations"
    apart = ", one pod a node," if demand.where.alone else ""
    return f"{asked} for one pod{apart} is on none of {len(fitting)} nodes that would take it"
