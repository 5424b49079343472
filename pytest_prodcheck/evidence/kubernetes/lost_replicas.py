"""Replicas that an autoscaler, or somebody, has added, and that applying the file takes away at once.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#migrating-deployments-and-statefulsets-to-horizontal-autoscaling
"""

from __future__ import annotations

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table


def fewer_replicas(item: Object, live: Object | None, result: Object) -> tuple[str, ...]:
    """Told where the file does not mean it: it names no number, or another one than was scaled to."""
    before, after = table(live, "spec").get("replicas"), table(result, "spec").get("replicas")
    if live is None or not isinstance(before, int) or not isinstance(after, int) or after >= before:
        return ()
    if table(item, "spec").get("replicas") is None:
        return (f"spec.replicas: {before} become {after}, because the file no longer names a number",)
    scaler = scaled_by(live)
    return (f"spec.replicas: {scaler} has scaled to {before}, applying sets {after}",) if scaler else ()


def scaled_by(live: Object) -> str:
    """Who has set the replicas by themselves, as an autoscaler and `kubectl scale` do, "" where nobody did."""
    for entry in rows(live, "metadata", "managedFields"):
        if entry.get("subresource") == "scale" and "f:replicas" in table(entry, "fieldsV1", "f:spec"):
            return str(entry.get("manager") or "somebody")
    return ""
