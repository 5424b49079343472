"""`kubernetes-capacity`, `kubernetes-quota`: do the further pods of a rollout find room, also with one node gone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import all_pods, host, reads, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import documents
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.parsing import Object, quantity, rows, table
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.kubernetes import Fit, KubernetesCapacity, KubernetesQuota, Node, Pod, Quota

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
LEFT_OUT = (
    "pod affinity and anti-affinity", "topology spread", "preferences", "priorities and preemption",
    "volumes bound to a zone", "extended resources",
)  # fmt: skip


Terms = tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...]  # any of them; of each all (key, operator, values)
_Where = tuple[dict[str, str], tuple[tuple[str, str, str, str], ...], Terms]


@dataclass(frozen=True)
class Demand:
    """Pods that a rollout asks for besides those that run."""

    what: str
    count: int
    cpu: float
    memory: int
    selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[tuple[str, str, str, str], ...] = ()  # key, operator, value, effect
    terms: Terms = ()  # required node affinity


@dataclass
class _Room:
    node: Node
    cpu: float
    memory: float
    pods: int

    def takes(self, demand: Demand) -> bool:
        return self.cpu + 1e-9 >= demand.cpu and self.memory >= demand.memory and self.pods >= 1

    def take(self, demand: Demand) -> None:
        self.cpu, self.memory, self.pods = self.cpu - demand.cpu, self.memory - demand.memory, self.pods - 1


def surges(context: Context, deadline: Deadline) -> list[Demand]:
    """What rolling out each workload adds: of the files where there are some, else of what runs, rolled out anew."""
    running = {
        (kind, name_of(each)): each
        for kind, plural in KINDS.items()
        for each in raw("apps/v1", plural, context, deadline)
    }
    coming = {(kind, name_of(each)): each for _, each in documents(context) if (kind := str(each.get("kind"))) in KINDS}
    chosen = coming or running
    made = []
    for key, each in chosen.items():
        try:
            made.append(_surge(key, each, running.get(key)))
        except (ValueError, TypeError) as error:  # a file with "two" for a number: the dry run says it in full
            raise EvidenceProblem(Problem("configuration", f"{' '.join(key)}: {error}")) from None
    return [each for each in made if each.count > 0]


def _surge(key: tuple[str, str], new: Object, old: Object | None) -> Demand:
    kind, name = key
    pod = table(new, "spec", "template", "spec")
    cpu, memory = parsing.requests(pod)
    now = int(table(old, "spec").get("replicas", 1)) if old is not None and kind != "DaemonSet" else 0
    wanted = int(table(new, "spec").get("replicas", 1 if old is None else now))
    more = max(0, wanted - now) if kind != "DaemonSet" else 0
    rolling = table(new, "spec").get("strategy", {}) if kind == "Deployment" else {}
    if kind == "Deployment" and old is not None and table(new, "spec", "strategy").get("type") != "Recreate":
        more += _share(table(rolling, "rollingUpdate").get("maxSurge", "25%"), wanted)
    elif kind == "StatefulSet" and old is not None and wanted and not more:
        before = parsing.requests(table(old, "spec", "template", "spec"))
        grown = max(0.0, cpu - before[0]), max(0, memory - before[1])
        if any(grown):  # each pod is replaced in its place by a larger one
            more, (cpu, memory) = wanted, grown
    selector, tolerations, terms = _where(pod)
    return Demand(f"{kind.lower()}/{name}", more, cpu, memory, selector, tolerations, terms)


def _share(surge: object, of: int) -> int:
    text = str(surge)
    return math.ceil(of * float(text[:-1]) / 100) if text.endswith("%") else int(text)


def _where(pod: Object) -> _Where:
    selector = {str(key): str(value) for key, value in table(pod, "nodeSelector").items()}
    tolerations = tuple(
        (str(each.get("key", "")), str(each.get("operator", "Equal")), str(each.get("value", "")),
         str(each.get("effect", "")))
        for each in rows(pod, "tolerations")
    )  # fmt: skip
    required = table(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = tuple(
        tuple(
            (str(each.get("key", "")), str(each.get("operator", "")), tuple(map(str, each.get("values") or ())))
            for each in rows(term, "matchExpressions")
        )
        for term in rows(required, "nodeSelectorTerms")
    )
    return selector, tolerations, terms


def may_go(demand: Demand, node: Node) -> bool:
    """Whether a node's labels and taints let the pod in."""
    if any(node.labels.get(key) != value for key, value in demand.selector.items()):
        return False
    if demand.terms and not any(all(_matches(node, *each) for each in term) for term in demand.terms):
        return False
    hard = [taint for taint in node.taints if taint[2] in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(each, taint) for each in demand.tolerations) for taint in hard)


def _matches(node: Node, key: str, operator: str, values: tuple[str, ...]) -> bool:
    value = node.labels.get(key)
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    try:
        number, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def _tolerates(toleration: tuple[str, str, str, str], taint: tuple[str, str, str]) -> bool:
    key, operator, value, effect = toleration
    if effect and effect != taint[2]:
        return False
    if operator == "Exists":
        return key in ("", taint[0])
    return key == taint[0] and value == taint[1]


