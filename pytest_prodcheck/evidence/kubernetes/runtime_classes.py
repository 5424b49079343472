"""What admission adds to a pod of a RuntimeClass: its overhead, and where such pods run.

https://kubernetes.io/docs/concepts/containers/runtime-class/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

GROUP, RESOURCE = "node.k8s.io", "runtimeclasses"


def class_of(pod: Object) -> str:
    """The name of a pod's RuntimeClass, "" for none."""
    return str(pod.get("runtimeClassName") or "")


def runtime_classes(
    pods: Iterable[Object], files: Iterable[Object], context: Context, deadline: Deadline
) -> dict[str, Object]:
    """The classes of these pods, of the same files or of the cluster, which is asked only where a pod needs it.

    Raises EvidenceProblem where they may not be read: how much room such a pod takes is not known then.
    """
    wanted = {class_of(each) for each in pods} - {""}
    coming = {name_of(each): each for each in files if each.get("kind") == "RuntimeClass"}
    if wanted <= coming.keys():
        return coming
    found = listed("raw", f"/apis/{GROUP}/v1/{RESOURCE}", context, deadline, lambda item: item)
    return {**{name_of(each): each for each in found}, **coming}


def with_runtime_class(pod: Object, classes: Mapping[str, Object]) -> Object:
    """A pod's specification with what its class adds; one of no such class is refused, which the dry run says."""
    found = classes.get(class_of(pod))
    if found is None:
        return pod
    selector = {**table(found, "scheduling", "nodeSelector"), **table(pod, "nodeSelector")}
    tolerations = [*rows(pod, "tolerations"), *rows(found, "scheduling", "tolerations")]
    added = {"overhead": table(found, "overhead", "podFixed"), "nodeSelector": selector, "tolerations": tolerations}
    return {**pod, **{key: value for key, value in added.items() if value}}
