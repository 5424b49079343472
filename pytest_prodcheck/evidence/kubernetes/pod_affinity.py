"""What a pod's specification says of the pods beside it: required affinity and anti-affinity, spread, host ports.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records.kubernetes import AffinityTerm

_ANY_ADDRESS = ("", str(IPv4Address(0)))


@dataclass(frozen=True)
class Spread:
    """A topology spread constraint that must hold.

    https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
    """

    topology: str
    selector: Object | None
    most: int  # pods more than where the fewest are
    domains: int  # so many there have to be, or the fewest are none
    by_affinity: bool  # only nodes that the pod's selector and affinity fit are counted
    by_taints: bool  # only nodes whose taints the pod tolerates are counted


@dataclass(frozen=True)
class PodConstraints:
    """What a pod wants of the pods beside it."""

    near: tuple[AffinityTerm, ...] = ()  # required affinity
    apart: tuple[AffinityTerm, ...] = ()  # required anti-affinity
    spread: tuple[Spread, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()  # host ports: protocol, address, number


def pod_constraints(pod: Object, labels: Mapping[str, str]) -> PodConstraints:
    """Those of a pod's specification; labels: its own."""
    near, apart = (required_terms(pod, each, labels) for each in ("podAffinity", "podAntiAffinity"))
    return PodConstraints(near, apart, spreads(pod, labels), host_ports(pod))


def required_terms(pod: Object, which: str, labels: Mapping[str, str]) -> tuple[AffinityTerm, ...]:
    """The required terms of "podAffinity" or "podAntiAffinity"; labels: of the pod itself."""
    return tuple(
        AffinityTerm(
            str(each.get("topologyKey", "")),
            _narrowed(each, labels),
            tuple(map(str, each.get("namespaces") or ())),
            each["namespaceSelector"] if isinstance(each.get("namespaceSelector"), dict) else None,
        )
        for each in rows(pod, "affinity", which, "requiredDuringSchedulingIgnoredDuringExecution")
    )


def spreads(pod: Object, labels: Mapping[str, str]) -> tuple[Spread, ...]:
    """The constraints with DoNotSchedule."""
    return tuple(
        Spread(
            str(each.get("topologyKey", "")),
            _narrowed(each, labels),
            int(each.get("maxSkew", 1)),
            int(each.get("minDomains") or 1),
            each.get("nodeAffinityPolicy") != "Ignore",
            each.get("nodeTaintsPolicy") == "Honor",
        )
        for each in rows(pod, "topologySpreadConstraints")
        if each.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
    )


def _narrowed(term: Object, labels: Mapping[str, str]) -> Object | None:
    """The term's selector with what matchLabelKeys and mismatchLabelKeys add; None where it has none."""
    if not isinstance(term.get("labelSelector"), dict):
        return None
    selector: Object = term["labelSelector"]
    more = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(name) or ()
        if key in labels
    ]
    return {**selector, "matchExpressions": [*rows(selector, "matchExpressions"), *more]} if more else selector


def host_ports(pod: Object) -> tuple[tuple[str, str, int], ...]:
    """Protocol, address and number of each port of its node that a pod takes."""
    sidecars = [each for each in rows(pod, "initContainers") if each.get("restartPolicy") == "Always"]
    taken = []
    for each in (*rows(pod, "containers"), *sidecars):
        for port in rows(each, "ports"):
            number = port.get("hostPort") or (port.get("containerPort") if table(pod).get("hostNetwork") else 0)
            if number:
                taken.append((str(port.get("protocol") or "TCP"), str(port.get("hostIP") or ""), int(number)))
    return tuple(taken)


def port_conflict(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    """Whether two pods cannot have these ports of one node."""
    if (one[0], one[2]) != (other[0], other[2]):
        return False
    return one[1] == other[1] or one[1] in _ANY_ADDRESS or other[1] in _ANY_ADDRESS
