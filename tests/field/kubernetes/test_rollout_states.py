"""States of rollouts and pods that tools take for broken, or for well: kubectl and the API server say which it is."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.ingresses import kubernetes_ingress
from pytest_prodcheck.evidence.kubernetes.rollouts import kubernetes_rollout
from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
from suites.pre_deploy.test_kubernetes import test_pods_are_in_order as pods_are_in_order
from suites.pre_deploy.test_kubernetes import test_traffic_gets_in as traffic_gets_in
from suites.smoke.test_kubernetes import test_pods_stay_up as pods_stay_up
from suites.smoke.test_kubernetes import test_the_rollout_is_done as the_rollout_is_done
from tests.cluster import shop
from tests.cluster.build import folder
from tests.cluster.control_plane import ADMIN, ControlPlane
from tests.cluster.namespaces import context_for, emptied
from tests.judged import outcomes

Object = dict[str, Any]
SPACE = "field-rollout-states"
CORE, SET = f"/api/v1/namespaces/{SPACE}", f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/web"
META = {"namespace": SPACE}
SERVICE = '[environments.c.services.web]\nurl = "http://127.0.0.1:9"\nworkload = "statefulset/web"\n'


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> Iterator[ControlPlane]:
    shop.make(plane)
    emptied(plane, SPACE)
    yield plane
    plane.delete(CORE)


@pytest.fixture
def whole(space: ControlPlane) -> ControlPlane:
    """Three pods of the first version, and nothing else."""
    emptied(space, SPACE)
    space.apply(stateful("1"))
    wait(lambda: status(space).get("availableReplicas") == 3)
    return space


def stateful(version: str, partition: int = 0, kind: str = "RollingUpdate") -> Object:
    labels = {"app": "web"}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": f"registry.test/web:{version}"}]}
    strategy: Object = {"type": kind} | ({"rollingUpdate": {"partition": partition}} if partition else {})
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", **META}, "spec": {
        "replicas": 3, "serviceName": "none", "selector": {"matchLabels": labels}, "updateStrategy": strategy,
        "template": {"metadata": {"labels": labels}, "spec": pod}}}  # fmt: skip


def status(plane: ControlPlane) -> Object:
    found = plane.get(SET)
    told: Object = found.get("status", {})
    return told if told.get("observedGeneration") == found["metadata"]["generation"] else {}


def wait(there: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.2)


def kubectl(plane: ControlPlane, *words: str) -> tuple[int, str]:
    """Exit code and last line."""
    config = plane.kubeconfig("kubectl", ADMIN)
    command = [f"{folder()}/kubectl", "--kubeconfig", str(config), "-n", SPACE, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).strip().rpartition("\n")[2]


def rollout(plane: ControlPlane, place: Path, check: Callable[..., None] = the_rollout_is_done) -> str:
    context = context_for(place, SPACE, plane, SERVICE)
    try:
        return outcomes(check, kubernetes_rollout.gather("web", context, Deadline(30)))
    finally:
        context.close()


def pods(plane: ControlPlane, place: Path) -> str:
    context = context_for(place, SPACE, plane, SERVICE)
    try:
        return outcomes(pods_are_in_order, kubernetes_pods.gather("c", context, Deadline(30)))
    finally:
        context.close()


def test_a_partition_keeps_pods_at_the_previous_version(whole: ControlPlane, tmp_path: Path) -> None:
    """helm/helm#11773, #8674, fluxcd/flux#1448: as kubectl counts, and told; but no new pod at all is no rollout."""
    whole.apply(stateful("2", partition=2))
    wait(lambda: (status(whole).get("updatedReplicas"), status(whole).get("availableReplicas")) == (1, 3))
    assert kubectl(whole, "rollout", "status", "sts/web", "--timeout=9s") == (
        0, "partitioned roll out complete: 1 new pods have been updated...")  # fmt: skip
    said = rollout(whole, tmp_path)
    assert said.startswith("warned"), said
    assert "pods of another version: 2 is more than 0 (web-0, web-1: the partition keeps them)" in said
    context = context_for(tmp_path, SPACE, whole, SERVICE)
    assert kubernetes_rollout.ready is not None
    assert kubernetes_rollout.ready(kubernetes_rollout.gather("web", context, Deadline(30)))  # `--wait` ends, too
    context.close()

    whole.apply(stateful("2"))
    wait(lambda: (status(whole).get("updatedReplicas"), status(whole).get("availableReplicas")) == (3, 3))
    whole.apply(stateful("2", partition=3))  # helm/helm#8674
    wait(lambda: status(whole))
    assert rollout(whole, tmp_path) == "passed"

    whole.apply(stateful("3", partition=3))
    wait(lambda: status(whole).get("updatedReplicas", 0) == 0)
    assert kubectl(whole, "rollout", "status", "sts/web", "--timeout=9s")[0] == 0
    said = rollout(whole, tmp_path)
    assert said.startswith("failed"), said
    assert "updated replicas: 0 is less than 1" in said


