"""`kubernetes-pods`: the namespace's pods, and workloads whose pods cannot be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import now
from pytest_prodcheck.evidence.kubernetes.cluster import host, pods_of, reads, seconds
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.object_events import latest_warning
from pytest_prodcheck.evidence.kubernetes.objects import table
from pytest_prodcheck.evidence.kubernetes.rollout_steps import KINDS
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.kubernetes import KubernetesPods, Pod

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@evidence(
    "kubernetes-pods", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("pods", "workloads", "events, of pods that wait on their node and of workloads without pods"),
)  # fmt: skip
def kubernetes_pods(target: str, context: Context, deadline: Deadline) -> KubernetesPods:
    """The namespace's pods; of those that wait on their node, what events say of it."""
    pods = [
        replace(each, why=latest_warning("Pod", each.name, context, deadline))
        if _is_starting(each)
        else each
        for each in pods_of(context, deadline)
    ]
    return KubernetesPods(target, tuple(pods), now(context, deadline), tuple(_refused(pods, context, deadline)))


def _is_starting(pod: Pod) -> bool:
    waits = pod.phase == "Pending" or (pod.phase == "Running" and pod.unready_since is not None)
    return waits and bool(pod.node) and not any(each.why for each in pod.containers)


def _refused(pods: Iterable[Pod], context: Context, deadline: Deadline) -> Iterator[tuple[str, str]]:
    """Workloads that ask for pods which cannot be made, each with the reason; the pods there are say nothing of it."""
    there: dict[str, list[float]] = {}
    for each in pods:
        if each.lives or each.gated:
            there.setdefault(each.workload, []).append(each.created_at)
    for kind, plural in KINDS.items():
        for item in raw("apps/v1", plural, context, deadline):
            if "deletionTimestamp" in table(item, "metadata"):
                continue
            made = parsing.workload(item, kind.lower(), "")
            why = made.failure
            mine = there.get(made.name, [])
            if not why and made.replicas and not mine:
                why = latest_warning(kind, name_of(item), context, deadline)
            elif not why and len(mine) < made.replicas:  # a pod that was made since says that this is over
                why = latest_warning(kind, name_of(item), context, deadline, max(mine), "FailedCreate")
            if why:
                yield made.name, plain(why, 300)
