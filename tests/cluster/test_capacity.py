"""Rollouts judged by `kubernetes-capacity` and `-quota`, then done: what the real scheduler makes of them.

Each workload has nodes of its own, so that all are rolled out at the same time. PRODCHECK_SOAK=1 draws more of them.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.capacity import kubernetes_capacity
from pytest_prodcheck.evidence.kubernetes.quotas import kubernetes_quota
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts
from pytest_prodcheck.evidence.kubernetes.rollout_steps import rollouts
from pytest_prodcheck.evidence.kubernetes.runtime_classes import runtime_classes
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.kubernetes import KubernetesQuota, Schedulability
from tests.cluster.control_plane import NOBODY, ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.namespaces import context_for, emptied, files
from tests.soak import SOAK

Object = dict[str, Any]
SPACE = "room"
SETTLED = 12.0  # seconds without a change of the pods: retries of the quota controllers come later
DRAWN = 150 if SOAK else 20


@dataclasses.dataclass
class Case:
    """A workload as it is and as it shall be, on nodes of its own."""

    name: str
    kind: str
    before: Object | None  # of its specification: cpu, replicas, strategy, resources
    after: Object
    fits: bool | None = None  # as the report tells; None: as the scheduler says
    cpus: tuple[str, ...] = ("8", "8", "8")

    def item(self, told: Object) -> Object:
        labels = {"app": self.name}
        asked = told.get("resources") or {"requests": {"cpu": told["cpu"]}}
        pod = {
            "nodeSelector": {"pool": self.name},
            "containers": [{"name": "app", "image": "registry.test/web:1", "resources": asked}],
            **({"affinity": _apart(labels)} if told.get("apart") else {}),
            **({"runtimeClassName": "sandboxed"} if told.get("sandboxed") else {}),
        }
        specification: Object = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        if self.kind != "DaemonSet":
            specification["replicas"] = told.get("replicas", 2)
        if self.kind == "StatefulSet":
            specification |= {"serviceName": "none", "podManagementPolicy": "Parallel"}
        if strategy := told.get("strategy") or self.after.get("strategy"):
            specification["strategy" if self.kind == "Deployment" else "updateStrategy"] = strategy
        return {"apiVersion": "apps/v1", "kind": self.kind, "spec": specification,
                "metadata": {"name": self.name, "namespace": SPACE}}  # fmt: skip

    def nodes(self) -> Iterator[Object]:
        for number, cpu in enumerate(self.cpus):
            room = {"cpu": cpu, "memory": "16Gi", "pods": "20"}
            name = f"{self.name}-{number}"
            labels = {"pool": self.name, "kubernetes.io/hostname": name, "type": "kwok"}
            taint = {"key": "pool", "value": self.name, "effect": "PreferNoSchedule"}
            yield {"apiVersion": "v1", "kind": "Node", "spec": {"taints": [taint]},
                   "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
                   "status": {"allocatable": room, "capacity": room}}  # fmt: skip


SANDBOXED: Object = {
    "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandboxed"}, "handler": "kata",
    "overhead": {"podFixed": {"cpu": "3", "memory": "100Mi"}}, "scheduling": {
        "nodeSelector": {"type": "kwok"}, "tolerations": [{"key": "kata", "operator": "Exists"}]},
}  # fmt: skip


def _apart(labels: dict[str, str]) -> Object:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _rolling(surge: object, unavailable: object) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


REPORTED = (
    Case("limits-alone", "Deployment", {"cpu": "1"},
         {"replicas": 6, "resources": {"limits": {"cpu": "6"}}}, fits=False),
    Case("in-place", "Deployment", {"cpu": "1"}, {"cpu": "9", "strategy": _rolling(0, 1)}, fits=False),
    Case("recreate", "Deployment", {"cpu": "1"}, {"cpu": "9", "strategy": {"type": "Recreate"}}, fits=False),
    Case("recreate-fits", "Deployment", {"cpu": "7"}, {"cpu": "8", "strategy": {"type": "Recreate"}}, fits=True),
    Case("daemons", "DaemonSet", None, {"cpu": "9"}, fits=False),
    Case("daemons-grow", "DaemonSet", {"cpu": "1"}, {"cpu": "8"}, fits=True),
    Case("the-end", "Deployment", {"cpu": "1", "replicas": 6}, {"cpu": "5", "replicas": 6}, fits=False),
    Case("one-goes-first", "Deployment", {"cpu": "7", "replicas": 3}, {"cpu": "7", "replicas": 3,
         "strategy": _rolling("50%", 1)}, fits=True),
    Case("grown-set", "StatefulSet", {"cpu": "1"}, {"cpu": "9"}, fits=False),
    Case("partition", "StatefulSet", {"cpu": "1"}, {"cpu": "9", "strategy": {"type": "RollingUpdate",
         "rollingUpdate": {"partition": 2}}}, fits=True),
    Case("apart", "Deployment", {"cpu": "1", "replicas": 3, "apart": True}, {"cpu": "2", "replicas": 3, "apart": True,
         "strategy": _rolling(1, 0)}, fits=False),
    Case("apart-in-place", "Deployment", {"cpu": "1", "replicas": 3, "apart": True},
         {"cpu": "2", "replicas": 3, "apart": True, "strategy": _rolling(1, 1)}, fits=True),
    Case("overhead", "Deployment", {"cpu": "1"}, {"cpu": "4", "replicas": 6, "sandboxed": True}, fits=False),
    Case("overhead-fits", "Deployment", {"cpu": "1", "sandboxed": True},
         {"cpu": "5", "replicas": 3, "sandboxed": True, "strategy": _rolling(0, 1)}, fits=True),
)  # fmt: skip


def drawn(count: int) -> Iterator[Case]:
    """Workloads of one to eight pods that change size, number and strategy, on one to four nodes."""
    draw = random.Random(19)
    for number in range(count):
        kind = draw.choice(["Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet"])
        cpus = tuple(str(draw.choice([4, 8])) for _ in range(draw.randint(1, 4)))
        before: Object = {"cpu": f"{draw.randint(2, 8) * 250}m", "replicas": draw.randint(1, 2 * len(cpus))}
        after: Object = {"cpu": f"{draw.randint(2, 24) * 250}m", "replicas": draw.randint(1, 3 * len(cpus))}
        if kind == "Deployment":
            after["strategy"] = draw.choice(
                [_rolling("25%", "25%"), _rolling(1, 0), _rolling(0, 1), _rolling("50%", "50%"), {"type": "Recreate"}]
            )
        yield Case(f"drawn-{number}", kind, None if draw.random() < 0.15 else before, after, cpus=cpus)


def _settle(plane: ControlPlane, space: str, done: Callable[[list[Object]], bool], longest: float) -> list[Object]:
    """The namespace's pods once they are as they should be, or when nothing has moved for a while."""
    began = changed = time.monotonic()
    last: object = None
    while True:
        pods: list[Object] = plane.get(f"/api/v1/namespaces/{space}/pods?limit=2000")["items"]
        now = sorted((each["metadata"]["name"], each["status"].get("phase"), _ready(each)) for each in pods)
        if now != last:
            last, changed = now, time.monotonic()
        if done(pods) or time.monotonic() - changed > SETTLED or time.monotonic() - began > longest:
            return pods
        time.sleep(0.5)


