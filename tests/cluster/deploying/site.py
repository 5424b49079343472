"""Two Deployments, their Service and HTTPRoute, and calls of prodcheck deploy about them."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_prodcheck.deploy.cluster_client import ClusterClient
from pytest_prodcheck.deploy.cluster_rights import manifest
from pytest_prodcheck.deploy.deployer import CanaryComparison
from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.drivers import Driver
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.plan import Plan
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.environments.loading import load
from tests.cluster.control_plane import ControlPlane
from tests.deploy.model import Quiet
from tests.project import Project

SPACE = "deploying"
APPS, ROUTE = (
    f"/apis/apps/v1/namespaces/{SPACE}/deployments",
    f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes/shop",
)
SERVICE, QUOTA = f"/api/v1/namespaces/{SPACE}/services/shop", f"/api/v1/namespaces/{SPACE}/resourcequotas/room"
LEASES, JOURNALS = f"/apis/coordination.k8s.io/v1/namespaces/{SPACE}/leases", f"/api/v1/namespaces/{SPACE}/configmaps"
Object = dict[str, Any]


ROLE = Path(__file__).resolve().parents[3] / "examples" / "deploying" / "kubernetes-role.yaml"


TOML = f"""\
version = 1
project = "shop"
[gates.here]
select = ["smoke.service.health"]
[environments.production.kubernetes]
namespace  = "{SPACE}"
kubeconfig = "deployer.kubeconfig"
[environments.production.services.shop]
url = "http://127.0.0.1:9"
endpoints.product = {{ request = "GET /product", status = 200 }}
[environments.production.slots]
blue  = {{ workload = "deployment/shop-blue", connect_to = "127.0.0.1:1" }}
green = {{ workload = "deployment/shop-green", connect_to = "127.0.0.1:2" }}
[environments.production.deploy]
driver   = "kubernetes"
before   = "here"
slot     = "here"
after    = "here"
monitor  = "1s"
every    = "1s"
"""


WAYS = {
    "route": 'strategy = "canary"\nslots = ["blue", "green"]\nkubernetes = {{ route = "shop", {0} }}',
    "selector": 'strategy = "blue-green"\nslots = ["blue", "green"]\nkubernetes = {{ service = "shop", {0} }}',
    "in place": 'strategy = "rolling"\nslots = ["blue"]\nkubernetes = {{ {0} }}',
}  # fmt: skip


IMAGE = 'image = "registry.test/shop:{revision}", drain = "10ms", timeout = "60s"'


def deployment(slot: str, replicas: int) -> Object:
    labels = {"app": "shop", "slot": slot}
    containers = [
        {"name": "app", "image": "registry.test/shop:r1"}, {"name": "proxy", "image": "registry.test/proxy:7"},
    ]  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"shop-{slot}", "namespace": SPACE},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "progressDeadlineSeconds": 600,
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}},
    }  # fmt: skip


def route() -> Object:
    backends = [{"name": "shop-blue", "port": 80, "weight": 1}, {"name": "shop-green", "port": 80, "weight": 0}]
    other = {"matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}],
             "backendRefs": [{"name": "docs", "port": 80}]}  # fmt: skip
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-shop", "value": "1"}]}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": SPACE},
        "spec": {"parentRefs": [{"name": "front"}],
                 "rules": [other, {"filters": [header], "backendRefs": backends}]},
    }  # fmt: skip


def service() -> Object:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": SPACE},
        "spec": {"selector": {"app": "shop", "slot": "blue"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }  # fmt: skip


def backend(slot: str) -> Object:
    """The Service that is a copy's backend in the route."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"shop-{slot}", "namespace": SPACE},
        "spec": {"selector": {"app": "shop", "slot": slot}, "ports": [{"port": 80, "targetPort": 8080}]},
    }  # fmt: skip


def bound(way: str = "") -> list[Object]:
    """The role as it is printed for one way, or the one of the example for all, bound to our user."""
    import yaml

    role = printed(way)[1] if way else yaml.safe_load(ROLE.read_text(encoding="utf-8"))
    role["metadata"]["namespace"] = SPACE
    group = "rbac.authorization.k8s.io"
    return [role, {
        "apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": "deployer", "namespace": SPACE},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "User", "name": "nobody", "apiGroup": group}],
    }]  # fmt: skip