def place(demands: Iterable[Demand], nodes: Iterable[Node], pods: Iterable[Pod]) -> list[Fit]:
    """Places the largest first, each on the node with the most room left; what is left has no place."""
    rooms = {each.name: _Room(each, each.cpu, each.memory, each.pods) for each in nodes}
    for pod in pods:
        if pod.node in rooms and pod.phase not in ("Succeeded", "Failed"):
            room = rooms[pod.node]
            room.cpu, room.memory, room.pods = room.cpu - pod.cpu, room.memory - pod.memory, room.pods - 1
    open_ = [room for room in rooms.values() if room.node.ready and not room.node.cordoned]
    return [_fit(each, open_) for each in sorted(demands, key=lambda each: (each.cpu, each.memory), reverse=True)]


def _fit(demand: Demand, rooms: list[_Room]) -> Fit:
    allowed = [room for room in rooms if may_go(demand, room.node)]
    for placed in range(demand.count):
        best = max(
            (room for room in allowed if room.takes(demand)), key=lambda room: (room.cpu, room.memory), default=None
        )
        if best is None:
            why = _why(demand, rooms, allowed)
            return Fit(demand.what, demand.count, demand.count - placed, why)
        best.take(demand)
    return Fit(demand.what, demand.count, 0)


def _why(demand: Demand, rooms: list[_Room], allowed: list[_Room]) -> str:
    asked = f"{demand.cpu:g} cpu and {demand.memory / 2**20:.0f} MiB"
    if not allowed:
        return f"none of {len(rooms)} nodes that take pods matches its selectors and tolerations"
    return f"{asked} for one pod is on none of {len(allowed)} nodes that would take it"


@evidence(
    "kubernetes-capacity", axis="kubernetes", feature="nodes", seconds=seconds, host=host,
    sends=reads("nodes", "pods of all namespaces", "workloads"),
)  # fmt: skip
def kubernetes_capacity(target: str, context: Context, deadline: Deadline) -> KubernetesCapacity:
    """The surge placed on the nodes as they are, and with the one gone whose pods are the hardest to place."""
    nodes: list[Node] = listed("nodes", "/api/v1/nodes", context, deadline, parsing.node)
    pods = all_pods(context, deadline)
    demands = surges(context, deadline)
    cluster = context.environment.kubernetes
    lost = _heaviest(nodes, pods)
    without: list[Fit] = []
    if lost is not None:
        moved = list(_moved(pods, lost))
        left = [each for each in nodes if each.name != lost.name]
        without = place([*demands, *moved], left, [each for each in pods if each.node != lost.name])
    return KubernetesCapacity(
        tuple(place(demands, nodes, pods)),
        tuple(each for each in without if each.left) or tuple(without[:1]),
        lost.name if lost else "",
        bool(cluster and cluster.autoscaling),
        LEFT_OUT,
    )


def _heaviest(nodes: list[Node], pods: list[Pod]) -> Node | None:
    """The node whose pods ask for most; None where it is the only one that takes pods."""
    open_ = [each for each in nodes if each.ready and not each.cordoned]
    load = dict.fromkeys((each.name for each in open_), 0.0)
    for pod in pods:
        if pod.node in load:
            load[pod.node] += pod.cpu + pod.memory / 2**32
    return max(open_, key=lambda each: load[each.name]) if len(open_) > 1 else None


def _moved(pods: list[Pod], lost: Node) -> Iterator[Demand]:
    """The pods of a lost node, to be placed elsewhere; their own selectors are not known from a list of pods."""
    for pod in pods:
        if pod.node == lost.name and not pod.daemon and pod.phase not in ("Succeeded", "Failed"):
            tolerations = tuple((key, "Equal", value, effect) for key, value, effect in lost.taints)
            yield Demand(pod.workload, 1, pod.cpu, pod.memory, {}, tolerations)


@evidence(
    "kubernetes-quota", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("resourcequotas", "limitranges", "workloads"),
)  # fmt: skip
def kubernetes_quota(target: str, context: Context, deadline: Deadline) -> KubernetesQuota:
    """The namespace's quotas with what a rollout adds, and what limit ranges would refuse."""
    demands = surges(context, deadline)
    adds = {
        "pods": float(sum(each.count for each in demands)),
        "requests.cpu": sum(each.count * each.cpu for each in demands),
        "requests.memory": float(sum(each.count * each.memory for each in demands)),
    }
    adds |= {"cpu": adds["requests.cpu"], "memory": adds["requests.memory"], "count/pods": adds["pods"]}
    quotas = []
    for each in raw("", "resourcequotas", context, deadline):
        status = table(each, "status")
        for name, hard in table(status, "hard").items():
            used = quantity(table(status, "used").get(name, 0))
            quotas.append(Quota(f"{name_of(each)}: {name}", quantity(hard), used, adds.get(name, 0.0)))
    return KubernetesQuota(tuple(quotas), tuple(_refused(demands, raw("", "limitranges", context, deadline))))


def _refused(demands: list[Demand], ranges: list[Object]) -> Iterator[str]:
    """https://kubernetes.io/docs/concepts/policy/limit-range/ , of whole pods."""
    for each in ranges:
        for row in rows(each, "spec", "limits"):
            most = table(row, "max")
            for demand in demands if row.get("type") in ("Pod", "Container") else ():
                for name, asked in (("cpu", demand.cpu), ("memory", demand.memory)):
                    if name in most and row.get("type") == "Pod" and asked > quantity(most[name]):
                        yield f"{demand.what}: asks for {asked:g} {name}, {name_of(each)} allows {most[name]} a pod"
