"""Drawn budgets over drawn pods: what is said of each eviction is what the API server answers to it, as a dry run.

PRODCHECK_SOAK=1 draws more of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.evictions import budgets_with, kubernetes_disruption, refusal
from pytest_prodcheck.evidence.kubernetes.selectors import fits
from pytest_prodcheck.records.kubernetes import KubernetesDisruption, Pod
from suites.pre_deploy.test_kubernetes import test_a_drain_is_possible as drain_is_possible
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes
from tests.soak import SOAK

Object = dict[str, Any]
SPACE = "evictions"
CORE, POLICY = f"/api/v1/namespaces/{SPACE}", f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets"
META = {"namespace": SPACE}
PODS, ROUNDS = 30, 12 if SOAK else 2
ODD = {"apiVersion": "shop.test/v1", "kind": "Till", "name": "front", "uid": "0" * 8 + "-0000-0000-0000-000000000001",
       "controller": True}  # fmt: skip


def workload(name: str, replicas: int, **labels: str) -> Object:
    pod = {"containers": [{"name": "app", "image": "registry.test/web:1"}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **META},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name, **labels}}, "spec": pod}},
    }  # fmt: skip


def pod(name: str, labels: dict[str, str], odd: bool = False, **more: Any) -> Object:
    owner = {"ownerReferences": [ODD]} if odd else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, **owner, **META},
            "spec": {"containers": [{"name": "app", "image": "registry.test/web:1"}], **more}}  # fmt: skip


def budget(name: str, selector: Object | None, **told: Any) -> Object:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, **META},
            "spec": {**({} if selector is None else {"selector": selector}), **told}}  # fmt: skip


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    from tests.cluster import shop

    shop.make(plane)
    emptied(plane, SPACE)
    yield plane
    for each in (f"{CORE}/pods", POLICY, CORE):
        plane.delete(each)


def wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.2)


def settled(plane: ControlPlane, pods: int, budgets: int, replicas: dict[str, int]) -> bool:
    """All pods are as they shall be, and the budgets' controller has counted each of them; replicas: by `app`."""
    found = plane.get(f"{CORE}/pods")["items"]
    there = [each for each in found if each["status"].get("phase") != "Pending"
             or "stays" in each["metadata"]["name"]]  # fmt: skip
    listed = plane.get(POLICY)["items"]
    return len(there) == pods and len(listed) == budgets and all(_counted(each, found, replicas) for each in listed)


def _counted(item: Object, pods: list[Object], replicas: dict[str, int]) -> bool:
    """Whether a budget's status is that of these pods, by the rules of its controller.

    https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets : a number of pods that is at
    least there needs no owner; all else is counted by the scale that the owners of its pods ask for.
    """
    status, told = item.get("status", {}), item["spec"]
    mine = [each for each in pods if fits(told.get("selector"), each["metadata"].get("labels", {}))]
    ready = sum(parsing.conditions(each).get("Ready", {}).get("status") == "True" for each in mine)
    by_scale = not isinstance(told.get("minAvailable"), int)
    if by_scale and any(each["metadata"].get("ownerReferences") == [ODD] for each in mine):
        return _failed(status)
    owners = {each["metadata"].get("labels", {}).get("app", "") for each in mine}
    expected = sum(replicas.get(each, 0) for each in owners) if by_scale else len(mine)
    seen = (status.get("observedGeneration"), status.get("expectedPods"), status.get("currentHealthy"))
    return not _failed(status) and seen == (item["metadata"]["generation"], expected, ready)


def _failed(status: Object) -> bool:
    """Whether its controller has tried and cannot count: it then notes no generation."""
    return any(each.get("reason") == "SyncFailed" for each in status.get("conditions", ()))


def read(plane: ControlPlane, folder: Path) -> tuple[list[Pod], KubernetesDisruption]:
    from pytest_prodcheck.evidence.kubernetes.cluster import pods_of

    context = context_for(folder, SPACE, plane)
    try:
        return pods_of(context, Deadline(20)), kubernetes_disruption.gather("c", context, Deadline(20))
    finally:
        context.close()


def unready(plane: ControlPlane, name: str) -> None:
    """Says what a kubelet would of a pod whose probe fails."""
    told = plane.get(f"{CORE}/pods/{name}")["status"]["conditions"]
    changed = [{**each, "status": "False"} if each["type"] in ("Ready", "ContainersReady") else each for each in told]
    plane.patch(f"{CORE}/pods/{name}/status", {"status": {"conditions": changed}})


