"""The driver `kubernetes` on a real control plane, with the rights of `examples/deploying/kubernetes-role.yaml`.

What says that a gateway took a route is played: no gateway is at hand as a package. Gates ask what the pods run.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.deploy.cluster_client import ClusterClient
from pytest_prodcheck.deploy.cluster_journal import ClusterJournal, ClusterStore
from pytest_prodcheck.deploy.cluster_rights import manifest
from pytest_prodcheck.deploy.deployer import CanaryComparison, plan_entry
from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.drivers import Driver, DriverProblem
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.journal import DeploymentInProgress, JournalDamaged
from pytest_prodcheck.deploy.lease import Lease, LeaseTaken
from pytest_prodcheck.deploy.plan import ObservedState, Plan, PlanProblem, even_shares
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.deploy.strategies import make_plan
from pytest_prodcheck.environments.loading import load
from tests.cluster import build
from tests.cluster.control_plane import NOBODY, ControlPlane
from tests.cluster.front import Front, front
from tests.deploy.contract import keeps_the_contract
from tests.deploy.model import Killed, Quiet
from tests.project import Project
from tests.soak import SOAK

SPACE = "deploying"
ROLE = Path(__file__).resolve().parents[2] / "examples" / "deploying" / "kubernetes-role.yaml"
APPS, ROUTE = (
    f"/apis/apps/v1/namespaces/{SPACE}/deployments",
    f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes/shop",
)
SERVICE, QUOTA = f"/api/v1/namespaces/{SPACE}/services/shop", f"/api/v1/namespaces/{SPACE}/resourcequotas/room"
LEASES, JOURNALS = f"/apis/coordination.k8s.io/v1/namespaces/{SPACE}/leases", f"/api/v1/namespaces/{SPACE}/configmaps"
Object = dict[str, Any]
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
        self.plane, self.over, self.refuses = plane, threading.Event(), ""

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
        parent = {"parentRef": {"name": "front"}, "controllerName": "test/played", "conditions": [told]}
        if found.get("status", {}).get("parents") != [parent]:
            body = {"status": {"parents": [parent]}}
            self.plane.ask("PATCH", f"{ROUTE}/status", body, "application/merge-patch+json")


@pytest.fixture(scope="module")
def gateway(plane: ControlPlane, home: Project) -> Iterator[Gateway]:
    """The namespace, the rights and the definition of routes are there."""
    if not build.routes_definition().is_file():
        pytest.skip("no definition of HTTPRoutes: take it with `make cluster`")
    import yaml

    made = yaml.safe_load(build.routes_definition().read_text(encoding="utf-8"))
    made.pop("status", None)
    crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{made['metadata']['name']}"
    status, said = plane.ask("PATCH", f"{crd}?fieldManager=test&force=true", made, "application/apply-patch+yaml")
    assert status in (200, 201), said
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}, *bound())
    plane.wait(f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes")
    playing = Gateway(plane)
    playing.start()
    yield playing
    playing.over.set()
    playing.join(10)
    plane.delete(f"/api/v1/namespaces/{SPACE}")
    plane.delete(crd)


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
        allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
        cluster = self.cluster()
        for verb, resource, path in (
            ("delete", "configmaps", f"{JOURNALS}/none"), ("get", "services", SERVICE), ("get", "httproutes", ROUTE),
        ):  # fmt: skip
            wanted = (resource, verb) in allowed
            wait_for(lambda: (cluster.request(verb.upper(), path)[0] != 403) is wanted)  # noqa: B023

    def versions(self) -> dict[str, str]:
        paths = (f"{APPS}/shop-blue", f"{APPS}/shop-green", SERVICE, ROUTE, LEASES, JOURNALS)
        found = [self.plane.get(path) for path in paths]
        return {path: each["metadata"].get("generation") or json.dumps(each.get("items", each.get("spec")))
                for path, each in zip(paths, found, strict=True)}  # fmt: skip


@pytest.fixture
def site(plane: ControlPlane, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Blue runs r1 and has all traffic; green has no pods."""
    monkeypatch.setenv("PRODCHECK_KEY", "a key of this test, for journals")
    for path in (QUOTA, LEASES, f"{JOURNALS}?fieldSelector=metadata.name!=kube-root-ca.crt"):
        plane.delete(path)
    for slot, replicas in (("blue", 2), ("green", 0)):
        path = f"{APPS}/shop-{slot}"
        if plane.ask("GET", path)[0] == 200:
            plane.patch(path, {"spec": {"progressDeadlineSeconds": 600, "paused": None}})
        plane.apply(deployment(slot, replicas))
        remove = [{"op": "add", "path": "/spec/template/spec/nodeSelector", "value": {}}]
        assert plane.ask("PATCH", path, remove, "application/json-patch+json")[0] == 200
    plane.delete(ROUTE)
    plane.delete(SERVICE)
    plane.apply(route(), service())
    gateway.refuses = ""
    (tmp_path / "deployer.kubeconfig").write_bytes(plane.kubeconfig("deployer", NOBODY).read_bytes())
    made = Site(plane, tmp_path, Quiet())
    driver = made.driver("selector")
    end = time.monotonic() + 90
    while driver.observe().revisions != {"blue": "r1", "green": ""} or pods(plane) != 2:
        assert time.monotonic() < end, driver.observe()
        time.sleep(0.1)
    return made


