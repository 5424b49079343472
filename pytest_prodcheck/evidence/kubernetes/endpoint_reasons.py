"""What a service selects, and why none of it takes traffic: its selector, its pods' conditions, what events warn of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.cluster import pods_of
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.object_events import latest_warning
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.parsing import conditions
from pytest_prodcheck.evidence.kubernetes.rollout_reasons import told_by_conditions
from pytest_prodcheck.evidence.kubernetes.rollout_steps import KINDS
from pytest_prodcheck.evidence.kubernetes.selectors import fits, labels_of
from pytest_prodcheck.evidence.tools.sanitizing import plain

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.kubernetes import Pod

NO_REPLICAS = "it is for replicas, and the only pod beside its role is ready: one instance has none"
_REPLICA_ROLES = ("replica", "standby", "slave", "secondary")
ASLEEP = "all workloads that it selects are scaled to zero or completed"


def is_asleep(service: Object, context: Context, deadline: Deadline) -> bool:
    """Whether all that a service selects is scaled to zero, or are pods that have done their work."""
    asked = [table(each, "spec").get("replicas", 1) for _, each in _workloads(service, context, deadline)]
    if asked:
        return not any(asked)
    pods = _pods(service, context, deadline)
    return bool(pods) and all(each.phase == "Succeeded" for each in pods)


def lacks_replicas(service: Object, context: Context, deadline: Deadline) -> bool:
    """Whether it selects the replicas of a database that has one instance: operators make such a service anyhow."""
    selector = table(service, "spec", "selector")
    others = {key: value for key, value in selector.items() if str(value).lower() not in _REPLICA_ROLES}
    if not others or len(others) == len(selector):
        return False
    alike = [each for each in pods_of(context, deadline) if fits({"matchLabels": others}, dict(each.labels))]
    instances = [each for each in alike if each.phase not in ("Succeeded", "Failed")]
    return len(instances) == 1 and instances[0].ready


def endpoint_reason(service: Object, listed: bool, context: Context, deadline: Deadline) -> str:
    """Why a port of a service has no ready endpoint; listed: whether another port of it has one."""
    pods = _pods(service, context, deadline)
    live = [each for each in pods if each.lives]
    ready = [each for each in live if each.ready]
    if not pods:
        return _why_no_pod_matches(service, context, deadline)
    if not live:
        how = ", ".join(sorted({"being deleted" if each.deleting else each.reason or each.phase for each in pods}))
        return f"none of the {len(pods)} selected pods is alive: {how}"
    if ready:
        named = ", ".join(str(each["targetPort"]) for each in rows(service, "spec", "ports")
                          if isinstance(each.get("targetPort"), str))  # fmt: skip
        if listed and named:
            return f"{len(ready)} selected pods are ready, but none has all named ports: {named}"
        return f"{len(ready)} selected pods are ready, but its endpoint slices do not list them as ready"
    found = ((each.name, pod_reason(each, context, deadline)) for each in live)
    told = next((f": {name}: {text}" for name, text in found if text), "")
    return f"{len(live)} of {len(live)} selected pods are not ready{told}"


def pod_reason(pod: Pod, context: Context, deadline: Deadline) -> str:
    """Why a pod is not ready: what it waits for, what its newest event warns of, else its condition."""
    if pod.gated:
        return "waiting for its scheduling gates"
    told = next(told_by_conditions([pod]), "") or latest_warning("Pod", pod.name, context, deadline)
    waiting = next((f"{each.name}: {each.waiting}" for each in pod.containers if each.waiting), "")
    return plain(told or waiting or pod.unready, 300)


def _pods(service: Object, context: Context, deadline: Deadline) -> list[Pod]:
    selector = {"matchLabels": table(service, "spec", "selector")}
    return [each for each in pods_of(context, deadline) if fits(selector, dict(each.labels))]


def _workloads(service: Object, context: Context, deadline: Deadline) -> list[tuple[str, Object]]:
    selector = {"matchLabels": table(service, "spec", "selector")}
    return [
        (kind, each) for kind, plural in KINDS.items() for each in raw("apps/v1", plural, context, deadline)
        if fits(selector, labels_of(table(each, "spec", "template")))
    ]  # fmt: skip


def _why_no_pod_matches(service: Object, context: Context, deadline: Deadline) -> str:
    """No pod has the labels: a workload that would make such pods says why it does not."""
    labels = ", ".join(f"{key}={value}" for key, value in table(service, "spec", "selector").items())
    for kind, each in _workloads(service, context, deadline):
        failing = conditions(each).get("ReplicaFailure", {})
        told = str(failing.get("message") or "") or latest_warning(kind, name_of(each), context, deadline)
        return plain(f"the selected {kind.lower()}/{name_of(each)} has no pods{told and ': '}{told}", 600)
    return plain(f"its selector {labels} matches no pod", 300)