def evicted(plane: ControlPlane, name: str) -> str:
    """"" where the API server would let it go, else its words."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, **META},
            "deleteOptions": {"dryRun": ["All"]}}  # fmt: skip
    status, said = plane.ask("POST", f"{CORE}/pods/{name}/eviction", body)
    return "" if status in (200, 201) and said.get("status") != "Failure" else str(said.get("message"))


def drawn_budget(draw: random.Random, number: int) -> Object:
    key = draw.choice("abc")
    selector: Object | None = draw.choice([
        {"matchLabels": {key: draw.choice("012")}}, {"matchLabels": {"a": draw.choice("012"), "b": draw.choice("012")}},
        {"matchExpressions": [{"key": key, "operator": draw.choice(("In", "NotIn")), "values": ["0", "1"]}]},
        {"matchExpressions": [{"key": key, "operator": "DoesNotExist"}], "matchLabels": {"a": draw.choice("012")}},
        {"matchLabels": {"app": f"drawn-{draw.randrange(3)}"}}, {"matchLabels": {"app": f"drawn-{draw.randrange(3)}"}},
        None if draw.random() < 0.5 else {"matchLabels": {"a": "9"}},
    ])  # fmt: skip
    amount: Any = draw.choice([0, 1, 1, 2, 3, "10%", "50%", "100%"])
    policy = draw.choice([{}, {}, {"unhealthyPodEvictionPolicy": "AlwaysAllow"},
                          {"unhealthyPodEvictionPolicy": "IfHealthyBudget"}])  # fmt: skip
    return budget(f"drawn-{number}", selector, **{draw.choice(("minAvailable", "maxUnavailable")): amount}, **policy)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_each_eviction_is_answered_as_foretold(round_: int, space: ControlPlane, tmp_path: Path) -> None:
    draw = random.Random(1000 + round_)
    space.delete(POLICY)
    space.delete(f"/apis/apps/v1/namespaces/{SPACE}/deployments")
    wait(lambda: not space.get(f"/apis/apps/v1/namespaces/{SPACE}/replicasets")["items"])
    space.delete(f"{CORE}/pods")
    wait(lambda: not space.get(f"{CORE}/pods")["items"])
    labels = [{key: draw.choice("012") for key in "abc" if draw.random() < 0.6} for _ in range(PODS)]
    kinds = [draw.choice(["bare", "bare", "odd", "unready", "over", "failed", "stays"]) for _ in range(PODS)]
    replicas = [draw.randrange(1, 4) for _ in range(3)]
    for at, count in enumerate(replicas):
        space.apply(workload(f"drawn-{at}", count, c=draw.choice("012")))
    for at, kind in enumerate(kinds):
        more: Object = {"nodeSelector": {"none": "such"}} if kind == "stays" else {}
        space.apply(pod(f"{kind}-{at}", labels[at], kind == "odd", **more))
    budgets = [drawn_budget(draw, number) for number in range(5)]
    space.apply(*budgets)

    def running() -> set[str]:
        return {each["metadata"]["name"] for each in space.get(f"{CORE}/pods")["items"]
                if each["status"].get("phase") == "Running"}  # fmt: skip

    wait(lambda: len(running()) == sum(replicas) + sum(kind != "stays" for kind in kinds))
    for at, kind in enumerate(kinds):
        if kind in ("over", "failed"):
            phase = "Succeeded" if kind == "over" else "Failed"
            space.patch(f"{CORE}/pods/{kind}-{at}/status", {"status": {"phase": phase}})
        if kind == "unready":
            unready(space, f"{kind}-{at}")
    asked = {f"drawn-{at}": count for at, count in enumerate(replicas)}
    wait(lambda: settled(space, sum(replicas) + PODS, len(budgets), asked))
    pods, found = read(space, tmp_path)
    live = space.get(POLICY)["items"]
    foretold = {each.name: bool(refusal(each, live)) for each in pods}
    assert foretold == {each.name: bool(evicted(space, each.name)) for each in pods}
    blocked = {name for each in found.budgets for name in each.blocked}
    assert blocked == {name for name, refused in foretold.items() if refused}


@pytest.mark.parametrize(("ready", "late", "soon"), [(6, 0, True), (2, 0, False), (2, 4, True)])
def test_pods_that_the_budget_has_not_counted_yet(ready: int, late: int, soon: bool) -> None:
    """An autoscaler scales from two to six: until they are counted no pod may go, which is soon over."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    meta = {"namespace": SPACE, "labels": {"app": "a"}, "creationTimestamp": now}
    pods = [
        parsing.pod({"metadata": {**meta, "name": f"p-{at}"}, "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": str(at < ready)}]}})
        for at in range(ready + late)
    ]  # fmt: skip
    counted = {"expectedPods": 6, "desiredHealthy": 3, "currentHealthy": 2, "disruptionsAllowed": 0}
    half = {**budget("half", {"matchLabels": {"app": "a"}}, maxUnavailable="50%"), "status": counted}
    (found,) = budgets_with([half], pods, time.time())
    assert (bool(found.blocked), found.soon) == (True, soon)


def test_budgets_that_let_nobody_go(space: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#75957: two budgets over the same pods; one whose controller cannot count (SyncFailed)."""
    space.delete(POLICY)
    space.apply(workload("twice", 2), pod("lonely", {"app": "lonely"}, odd=True), workload("fine", 2))
    same = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["twice"]}]}
    space.apply(
        budget("chart", {"matchLabels": {"app": "twice"}}, maxUnavailable=1),
        budget("platform", same, minAvailable=1),
        budget("lonely", {"matchLabels": {"app": "lonely"}}, maxUnavailable=1),
        budget("fine", {"matchLabels": {"app": "fine"}}, maxUnavailable=1),
        budget("nobody", {"matchLabels": {"app": "nobody"}}, maxUnavailable=0),
    )

    def there() -> bool:
        live = [each for each in space.get(f"{CORE}/pods")["items"] if each["status"].get("phase") == "Running"]
        named = [each for each in live if each["metadata"].get("labels", {}).get("app") in ("twice", "lonely", "fine")]
        seen = {each["metadata"]["name"]: each.get("status", {}) for each in space.get(POLICY)["items"]}
        allowed = [seen.get(name, {}).get("disruptionsAllowed") for name in ("chart", "platform", "fine")]
        return len(named) == 5 and allowed == [1, 1, 1] and bool(seen["lonely"].get("conditions"))

    wait(there)
    _, found = read(space, tmp_path)
    said = outcomes(drain_is_possible, found)
    assert {each.name: len(each.blocked) for each in found.budgets} == {
        "chart": 2, "platform": 2, "lonely": 1, "fine": 0, "nobody": 0,
    }  # fmt: skip
    assert said.startswith("failed")
    assert "matches several disruption budgets (chart and platform)" in said
    assert "a pod may be evicted of lonely: " in said
    assert "not seen its newest" not in said
    assert 'budget "lonely"' not in said