def pods(plane: ControlPlane) -> int:
    return len(plane.get(f"/api/v1/namespaces/{SPACE}/pods")["items"])


def weights(plane: ControlPlane) -> list[int]:
    return [each["weight"] for each in plane.get(ROUTE)["spec"]["rules"][1]["backendRefs"]]


def test_the_contract_by_weights_of_a_route(site: Site) -> None:
    keeps_the_contract(site.driver("route"))
    before, after = route()["spec"], site.plane.get(ROUTE)["spec"]
    for rule in (before["rules"], after["rules"]):
        for each in rule[1]["backendRefs"]:
            del each["weight"]
    assert after["rules"][1]["filters"] == before["rules"][1]["filters"]
    assert [each["name"] for each in after["rules"][0]["backendRefs"]] == ["docs"]
    template = site.plane.get(f"{APPS}/shop-green")["spec"]["template"]["spec"]
    assert [each["image"] for each in template["containers"]] == ["registry.test/shop:r2", "registry.test/proxy:7"]


def test_the_contract_by_the_selector_of_a_service(site: Site) -> None:
    keeps_the_contract(site.driver("selector"), 100, 100)
    with pytest.raises(DriverProblem, match="cannot split it"):
        site.driver("selector").share((("blue", 90), ("green", 10)))


@pytest.mark.parametrize("way", WAYS)
def test_deployed_from_a_runner_without_a_disk_and_brought_back_by_another(way: str, site: Site) -> None:
    site.grant(*bound(way))  # no right more than is printed
    before = site.versions()
    assert site.made("r2", way).dry_run() == 0
    assert site.versions() == before, "a dry run changed something"
    assert site.deploy("r2", way) == 0, site.lines()
    world = site.driver(way).observe()
    assert {world.revisions[slot] for slot in world.slots_with_traffic} == {"r2"}
    assert site.made().undo() == 20, site.lines()
    assert site.driver(way).observe() == ObservedState(
        {"blue": "r1"} if way == "in place" else {"blue": "r1", "green": ""},
        (("blue", 100),) if way == "in place" else (("blue", 100), ("green", 0)),
    )
    assert site.deploy("bad", way) == 1  # its gate is closed before anything is touched
    assert len(site.plane.get(f"{JOURNALS}?labelSelector=prodcheck-deployments")["items"]) == 2
    site.grant(*bound())


@pytest.mark.parametrize(
    ("way", "change", "why"),
    [
        ("selector", "quota", "exceeded quota: room"),
        ("in place", "quota", "exceeded quota: room"),
        ("route", "no node", "didn't match Pod's node affinity/selector"),
    ],
)  # fmt: skip
def test_a_roll_out_that_makes_no_progress_is_undone(way: str, change: str, why: str, site: Site) -> None:
    name = "shop-blue" if way == "in place" else "shop-green"
    site.plane.patch(f"{APPS}/{name}", {"spec": {"progressDeadlineSeconds": 2, "minReadySeconds": 0}})
    if change == "quota":
        room = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", "namespace": SPACE}}
        site.plane.apply({**room, "spec": {"hard": {"pods": "2"}}})
        wait_for(lambda: site.plane.get(QUOTA).get("status", {}).get("used", {}).get("pods") == "2")
    else:
        somewhere = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "none"}}}}}
        site.plane.patch(f"{APPS}/{name}", somewhere)
    if way == "in place":  # nobody may be missing, so nothing is taken away before the quota refuses
        site.plane.patch(f"{APPS}/{name}", {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0}}}})
    assert site.deploy("r2", way) == 20, site.lines()
    assert "made no progress for 2 s" in site.lines()
    assert why in site.lines()
    world = site.driver(way).observe()
    assert (world.revisions["blue"], world.shares[0]) == ("r1", ("blue", 100))


