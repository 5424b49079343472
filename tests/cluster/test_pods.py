"""Which pods count, what they may do to their nodes, and how far a rollout is: on the real control plane."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import shop
from tests.cluster.control_plane import ADMIN, ControlPlane
from tests.cluster.namespaces import emptied
from tests.monitoring.judging import colours
from tests.project import Project

Object = dict[str, Any]
SPACE = "pods"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
WEB = f"/apis/apps/v1/namespaces/{SPACE}/deployments/web"
TOML = f"""\
version = 1
project = "pods"
[environments.live]
revision = "r1"
[environments.live.kubernetes]
namespace = "{SPACE}"
kubeconfig = "kubeconfig"
reach = ["namespace", "nodes"]
[environments.live.services.web]
url = "http://127.0.0.1:9"
workload = "deployment/web"
"""
PRE, SECURITY, ROLLOUT = "pre_deploy.kubernetes.pods", "security.kubernetes.pods", "smoke.kubernetes.rollout"


@pytest.fixture(scope="module", autouse=True)
def nodes(plane: ControlPlane) -> Iterator[None]:
    shop.make(plane)
    yield
    emptied(plane, SPACE)
    plane.delete(f"/api/v1/namespaces/{SPACE}")


@pytest.fixture
def empty(plane: ControlPlane) -> ControlPlane:
    emptied(plane, SPACE)
    return plane


def web(replicas: int = 2, **container: Any) -> Object:
    made = shop.workload("Deployment", "web", replicas)
    made["metadata"]["namespace"] = SPACE
    pod = made["spec"]["template"]["spec"]
    del pod["serviceAccountName"]
    pod["containers"] = [{**shop.container(), "envFrom": [], "env": [], **container}]
    return made


def wait(done: Callable[[], bool], longest: float = 120) -> None:
    end = time.monotonic() + longest
    while not done():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.2)


def wait_until_available(plane: ControlPlane, item: Object) -> None:
    plane.apply(item)
    wanted = item["spec"]["replicas"]
    wait(lambda: plane.get(WEB).get("status", {}).get("availableReplicas") == wanted)


def running_pods(plane: ControlPlane) -> list[Object]:
    return [each for each in plane.get(PODS)["items"] if each["status"].get("phase") == "Running"]


def outcomes(plane: ControlPlane, folder: Path) -> dict[str, tuple[str, str]]:
    project = Project.make(folder, TOML, "")
    (folder / "kubeconfig").write_bytes(plane.kubeconfig("pods", ADMIN).read_bytes())
    found = dict.fromkeys((PRE, SECURITY, ROLLOUT), ("passed", ""))
    for check, said in colours(project, tuple(found), "r1", seconds=60).items():
        outcome, _, reason = said.partition(": ")
        found[check] = (outcome, reason)
    return found


def test_evicted_pods_hide_none_that_crashes(empty: ControlPlane, tmp_path: Path) -> None:
    wait_until_available(empty, web(1))
    for _ in range(3):
        (pod,) = running_pods(empty)
        evicted = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
        empty.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": evicted})
        wait(lambda: len(running_pods(empty)) == 1)
    (pod,) = running_pods(empty)
    crashing = {**pod["status"]["containerStatuses"][0], "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    empty.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": {"containerStatuses": [crashing]}})
    outcome, reason = outcomes(empty, tmp_path)[PRE]
    assert outcome == "failed"
    assert "100 %" in reason


def _privileged_debugger(plane: ControlPlane) -> None:
    wait_until_available(plane, web())
    path = f"{PODS}/{running_pods(plane)[0]['metadata']['name']}/ephemeralcontainers"
    debugger = {"name": "debugger", "image": "registry.test/tools:1", "securityContext": {"privileged": True}}
    plane.patch(path, {"spec": {"ephemeralContainers": [debugger]}})


def _privileged_among_slight(plane: ControlPlane) -> None:
    wait_until_available(plane, web(2, securityContext={}))
    privileged = web(2, securityContext={"privileged": True, "runAsNonRoot": True, "runAsUser": 1000})
    privileged["spec"] |= {"minReadySeconds": 600, "progressDeadlineSeconds": 1200}
    plane.apply(privileged)
    wait(lambda: len(running_pods(plane)) == 3)


def _host_port(plane: ControlPlane) -> None:
    wait_until_available(plane, web(1, ports=[{"name": "http", "containerPort": 8080, "hostPort": 8080}]))


def _named_privileged(plane: ControlPlane) -> None:
    wait_until_available(plane, web(1, name="privileged-proxy", securityContext={}))


def _windows_host_process(plane: ControlPlane) -> None:
    made = web(1, securityContext={"windowsOptions": {"hostProcess": True}, "runAsNonRoot": True})
    made["spec"]["template"]["spec"] |= {"os": {"name": "windows"}, "hostNetwork": True}
    wait_until_available(plane, made)


def _unconfined_at_start(plane: ControlPlane) -> None:
    made = web(1)
    first = {**shop.container(), "name": "first", "envFrom": [], "env": [], "readinessProbe": None, "ports": []}
    first["securityContext"] |= {"seccompProfile": {"type": "Unconfined"}}
    made["spec"]["template"]["spec"]["initContainers"] = [first]
    wait_until_available(plane, made)


def _keeps_capabilities(plane: ControlPlane) -> None:
    wait_until_available(plane, web(1, securityContext={**shop.container()["securityContext"], "capabilities": {}}))


def _enforces_an_old_version(plane: ControlPlane) -> None:
    """A pod that was there before; the version that is enforced now does not know what it sets."""
    made = web(1)
    made["spec"]["template"]["spec"]["securityContext"] = {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}]}
    wait_until_available(plane, made)
    labels = {"pod-security.kubernetes.io/enforce-version": "v1.30"}
    plane.patch(f"/api/v1/namespaces/{SPACE}", {"metadata": {"labels": labels}})


@pytest.mark.parametrize(
    ("make", "outcome", "words"),
    [
        (_privileged_debugger, "failed", "ephemeral container debugger: privileged"),
        (_privileged_among_slight, "failed", "container app: privileged"),
        (_host_port, "warned", "hostPort 8080"),
        (_named_privileged, "warned", "may run as root"),
        (_windows_host_process, "failed", "Windows HostProcess"),
        (_unconfined_at_start, "failed", "container first: seccomp Unconfined"),
        (_keeps_capabilities, "warned", "container app: keeps capabilities"),
        (_enforces_an_old_version, "failed", "unsafe sysctl net.ipv4.tcp_rmem"),
    ],
)
def test_risks(
    make: Callable[[ControlPlane], None], outcome: str, words: str, empty: ControlPlane, tmp_path: Path
) -> None:
    make(empty)
    found, reason = outcomes(empty, tmp_path)[SECURITY]
    assert (found, words in reason) == (outcome, True), reason


def test_scaling_out_after_a_rollout_is_no_failure(empty: ControlPlane, tmp_path: Path) -> None:
    """A third pod that no node takes: its selector cannot change, so the nodes are made to refuse it."""
    wait_until_available(empty, web())
    try:
        for number in (1, 2, 3):
            empty.patch(f"/api/v1/nodes/node-{number}", {"spec": {"unschedulable": True}})
        empty.patch(WEB, {"spec": {"replicas": 3}})
        wait(lambda: empty.get(WEB)["status"].get("replicas") == 3)
        wait(lambda: any(_unplaced(each) for each in empty.get(PODS)["items"]))
        outcome, reason = outcomes(empty, tmp_path)[ROLLOUT]
    finally:
        for number in (1, 2, 3):
            empty.patch(f"/api/v1/nodes/node-{number}", {"spec": {"unschedulable": None}})
    assert outcome == "warned", reason
    assert "after the rollout" in reason


def _unplaced(pod: Object) -> bool:
    told = pod["status"].get("conditions", ())
    return any(each["type"] == "PodScheduled" and each["status"] == "False" for each in told)


def test_a_rollout_that_stands_says_why(plane: ControlPlane, tmp_path: Path) -> None:
    emptied(plane, SPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    plane.apply(web(securityContext={"runAsNonRoot": True}))
    wait(
        lambda: any(
            each["type"] == "ReplicaFailure" for each in plane.get(WEB).get("status", {}).get("conditions", ())
        )
    )
    outcome, reason = outcomes(plane, tmp_path)[ROLLOUT]
    assert outcome == "failed"
    assert reason.startswith("available replicas: 0 is less than 2 (pods ")
    assert "seccompProfile" in reason
    assert reason.count("violates PodSecurity") == 1


def test_pods_of_one_s_own_making(empty: ControlPlane, tmp_path: Path) -> None:
    """A gated pod that is old, and one that is over: read as the API tells them, judged by the check itself."""
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
    from suites.pre_deploy.test_kubernetes import _trouble
    from tests.cluster.namespaces import context_for

    specification = {"containers": [{"name": "app", "image": "registry.test/web:2.0"}]}
    meta = {"namespace": SPACE}
    gate = {**specification, "schedulingGates": [{"name": "batch"}]}
    empty.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gated", **meta}, "spec": gate},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "named", **meta}, "spec": specification},
    )
    wait(lambda: len(running_pods(empty)) == 1)
    told = {**running_pods(empty)[0]["status"]["containerStatuses"][0], "image": "sha256:" + "b" * 64,
            "imageID": "sha256:" + "b" * 64}  # fmt: skip
    empty.patch(f"{PODS}/named/status", {"status": {"containerStatuses": [told]}})
    found = {
        each.name: each
        for each in kubernetes_pods.gather(SPACE, context_for(tmp_path, SPACE, empty), Deadline(20)).pods
    }
    assert _trouble(found["gated"], time.time() + 400) == ""
    assert not found["gated"].lives
    assert [(each.image, each.digest) for each in found["named"].containers] == [("registry.test/web:2.0", "")]
