"""The cluster, before anything is touched: does it answer, is there room, is what runs in order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import (
        Container,
        KubernetesApi,
        KubernetesAutoscalers,
        KubernetesCapacity,
        KubernetesDisruption,
        KubernetesIngress,
        KubernetesJobs,
        KubernetesNodes,
        KubernetesPods,
        KubernetesQuota,
        KubernetesVolumes,
        Node,
        Pod,
    )

PENDING = 300  # seconds: a healthy autoscaler has brought a node by then
OVERDUE = 300  # seconds past the grace period: its node does not end it, or a finalizer holds it
UNREADY = 300  # seconds: a probe that fails once, or a slow start, is over by then
BACK_OFF = 600  # seconds that a container has to run before the kubelet counts its crashes anew
CRASHES = 3  # restarts in that time that an application may need until what it waits for is there
DAY = 86400  # seconds: a Job that failed earlier is told, and is no news
SETTLING = 300  # seconds in which a new target has no metrics yet
RECENT = 3600  # seconds in which an end for want of memory counts
WAITS = "WaitForFirstConsumer"


@check("pre_deploy.kubernetes.api", severity="critical", runbook="kubernetes-api")
def test_the_api_is_ready_for_us(kubernetes_api: KubernetesApi) -> None:
    """The API server is ready, and prodcheck has the permissions that `kubernetes.reach` needs."""
    failing = ", ".join(kubernetes_api.failing)
    judge("/readyz", kubernetes_api.ready, reason=f"not ready: {failing or 'no part is named'}")
    judge("permissions checked", len(kubernetes_api.allowed) + len(kubernetes_api.forbidden), at_least=1)
    for each in kubernetes_api.forbidden:
        judge(
            "is allowed",
            False,
            of=each,
            reason="`prodcheck grants --kubernetes` prints the role with the missing permissions",
        )
    for each in kubernetes_api.allowed:
        judge("is allowed", True, of=each)


@check("pre_deploy.kubernetes.nodes", severity="high", limit=Limit(warn="0%", fail="10%"), runbook="kubernetes-nodes")
def test_nodes_are_ready(kubernetes_nodes: KubernetesNodes, limit: Limit) -> None:
    """The share of nodes that are not ready or under pressure; nodes that join or leave have a grace period."""
    nodes = kubernetes_nodes.nodes
    judge("nodes", len(nodes), at_least=1)
    troubled = [each for each in nodes if not each.ready or each.pressures]
    bad = {each.name: f"not ready{each.why and ': '}{each.why}" if not each.ready else ", ".join(each.pressures)
           for each in troubled if not _on_its_way(each, kubernetes_nodes)}  # fmt: skip
    if nodes and not bad:
        judge("nodes that are ready", sum(each.ready for each in nodes), at_least=1)
    named = "; ".join(f"{name}: {why}" for name, why in list(bad.items())[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    share = 100 * len(bad) / len(nodes) if nodes else None
    judge("nodes not ready or under pressure", share, at_most=limit, unit="%", reason=f"{named}{more}" or "")


def _on_its_way(node: Node, found: KubernetesNodes) -> bool:
    """Whether it has just joined, or goes as it was told to, and not for longer than declared."""
    since = found.asked_at - found.grace
    goes = node.cordoned or node.leaving or node.spot
    return node.joined_at > since or (bool(goes) and not node.ready and node.changed_at > since)


def _trouble(pod: Pod, now: float) -> str:
    """What is wrong with a pod, "" for nothing."""
    if pod.ends_at is not None:
        late = now - pod.ends_at
        return f"deletion should have finished {late:.0f} s ago" if late > OVERDUE else ""
    if pod.phase == "Succeeded" or pod.gated:
        return ""
    for each in pod.containers:
        if each.stuck and pod.phase != "Failed":
            return f"{each.name}: {each.waiting}{': ' if each.why else ''}{each.why[:200]}"
        if each.ended == "OOMKilled" and each.ended_at is not None and now - each.ended_at < RECENT:
            return f"{each.name}: OOMKilled {now - each.ended_at:.0f} s ago"
        if _crash_loops(each, now) and pod.phase != "Failed":
            return f"{each.name}: restarted {each.restarts} times, without 10 minutes between: {each.why or each.ended}"
    if pod.phase == "Pending" and now - pod.created_at > PENDING:
        why = pod.unscheduled or pod.why or pod.unready or "it has a node"
        return f"Pending for {now - pod.created_at:.0f} s: {why}"
    if pod.phase == "Unknown" or pod.reason == "NodeLost":
        return "its node does not answer"
    if pod.lives and pod.unready_since is not None and not pod.workload.startswith("job/") and not _works_off(pod):
        late = now - pod.unready_since
        return f"not ready for {late:.0f} s: {pod.why or pod.unready}" if late > UNREADY else ""
    return ""


def _works_off(pod: Pod) -> bool:
    """Whether some of its containers have done their work and the others run: a pipeline, which serves nobody."""
    told = [each for each in pod.containers if not each.init]
    return any(each.done for each in told) and all(each.ready or each.done for each in pod.containers)


def _crash_loops(container: Container, now: float) -> bool:
    """Whether it runs for the moment only: its last runs were short, and the present one is.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts
    """
    if container.ended_at is None or container.began_at is None or container.restarts <= CRASHES or container.done:
        return False
    return now - container.ended_at < BACK_OFF and container.ended_at - container.began_at < BACK_OFF


@check("pre_deploy.kubernetes.pods", severity="high", limit=Limit(warn="0%", fail="10%"), runbook="kubernetes-pods",
       fixed={"time pending": Limit(fail=f"{PENDING}s"), "time not ready": Limit(fail=f"{UNREADY}s"),
              "time past the grace period": Limit(fail=f"{OVERDUE}s"),
              "run after which a crash counts anew": Limit(fail=f"{BACK_OFF}s"),
              "period in which an out-of-memory kill counts": Limit(fail=f"{RECENT}s")})  # fmt: skip
def test_pods_are_in_order(kubernetes_pods: KubernetesPods, limit: Limit) -> None:
    """The share of each workload's pods that crash, miss their image, are pending, not ready or ran out of memory."""
    judge("pods", len(kubernetes_pods.pods), at_least=1)
    for workload, why in kubernetes_pods.refused:
        judge("all its pods can be made", False, of=workload, reason=why)
    found = {each: _trouble(each, kubernetes_pods.asked_at) for each in kubernetes_pods.pods}
    counted = [each for each, why in found.items() if why or each.lives]
    for workload, pods in _by_workload(counted):
        troubles = {each.name: found[each] for each in pods if found[each]}
        named = "; ".join(f"{', '.join(names[:3])}: {why}" for why, names in list(_by_reason(troubles).items())[:3])
        share = 100 * len(troubles) / len(pods)
        judge("pods in trouble", share, at_most=limit, unit="%", of=workload, reason=named or "")