def wait_for(there: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)


def test_writers_that_change_something_else_do_not_disturb_and_one_that_moves_traffic_is_not_overwritten(
    site: Site,
) -> None:
    driver = site.driver("route")
    cluster = driver._cluster  # type: ignore[attr-defined]
    moments = iter(range(100))

    def plan_entry() -> None:  # between our reading and our writing
        if next(moments) < 3:
            site.plane.patch(ROUTE, {"metadata": {"annotations": {"noted": str(time.time())}}})

    cluster.fence = plan_entry
    driver.share((("blue", 90), ("green", 10)))
    assert weights(site.plane) == [90, 10]

    def moved() -> None:
        rules = site.plane.get(ROUTE)["spec"]["rules"]
        rules[1]["backendRefs"][1]["weight"] = 40
        site.plane.patch(ROUTE, {"spec": {"rules": rules}})

    cluster.fence = moved
    with pytest.raises(DriverProblem, match="another client is modifying"):
        driver.share((("blue", 100), ("green", 0)))
    assert weights(site.plane) == [90, 40]


@pytest.mark.parametrize(
    ("way", "given", "told"),
    [
        ("route", 210, "traffic was changed from outside: blue 30 %"),
        ("route", 7, "traffic was changed from outside: the weights {'blue': 90, 'green': 7} of the HTTPRoute shop"),
        ("selector", "blue", "traffic was changed from outside"),
        ("selector", None, "undo: traffic: blue 100 %"),
    ],
)
def test_traffic_that_somebody_moves_half_way_leads_back(way: str, given: object, told: str, site: Site) -> None:
    def moved(slot: str) -> None:
        if way == "route" and weights(site.plane) == [90, 10]:
            site.at = lambda slot: None
            rules = site.plane.get(ROUTE)["spec"]["rules"]
            rules[1]["backendRefs"][1]["weight"] = given
            site.plane.patch(ROUTE, {"spec": {"rules": rules}})
        elif way == "selector" and site.plane.get(SERVICE)["spec"]["selector"]["slot"] == "green":
            site.at = lambda slot: None
            site.plane.patch(SERVICE, {"spec": {"selector": {"slot": given}}})

    site.at = moved
    assert site.deploy("r2", way) == 20, site.lines()
    assert told in site.lines()
    assert site.driver(way).observe().shares == (("blue", 100), ("green", 0))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "docs", "port": 80}, "also sends traffic to other backends"),
        ({"name": "shop-green", "port": 80}, "must have each of the backends"),
    ],
)
def test_a_route_that_is_not_ours_alone_is_refused(change: Object, why: str, site: Site) -> None:
    made = route()
    made["spec"]["rules"][1]["backendRefs"].append(change)
    site.plane.apply(made)
    with pytest.raises(PlanProblem, match=why):
        site.made("r2", "route").dry_run()


def test_a_route_without_a_rule_of_ours_and_one_with_several(site: Site) -> None:
    made = route()
    other, ours = made["spec"]["rules"]
    made["spec"]["rules"] = [other]
    site.plane.apply(made)
    with pytest.raises(PlanProblem, match="no rule of the HTTPRoute shop has the backends shop-blue, s") as error:
        site.made("r2", "route").dry_run()
    assert error.value.code == 4
    beta = {"matches": [{"headers": [{"name": "x-beta", "value": "1"}]}], "backendRefs": ours["backendRefs"]}
    made["spec"]["rules"] = [beta, other, ours]
    site.plane.apply(made)
    site.driver("route").share((("blue", 90), ("green", 10)))
    found = [[each.get("weight") for each in rule["backendRefs"]] for rule in site.plane.get(ROUTE)["spec"]["rules"]]
    assert found == [[90, 10], [1], [90, 10]]
    beta["backendRefs"] = ours["backendRefs"][:1]
    site.plane.apply(made)
    with pytest.raises(PlanProblem, match="rule 1 of the HTTPRoute shop must have each of the backends"):
        site.made("r2", "route").dry_run()