def _ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def test_what_the_scheduler_then_does(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    cases = [*REPORTED, *drawn(DRAWN)]
    emptied(plane, SPACE)
    plane.apply(SANDBOXED)
    try:
        for case in cases:
            for node in case.nodes():
                plane.apply(node)
                plane.patch(f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": node["status"]})
        plane.apply(*(case.item(case.before) for case in cases if case.before))
        wanted = sum(
            len(case.cpus) if case.kind == "DaemonSet" else case.before.get("replicas", 2)
            for case in cases
            if case.before
        )
        _settle(plane, SPACE, lambda pods: len(pods) == wanted and all(map(_ready, pods)), 120)
        context = files(context_for(tmp_path, SPACE, plane), *(case.item(case.after) for case in cases))
        found = kubernetes_capacity.gather(SPACE, context, Deadline(60))
        none = {case.name: Schedulability(case.name, 0, 0) for case in cases}  # what asks for nothing new is not listed
        judged = none | {fit.what.partition("/")[2]: fit for fit in found.fits}
        plane.apply(*(case.item(case.after) for case in cases))
        time.sleep(2)
        pods = _settle(plane, SPACE, lambda pods: False, 240)
        waiting = {each["metadata"]["labels"]["app"] for each in pods if each["status"]["phase"] == "Pending"}
        told = {case.name: (judged[case.name].left == 0, case.name not in waiting) for case in cases}
        wrong = {case.name: (case, judged[case.name]) for case in cases if len({*told[case.name]}) > 1}
        assert not wrong, "\n".join(f"{case}\n  judged {fit}" for case, fit in wrong.values())
        assert {case.name: told[case.name][0] for case in REPORTED} == {case.name: case.fits for case in REPORTED}
    finally:
        for case in cases:
            for node in case.nodes():
                plane.delete(f"/api/v1/nodes/{node['metadata']['name']}")
        plane.delete(f"/api/v1/namespaces/{SPACE}")


def _web(replicas: Any = 2, strategy: Any = None, **resources: Any) -> Object:
    item = Case("web", "Deployment", None, {}).item(
        {"replicas": replicas, "resources": resources, **({"strategy": strategy} if strategy else {})}
    )
    del item["spec"]["template"]["spec"]["nodeSelector"]
    return item


def _quota(hard: Object, **specification: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", "namespace": "quotas"},
            "spec": {"hard": hard, **specification}}  # fmt: skip


_RESERVED = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["reserved"]}]}
_RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "usual", "namespace": "quotas"},
          "spec": {"limits": [
              {"type": "Container", "defaultRequest": {"cpu": "6"}, "default": {"cpu": "6"}},
          ]}}  # fmt: skip
