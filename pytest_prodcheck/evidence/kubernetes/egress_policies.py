"""Network policies that keep pods from the cluster's DNS, so that they find nobody by name.

https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-egress-traffic
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.cluster import pods_of
from pytest_prodcheck.evidence.kubernetes.manifest_files import template, template_labels
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import fits
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.kubernetes.references import ExistingObjects

_PORTS = (53, 5353)  # of the pods of CoreDNS; of OpenShift's: a policy is about the pod's port


def keeps_from_dns(item: Object, there: ExistingObjects) -> str:
    """Why pods that a policy of the files selects cannot resolve names, "" where one policy or another lets them."""
    if not _is_policy(item) or not _restricts(item) or _lets_dns(item):
        return ""
    space = there.space_of(item)
    policies = _policies(space, there)
    if policies is None:
        return ""
    alone = [labels for labels in _pods(space, there) if fits(_selector(item), labels) and not any(
        _lets_dns(each) for each in policies if _restricts(each) and fits(_selector(each), labels))]  # fmt: skip
    return "its pods may not ask DNS (UDP port 53), and no other policy allows it" if alone else ""


def _is_policy(item: Object) -> bool:
    return (item.get("apiVersion"), item.get("kind")) == ("networking.k8s.io/v1", "NetworkPolicy")


def _selector(policy: Object) -> Object:
    return table(policy, "spec", "podSelector")


def _restricts(policy: Object) -> bool:
    """Whether it is about what its pods send."""
    spec = table(policy, "spec")
    return "Egress" in (spec.get("policyTypes") or ()) or ("policyTypes" not in spec and bool(spec.get("egress")))


def _lets_dns(policy: Object) -> bool:
    rules = rows(policy, "spec", "egress")
    return any(not each.get("ports") or any(map(_is_dns, rows(each, "ports"))) for each in rules)


def _is_dns(allowed: Object) -> bool:
    port, last = allowed.get("port"), allowed.get("endPort")
    if allowed.get("protocol") != "UDP":
        return False
    if isinstance(port, str):
        return "dns" in port.lower()
    return port is None or any(port <= each <= (last or port) for each in _PORTS)


def _policies(space: str, there: ExistingObjects) -> list[Object] | None:
    """All of the namespace as they will be; None where those that are live may not be read."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{quote(space, safe='')}/networkpolicies"
    try:
        live = listed("raw", path, there.context, there.deadline, lambda item: item)
    except EvidenceProblem as error:
        there.deadline.note(f"whether pods may ask DNS was not checked: {error.problem.message}")
        return None
    mine = [each for each in there.objects if _is_policy(each) and there.space_of(each) == space]
    names = {name_of(each) for each in mine}
    return [*mine, *(each for each in live if name_of(each) not in names)]


def _pods(space: str, there: ExistingObjects) -> Iterator[dict[str, str]]:
    """The labels of the pods that the files make, and of those that live."""
    for each in there.objects:
        if template(each) and there.space_of(each) == space:
            yield template_labels(each)
    if space == there.space:
        for pod in pods_of(there.context, there.deadline):
            if pod.lives:
                yield dict(pod.labels)
