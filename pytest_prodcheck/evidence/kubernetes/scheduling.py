"""One pod after the other placed on nodes, by the rules of the scheduler's filters."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from pytest_prodcheck.evidence.kubernetes.affinity_and_spread import Neighbours, PodShape
from pytest_prodcheck.evidence.kubernetes.node_constraints import admits
from pytest_prodcheck.evidence.kubernetes.pod_affinity import port_conflict
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.evidence.kubernetes.volume_constraints import StorageObjects, VolumePlacement
from pytest_prodcheck.records.kubernetes import Node, Pod

OVER = ("Succeeded", "Failed")
NO_NODE = "no node takes it"
SOON = 300.0  # seconds: pods that are being ended are gone by then, and no rollout gives up before
Port = tuple[str, str, int]


@dataclass(frozen=True)
class PodPlacement:
    """A pod on a node, as far as others notice it."""

    shape: PodShape
    who: tuple[str, str]  # namespace and workload
    asked: Mapping[str, float]
    ports: tuple[Port, ...] = ()
    leaving: bool = False
    claims: tuple[str, ...] = ()


@dataclass
class FreeCapacity:
    """What is free on a node, and which workloads have pods there."""

    node: Node
    free: dict[str, float]
    pods: int
    ports: Counter[Port] = field(default_factory=Counter)
    holds: Counter[tuple[str, str]] = field(default_factory=Counter)

    def copied(self) -> FreeCapacity:
        """The same, to be filled otherwise."""
        return FreeCapacity(self.node, dict(self.free), self.pods, self.ports.copy(), self.holds.copy())

    def lacking(self, asked: Mapping[str, float], ports: tuple[Port, ...] = ()) -> str:
        """What one more pod would lack, "" for nothing."""
        if self.pods < 1:
            return "maximum number of pods reached"
        for name, amount in asked.items():
            if amount > 0 and amount > self.free.get(name, 0.0) + 1e-9 * amount:
                return f"too little {name}"
        taken = [each for each, count in self.ports.items() if count > 0]
        for port in ports:
            if any(port_conflict(each, port) for each in taken):
                return f"host port {port[2]} is in use"
        return ""

    def hold(self, pod: PodPlacement, more: int) -> None:
        """Takes a pod in, or gives its room back (more: -1)."""
        for name, amount in pod.asked.items():
            self.free[name] = self.free.get(name, 0.0) - more * amount
        self.pods -= more
        self.holds[pod.who] += more
        for each in pod.ports:
            self.ports[each] += more


@dataclass(frozen=True)
class Surroundings:
    """All that pods are placed among."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    spaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # labels of namespaces, where terms need them
    storage: StorageObjects = field(default_factory=StorageObjects)
    now: float = 0.0  # epoch seconds