def printed(way: str) -> list[Object]:
    """What `prodcheck grants --deployer` prints."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "deployer.kubeconfig").touch()
        project = Project.make(Path(folder), TOML + WAYS[way].format(IMAGE) + "\n")
        return manifest(load(project.folder / "prodcheck.toml").environment("production"))


class Gateway(threading.Thread):
    """Plays a gateway that takes every route as it is."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(daemon=True)
        self.plane, self.over, self.refuses, self.drops = plane, threading.Event(), "", ""

    def run(self) -> None:
        while not self.over.wait(0.1):
            try:
                self.take()
            except (OSError, http.client.HTTPException):
                continue  # the API server is being restarted

    def take(self) -> None:
        status, found = self.plane.ask("GET", ROUTE)
        if status != 200:
            return
        good = not self.refuses
        told = {
            "type": "Accepted", "status": str(good), "reason": "Played", "message": self.refuses,
            "observedGeneration": found["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        partly = [{**told, "type": "PartiallyInvalid", "message": self.drops}] if self.drops else []
        parent = {"parentRef": {"name": "front"}, "controllerName": "test/played", "conditions": [told, *partly]}
        if found.get("status", {}).get("parents") != [parent]:
            body = {"status": {"parents": [parent]}}
            self.plane.ask("PATCH", f"{ROUTE}/status", body, "application/merge-patch+json")


class Looking:
    """Gates that ask what the copies run; `at` is called before an answer."""

    def __init__(self, driver: Driver, slots: tuple[str, ...], at: Callable[[str], None]) -> None:
        self.driver, self.slots, self.at = driver, slots, at

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        self.at(slot)
        if "bad" in revision:
            return GateAnswer(1)
        world = self.driver.observe()
        there = [slot] if slot else world.slots_with_traffic
        return GateAnswer(0 if slot == "" or {world.revisions[each] for each in there} == {revision} else 1)

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        return GateAnswer(0, "played")


@dataclass
class Site:
    plane: ControlPlane
    folder: Path
    reporter: Quiet
    at: Callable[[str], None] = lambda slot: None

    def made(self, revision: str = "", way: str = "") -> Deployment:
        """A new call, on a runner that lost its disk."""
        site = self
        shutil.rmtree(self.folder / ".prodcheck", ignore_errors=True)
        if way:
            (self.folder / "prodcheck.toml").write_text(TOML + WAYS[way].format(IMAGE) + "\n")

        class Played(Deployment):
            def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
                return Looking(self._driver(-1), self.settings.slots, site.at)

            def _comparison(self, plan: Plan) -> CanaryComparison:
                return Looking(self._driver(-1), self.settings.slots, site.at)

        return Played(DeployOptions("production", revision=revision or None), self.folder, self.reporter)

    def deploy(self, revision: str, way: str) -> int:
        return self.made(revision, way).deploy("a test", None, "")

    def driver(self, way: str) -> Driver:
        return self.made("", way)._driver(-1)

    def cluster(self) -> ClusterClient:
        found = self.made()
        assert found.cluster is not None
        return found.cluster

    def lines(self) -> str:
        return "\n".join(self.reporter.lines)

    def grant(self, *items: Object) -> None:
        """Applies a role and waits until it holds."""
        self.plane.apply(*items)
        rules = next(each["rules"] for each in items if each["kind"] == "Role")
        cluster = self.cluster()
        for verb, resource, path in (
            ("delete", "configmaps", f"{JOURNALS}/none"), ("get", "services", SERVICE),
            ("get", "services", f"{SERVICE}-green"), ("get", "httproutes", ROUTE),
        ):  # fmt: skip
            name = path.rpartition("/")[2]
            named = [each for each in rules if name in each.get("resourceNames", [name])]
            wanted = any(resource in each["resources"] and verb in each["verbs"] for each in named)
            wait_for(lambda: (cluster.request(verb.upper(), path)[0] != 403) is wanted)  # noqa: B023

    def versions(self) -> dict[str, str]:
        paths = (f"{APPS}/shop-blue", f"{APPS}/shop-green", SERVICE, ROUTE, LEASES, JOURNALS)
        found = [self.plane.get(path) for path in paths]
        return {path: each["metadata"].get("generation") or json.dumps(each.get("items", each.get("spec")))
                for path, each in zip(paths, found, strict=True)}  # fmt: skip


_CONTROLLERS = ("kube-controller-manager", "kwok")


@contextmanager
def untouched(site: Site) -> Iterator[None]:
    """No object of the namespace and no file was written: by versions, and by who manages which fields.

    Of what controllers and the gateway write all the time, their own fields and the status are left out.
    """
    kinds = [APPS, APPS.replace("deployments", "replicasets"), ROUTE.rpartition("/")[0]]

    def all_of_it() -> list[object]:
        still = [SERVICE.rpartition("/")[0], QUOTA.rpartition("/")[0], LEASES, JOURNALS]
        listed = [each["metadata"] for path in still for each in site.plane.get(path)["items"]]
        versions = [(each["name"], each["resourceVersion"], each.get("managedFields")) for each in listed]
        moving = [each["metadata"] for path in kinds for each in site.plane.get(path)["items"]]
        managed = [(each["name"], each["generation"], [
            field for field in each["managedFields"]
            if field.get("subresource") != "status" and field["manager"] not in _CONTROLLERS
        ]) for each in moving]  # fmt: skip
        files = sorted((str(path), path.stat().st_mtime_ns) for path in site.folder.rglob("*"))
        return [versions, managed, files]

    before = all_of_it()
    yield
    assert all_of_it() == before


def pods(plane: ControlPlane) -> int:
    return len(plane.get(f"/api/v1/namespaces/{SPACE}/pods")["items"])


def weights(plane: ControlPlane) -> list[int]:
    return [each["weight"] for each in plane.get(ROUTE)["spec"]["rules"][1]["backendRefs"]]


def wait_for(there: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)


def abandoned(site: Site) -> None:
    """The Lease as one leaves it who was killed: nobody gives it back. Short, so that nobody waits long."""
    (lease,) = site.plane.get(LEASES)["items"]
    path = f"{LEASES}/{lease['metadata']['name']}"
    site.plane.patch(path, {"spec": {"holderIdentity": "killed", "leaseDurationSeconds": 1}})


RESTARTS = (["reset"] * 3, ["503"] * 3, ["hang"], ["cut"], ["balancer", "403", "500"])
