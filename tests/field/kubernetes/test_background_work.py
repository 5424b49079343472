"""Reports of work that fails where no user and no pod shows it: CronJobs, Jobs, autoscalers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.autoscalers import autoscaler, kubernetes_autoscalers
from pytest_prodcheck.evidence.kubernetes.jobs import kubernetes_jobs
from pytest_prodcheck.records.kubernetes import KubernetesAutoscalers
from suites.pre_deploy.test_kubernetes import test_autoscalers_can_scale as autoscalers_can_scale
from suites.pre_deploy.test_kubernetes import test_scheduled_work_succeeds as work_succeeds
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "field-background"
BATCH = f"/apis/batch/v1/namespaces/{SPACE}"
META = {"namespace": SPACE}
POD = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "registry.test/backup:1"}]}
FAILS = {"activeDeadlineSeconds": 1, "parallelism": 0}
SUCCEEDS = {"completions": 0, "parallelism": 0}
HOLDS = "Not starting job because prior execution is running and concurrency policy is Forbid"


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    emptied(plane, SPACE)
    yield plane
    plane.delete(f"/api/v1/namespaces/{SPACE}")


def wait(done: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.2)


def cron_job(plane: ControlPlane, name: str) -> Object:
    """One that its controller will not start by itself."""
    plane.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, **META},
                 "spec": {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": {"template": {"spec": POD}}}}})  # fmt: skip
    made: Object = plane.get(f"{BATCH}/cronjobs/{name}")
    return made


def run(plane: ControlPlane, name: str, how: Object, of: Object | None = None) -> None:
    """A Job until its controller says how it ended."""
    metadata: Object = {"name": name, **META}
    if of is not None:
        metadata["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "CronJob", "controller": True,
                                        "name": of["metadata"]["name"], "uid": of["metadata"]["uid"]}]  # fmt: skip
    plane.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
                 "spec": {**how, "template": {"spec": POD}}})  # fmt: skip
    wanted = {"Complete", "Failed"}
    wait(lambda: wanted & {each["type"] for each in plane.get(f"{BATCH}/jobs/{name}")["status"].get("conditions", ())})


def test_scheduled_work(space: ControlPlane, tmp_path: Path) -> None:
    """kstrassheim/k8s-ultimate-web-stack#106; managed-cluster-config#1540, deckhouse#1989: a success since then counts.

    kubernetes/kubernetes#53331, gnosis/gp-v2-trading-bot#12: what failed is kept, and is over.
    """
    invoices, backup, cleanup = (cron_job(space, each) for each in ("invoices", "backup", "cleanup"))
    run(space, "invoices-1", SUCCEEDS, invoices)
    run(space, "backup-1", FAILS, backup)
    run(space, "cleanup-1", FAILS, cleanup)
    run(space, "migrate", FAILS)
    time.sleep(1.1)  # of which the API tells whole seconds
    run(space, "invoices-2", FAILS, invoices)
    run(space, "backup-2", SUCCEEDS, backup)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    space.patch(f"{BATCH}/cronjobs/cleanup/status", {"status": {"lastSuccessfulTime": now}})
    space.apply({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "backup-holds", **META}, "type": "Normal",
        "reason": "JobAlreadyActive", "message": HOLDS, "lastTimestamp": now,
        "involvedObject": {"kind": "CronJob", "name": "backup", "namespace": SPACE},
    })  # fmt: skip
    found = kubernetes_jobs.gather("c", context_for(tmp_path, SPACE, space), Deadline(30))
    failed = {each.name: each.why.partition(": Job")[0] for each in found.work if each.failed_at is not None}
    assert failed == {"cronjob/invoices": "invoices-2: DeadlineExceeded", "job/migrate": "migrate: DeadlineExceeded"}
    assert outcomes(work_succeeds, found).startswith("failed: ")
    assert HOLDS in outcomes(work_succeeds, found)
    alone = replace(found, work=tuple(each for each in found.work if each.name == "job/migrate"))
    assert outcomes(work_succeeds, alone).startswith("failed: ")
    assert outcomes(work_succeeds, replace(alone, asked_at=alone.asked_at + 2 * 86400)).startswith("warned: ")


def has_failed(item: Object) -> bool:
    return any(each["status"] == "False" for each in item.get("status", {}).get("conditions", ()))


def test_autoscalers_that_cannot_scale(space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#86032, clearlinux/cloud-native-setup#5: as the real controller says of both."""
    labels = {"app": "web"}
    pod = {"schedulingGates": [{"name": "test.example/held"}], "containers": POD["containers"]}
    space.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", **META},
                 "spec": {"selector": {"matchLabels": labels},
                          "template": {"metadata": {"labels": labels}, "spec": pod}}})  # fmt: skip
    for name, version in (("blind", "apps/v1"), ("lost", "extensions/v1beta1")):
        space.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                     "metadata": {"name": name, **META},
                     "spec": {"maxReplicas": 3, "scaleTargetRef": {
                         "apiVersion": version, "kind": "Deployment", "name": "web"}}})  # fmt: skip

    path = f"/apis/autoscaling/v2/namespaces/{SPACE}/horizontalpodautoscalers"
    wait(lambda: all(has_failed(each) for each in space.get(path)["items"]))
    found = kubernetes_autoscalers.gather("c", context_for(tmp_path, SPACE, space), Deadline(30))
    assert sorted(each.failing.partition(":")[0] for each in found.autoscalers) == [
        "FailedGetResourceMetric", "FailedGetScale"]  # fmt: skip
    assert outcomes(autoscalers_can_scale, found).startswith("warned: ")  # pods that are new have no metrics yet
    assert outcomes(autoscalers_can_scale, replace(found, asked_at=found.asked_at + 400)).startswith("failed: ")


def _condition(kind: str, status: str, reason: str, message: str = "so it is") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip


@pytest.mark.parametrize(("conditions", "most", "outcome"), [
    ([_condition("ScalingActive", "True", "ValidMetricFound")], 9, "passed"),
    ([_condition("ScalingActive", "False", "ScalingDisabled")], 9, "passed"),
    ([_condition("AbleToScale", "False", "BackoffBoth")], 9, "passed"),
    ([_condition("ScalingActive", "False", "FailedGetExternalMetric")], 9, "failed: FailedGetExternalMetric"),
    ([_condition("Ready", "False", "ScaledObjectCheckFailed")], 9, "failed: ScaledObjectCheckFailed"),
    ([_condition("ScalingLimited", "True", "TooManyReplicas")], 9, "warned: its maximum is 9"),
    ([_condition("ScalingLimited", "True", "TooManyReplicas")], 2, "passed"),
    ([_condition("ScalingLimited", "True", "TooFewReplicas")], 9, "passed"),
    ([_condition("Ready", "True", "Ready"), _condition("Fallback", "True", "FallbackExists")], 9, "warned: so it is"),
    ([], 9, "failed: no controller has looked at it"),
])  # fmt: skip
def test_what_autoscalers_say(conditions: list[Object], most: int, outcome: str) -> None:
    """kubernetes/kubernetes#56165, #104387, #78846: what of it keeps a target from being scaled."""
    metadata = {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"}
    item = {"metadata": metadata, "status": {"conditions": conditions},
            "spec": {"minReplicas": 2, "maxReplicas": most, "scaleTargetRef": {"name": "web"}}}  # fmt: skip
    found = KubernetesAutoscalers((autoscaler("ScaledObject", item),), time.time())
    said = outcomes(autoscalers_can_scale, found)
    assert said.startswith(outcome.partition(":")[0])
    assert outcome.partition(": ")[2] in said
