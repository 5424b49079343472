"""The rights that dry runs of the files take: those of the change itself, for RBAC cannot tell one from the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.template_pods import pod_of

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes

NAME = "prodcheck-dry-run"
# kinds of Kubernetes itself without a namespace; `kubectl api-resources --namespaced=false`
_CLUSTER_WIDE = frozenset((
    "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding",
    "CustomResourceDefinition", "DeviceClass", "FlowSchema", "IngressClass", "IPAddress", "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
    "PriorityClass", "PriorityLevelConfiguration", "ResourceSlice", "RuntimeClass", "ServiceCIDR", "StorageClass",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    "VolumeAttachment", "VolumeAttributesClass", "GatewayClass", "ClusterIssuer",
))  # fmt: skip


def rules(cluster: Kubernetes, objects: Iterable[Object]) -> dict[str, list[dict[str, Any]]]:
    """Namespace ("" for the cluster) -> rules of a role: the kinds of the objects, and `create` on pods."""
    verbs = ["get", "create", "update" if cluster.apply == "replace" else "patch"]
    kinds: dict[str, dict[str, set[str]]] = {}
    pods = {cluster.namespace}
    for each in objects:
        kind, (group, _, _) = str(each.get("kind")), str(each.get("apiVersion")).rpartition("/")
        space = "" if kind in _CLUSTER_WIDE else str(table(each, "metadata").get("namespace") or cluster.namespace)
        kinds.setdefault(space, {}).setdefault(group, set()).add(_plural(kind))
        if pod_of(each) is not None:
            pods.add(space)
    return {
        space: [
            *({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]} for _ in range(space in pods)),
            *({"apiGroups": [group], "resources": sorted(names), "verbs": verbs}
              for group, names in sorted(kinds.get(space, {}).items())),
        ]
        for space in sorted({*pods, *kinds})
    }  # fmt: skip


def _plural(kind: str) -> str:
    """By the API's convention, which all kinds of Kubernetes itself keep to."""
    name = kind.lower()
    if name.endswith("endpoints"):
        return name
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"
