"""Which nodes let a pod in: selectors, required affinity, taints, and whether it shares a node with its like."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records.kubernetes import Node

Terms = tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...]  # any of them; of each all (key, operator, values)
_HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True)
class NodeConstraints:
    """What a pod's specification says of the nodes that it may run on."""

    selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[tuple[str, str, str, str], ...] = ()  # key, operator, value, effect
    terms: Terms = ()  # required node affinity
    alone: bool = False  # required anti-affinity to its own workload: one on a node


def node_constraints(pod: Object, labels: dict[str, str]) -> NodeConstraints:
    """The placing rules of a pod; labels: its own."""
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
    ports = any(port.get("hostPort") for each in rows(pod, "containers") for port in rows(each, "ports"))
    return NodeConstraints(selector, tolerations, terms, ports or _apart(pod, labels))


def _apart(pod: Object, labels: dict[str, str]) -> bool:
    for term in rows(pod, "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        told = table(term, "labelSelector")
        named = table(told, "matchLabels").items()
        among = all(
            each.get("operator") == "In" and labels.get(str(each.get("key"))) in (each.get("values") or ())
            for each in rows(told, "matchExpressions")
        )
        if term.get("topologyKey") == _HOSTNAME and told and named <= labels.items() and among:
            return True
    return False


def may_go(rules: NodeConstraints, node: Node) -> bool:
    """Whether a node's labels and taints let the pod in."""
    if any(node.labels.get(key) != value for key, value in rules.selector.items()):
        return False
    if rules.terms and not any(all(_matches(node, *each) for each in term) for term in rules.terms):
        return False
    hard = [taint for taint in node.taints if taint[2] in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(each, taint) for each in rules.tolerations) for taint in hard)


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