def test_a_rule_or_a_right_that_is_taken_away_half_way_calls_a_person(site: Site) -> None:
    def taken(slot: str) -> None:
        if slot == "green" and weights(site.plane) == [90, 10]:
            site.at = lambda slot: None
            role = bound()[0]
            role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["httproutes"]]
            site.grant(role)

    site.at = taken
    assert site.deploy("r2", "route") == 21
    assert "cannot get resource" in site.lines()
    assert weights(site.plane) == [90, 10]
    site.grant(*bound())
    without = route()
    del without["spec"]["rules"][1]
    site.plane.apply(without)
    assert site.made().undo() == 21
    assert "no rule of the HTTPRoute shop has the backends" in site.lines()
    site.plane.apply(route())
    assert site.made().undo() == 20, site.lines()
    assert weights(site.plane) == [100, 0]


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"paused": True}, 21, "another client paused shop-green"),
        ({"replicas": 3}, 0, "traffic: blue 0 %, green 100 %"),  # as an autoscaler does
        ({"template": {"spec": {"containers": [{"name": "app", "image": "registry.test/shop:r9"}]}}}, 20,
         "another client changed the image of shop-green"),
    ],
    ids=["paused", "scaled", "another image"],
)  # fmt: skip
def test_a_deployment_that_somebody_else_changes_while_it_rolls_out(
    change: Object, code: int, told: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [change]

    def sleep(seconds: float) -> None:
        if changes:
            strategic = "application/strategic-merge-patch+json"
            status, said = site.plane.ask("PATCH", f"{APPS}/shop-green", {"spec": changes.pop()}, strategic)
            assert status == 200, said
        time.sleep(seconds)

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("pytest_prodcheck.deploy.kubernetes_driver.time", clock)
    assert site.deploy("r2", "selector") == code, site.lines()
    assert changes == []
    assert told in site.lines()
    world = site.driver("selector").observe()
    assert {world.revisions[slot] for slot in world.slots_with_traffic} == {"r2" if code == 0 else "r1"}
    if code == 21:
        site.plane.patch(f"{APPS}/shop-green", {"spec": {"paused": False}})
        assert site.made().undo() == 20, site.lines()


def test_a_gateway_that_does_not_take_the_route(site: Site, gateway: Gateway) -> None:
    gateway.refuses = "no matching listener"
    wait_for(lambda: "no matching" in json.dumps(site.plane.get(ROUTE).get("status", {})))
    with pytest.raises(PlanProblem, match="is not Accepted: no matching listener"):
        site.made("r2", "route").dry_run()


def test_a_service_that_selects_both_copies_and_a_paused_deployment(site: Site) -> None:
    site.plane.patch(f"{APPS}/shop-green", {"spec": {"paused": True}})
    with pytest.raises(PlanProblem, match="shop-green is paused"):
        site.made("r2", "selector").dry_run()
    site.plane.patch(SERVICE, {"spec": {"selector": {"slot": None}}})
    with pytest.raises(PlanProblem, match="selects the pods of both copies") as error:
        site.made("r2", "selector").dry_run()
    assert error.value.code == 4


@pytest.mark.skipif(not SOAK, reason="on a busy machine kwok sees pods late after it: with --soak; a front plays it")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a handshake that was cut off
def test_the_api_server_is_restarted_half_way(site: Site) -> None:
    def restart(slot: str) -> None:
        if slot == "green":
            site.at = lambda slot: None
            site.plane.restart_api()

    site.at = restart
    assert site.deploy("r2", "route") == 0, site.lines()
    assert weights(site.plane) == [0, 100]


def abandoned(site: Site) -> None:
    """The Lease as one leaves it who was killed: nobody gives it back. Short, so that nobody waits long."""
    (lease,) = site.plane.get(LEASES)["items"]
    path = f"{LEASES}/{lease['metadata']['name']}"
    site.plane.patch(path, {"spec": {"holderIdentity": "killed", "leaseDurationSeconds": 1}})


@pytest.mark.parametrize("verb", ["resume", "undo"])
def test_killed_half_way_and_gone_on_by_another_runner(verb: str, site: Site) -> None:
    def kill(slot: str) -> None:
        if weights(site.plane) == [90, 10]:
            site.at = lambda slot: None
            raise Killed

    site.at = kill
    with pytest.raises(Killed):
        site.deploy("r2", "route")
    abandoned(site)
    made = site.made()
    wait_for(lambda: made.status() == 21)  # 23 until the Lease is over
    assert {"resume": made.resume, "undo": made.undo}[verb]() == {"resume": 0, "undo": 20}[verb], site.lines()
    assert weights(site.plane) == {"resume": [0, 100], "undo": [100, 0]}[verb]


def test_a_second_deployer_and_one_that_was_replaced(site: Site) -> None:
    codes: list[object] = []
    first: list[Deployment] = []

    def second(slot: str) -> None:
        if slot == "green" and not codes:
            os.rename(site.folder / ".prodcheck", site.folder / "elsewhere")  # another runner has no lock of this one
            made = site.made("r3")
            codes.append(made.status())
            with pytest.raises(DeploymentInProgress):
                made.deploy("a test", None, "")
            shutil.rmtree(site.folder / ".prodcheck", ignore_errors=True)
            os.rename(site.folder / "elsewhere", site.folder / ".prodcheck")
            (lease,) = site.plane.get(LEASES)["items"]
            taken = {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 60}}
            site.plane.patch(f"{LEASES}/{lease['metadata']['name']}", taken)
            lease_of_first = first[0].store._lease  # type: ignore[attr-defined]
            wait_for(lambda: lease_of_first._valid_until == 0.0)  # until it has looked at its Lease
            generation = site.plane.get(ROUTE)["metadata"]["generation"]
            codes.append(generation)

    site.at = second
    first.append(site.made("r2", "route"))
    with pytest.raises(DeploymentInProgress):
        first[0].deploy("a test", None, "")
    assert codes[0] == 23
    assert site.plane.get(ROUTE)["metadata"]["generation"] == codes[1], "it acted after it was replaced"


