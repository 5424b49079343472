"""The least rights that reading a cluster takes, as a manifest for `kubectl apply`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.kubernetes.cluster import CLUSTER_WIDE, RIGHTS

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes

_GROUP = "rbac.authorization.k8s.io"
NAME = "prodcheck"
# of use where they are granted: the version of the Pod Security Standards that is enforced, why a rollout stands
_BESIDES = (
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
)


def manifest(cluster: Kubernetes, metrics: bool = False) -> list[dict[str, Any]]:
    """A service account, and roles that let it list what `reach` names and read the namespace itself; nothing written.

    metrics: whether the use of nodes is read by the metrics API, too.

    Dry runs of `manifests` need the right to patch those kinds, which is left to who grants it: RBAC cannot tell a dry
    run from a change.
    """
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": cluster.namespace}
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": cluster.namespace}}
    ]
    for kind, reaches in (
        ("Role", [each for each in cluster.reach if each not in CLUSTER_WIDE]),
        ("ClusterRole", [each for each in cluster.reach if each in CLUSTER_WIDE]),
    ):
        if not reaches:
            continue
        metadata = {"name": NAME, **({"namespace": cluster.namespace} if kind == "Role" else {})}
        bound = {"apiGroup": _GROUP, "kind": kind, "name": NAME}
        made += [
            {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": _rules(reaches, metrics)},
            {"apiVersion": f"{_GROUP}/v1", "kind": f"{kind}Binding", "metadata": metadata, "roleRef": bound,
             "subjects": [account]},
        ]  # fmt: skip
    return made


def _rules(reaches: Sequence[str], metrics: bool) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for reach in reaches:
        for group, resource in RIGHTS[reach]:
            groups.setdefault(group, []).append(resource)
    if metrics and "nodes" in reaches:
        groups["metrics.k8s.io"] = ["nodes"]
    rules = [{"apiGroups": [group], "resources": resources, "verbs": ["list"]} for group, resources in groups.items()]
    return [*rules, *(_BESIDES if "namespace" in reaches else ())]
