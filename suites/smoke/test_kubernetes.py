"""Kubernetes: the rollout of a service's workload is done, and its pods stay up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Pod, Rollout, Workload

RECENT = 3600  # seconds: one that ended earlier and ran since is over it
STARTING = 300  # seconds: a healthy autoscaler has brought a node by then


@check("smoke.kubernetes.rollout", severity="critical", runbook="kubernetes-rollout",
       fixed={"time that an added pod may need to start": Limit(fail=f"{STARTING}s")})  # fmt: skip
def test_the_rollout_is_done(kubernetes_rollout: Rollout) -> None:
    """The rollout of the current version is complete: all pods are ready and available, and none crashes."""
    found = kubernetes_rollout.workload
    if not judge("workload exists", found is not None, of=kubernetes_rollout.wanted,
                 reason="no such workload in the namespace"):  # fmt: skip
        return
    assert found is not None
    judge("stays", not found.leaving, of=found.name, reason="it is being deleted")
    judge("controller has seen the newest generation", found.observed, at_least=found.generation)
    coming = _scaling_out(kubernetes_rollout, found)
    enough = max(0 if found.asleep else 1, found.replicas - coming)
    enough_new = max(0 if found.asleep else 1, enough - found.held)
    good = {"available": found.available >= enough, "ready": found.ready >= enough, "goes on": not found.stuck,
            "updated": found.updated >= enough_new}  # fmt: skip
    told = "; ".join(kubernetes_rollout.why)
    why = {next((name for name, fine in good.items() if not fine), ""): told}  # once: verdicts list them in this order
    judge("available replicas", found.available, at_least=enough, reason=why.get("available", ""))
    judge("ready replicas", found.ready, at_least=enough, reason=why.get("ready", ""))
    judge("requested replicas", found.replicas, at_least=0 if found.asleep else 1)
    if kubernetes_rollout.in_file is not None:
        judge("replicas of its manifest", found.replicas, at_least=kubernetes_rollout.in_file, warn_only=True,
              reason="it was scaled down, or the manifest is not applied yet")  # fmt: skip
    judge("rollout makes progress", good["goes on"], reason=": ".join(filter(None, (why.get("goes on"), found.stuck))))
    judge("rollout is not paused", not found.paused, reason="spec.paused is true")
    judge("updated replicas", found.updated, at_least=enough_new, reason=why.get("updated", ""))
    judge("scale-out is complete", not coming, warn_only=True,
          reason=(f"{coming} pods were added after the rollout and are not "
              f"ready: {told or 'they are starting'}"))  # fmt: skip
    live = [each for each in kubernetes_rollout.pods if each.lives]
    old = [each.name for each in live if found.hash and each.hash != found.hash]
    held = good["updated"] and 0 < len(old) <= found.held
    judge("pods of another version", len(old), at_most=0, warn_only=held,
          reason=", ".join(old[:5]) + (": the partition keeps them" if held else ""))  # fmt: skip
    for pod in live:
        waiting = [f"{each.name}: {each.waiting}" for each in pod.containers if each.stuck]
        judge("containers start", not waiting, of=pod.name, reason=", ".join(waiting))


def _scaling_out(rollout: Rollout, found: Workload) -> int:
    """Pods that were added after the rollout was whole and are not ready yet: no fault of the new version."""
    missing = max(0, found.replicas - min(found.updated, found.ready, found.available))
    if rollout.joined:
        served = {each.node for each in rollout.pods if each.ready}
        return min(missing, len(set(rollout.joined) - served))
    if found.completed_at is None:
        return 0
    late = [each for each in rollout.pods if each.lives and not each.ready]
    starting = [each for each in late if each.created_at >= found.completed_at and _starts(each, rollout.asked_at)]
    return missing if len(starting) == len(late) else min(missing, len(starting))


def _starts(pod: Pod, now: float) -> bool:
    crashes = any(each.stuck for each in pod.containers)
    return not crashes and now - pod.created_at < STARTING


@check("smoke.kubernetes.restarts", severity="high", limit=Limit(warn=1, fail=3), runbook="kubernetes-restarts",
       fixed={"period in which a restart counts": Limit(fail=f"{RECENT}s")})  # fmt: skip
def test_pods_stay_up(kubernetes_rollout: Rollout, limit: Limit) -> None:
    """Recent restarts of the containers of the current version: more than one warn, more than three fail."""
    found = kubernetes_rollout.workload
    current = [each for each in kubernetes_rollout.pods
               if each.lives and (found is None or not found.hash or each.hash == found.hash)]  # fmt: skip
    judge("pods of the current version", len(current), at_least=0 if found is not None and found.asleep else 1)
    for pod in current:
        for each in (one for one in pod.containers if not one.done):  # as the column RESTARTS of kubectl counts
            why = f"{each.restarts} restarts" + (f", the last after {each.ended}" if each.ended else "")
            count = each.restarts_since(kubernetes_rollout.asked_at - RECENT)
            judge("restarts", count, at_most=limit, of=f"{pod.name}/{each.name}", reason=why)