def test_a_lease_is_taken_only_when_nobody_renews_it(site: Site) -> None:
    first, second = Lease(site.cluster(), "one"), Lease(site.cluster(), "one")
    first.acquire()
    with pytest.raises(LeaseTaken):
        second.acquire()
    first.ensure_held()
    first.release()
    second.acquire()
    second.ensure_held()
    with pytest.raises(LeaseTaken):
        first._renew()
    second.release()


def test_a_journal_that_somebody_else_writes(site: Site) -> None:
    store = ClusterStore(str(site.folder), "production", "", site.cluster(), 20)
    key = store.key()
    assert key is not None
    journal = store.new(key)
    journal.add("planned")
    assert isinstance(journal, ClusterJournal)
    name = f"{JOURNALS}/{journal.name}"
    site.plane.patch(name, {"metadata": {"annotations": {"noted": "x"}}})
    journal.add("approved")  # what is kept is the same
    site.plane.patch(name, {"data": {"journal": ""}})
    with pytest.raises(JournalDamaged):
        journal.add("going")
    for left in ("nonsense\n", "", None):
        site.plane.patch(name, {"data": {"journal": left}})
        with pytest.raises(JournalDamaged):
            store.newest(key)


def test_old_journals_are_removed_but_none_that_has_not_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClusterStore(str(site.folder), "production", "", site.cluster(), 2)
    key = store.key()
    assert key is not None
    plan = make_plan(
        site.made("", "route").settings, site.driver("route").observe(), environment="production", unit="",
        revision="r2",
    )  # fmt: skip
    ends = ("done", "closed", "person", "done", "closed", "closed", "closed", "damaged")
    for end in ends:
        journal = store.new(key)
        assert isinstance(journal, ClusterJournal)
        journal.add("planned", **plan_entry(plan))
        if end not in ("closed", "damaged"):
            journal.add("begun", step=1)
        if end == "damaged":
            site.plane.patch(f"{JOURNALS}/{journal.name}", {"data": {"journal": "nonsense\n"}})
        else:
            journal.add(end, why="")
    assert store.prune(key) == ""
    assert store._numbers() == [3, 4, 6, 7, 8]  # a person's, the one to be undone, two that ended, a damaged one
    assert store.prune(key) == ""
    role = next(each for each in bound() if each["kind"] == "Role")
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != "delete"]
    site.grant(role)
    store._kept_count = 1
    assert "cannot delete resource" in store.prune(key)
    assert store._numbers() == [3, 4, 6, 7, 8]
    site.grant(*bound())


