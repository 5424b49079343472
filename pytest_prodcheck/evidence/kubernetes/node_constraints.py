"""Which nodes let a pod in: selectors, required node affinity, taints, a node that is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records.kubernetes import Node

Term = tuple[tuple[str, str, tuple[str, ...]], ...]  # all of: key, operator, values
Terms = tuple[Term, ...]  # any of them
_NAME = "metadata.name"  # the one field that a term may ask for besides labels


@dataclass(frozen=True)
class NodeConstraints:
    """What a pod's specification says of the nodes that it may run on."""

    selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[tuple[str, str, str, str], ...] = ()  # key, operator, value, effect
    terms: Terms | None = None  # required node affinity
    node: str = ""  # spec.nodeName: no scheduler is asked


def node_constraints(pod: Object) -> NodeConstraints:
    """The placing rules of a pod."""
    selector = {str(key): str(value) for key, value in table(pod, "nodeSelector").items()}
    tolerations = tuple(
        (str(each.get("key", "")), str(each.get("operator", "Equal")), str(each.get("value", "")),
         str(each.get("effect", "")))
        for each in rows(pod, "tolerations")
    )  # fmt: skip
    required = table(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = node_terms(required) if required else None
    return NodeConstraints(selector, tolerations, terms, str(pod.get("nodeName") or ""))


def node_terms(selector: Object) -> Terms:
    """The terms of a node selector; one that asks for nothing fits no node and is left out."""
    told = (
        tuple(
            (str(each.get("key", "")), str(each.get("operator", "")), tuple(map(str, each.get("values") or ())))
            for each in (*rows(term, "matchExpressions"), *rows(term, "matchFields"))
        )
        for term in rows(selector, "nodeSelectorTerms")
    )
    return tuple(each for each in told if each)


def admits(rules: NodeConstraints, node: Node) -> bool:
    """Whether a node's name, labels and taints let the pod in."""
    if rules.node:
        return rules.node == node.name
    return selects(rules, node) and tolerated(rules, node)


def selects(rules: NodeConstraints, node: Node) -> bool:
    """Whether selector and required affinity fit a node."""
    if any(node.labels.get(key) != value for key, value in rules.selector.items()):
        return False
    return rules.terms is None or one_fits(rules.terms, node)


def tolerated(rules: NodeConstraints, node: Node) -> bool:
    """Whether a pod tolerates all taints that keep pods out."""
    hard = [taint for taint in node.taints if taint[2] in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(each, taint) for each in rules.tolerations) for taint in hard)


def one_fits(terms: Terms, node: Node) -> bool:
    """Whether one of the terms fits a node."""
    labels: Mapping[str, str] = {**node.labels, _NAME: node.name}
    return any(all(_matches(labels, *each) for each in term) for term in terms)


def _matches(labels: Mapping[str, str], key: str, operator: str, values: tuple[str, ...]) -> bool:
    value = labels.get(key)
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