def test_on_delete_waits_for_somebody_who_deletes(whole: ControlPlane, tmp_path: Path) -> None:
    """kubernetes/kubernetes#73492: all pods are ready, and none is of the new version."""
    whole.apply(stateful("2", kind="OnDelete"))
    wait(lambda: status(whole).get("updateRevision") != status(whole).get("currentRevision"))
    assert rollout(whole, tmp_path).startswith("failed")


def test_a_set_that_was_scaled_out_after_its_rollout(whole: ControlPlane, tmp_path: Path) -> None:
    """argoproj/argo-cd#6287, of a StatefulSet: the pod that an autoscaler adds starts; one that crashes is told."""
    assert kubectl(whole, "scale", "sts/web", "--replicas=4")[0] == 0
    wait(lambda: status(whole).get("readyReplicas") == 4)
    unready(whole, "web-3")
    wait(lambda: status(whole).get("readyReplicas") == 3)
    said = rollout(whole, tmp_path)
    assert said.startswith("warned"), said
    assert "1 pods were added after the rollout" in said
    crashed = {"name": "app", "image": "registry.test/web:1", "imageID": "", "ready": False, "restartCount": 3,
               "state": {"waiting": {"reason": "CrashLoopBackOff"}}}  # fmt: skip
    whole.patch(f"{CORE}/pods/web-3/status", {"status": {"containerStatuses": [crashed]}})
    assert rollout(whole, tmp_path).startswith("failed")


def test_a_rollout_of_a_set_that_was_scaled_before_is_judged_as_a_rollout(
    whole: ControlPlane, tmp_path: Path
) -> None:
    """Who has scaled it once does not excuse the pods of a new version, which are as young."""
    assert kubectl(whole, "scale", "sts/web", "--replicas=2")[0] == 0
    wait(lambda: status(whole).get("replicas") == 2)
    new = stateful("2")
    del new["spec"]["replicas"]
    whole.patch(SET, {"spec": {"template": new["spec"]["template"]}})
    wait(lambda: status(whole).get("updatedReplicas") == 2 and status(whole).get("readyReplicas") == 2)
    assert rollout(whole, tmp_path) == "passed"
    new["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none"}
    whole.patch(SET, {"spec": {"template": new["spec"]["template"]}})
    wait(lambda: status(whole).get("updatedReplicas") == 1 and status(whole).get("readyReplicas") == 1)
    assert rollout(whole, tmp_path).startswith("failed")


def unready(plane: ControlPlane, name: str) -> None:
    plane.patch(f"{CORE}/pods/{name}/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_set_that_has_some_of_its_pods_only(policy: str, space: ControlPlane, tmp_path: Path) -> None:
    """grafana/rollout-operator#246, kubernetes/kubernetes#108837: those that are there are ready; a quota has no more.

    No condition says so. What another controller warns of, as Kyverno does, is no refusal.
    """
    emptied(space, SPACE)
    room = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", **META}}
    space.apply({**room, "spec": {"hard": {"pods": "2"}}})
    wait(lambda: space.get(f"{CORE}/resourcequotas/room").get("status", {}).get("hard"))
    made = stateful("1")
    made["spec"]["podManagementPolicy"] = policy
    space.apply(made)

    def refusals() -> list[Object]:
        return [each for each in events(space) if each["reason"] == "FailedCreate"]

    wait(lambda: len(space.get(f"{CORE}/pods")["items"]) == 2 and refusals())
    wait(lambda: "exceeded quota: room" in pods(space, tmp_path))
    assert pods(space, tmp_path).startswith("failed")
    space.apply({**room, "spec": {"hard": {"pods": "9"}}})
    wait(lambda: status(space).get("availableReplicas") == 3)
    space.apply({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "policy", **META}, "type": "Warning",
        "reason": "PolicyViolation", "message": "policy require-labels fail", "lastTimestamp": ago(-5),
        "involvedObject": {"kind": "StatefulSet", "name": "web", "namespace": SPACE},
    })  # fmt: skip
    space.patch(SET, {"spec": {"replicas": 4, "template": {"spec": {"nodeSelector": {"disk": "none"}}}}})
    wait(lambda: status(space))
    assert "all its pods can be made" not in pods(space, tmp_path)