_LARGE = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}
_MORE = {"requests": {"cpu": "200m"}}


@pytest.mark.parametrize(
    ("quota", "before", "after", "fits"),
    [
        (_quota({"limits.cpu": "2500m"}), _web(**_LARGE), _web(**_LARGE | _MORE), False),
        (_quota({"limits.cpu": "3"}), _web(**_LARGE), _web(**_LARGE | _MORE), True),
        (_quota({"limits.cpu": "2"}), _web(**_LARGE), _web(**_LARGE), True),  # nothing is rolled out
        (_quota({"limits.cpu": "2500m"}), _web(**_LARGE), _web(3, **_LARGE), False),
        (_quota({"limits.cpu": "3"}), _web(**_LARGE), _web(3, **_LARGE), True),
        (_quota({"requests.cpu": "3"}), _web(requests={"cpu": "1"}),
         _web(requests={"cpu": "2"}, strategy=_rolling(0, 1)), False),
        (_quota({"requests.cpu": "4"}), _web(requests={"cpu": "1"}),
         _web(requests={"cpu": "2"}, strategy=_rolling(0, 1)), True),
        (_quota({"requests.cpu": "3"}), _web(requests={"cpu": "1"}, strategy={"type": "Recreate"}),
         _web(requests={"cpu": "2"}, strategy={"type": "Recreate"}), False),
        (_quota({"pods": "0"}, scopeSelector=_RESERVED), _web(requests={"cpu": "1"}),
         _web(requests={"cpu": "2"}), True),
        (_quota({"pods": "2"}, scopes=["NotTerminating"]), _web(requests={"cpu": "1"}),
         _web(requests={"cpu": "2"}), False),
    ],
    ids=["limits", "limits-with-room", "unchanged", "scaled", "scaled-with-room", "in-place", "in-place-with-room",
         "recreate", "other-class", "scope"],
)  # fmt: skip
def test_what_the_quota_then_lets_in(
    quota: Object, before: Object, after: Object, fits: bool, bench: Bench, plane: ControlPlane, tmp_path: Path
) -> None:
    emptied(plane, "quotas")
    for item in (before, after):
        item["metadata"]["namespace"] = "quotas"
    plane.apply(quota, before)
    counted = 0 if "scopeSelector" in quota["spec"] else 2  # pods of one cpu, or none of that class
    end = time.monotonic() + 120
    while True:
        pods = plane.get("/api/v1/namespaces/quotas/pods")["items"]
        used = plane.get("/api/v1/namespaces/quotas/resourcequotas/room").get("status", {}).get("used", {})
        if len(pods) == 2 and all(map(_ready, pods)) and [*map(int, used.values())] == [counted]:
            break
        assert time.monotonic() < end, (pods, used)
        time.sleep(0.2)
    context = files(context_for(tmp_path, "quotas", plane), after)
    found: KubernetesQuota = kubernetes_quota.gather("quotas", context, Deadline(20))
    over = [each for each in found.quotas if each.used + each.surge > each.hard + 1e-9]
    assert (not over) == fits, found
    if SOAK:
        plane.apply(after)
        pods = _settle(plane, "quotas", lambda pods: False, 60)
        cpu = after["spec"]["template"]["spec"]["containers"][0]["resources"]
        new = [each for each in pods if each["spec"]["containers"][0]["resources"]["requests"] == cpu["requests"]]
        assert fits == (len(new) == len(pods) == after["spec"]["replicas"]), pods


