"""`kubernetes-autoscalers`: whether HorizontalPodAutoscalers, and KEDA's ScaledObjects, can do their work."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.api import now
from pytest_prodcheck.evidence.kubernetes.cluster import host, reads, seconds
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions, epoch_seconds
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.kubernetes import Autoscaler, KubernetesAutoscalers

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# condition that is False -> reasons for which it may be: its target is at zero on purpose, or has just been scaled
_GOOD_REASONS = {"AbleToScale": ("BackoffBoth", "BackoffDownscale", "BackoffUpscale"),
                 "ScalingActive": ("ScalingDisabled",), "Ready": ()}  # fmt: skip


@evidence(
    "kubernetes-autoscalers", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("horizontalpodautoscalers", "scaledobjects, where KEDA is installed"),
)  # fmt: skip
def kubernetes_autoscalers(target: str, context: Context, deadline: Deadline) -> KubernetesAutoscalers:
    """What their controllers say in conditions."""
    found = [autoscaler("HorizontalPodAutoscaler", each)
             for each in raw("autoscaling/v2", "horizontalpodautoscalers", context, deadline)]  # fmt: skip
    with contextlib.suppress(EvidenceProblem):  # KEDA is not installed, or its objects are not to be read
        found += [autoscaler("ScaledObject", each)
                  for each in raw("keda.sh/v1alpha1", "scaledobjects", context, deadline)]  # fmt: skip
    return KubernetesAutoscalers(tuple(found), now(context, deadline))


def autoscaler(kind: str, item: Object) -> Autoscaler:
    """What its controller says of it; one that says nothing has none."""
    told, target = conditions(item), table(item, "spec", "scaleTargetRef")
    name = f"{kind} {name_of(item)} of {target.get('kind') or 'Deployment'} {target.get('name')}"
    created = epoch_seconds(table(item, "metadata").get("creationTimestamp"))
    if not told:
        return Autoscaler(name, "no controller has looked at it", created)
    for condition, good in _GOOD_REASONS.items():
        found = told.get(condition, {})
        if found.get("status") == "False" and found.get("reason") not in good:
            since = epoch_seconds(found["lastTransitionTime"]) if found.get("lastTransitionTime") else created
            return Autoscaler(name, plain(f"{found.get('reason')}: {found.get('message')}", 300), since)
    return Autoscaler(name, limited=plain(_limit(item, told), 300))


def _limit(item: Object, told: dict[str, Object]) -> str:
    """What keeps it from scaling further, "" for nothing; a number that is pinned is meant."""
    limited, spec = told.get("ScalingLimited", {}), table(item, "spec")
    if told.get("Fallback", {}).get("status") == "True":
        return str(told["Fallback"].get("message") or "its triggers fail, and its fallback is in force")
    full = limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"
    if not full or spec.get("minReplicas") == spec.get("maxReplicas"):
        return ""
    return f"its maximum is {spec.get('maxReplicas')}: {limited.get('message')}"