def test_the_api_server_takes_the_job_of_the_example(site: Site) -> None:
    import yaml

    job = yaml.safe_load((ROLE.parent / "kubernetes-job.yaml").read_text(encoding="utf-8"))
    path = f"/apis/batch/v1/namespaces/{SPACE}/jobs?dryRun=All&fieldValidation=Strict"
    status, said = site.plane.ask("POST", path, job)
    assert status == 201, said
    job["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes"
    assert site.plane.ask("POST", path, job)[0] == 422


def test_without_a_key_that_outlives_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_KEY")
    with pytest.raises(PlanProblem, match="PRODCHECK_KEY") as error:
        site.deploy("r2", "route")
    assert error.value.code == 2


def test_weights_that_are_read(site: Site) -> None:
    driver = site.driver("route")
    for given, shares in (
        ([1, 1], even_shares(("blue", "green"), frozenset(("blue", "green")))),
        ([1, 3], (("blue", 25), ("green", 75))),
    ):
        made = route()
        for each, weight in zip(made["spec"]["rules"][1]["backendRefs"], given, strict=True):
            each["weight"] = weight
        site.plane.apply(made)
        assert driver.observe().shares == shares
    made["spec"]["rules"][1]["backendRefs"][1]["weight"] = 2
    site.plane.apply(made)
    there = driver.observe()
    assert (there.slots_with_traffic, "not whole percentages" in there.problem) == ([], True)


@pytest.fixture
def fronted(site: Site) -> Iterator[Front]:
    """The API server behind a front that can misbehave."""
    with front(site.plane) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        config = site.plane.kubeconfig("deployer", NOBODY, address)
        (site.folder / "deployer.kubeconfig").write_bytes(config.read_bytes())
        site.made("", "route")
        yield server


def test_an_api_server_or_balancer_that_cannot_answer_now_is_asked_again(site: Site, fronted: Front) -> None:
    cluster = site.cluster()
    for trouble in (["429", "503"], ["balancer"] * 2):
        fronted.trouble = trouble
        assert cluster.get(SERVICE)["metadata"]["name"] == "shop"
    fronted.trouble = ["balancer"] * 5
    assert len(cluster.items(f"/api/v1/namespaces/{SPACE}/pods")) == 2
    fronted.trouble = ["403"]
    with pytest.raises(DriverProblem, match="set by the test"):
        cluster.get(SERVICE)
    cluster.patience, fronted.trouble = 0.5, ["balancer"] * 99
    with pytest.raises(DriverProblem, match="answered 502"):
        cluster.get(SERVICE)


def test_an_api_server_that_goes_away_under_a_deployment_and_its_way_back(
    site: Site, fronted: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each gate another trouble of a restart, and a write of each kind whose answer is lost."""
    monkeypatch.setattr("pytest_prodcheck.deploy.cluster_client._REQUEST_TIMEOUT", 2.0)
    fronted.loses = ["configmaps", "httproutes", "deployments", "leases"]
    troubles = [partial(fronted.trouble.extend, each) for each in RESTARTS]
    site.at = lambda slot: troubles.pop()() if troubles else fronted.go_away(1.0)
    assert site.deploy("r2", "route") == 0, site.lines()
    assert (weights(site.plane), fronted.loses, troubles, fronted.trouble) == ([0, 100], [], [], [])
    fronted.loses, fronted.trouble = ["configmaps", "httproutes", "deployments", "leases"], ["reset"] * 2
    assert site.made().undo() == 20, site.lines()
    assert (fronted.loses, fronted.trouble) == ([], [])
    assert site.driver("route").observe() == ObservedState({"blue": "r1", "green": ""}, (("blue", 100), ("green", 0)))


RESTARTS = (["reset"] * 3, ["503"] * 3, ["hang"], ["cut"], ["balancer", "403", "500"])


def test_a_renewal_is_a_write_also_where_somebody_noted_something(site: Site) -> None:
    lease, path = Lease(site.cluster(), "one"), f"{LEASES}/one"
    lease.acquire()
    site.plane.patch(path, {"metadata": {"annotations": {"noted": "x"}}})
    before = site.plane.get(path)["spec"]["renewTime"]
    with lease._lock:
        lease._renew()
    assert site.plane.get(path)["spec"]["renewTime"] > before
    lease.release()
    assert site.plane.get(path)["spec"]["holderIdentity"] == ""


def test_a_lease_is_not_given_back_for_minutes(site: Site, fronted: Front) -> None:
    lease = Lease(site.cluster(), "one")
    lease._cluster.patience = 300.0
    lease.acquire()
    fronted.trouble = ["hang"] * 9
    began = time.monotonic()
    lease.release()
    assert time.monotonic() - began < 20