def events(plane: ControlPlane) -> list[Object]:
    found = plane.get(f"{CORE}/events")["items"]
    return [each for each in found if each["involvedObject"]["kind"] == "StatefulSet"]


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def container(name: str, state: Object, restarts: int = 0, last: Object | None = None, ready: bool = True) -> Object:
    return {"name": name, "image": "registry.test/web:1", "imageID": "", "ready": ready, "state": state,
            "restartCount": restarts, "lastState": last or {}}  # fmt: skip


def ended(code: int, begun: float, over: float) -> Object:
    why = "Error" if code else "Completed"
    return {"terminated": {"exitCode": code, "reason": why, "startedAt": ago(begun), "finishedAt": ago(over)}}


def bare(name: str, plane: ControlPlane, told: Object, **specification: Any) -> None:
    """A pod that no node takes, in a state that the test tells."""
    plane.delete(f"{CORE}/pods/{name}")
    app = [{"name": "app", "image": "registry.test/web:1"}]
    plane.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **META},
                 "spec": {"schedulerName": "nobody", "containers": app, **specification}})  # fmt: skip
    plane.patch(f"{CORE}/pods/{name}/status", {"status": told})


def printed(plane: ControlPlane, name: str) -> dict[str, str]:
    """The columns of `kubectl get pod`, which the API server makes."""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    headers = {"Authorization": f"Bearer {ADMIN}", "Accept": accept}
    request = urllib.request.Request(f"{plane.url}{CORE}/pods/{name}", headers=headers)
    with urllib.request.urlopen(request, timeout=20, context=plane.trust) as answer:
        table = json.load(answer)
    return {each["name"]: str(cell)
            for each, cell in zip(table["columnDefinitions"], table["rows"][0]["cells"], strict=True)}  # fmt: skip


RUNS = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
WAITED = [{"name": "wait-db", "image": "registry.test/web:1"}]


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [(None, 0, "0"), ("Always", None, "5"), (None, 1, "5")],
    ids=["init", "sidecar", "init-failing"],
)
def test_an_init_container_that_waited_by_failing(
    policy: str | None, code: int | None, restarts: str, space: ControlPlane, tmp_path: Path
) -> None:
    """kubernetes/kubernetes#26892, srelens/srelens#189: once it has succeeded, RESTARTS of `kubectl get` are none."""
    emptied(space, SPACE)
    state = RUNS if code is None else ended(code, 30, 20)
    first = [{**WAITED[0], **({"restartPolicy": policy} if policy else {})}]
    succeeded = restarts == "0" or policy is not None
    told = {"phase": "Running" if succeeded else "Pending",
            "conditions": [{"type": "Ready", "status": str(succeeded)},
                           {"type": "Initialized", "status": str(succeeded)}],
            "initContainerStatuses": [
                {**container("wait-db", state, 5, ended(1, 90, 60)), **({"started": True} if policy else {})}],
            "containerStatuses": [container("app", RUNS)] if succeeded else []}  # fmt: skip
    bare("app", space, told, initContainers=first)
    assert printed(space, "app")["Restarts"].partition(" ")[0] == restarts
    said = pods(space, tmp_path)
    assert ("wait-db: restarted 5 times" in said) is (restarts != "0"), said
    context = context_for(tmp_path, SPACE, space, SERVICE)
    (pod,) = kubernetes_pods.gather("c", context, Deadline(30)).pods
    context.close()
    assert [each.done for each in pod.containers if each.init] == [restarts == "0"]