def test_overhead_of_runtime_classes_counts(plane: ControlPlane, tmp_path: Path) -> None:
    """kai-scheduler/KAI-Scheduler#373, kubernetes/kubernetes#99577: as admission adds it to the pod, on the same nodes.

    Also where the class comes with the same files; and who may not read it cannot tell.
    """
    emptied(plane, "quotas")
    plane.apply(SANDBOXED)
    item = _web(requests={"cpu": "1"}, limits={"memory": "1Gi"})
    item["metadata"]["namespace"] = "quotas"
    template = item["spec"]["template"]["spec"]
    template |= {"runtimeClassName": "sandboxed", "tolerations": [{"key": "own", "operator": "Exists"}]}
    (demand,) = rollouts(files(context_for(tmp_path, "quotas", plane), item), Deadline(20))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "spec": template}
    end = time.monotonic() + 60  # a new namespace has no service account yet, an admission plug-in no new class
    while (answer := plane.ask("POST", "/api/v1/namespaces/quotas/pods?dryRun=All", pod))[0] != 201:
        assert time.monotonic() < end, answer
        time.sleep(0.2)
    made = answer[1]
    for name in ("overhead", "nodeSelector"):
        assert demand.pod[name] == made["spec"][name]
    assert {each["key"] for each in demand.pod["tolerations"]} == {"own", "kata"}
    assert {"own", "kata"} <= {each["key"] for each in made["spec"]["tolerations"]}
    assert (demand.cpu, resource_amounts(demand.pod, "limits")) == (4.0, {"memory": 2**30 + 100 * 2**20})

    larger = {**SANDBOXED, "overhead": {"podFixed": {"cpu": "5"}}}
    (demand,) = rollouts(files(context_for(tmp_path, "quotas", plane), item, larger), Deadline(20))
    assert demand.cpu == 6.0

    context = context_for(tmp_path, "quotas", plane)
    (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("nobody", NOBODY).read_bytes())
    assert runtime_classes([{"containers": []}], (), context, Deadline(20)) == {}
    with pytest.raises(EvidenceProblem, match='cannot list resource "runtimeclasses"') as raised:
        runtime_classes([template], (), context, Deadline(20))
    assert "grants" in raised.value.problem.hint


def test_defaults_of_limit_ranges_count(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    emptied(plane, "quotas")
    plane.apply(_RANGE)
    item = _web(replicas=6, requests={"cpu": "1"})
    item["metadata"]["namespace"] = "quotas"
    item["spec"]["template"]["spec"]["containers"][0].pop("resources")
    context = files(context_for(tmp_path, "quotas", plane), item)
    (fit,) = kubernetes_capacity.gather("quotas", context, Deadline(20)).fits
    assert fit.left == 3, fit
    assert "6 cpu" in fit.why