def _by_reason(troubles: dict[str, str]) -> dict[str, list[str]]:
    """Each reason once, with the pods that have it; ages and names of pods make no other reason."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, why in troubles.items():
        found.setdefault(re.sub(r"[0-9]+", "", why.replace(name, "")), (why, []))[1].append(name)
    return dict(found.values())


def _by_workload(pods: Iterable[Pod]) -> Iterable[tuple[str, list[Pod]]]:
    found: dict[str, list[Pod]] = {}
    for each in pods:
        found.setdefault(each.workload, []).append(each)
    return sorted(found.items())


@check("pre_deploy.kubernetes.capacity", severity="critical", runbook="kubernetes-capacity")
def test_the_surge_fits(kubernetes_capacity: KubernetesCapacity) -> None:
    """The whole rollout fits on the nodes; with an autoscaler, or after the loss of a node, it only warns."""
    for each in kubernetes_capacity.fits:
        why = each.doubt or f"{each.left} of {each.wanted} pods have no place: {each.why}"
        if each.ends:
            why = f"{why}; the scheduler ends pods of lower priority for it: {', '.join(each.ends[:3])}"
        grows = kubernetes_capacity.autoscaling
        fits = each.left == 0 if not each.doubt else False if grows else None
        beside = f"; not looked at: {each.not_placed_by}" if each.not_placed_by else ""
        judge(f"the rollout fits{beside}", fits, of=each.what, reason=why, warn_only=grows or bool(each.ends))
    judge("workloads", len(kubernetes_capacity.fits), at_least=0)
    left = [each for each in kubernetes_capacity.without_one if each.left]
    named = "; ".join(f"{each.what}: {each.why}" for each in left[:3])
    judge("the rollout fits with one node down", not left, of=kubernetes_capacity.lost or "all nodes", warn_only=True,
          reason=f"{sum(each.left for each in left)} pods have no place: {named}")  # fmt: skip


@check("pre_deploy.kubernetes.quota", severity="high", limit=Limit(warn="85%", fail="100%"), runbook="kubernetes-quota")
def test_quotas_leave_room(kubernetes_quota: KubernetesQuota, limit: Limit) -> None:
    """Usage plus rollout stay within each ResourceQuota, and limit ranges allow the pods of the rollout."""
    judge("pods refused by limit ranges", len(kubernetes_quota.refused), at_most=0,
          reason="; ".join(kubernetes_quota.refused[:3]) or "")  # fmt: skip
    for each in kubernetes_quota.quotas:
        whole = each.used + each.surge
        share = round(100 * whole / each.hard, 9) if each.hard > 0 else 0.0 if whole == 0 else 1000.0
        why = f"{each.used:g} used, the rollout needs {each.surge:g} more, the quota is {each.hard:g}"
        judge("quota used", share, at_most=limit, unit="%", of=each.name, reason=why)


@check("pre_deploy.kubernetes.volumes", severity="high", runbook="kubernetes-volumes")
def test_claims_are_bound(kubernetes_volumes: KubernetesVolumes) -> None:
    """Every PersistentVolumeClaim that a pod uses is bound, and none is being deleted."""
    judge("claims", len(kubernetes_volumes.claims), at_least=0)
    for each in kubernetes_volumes.claims:
        waits = each.phase == "Pending" and each.waits
        told = f"it is {each.phase}{each.why and ': '}{each.why}"
        judge("is bound", each.phase == "Bound" or waits, of=each.name, reason=told)
        if each.leaving:
            judge("stays", False, of=each.name,
                  reason="it is being deleted: its data goes with the last pod that uses it")  # fmt: skip
        if each.growing:
            judge("has the size that it asks for", False, of=each.name, warn_only=True, reason=each.growing)


@check("pre_deploy.kubernetes.disruption", severity="low", runbook="kubernetes-disruption")
def test_a_drain_is_possible(kubernetes_disruption: KubernetesDisruption) -> None:
    """The eviction API would evict each pod that a disruption budget covers; rolling updates ignore budgets."""
    judge("budgets", len(kubernetes_disruption.budgets), at_least=0)
    for each in kubernetes_disruption.budgets:
        judge("a pod may be evicted", not each.blocked, of=each.name, reason=f"{each.why}; a drain would never finish",
              warn_only=each.soon)  # fmt: skip


@check("pre_deploy.kubernetes.ingress", severity="critical", runbook="kubernetes-ingress")
def test_traffic_gets_in(kubernetes_ingress: KubernetesIngress) -> None:
    """Every Ingress and load balancer has an address; every port of an Ingress or Service has ready endpoints."""
    found = (*kubernetes_ingress.ingresses, *kubernetes_ingress.services, *kubernetes_ingress.asleep,
             *kubernetes_ingress.alone)
    judge("ingresses and services", len(found), at_least=1)
    reasons = dict(kubernetes_ingress.why)  # each is told once, where its service is judged first
    for ingress in kubernetes_ingress.ingresses:
        judge("has an address", bool(ingress.addresses), of=ingress.name,
              reason=f"no ingress controller assigned an address{ingress.why and ': '}{ingress.why}")  # fmt: skip
        for backend, ready in ingress.backends:
            why = "there is no such service or port" if ready < 0 else "it has no ready endpoint"
            told = reasons.pop(backend.rpartition(":")[0], "") if ready == 0 else ""
            judge("backend is ready", ready > 0, of=f"{ingress.name} -> {backend}",
                  reason=f"{why}{told and ': '}{told}")  # fmt: skip
    for name, told in kubernetes_ingress.without_address:
        judge("has an address", False, of=f"service {name}", warn_only=not told,
              reason=f"no load balancer was assigned{told and ': '}{told}")  # fmt: skip
    for name in kubernetes_ingress.alone:
        judge("ready endpoints", 0, at_least=1, of=f"service {name}", warn_only=True, reason=reasons.pop(name, ""))
    for name, ready in kubernetes_ingress.services:
        told = reasons.pop(name.partition(", port ")[0], "") if ready == 0 else ""
        judge("ready endpoints", ready, at_least=1, of=f"service {name}", reason=told)


@check("pre_deploy.kubernetes.jobs", severity="medium", runbook="kubernetes-jobs",
       fixed={"time in which a Job that nobody repeats counts": Limit(fail=f"{DAY}s")})  # fmt: skip
def test_scheduled_work_succeeds(kubernetes_jobs: KubernetesJobs) -> None:
    """The newest finished run of each CronJob succeeded, and so did Jobs that nobody repeats."""
    judge("jobs", len(kubernetes_jobs.work), at_least=0)
    for each in kubernetes_jobs.work:
        late = each.failed_at is not None and kubernetes_jobs.asked_at - each.failed_at > DAY
        judge("its newest run succeeded", each.failed_at is None, of=each.name, reason=each.why,
              warn_only=late and each.name.startswith("job/"))  # fmt: skip
        if each.warned:
            judge("it is started", False, of=each.name, reason=each.warned, warn_only=True)


@check("pre_deploy.kubernetes.autoscalers", severity="medium", runbook="kubernetes-autoscalers",
       fixed={"time that an autoscaler may lack metrics": Limit(fail=f"{SETTLING}s")})  # fmt: skip
def test_autoscalers_can_scale(kubernetes_autoscalers: KubernetesAutoscalers) -> None:
    """Every autoscaler finds its target and its metrics; one that has reached its maximum warns."""
    judge("autoscalers", len(kubernetes_autoscalers.autoscalers), at_least=0)
    for each in kubernetes_autoscalers.autoscalers:
        lately = kubernetes_autoscalers.asked_at - each.since < SETTLING
        judge("can scale", not each.failing, of=each.name, reason=each.failing, warn_only=lately)
        if each.limited:
            judge("has room to scale", False, of=each.name, reason=each.limited, warn_only=True)
