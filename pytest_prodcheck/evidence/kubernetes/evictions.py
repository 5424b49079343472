"""`kubernetes-disruption`: what the eviction of each pod that a budget is about would be answered.

As the API server decides: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/#how-api-initiated-eviction-works
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import api, now
from pytest_prodcheck.evidence.kubernetes.cluster import host, namespaced, pods_of, reads, seconds
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions
from pytest_prodcheck.evidence.kubernetes.selectors import fits
from pytest_prodcheck.records.kubernetes import Budget, KubernetesDisruption, Pod

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_INSISTS = "and the budget requires"
STARTING = 300  # seconds: a healthy autoscaler has brought a node by then
_UNGUARDED = ("Succeeded", "Failed", "Pending")  # phases in which a pod goes whatever its budgets say


@evidence(
    "kubernetes-disruption", axis="kubernetes", seconds=seconds, host=host, sends=reads("poddisruptionbudgets", "pods")
)
def kubernetes_disruption(target: str, context: Context, deadline: Deadline) -> KubernetesDisruption:
    """The budgets, as their controller counts them, each with the pods that it, or a second one, does not let go."""
    told = raw("policy/v1", "poddisruptionbudgets", context, deadline)
    found = budgets_with(told, pods_of(context, deadline), now(context, deadline))
    if any(each.blocked and not each.soon for each in found):  # of the pods that there are now: an autoscaler adds some
        server, path = api(context, deadline), namespaced("policy/v1", "poddisruptionbudgets", context)
        pods = server.items(namespaced("", "pods", context), deadline, parsing.pod)
        found = budgets_with(server.items(path, deadline), pods, now(context, deadline))
    return KubernetesDisruption(found)


def budgets_with(budgets: list[Object], pods: list[Pod], asked_at: float) -> tuple[Budget, ...]:
    """The budgets with those of the pods that may not go."""
    refused = {each.name: why for each in pods if (why := refusal(each, budgets))}
    return tuple(_budget(each, pods, refused, asked_at) for each in budgets)


def refusal(pod: Pod, budgets: Iterable[Object]) -> str:
    """Why the eviction of a pod would be refused now, "" where it would go."""
    if pod.phase in _UNGUARDED or pod.deleting:
        return ""
    mine = [each for each in budgets if fits(_selector(each), dict(pod.labels))]
    if len(mine) > 1:
        names = " and ".join(sorted(map(name_of, mine)))
        return f"{pod.name} matches several disruption budgets ({names}), and the eviction API accepts only one"
    return _refused_by(mine[0], pod) if mine else ""


def _selector(budget: Object) -> Object | None:
    found = table(budget, "spec").get("selector")
    return found if isinstance(found, dict) else None


def _refused_by(budget: Object, pod: Pod) -> str:
    status = table(budget, "status")
    healthy, desired = (int(status.get(name) or 0) for name in ("currentHealthy", "desiredHealthy"))
    if not pod.ready:
        always = table(budget, "spec").get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
        if always or healthy >= desired > 0:
            return ""
    told = conditions(budget).get("DisruptionAllowed", {})
    if told.get("reason") == "SyncFailed" and not int(status.get("disruptionsAllowed") or 0):
        return str(told.get("message") or "its controller cannot count its pods")
    if int(status.get("observedGeneration") or 0) < int(table(budget, "metadata").get("generation") or 0):
        return "its controller has not seen its newest version yet"
    if int(status.get("disruptionsAllowed") or 0) > 0:
        return ""
    return f"{healthy} of {int(status.get('expectedPods') or 0)} pods are healthy {_INSISTS} {desired}"


def _budget(budget: Object, pods: list[Pod], refused: dict[str, str], asked_at: float) -> Budget:
    status, selector = table(budget, "status"), _selector(budget)
    mine = [each for each in pods if each.lives and fits(selector, dict(each.labels))]
    blocked = [each.name for each in mine if each.name in refused]
    why = refused[blocked[0]] if blocked else ""
    return Budget(
        name_of(budget),
        int(status.get("expectedPods") or 0),
        int(status.get("disruptionsAllowed") or 0),
        int(status.get("currentHealthy") or 0),
        int(status.get("desiredHealthy") or 0),
        tuple(blocked),
        why,
        _INSISTS in why and _is_only_starting(status, mine, asked_at),
    )


def _is_only_starting(status: Object, pods: list[Pod], asked_at: float) -> bool:
    """Whether only pods that have just begun are missing, and the budget lets one go when they are counted as ready."""
    room = int(status.get("expectedPods") or 0) > int(status.get("desiredHealthy") or 0)
    begun = asked_at - STARTING
    late = [each for each in pods if not each.ready]
    behind = len(pods) - len(late) > int(status.get("currentHealthy") or 0)
    return room and (bool(late) or behind) and all(each.created_at > begun for each in late)
