"""Kubernetes: the rollout of a service's workload is done, and its pods stay up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Rollout, Workload

CRASHING = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError",
            "CreateContainerError", "RunContainerError")  # fmt: skip
STARTING = 300  # seconds: a healthy autoscaler has brought a node by then


@check("smoke.kubernetes.rollout", severity="critical", runbook="kubernetes-rollout")
def test_the_rollout_is_done(kubernetes_rollout: Rollout) -> None:
    """The controller has seen the newest version, all pods are of it, ready and available, and none crashes."""
    found = kubernetes_rollout.workload
    if not judge("workload exists", found is not None, of=kubernetes_rollout.wanted,
                 reason="the namespace has none of that name"):  # fmt: skip
        return
    assert found is not None
    judge("generation seen by its controller", found.observed, at_least=found.generation)
    coming = _scaling_out(kubernetes_rollout, found)
    enough = max(1, found.replicas - coming)
    counts = {"updated": found.updated == found.replicas, "ready": found.ready >= enough,
              "available": found.available >= enough}  # fmt: skip
    first = "stuck" if found.stuck else next((name for name, good in counts.items() if not good), "")
    told = "; ".join(kubernetes_rollout.why)
    why = {first: told}  # once, by the first that is short
    judge("rollout goes on", not found.stuck, reason=": ".join(filter(None, (why.get("stuck"), found.stuck))))
    judge("rollout is not paused", not found.paused, reason="spec.paused is true")
    judge("replicas asked for", found.replicas, at_least=1)
    judge("updated replicas", found.updated, equals=found.replicas, reason=why.get("updated", ""))
    judge("ready replicas", found.ready, at_least=enough, reason=why.get("ready", ""))
    judge("available replicas", found.available, at_least=enough, reason=why.get("available", ""))
    judge("scaling out is done", not coming, warn_only=True,
          reason=f"{coming} pods came after the rollout and are not ready: {told or 'they start'}")  # fmt: skip
    old = [each.name for each in kubernetes_rollout.pods if found.hash and each.hash != found.hash and each.phase not in
           ("Succeeded", "Failed")]  # fmt: skip
    judge("pods of another version", len(old), at_most=0, reason=", ".join(old[:5]) or "")
    for pod in kubernetes_rollout.pods:
        waiting = [f"{each.name}: {each.waiting}" for each in pod.containers if each.waiting in CRASHING]
        judge("containers start", not waiting, of=pod.name, reason=", ".join(waiting))


def _scaling_out(rollout: Rollout, found: Workload) -> int:
    """Pods that were added after the rollout was whole and do not run yet: no fault of the new version."""
    if found.completed_at is None:
        return 0
    return sum(
        each.phase == "Pending"
        and not any(container.waiting in CRASHING for container in each.containers)
        and each.created_at >= found.completed_at
        and rollout.asked_at - each.created_at < STARTING
        for each in rollout.pods
    )


@check("smoke.kubernetes.restarts", severity="high", limit=Limit(warn=1, fail=3), runbook="kubernetes-restarts")
def test_pods_stay_up(kubernetes_rollout: Rollout, limit: Limit) -> None:
    """Restarts of the containers of the current version: more than one warn, more than three fail."""
    found = kubernetes_rollout.workload
    current = [each for each in kubernetes_rollout.pods if found is None or not found.hash or each.hash == found.hash]
    judge("pods of the current version", len(current), at_least=1)
    for pod in current:
        for each in pod.containers:
            why = f"{each.restarts} restarts" + (f", the last after {each.ended}" if each.ended else "")
            judge("restarts", each.restarts, at_most=limit, of=f"{pod.name}/{each.name}", reason=why)