class Scheduler:
    """Places pods, one at a time. `draw` decides what the scheduler leaves open; None for the likeliest."""

    def __init__(self, around: Surroundings, draw: Random | None = None) -> None:
        self._around, self.draw = around, draw
        self._shapes: dict[tuple[object, ...], PodShape] = {}
        self._users: Counter[str] = Counter()
        self._counts: Counter[tuple[PodShape, str, bool]] = Counter()  # pods by shape, node, and whether they leave
        self._neighbours: dict[tuple[str, str], Neighbours] = {}
        self.volumes = VolumePlacement(around.storage, around.nodes, draw or Random(19))
        self.rooms = {
            each.name: FreeCapacity(each, {"cpu": each.cpu, "memory": each.memory, **each.extended}, each.pods)
            for each in around.nodes
        }
        for pod in around.pods:
            if pod.node in self.rooms and pod.phase not in OVER:
                self.hold(self.as_placed(pod), self.rooms[pod.node])
        self._going = [each for each in around.pods if each.node in self.rooms and each.phase not in OVER
                       and each.ends_at is not None and abs(each.ends_at - around.now) < SOON]  # fmt: skip

    def copied(self, draw: Random | None) -> Scheduler:
        """The same before anything moved, for another draw."""
        made = copy.copy(self)
        made.draw = draw
        made._shapes, made._users, made._counts = dict(self._shapes), self._users.copy(), self._counts.copy()
        made._neighbours, made._going = {}, list(self._going)
        made.volumes = VolumePlacement(self._around.storage, self._around.nodes, draw or Random(19))
        made.rooms = {name: each.copied() for name, each in self.rooms.items()}
        return made

    def let_go(self) -> bool:
        """Gives back the room of the pods that are ending now; False where none is left of them."""
        for pod in self._going:
            self.hold(self.as_placed(pod), self.rooms[pod.node], -1)
        gone, self._going = bool(self._going), []
        return gone

    def as_placed(self, pod: Pod) -> PodPlacement:
        """A pod of the list."""
        key = (pod.namespace, pod.labels, repr(pod.apart) if pod.apart else "")
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = PodShape(pod.namespace, dict(pod.labels), pod.apart)
        asked = {"cpu": pod.cpu, "memory": float(pod.memory), **dict(pod.extended)}
        return PodPlacement(shape, (pod.namespace, pod.workload), asked, pod.ports, pod.deleting, pod.claims)

    def of_demand(self, demand: Demand, number: int = 0) -> PodPlacement:
        """A new pod of a workload; number: which one, as StatefulSets count."""
        key = ("new", demand.namespace, demand.what)
        if key not in self._shapes:
            self._shapes[key] = PodShape(demand.namespace, demand.labels, demand.beside.apart)
        claims = tuple(each.of(number) for each in demand.claims)
        return PodPlacement(self._shapes[key], key[1:], demand.asked, demand.beside.ports, claims=claims)

    def hold(self, pod: PodPlacement, room: FreeCapacity, more: int = 1) -> None:
        """Puts a pod on a node, or takes it away (more: -1)."""
        room.hold(pod, more)
        if pod.claims:
            self._users.update(dict.fromkeys(pod.claims, more))
        self._counts[pod.shape, room.node.name, pod.leaving] += more
        for each in self._neighbours.values():
            each.count(pod.shape, room.node, more, pod.leaving)

    def watch(self, demand: Demand) -> None:
        """Counts the pods around a workload's from now on."""
        shape = self.of_demand(demand).shape
        wanted = demand.beside
        # a DaemonSet's pods have an affinity to their node alone, so that no other one counts
        spread = [each for each in wanted.spread if not (demand.daemon and each.by_affinity)]
        around = self._around
        found = Neighbours(shape, wanted.near, tuple(spread), demand.where, around.nodes, around.spaces)
        self._neighbours[demand.namespace, demand.what] = found
        for (other, node, leaving), count in self._counts.items():
            if count and (other.apart or not found.plain):
                found.count(other, self.rooms[node].node, count, leaving)

    def refusal(self, demand: Demand, room: FreeCapacity, number: int = 0) -> str:
        """Why a node does not take one more pod, "" where it does."""
        if not (room.node.ready and not room.node.cordoned) and not demand.daemon:
            return NO_NODE
        if not admits(demand.where, room.node):
            return NO_NODE
        return self.refusal_beside(demand, room, number)

    def refusal_beside(self, demand: Demand, room: FreeCapacity, number: int) -> str:
        """The same of a node that is known to let it in."""
        lacking = room.lacking(demand.asked, demand.beside.ports)
        if lacking or demand.where.node:
            return lacking
        if why := self._neighbours[demand.namespace, demand.what].refusal(room.node):
            return why
        return self.volumes.refusal(demand.claims, number, room.node, self._users) if demand.claims else ""

    def place(self, demand: Demand, number: int, among: Iterable[FreeCapacity]) -> FreeCapacity | None:
        """Puts one more pod on the node that the scheduler would take; None where there is none."""
        fitting = [each for each in among if not self.refusal(demand, each, number)]
        if not fitting:
            return None
        room = max(fitting, key=self._score(demand))
        self.volumes.take(demand.claims, number, room.node)
        self.hold(self.of_demand(demand, number), room)
        return room

    def _score(self, demand: Demand) -> Callable[[FreeCapacity], tuple[float, float]]:
        """The node with the largest part of its room left; then the one with the fewest pods of the workload."""
        who, draw = (demand.namespace, demand.what), self.draw

        def score(room: FreeCapacity) -> tuple[float, float]:
            node = room.node
            cpu = (room.free["cpu"] - demand.cpu) / node.cpu if node.cpu else 0.0
            memory = (room.free["memory"] - demand.memory) / node.memory if node.memory else 0.0
            left = (cpu + memory) / 2
            return (left + draw.random() * JITTER if draw else left, -room.holds[who])

        return score

    def why_not(self, demand: Demand, number: int = 0) -> str:
        """Why a pod has no place, in one sentence."""
        open_ = [each for each in self.rooms.values() if each.node.ready and not each.node.cordoned]
        among = [each for each in open_ if admits(demand.where, each.node)]
        if not among and not demand.daemon:
            return f"none of {len(open_)} schedulable nodes matches its selectors and tolerations"
        found = Counter(self.refusal_beside(demand, each, number) for each in among)
        found.pop("", None)
        told = "; ".join(f"{count} node{'s' * (count > 1)}: {why}" for why, count in found.most_common(4))
        return f"one pod requests {_amounts(demand.asked)}, and none of {len(among)} nodes can run it ({told})"


JITTER = 0.15  # of a node's room: what the scheduler's other scores may turn round


def _amounts(asked: Mapping[str, float]) -> str:
    rest = [f"{amount:g} {name}" for name, amount in asked.items() if name not in ("cpu", "memory") and amount]
    return ", ".join((f"{asked.get('cpu', 0.0):g} cpu and {asked.get('memory', 0.0) / 2**20:.0f} MiB", *rest))
