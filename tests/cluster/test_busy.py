"""A healthy cluster that is never still: pods come and go, an autoscaler scales, nodes join and leave; nothing fails.

PRODCHECK_SOAK=1 judges it fifty times.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import shop
from tests.cluster.control_plane import ADMIN, ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.namespaces import emptied
from tests.monitoring.judging import colours
from tests.project import Project
from tests.soak import SOAK

Object = dict[str, Any]
SPACE = "busy"
CORE, WEB = f"/api/v1/namespaces/{SPACE}", f"/apis/apps/v1/namespaces/{SPACE}/deployments/web"
RUNS = 50 if SOAK else 6
TOML = f"""\
version = 1
project = "busy"
[environments.live]
revision = "r1"
[environments.live.kubernetes]
namespace   = "{SPACE}"
kubeconfig  = "kubeconfig"
reach       = ["namespace", "nodes"]
autoscaling = true
[environments.live.services.web]
url      = "http://127.0.0.1:9"
vantage  = "nowhere"
workload = "deployment/web"
[environments.live.services.agent]
url      = "http://127.0.0.1:9"
vantage  = "nowhere"
workload = "daemonset/agent"
[gates.busy]
select = ["*.kubernetes.*"]
"""
CHECKS = ("pre_deploy.kubernetes.*", "smoke.kubernetes.*")


def workload(kind: str, name: str) -> Object:
    labels = {"app": name}
    app = {**shop.container(), "envFrom": [], "env": []}
    told: Object = {"selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [app]}}}  # fmt: skip
    if kind == "Deployment":
        told["replicas"] = 3
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": told}


def objects() -> list[Object]:
    here = {"namespace": SPACE}
    return [
        workload("Deployment", "web"), workload("DaemonSet", "agent"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", **here},
         "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", **here},
         "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "web"}}}},
    ]  # fmt: skip


class Life:
    """What goes on in the cluster while it is judged."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane, self.over, self.draw = plane, threading.Event(), random.Random(7)
        self.nodes: list[str] = []
        self.done = 0

    def live(self) -> None:
        """One thing after the other, until it is over."""
        steps = (self.scale, self.begin, self.finish, self.join, self.leave, self.scale)
        while not self.over.wait(0.15):
            try:
                steps[self.done % len(steps)]()
            except (OSError, AssertionError):
                continue  # two at one object at one time
            finally:
                self.done += 1

    def scale(self) -> None:
        """As an autoscaler does."""
        self.plane.patch(WEB, {"spec": {"replicas": self.draw.randrange(2, 7)}})

    def begin(self) -> None:
        """A pod of a job."""
        app = {**shop.container(), "envFrom": [], "env": []}
        name = f"job-{self.done}"
        self.plane.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": SPACE},
                          "spec": {"restartPolicy": "Never", "containers": [app]}})  # fmt: skip

    def finish(self) -> None:
        """One pod is done, one that was done is cleared away."""
        pods = [each for each in self.plane.get(f"{CORE}/pods")["items"] if each["metadata"]["name"].startswith("job-")]
        for each in pods:
            path = f"{CORE}/pods/{each['metadata']['name']}"
            if each["status"].get("phase") == "Succeeded":
                self.plane.delete(path)
            elif each["status"].get("phase") == "Running":
                self.plane.patch(f"{path}/status", {"status": {"phase": "Succeeded"}})

    def join(self) -> None:
        """A node comes, not ready at first."""
        name = f"spot-{self.done}"
        (made,) = shop.nodes(1)
        made["metadata"] |= {"name": name, "labels": {"kubernetes.io/hostname": name}}
        self.plane.apply(made)
        self.plane.patch(f"/api/v1/nodes/{name}/status", {"status": made["status"]})
        self.nodes.append(name)

    def leave(self) -> None:
        """The oldest of those goes: marked, emptied, deleted."""
        if len(self.nodes) > 2:
            name = self.nodes.pop(0)
            taint = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
            self.plane.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True, "taints": [taint]}})
            for each in self.plane.get(f"{CORE}/pods")["items"]:
                owners = [owner["kind"] for owner in each["metadata"].get("ownerReferences", ())]
                if each["spec"].get("nodeName") == name and owners == ["ReplicaSet"]:
                    body = {"apiVersion": "policy/v1", "kind": "Eviction",
                            "metadata": {"name": each["metadata"]["name"], "namespace": SPACE}}  # fmt: skip
                    self.plane.ask("POST", f"{CORE}/pods/{each['metadata']['name']}/eviction", body)
            self.plane.delete(f"/api/v1/nodes/{name}")


@contextmanager
def life(plane: ControlPlane) -> Iterator[Life]:
    going = Life(plane)
    thread = threading.Thread(target=going.live, daemon=True)
    thread.start()
    try:
        yield going
    finally:
        going.over.set()
        thread.join(30)
        for name in going.nodes:
            plane.delete(f"/api/v1/nodes/{name}")


@pytest.fixture
def busy(bench: Bench, plane: ControlPlane) -> Iterator[ControlPlane]:
    emptied(plane, SPACE)
    plane.apply(*objects())
    end = time.monotonic() + 120
    while plane.get(WEB).get("status", {}).get("availableReplicas") != 3:
        assert time.monotonic() < end
        time.sleep(0.2)
    yield plane
    for each in (WEB, f"/apis/apps/v1/namespaces/{SPACE}/daemonsets/agent", f"{CORE}/pods", CORE):
        plane.delete(each)


def test_a_busy_cluster_is_not_stopped(busy: ControlPlane, tmp_path: Path) -> None:
    project = Project.make(tmp_path, TOML, "")
    (tmp_path / "kubeconfig").write_bytes(busy.kubeconfig("busy", ADMIN).read_bytes())
    with life(busy) as going:
        for number in range(RUNS):
            while going.done <= number:
                time.sleep(0.05)
            found = colours(project, CHECKS, "r1")
            stopped = {check: said for check, said in found.items() if not said.startswith("warned")}
            assert stopped == {}, (number, going.done)