def test_restarts_of_an_init_container_that_succeeded_do_not_undo_a_rollout(
    whole: ControlPlane, tmp_path: Path
) -> None:
    new = stateful("2")
    new["spec"]["template"]["spec"]["initContainers"] = WAITED
    whole.apply(new)
    wait(lambda: status(whole).get("updatedReplicas") == 3 and status(whole).get("availableReplicas") == 3)
    waited = container("wait-db", ended(0, 30, 20), 5, ended(1, 90, 60))
    whole.patch(f"{CORE}/pods/web-1/status", {"status": {"initContainerStatuses": [waited]}})
    assert printed(whole, "web-1")["Restarts"] == "0"
    assert rollout(whole, tmp_path, pods_stay_up) == "passed"
    found = whole.get(f"{CORE}/pods/web-1")["status"]["containerStatuses"][0]
    crashed = {**found, "restartCount": 5, "lastState": ended(1, 90, 60)}
    whole.patch(f"{CORE}/pods/web-1/status", {"status": {"containerStatuses": [crashed]}})
    assert printed(whole, "web-1")["Restarts"].partition(" ")[0] == "5"
    assert rollout(whole, tmp_path, pods_stay_up).startswith("failed")


@pytest.mark.parametrize(("policy", "first", "well"), [
    ("Never", ended(0, 900, 800), True), ("Never", ended(1, 900, 800), False),
    ("Always", ended(0, 900, 800), False), ("OnFailure", ended(0, 900, 800), True),
])  # fmt: skip
def test_a_step_of_a_pipeline_that_is_over(
    policy: str, first: Object, well: bool, space: ControlPlane, tmp_path: Path
) -> None:
    """freelensapp/freelens#1913: a pod whose first step ended is not Ready until its last one ends, and works."""
    emptied(space, SPACE)
    steps = [{"name": name, "image": "registry.test/web:1"} for name in ("step-build", "step-test")]
    told = {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(800),
                            "reason": "ContainersNotReady", "message": "containers with unready status: [step-build]"}],
            "containerStatuses": [container("step-build", first, ready=False),
                                  container("step-test", RUNS)]}  # fmt: skip
    bare("run-pod", space, told, containers=steps, restartPolicy=policy)
    assert (pods(space, tmp_path) == "passed") is well, pods(space, tmp_path)
    told["containerStatuses"][1]["ready"] = False  # type: ignore[index]
    bare("run-pod", space, told, containers=steps, restartPolicy=policy)
    assert pods(space, tmp_path).startswith("failed"), "a step that fails its own probe"


@pytest.mark.parametrize("addresses", [[{}], [{"ip": "192.0.2.7"}], [{}, {"hostname": "lb.test"}]])
def test_an_address_without_ip_and_name_is_none(
    addresses: list[Object], space: ControlPlane, tmp_path: Path
) -> None:
    """kubernetes/ingress-nginx#2085, argoproj/argo-cd#997: `ingress: [{}]`, which the API server takes."""
    emptied(space, SPACE)
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    space.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", **META},
         "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", **META},
         "spec": {"defaultBackend": backend}},
    )  # fmt: skip
    for path in (f"{CORE}/services/web", f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/ingresses/web"):
        space.patch(f"{path}/status", {"status": {"loadBalancer": {"ingress": addresses}}})
    context = context_for(tmp_path, SPACE, space)
    said = outcomes(traffic_gets_in, kubernetes_ingress.gather("c", context, Deadline(30)))
    context.close()
    named = any(addresses[-1].values())
    assert ("no ingress controller assigned an address" in said) is not named
    assert ("no load balancer was assigned" in said) is not named


@pytest.mark.parametrize("ahead", [-7200.0, 0.0, 7200.0])
def test_the_clock_here_is_not_the_clusters(
    ahead: float, whole: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubernetes/kubectl#531, kubernetes/kubernetes#48447: ages are those of the API server's clock (its `Date`)."""
    crashed = {**whole.get(f"{CORE}/pods/web-1")["status"]["containerStatuses"][0], "restartCount": 9,
               "state": {"running": {"startedAt": ago(60)}}, "lastState": ended(1, 150, 90)}  # fmt: skip
    whole.patch(f"{CORE}/pods/web-1/status", {"status": {"containerStatuses": [crashed]}})
    bare("fresh", whole, {"phase": "Pending"})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    said = pods(whole, tmp_path)
    assert said.startswith("failed"), said
    assert "restarted 9 times, without 10 minutes between" in said
    assert "Pending for" not in said
    assert rollout(whole, tmp_path, pods_stay_up).startswith("failed")
