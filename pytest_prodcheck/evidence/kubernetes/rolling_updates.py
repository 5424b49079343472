"""Rollouts step by step as their controllers go: a new pod, then an old one away, to the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from random import Random

from pytest_prodcheck.evidence.kubernetes.node_constraints import NodeConstraints, admits
from pytest_prodcheck.evidence.kubernetes.pod_affinity import PodConstraints
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.evidence.kubernetes.scheduling import OVER, Scheduler, Surroundings
from pytest_prodcheck.records.kubernetes import Node, Pod, Schedulability

ORDERS = 6  # in which a rollout is played besides the likeliest: the scheduler draws between nodes that are alike
# taints that a DaemonSet's pods tolerate: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
_PRESSED = "node.kubernetes.io/"


class _Rollout:
    """One workload's rollout: its old pods that are left, and how many new ones have a place."""

    def __init__(self, demand: Demand, old: list[Pod], scheduler: Scheduler) -> None:
        self.demand, self.old, self.scheduler = demand, old, scheduler
        self.rooms = [each for each in scheduler.rooms.values() if admits(demand.where, each.node)]
        self.placed = 0
        self.without = 0  # nodes that a DaemonSet's pod has no room on

    def step(self) -> bool:
        """Makes new pods as far as there is room for them, then takes old ones away; False where neither went."""
        before = self.placed, len(self.old)
        draw = self.scheduler.draw
        most = self.demand.count + self.demand.kept
        if draw and draw.random() < 0.5:
            self._take_away(most)
        while self.placed < self.demand.count and len(self.old) + self.placed < most + self.demand.surge:
            if (self.demand.recreate and self.old) or not self.scheduler.place(self.demand, self.placed, self.rooms):
                break
            self.placed += 1
        self._take_away(most)
        return (self.placed, len(self.old)) != before

    def _take_away(self, most: int) -> None:
        while len(self.old) > self.demand.kept and self._may_lose_one(most):
            self._remove(max(self.old, key=self._goes_first))

    def _goes_first(self, pod: Pod) -> tuple[object, ...]:
        who, draw = (pod.namespace, pod.workload), self.scheduler.draw
        room = self.scheduler.rooms.get(pod.node)
        return not pod.ready, room.holds[who] if room else 0, draw.random() if draw else pod.created_at

    def _remove(self, pod: Pod) -> None:
        self.old.remove(pod)
        if pod.node in self.scheduler.rooms:
            self.scheduler.hold(self.scheduler.as_placed(pod), self.scheduler.rooms[pod.node], -1)

    def _may_lose_one(self, most: int) -> bool:
        ready = sum(each.ready for each in self.old) + self.placed
        return ready > most - self.demand.unavailable or not all(each.ready for each in self.old)

    def result(self) -> Schedulability:
        """What is left without a place."""
        left = self.demand.count - self.placed
        why = self.scheduler.why_not(self.demand, self.placed) if left else ""
        return Schedulability(self.demand.what, self.demand.count, left, why)


class _StatefulSetRollout(_Rollout):
    """Pods by number: those that are missing first, then the others anew, from the last one down."""

    def __init__(self, demand: Demand, old: list[Pod], scheduler: Scheduler) -> None:
        super().__init__(demand, old, scheduler)
        first = demand.first + demand.kept
        self.missing = list(range(first, first + demand.count))

    def step(self) -> bool:
        """Makes what is missing, in order where that is declared, then takes the last old pod away."""
        before = self.placed, len(self.old)
        there = {_ordinal(each) for each in self.old}
        for number in [each for each in self.missing if each not in there]:
            if self.scheduler.place(self.demand, number, self.rooms):
                self.missing.remove(number)
                self.placed += 1
            elif self.demand.in_order:
                break
        waits = any(each not in there for each in self.missing)
        above = [each for each in self.old if _ordinal(each) not in self._wanted()]
        mine = [each for each in self.old if _ordinal(each) in self.missing]
        if above and not (waits and self.demand.in_order):
            self._remove(max(above, key=_ordinal))
        elif mine and not waits:
            for each in sorted(mine, key=_ordinal, reverse=True)[: self.demand.unavailable]:
                self._remove(each)
        return (self.placed, len(self.old)) != before

    def _wanted(self) -> range:
        return range(self.demand.first, self.demand.first + self.demand.kept + self.demand.count)

    def result(self) -> Schedulability:
        """What is left without a place; the first that waits says why."""
        number = self.missing[0] if self.missing else 0
        why = self.scheduler.why_not(self.demand, number) if self.missing else ""
        return Schedulability(self.demand.what, self.demand.count, len(self.missing), why)


class _DaemonSetRollout(_Rollout):
    """One on each node that lets it in, in the place of the old one."""

    def step(self) -> bool:
        """All at once; there is no second step."""
        there = {each.node: each for each in self.old}
        for name, room in self.scheduler.rooms.items():
            if not room.node.ready or not admits(self.demand.where, _without_pressure(room.node)):
                continue
            if name in there and self.demand.unchanged:
                continue
            if name in there:
                self._remove(there[name])
            if self.scheduler.refusal_beside(self.demand, room, 0):
                self.without += 1
                continue
            self.scheduler.volumes.take(self.demand.claims, 0, room.node)
            self.scheduler.hold(self.scheduler.of_demand(self.demand), room)
            self.placed += 1
        return False

    def result(self) -> Schedulability:
        """The nodes without room for it."""
        why = self.scheduler.why_not(self.demand) if self.without else ""
        return Schedulability(self.demand.what, self.placed + self.without, self.without, why)


