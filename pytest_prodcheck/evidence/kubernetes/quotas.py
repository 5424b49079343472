"""`kubernetes-quota`: what each ResourceQuota has left for a rollout, and what limit ranges refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.cluster import host, pods_of, seconds
from pytest_prodcheck.evidence.kubernetes.manifest_files import with_coming
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.objects import Object, quantity, rows, table
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand, rollouts, scaled_only
from pytest_prodcheck.evidence.kubernetes.unchanged_templates import keeps_its_pods, reads_and_dry_runs
from pytest_prodcheck.records.kubernetes import KubernetesQuota, Pod, Quota

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@evidence(
    "kubernetes-quota", axis="kubernetes", seconds=seconds, host=host,
    sends=reads_and_dry_runs("resourcequotas", "limitranges", "workloads", "runtimeclasses, of pods that name one"),
)  # fmt: skip
def kubernetes_quota(target: str, context: Context, deadline: Deadline) -> KubernetesQuota:
    """The namespace's quotas with what a rollout adds, and what limit ranges would refuse."""
    cluster = context.environment.kubernetes
    limited = with_coming("ResourceQuota", raw("", "resourcequotas", context, deadline), context)
    ranges = with_coming("LimitRange", raw("", "limitranges", context, deadline), context)
    if not limited and not ranges:
        return KubernetesQuota((), ())
    demands = [each for each in rollouts(context, deadline) if cluster and each.namespace == cluster.namespace]
    quotas = [row for each in limited for row in _rows(each, demands, context, deadline)]
    if any(each.used + each.surge > each.hard for each in quotas):
        again = [_as_it_will_be(each, context, deadline) for each in demands]
        quotas = [row for each in limited for row in _rows(each, again, context, deadline)]
    return KubernetesQuota(tuple(quotas), tuple(_refused(demands, ranges)))


def _rows(limited: Object, demands: Iterable[Demand], context: Context, deadline: Deadline) -> Iterator[Quota]:
    told, counted = table(limited, "status", "hard"), table(limited, "status", "used")
    covered = [demand for demand in demands if quota_applies(limited, demand.pod)]
    for name, hard in {**told, **table(limited, "spec", "hard")}.items():
        more = sum(adds(demand, str(name)) for demand in covered)
        now = quantity(counted[name]) if name in counted else _used(limited, str(name), covered, context, deadline)
        yield Quota(f"{name_of(limited)}: {name}", quantity(hard), now, more)


def _as_it_will_be(demand: Demand, context: Context, deadline: Deadline) -> Demand:
    return scaled_only(demand, {}, demand.now) if keeps_its_pods(demand, context, deadline) else demand


def _used(quota: Object, resource: str, covered: Iterable[Demand], context: Context, deadline: Deadline) -> float:
    """What would be used now of a resource that no quota has counted yet: of all pods, or at least of the old ones."""
    least = sum(demand.now * _amount_of_pod(demand.old, resource) for demand in covered)
    of_pod = _OF_POD.get(resource.removeprefix("requests."))
    if of_pod is None or table(quota, "spec").get("scopes") or table(quota, "spec").get("scopeSelector"):
        return least
    return sum(of_pod(each) for each in pods_of(context, deadline) if each.phase not in ("Succeeded", "Failed"))


_OF_POD: dict[str, Callable[[Pod], float]] = {
    "cpu": lambda pod: pod.cpu, "memory": lambda pod: float(pod.memory), "pods": lambda pod: 1.0,
    "count/pods": lambda pod: 1.0,
}  # fmt: skip


