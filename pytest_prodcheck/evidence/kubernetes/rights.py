"""The least rights that reading a cluster takes, as a manifest for `kubectl apply`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.kubernetes import dry_run_rights
from pytest_prodcheck.evidence.kubernetes.capacity import PLACING
from pytest_prodcheck.evidence.kubernetes.cluster import CLUSTER_WIDE, RIGHTS
from pytest_prodcheck.evidence.kubernetes.manifest_files import template
from pytest_prodcheck.evidence.kubernetes.objects import Object
from pytest_prodcheck.evidence.kubernetes.runtime_classes import GROUP, RESOURCE, class_of

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes

_GROUP = "rbac.authorization.k8s.io"
NAME = "prodcheck"
# of use where they are granted: the version of the Pod Security Standards that is enforced, why a rollout stands,
# whether another policy lets pods ask DNS
_BESIDES = (
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list"]},
)
_PLACING = tuple({"apiGroups": [group], "resources": [resource], "verbs": ["list"]} for group, resource in PLACING)
_CLASSES = ({"apiGroups": [GROUP], "resources": [RESOURCE], "verbs": ["list"]},)  # how much room their pods take


def manifest(cluster: Kubernetes, metrics: bool = False, files: Iterable[Object] = ()) -> list[dict[str, Any]]:
    """A service account, and roles that let it list what `reach` names and read the namespace itself; nothing written.

    metrics: whether the use of nodes is read by the metrics API, too. files: the objects of `manifests`, whose dry runs
    take roles of their own: RBAC cannot tell a dry run from a change, so that who grants it may leave them out.
    """
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": cluster.namespace}}
    ]
    near = [each for each in cluster.reach if each not in CLUSTER_WIDE]
    far = [each for each in cluster.reach if each in CLUSTER_WIDE]
    files = tuple(files)
    classes = _CLASSES if "nodes" in far or any(class_of(template(each)) for each in files) else ()
    placing = [each for each in _PLACING if each["resources"][0] not in _lists(far)] if "nodes" in far else []
    for space, rules in ((cluster.namespace, _rules(near, metrics)), ("", [*_rules(far, metrics), *classes, *placing])):
        if rules:
            made += bound(NAME, space, rules, cluster.namespace)
    if cluster.manifests:
        for space, rules in dry_run_rights.rules(cluster, files).items():
            made += bound(dry_run_rights.NAME, space, rules, cluster.namespace)
    return made


def bound(
    name: str, space: str, rules: list[dict[str, Any]], namespace: str, account: str = NAME
) -> list[dict[str, Any]]:
    """A role of a namespace, or of the cluster for "", that a service account of a namespace has."""
    kind = "Role" if space else "ClusterRole"
    metadata = {"name": name, **({"namespace": space} if space else {})}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return [
        {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {"apiVersion": f"{_GROUP}/v1", "kind": f"{kind}Binding", "metadata": metadata,
         "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name}, "subjects": [subject]},
    ]  # fmt: skip


def _lists(reaches: Iterable[str]) -> set[str]:
    return {resource for reach in reaches for _, resource in RIGHTS[reach]}


def _rules(reaches: Sequence[str], metrics: bool) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for reach in reaches:
        for group, resource in RIGHTS[reach]:
            groups.setdefault(group, []).append(resource)
    if metrics and "nodes" in reaches:
        groups["metrics.k8s.io"] = ["nodes"]
    rules = [{"apiGroups": [group], "resources": resources, "verbs": ["list"]} for group, resources in groups.items()]
    return [*rules, *(_BESIDES if "namespace" in reaches else ())]
