"""The driver `kubernetes` on a real control plane, with the rights of `examples/deploying/kubernetes-role.yaml`.

What says that a gateway took a route is played: no gateway is at hand as a package. Gates ask what the pods run.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from pytest_prodcheck.deploy.plan import ObservedState
from tests.cluster.deploying.site import (
    APPS,
    JOURNALS,
    QUOTA,
    ROLE,
    SPACE,
    WAYS,
    Object,
    Site,
    bound,
    route,
    untouched,
    wait_for,
    weights,
)


@pytest.mark.parametrize("way", WAYS)
def test_deployed_from_a_runner_without_a_disk_and_brought_back_by_another(way: str, site: Site) -> None:
    site.grant(*bound(way))  # no right more than is printed
    before = site.versions()
    made = site.made("r2", way)
    with untouched(site):
        assert made.dry_run() == 0
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


def test_the_api_server_takes_the_job_of_the_example(site: Site) -> None:
    import yaml

    job = yaml.safe_load((ROLE.parent / "kubernetes-job.yaml").read_text(encoding="utf-8"))
    path = f"/apis/batch/v1/namespaces/{SPACE}/jobs?dryRun=All&fieldValidation=Strict"
    status, said = site.plane.ask("POST", path, job)
    assert status == 201, said
    job["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes"
    assert site.plane.ask("POST", path, job)[0] == 422