def adds(demand: Demand, resource: str) -> float:
    """The most that a rollout needs at one time beyond what is counted now, or it stands still.

    An old pod goes only while enough are ready, a new one comes only where the quota has room: in between, the need
    changes evenly, so that its first step, its last one and the end tell the most.
    """
    new, old = _amount_of_pod(demand.pod, resource), _amount_of_pod(demand.old, resource)
    if demand.unchanged:  # what is scaled up comes beside the pods that stay
        return 0.0 if demand.daemon else demand.count * new
    whole = demand.count + demand.kept
    ready = max(0, whole - demand.unavailable)
    stay = max(demand.kept, min(demand.now, ready))
    first = stay * old + min(demand.count, ready - stay + 1) * new
    besides = demand.kept + (1 if demand.now and not demand.unavailable else 0)
    return max(0.0, first - demand.now * old, demand.count * new + besides * old - demand.now * old)


def _amount_of_pod(pod: Object, resource: str) -> float:
    if not pod:
        return 0.0
    if resource in ("pods", "count/pods"):
        return 1.0
    which, _, name = resource.partition(".")
    if which in ("requests", "limits") and name:
        return resource_amounts(pod, which).get(name, 0.0)
    return (
        resource_amounts(pod, "requests").get(resource, 0.0)
        if resource in ("cpu", "memory", "ephemeral-storage")
        else 0.0
    )


def quota_applies(quota: Object, pod: Object) -> bool:
    """Whether a quota's scopes hold for a pod.

    https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes
    """
    wanted = [{"scopeName": each, "operator": "Exists"} for each in table(quota, "spec").get("scopes") or ()]
    return all(_in_scope(each, pod) for each in (*wanted, *rows(quota, "spec", "scopeSelector", "matchExpressions")))


def _in_scope(scope: Object, pod: Object) -> bool:
    name, operator = scope.get("scopeName"), str(scope.get("operator"))
    if name == "PriorityClass":
        value = str(pod.get("priorityClassName") or "")
        if operator in ("Exists", "DoesNotExist"):
            return bool(value) == (operator == "Exists")
        return (value in (scope.get("values") or ())) is (operator == "In")
    ends = pod.get("activeDeadlineSeconds") is not None
    asks = any(
        table(each, "resources", which).get(resource)
        for each in (*rows(pod, "containers"), *rows(pod, "initContainers"))
        for which in ("requests", "limits")
        for resource in ("cpu", "memory")
    )
    affinity = table(pod, "affinity")
    crossing = any(
        term.get("namespaces") or "namespaceSelector" in term
        for kind in ("podAffinity", "podAntiAffinity")
        for term in rows(affinity, kind, "requiredDuringSchedulingIgnoredDuringExecution")
    )
    told: dict[str, bool] = {
        "Terminating": ends, "NotTerminating": not ends, "BestEffort": not asks, "NotBestEffort": asks,
        "CrossNamespacePodAffinity": crossing,
    }  # fmt: skip
    return told.get(str(name), False)


def _refused(demands: list[Demand], ranges: list[Object]) -> Iterator[str]:
    """https://kubernetes.io/docs/concepts/policy/limit-range/ , of whole pods."""
    for each in ranges:
        for row in rows(each, "spec", "limits"):
            most = table(row, "max")
            for demand in demands:
                for what, part in _limit_range_subjects(demand.pod, str(row.get("type"))):
                    for name in most:
                        asked = max(resource_amounts(part, which).get(name, 0.0) for which in ("requests", "limits"))
                        if asked > quantity(most[name]) * (1 + 1e-9):  # 0.1 + 0.2 is no more than 0.3
                            shown = f"{demand.what}{what}: asks for {asked:g} {name}"
                            yield f"{shown}, {name_of(each)} allows {most[name]} a {str(row['type']).lower()}"


def _limit_range_subjects(pod: Object, kind: str) -> Iterator[tuple[str, Object]]:
    """What a row of a limit range is about: the pod, or each of its containers as a pod of its own."""
    if kind == "Pod":
        yield "", pod
    elif kind == "Container":
        for each in (*rows(pod, "initContainers"), *rows(pod, "containers")):
            yield f", container {each.get('name', '')}", {"containers": [each]}