def _ordinal(pod: Pod) -> int:
    last = pod.name.rpartition("-")[2]
    return int(last) if last.isdecimal() else -1


def _without_pressure(node: Node) -> Node:
    return dataclasses.replace(node, taints=tuple(each for each in node.taints if not each[0].startswith(_PRESSED)))


def _kind(demand: Demand) -> type[_Rollout]:
    if demand.daemon:
        return _DaemonSetRollout
    return _StatefulSetRollout if demand.what.startswith("statefulset/") else _Rollout


def roll(demands: Sequence[Demand], around: Surroundings) -> list[Schedulability]:
    """Rolls all of them out at once, the largest pods first; what is left has no place. In the order of the demands."""
    ends = _rolled(demands, around, Scheduler(around))
    return [ends[each.namespace, each.what] for each in demands]


def _rolled(
    demands: Sequence[Demand], around: Surroundings, scheduler: Scheduler
) -> dict[tuple[str, str], Schedulability]:
    """By namespace and name: another namespace may have a workload of the same name."""
    draw = scheduler.draw
    for demand in demands:
        scheduler.watch(demand)
    mine: dict[tuple[str, str], list[Pod]] = {}
    for pod in around.pods:
        if pod.phase not in OVER and not pod.deleting:
            mine.setdefault((pod.namespace, pod.workload), []).append(pod)
    largest = sorted(demands, key=lambda each: (each.cpu, each.memory), reverse=True)
    if draw:
        draw.shuffle(largest)
    going = [_kind(each)(each, mine.get((each.namespace, each.what), []), scheduler) for each in largest]
    daemons = [each for each in going if each.demand.daemon]
    if daemons:
        scheduler.let_go()  # they are placed once
    for each in daemons:
        each.step()
    rolling = [each for each in going if not each.demand.daemon]
    while sum([each.step() for each in rolling]) or scheduler.let_go():
        pass
    return {(each.demand.namespace, each.demand.what): each.result() for each in going}


def rolled_in_all_orders(demands: Sequence[Demand], around: Surroundings) -> list[Schedulability]:
    """The rollouts as the likeliest draw of the scheduler ends; where another one ends otherwise, in doubt."""
    begin = Scheduler(around)
    used = begin.copied(None)
    likely = _rolled(demands, around, used)
    drawn = [] if all(_has_choice(each, used) for each in demands) else range(1, ORDERS + 1)
    others = [_rolled(demands, around, begin.copied(Random(number))) for number in drawn]
    doubts = {(each.namespace, each.what): each.doubt for each in demands}
    return [
        dataclasses.replace(
            likely[who], doubt=doubts[who] or _why_uncertain(likely[who], [other[who] for other in others])
        )
        for who in ((each.namespace, each.what) for each in demands)
    ]


def _has_choice(demand: Demand, used: Scheduler) -> bool:
    """Whether any choice would do: pods that want nothing of others, and as many nodes left as pods."""
    wants = demand.beside
    if wants.near or wants.apart or wants.spread or wants.ports or demand.claims or demand.daemon:
        return False
    left = sum(not used.refusal(demand, each) for each in used.rooms.values())
    return left >= demand.count + demand.surge


def _why_uncertain(likely: Schedulability, others: Sequence[Schedulability]) -> str:
    all_ = [likely, *others]
    failing = [each for each in all_ if each.left]
    if len(failing) in (0, len(all_)):
        return ""
    worst = max(failing, key=lambda each: each.left)
    return (
        f"the result depends on the node that the scheduler chooses: in {len(failing)} of {len(all_)} simulations "
        f"up to {worst.left} of {worst.wanted} pods do not fit: {worst.why}"
    )


def rescheduled(
    pods: Iterable[Pod], around: Surroundings, known: dict[tuple[str, str], Demand],
    taints: Sequence[tuple[str, str, str]],
) -> tuple[list[Pod], list[Schedulability]]:
    """These pods placed anew among others, the largest first, and what has no place; taints: that they tolerate.

    Their selectors are known only where their workload is (`known`).
    """
    scheduler = Scheduler(around)
    tolerations = tuple((key, "Equal", value, effect) for key, value, effect in taints)
    there, homeless = [], []
    for pod in sorted(pods, key=lambda each: (each.cpu, each.memory), reverse=True):
        asked = {"cpu": pod.cpu, "memory": float(pod.memory), **dict(pod.extended)}
        demand = known.get((pod.namespace, pod.workload)) or Demand(
            pod.workload, pod.namespace, 1, where=NodeConstraints(tolerations=tolerations), labels=dict(pod.labels),
            beside=PodConstraints(apart=pod.apart, ports=pod.ports),
        )  # fmt: skip
        demand = dataclasses.replace(demand, asked=asked)
        scheduler.watch(demand)
        room = scheduler.place(demand, _ordinal(pod), scheduler.rooms.values())
        if room is None:
            homeless.append(Schedulability(pod.workload, 1, 1, scheduler.why_not(demand, _ordinal(pod))))
        else:
            there.append(dataclasses.replace(pod, node=room.node.name))
    return there, homeless
