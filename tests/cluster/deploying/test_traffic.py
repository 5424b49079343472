"""Traffic shares of a Service's selector and of an HTTPRoute's weights: read, changed, refused, changed by others."""

from __future__ import annotations

import json
import time

import pytest

from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import PlanProblem, even_shares
from tests.cluster.deploying.site import (
    APPS,
    ROUTE,
    SERVICE,
    Gateway,
    Object,
    Site,
    route,
    wait_for,
    weights,
)
from tests.deploy.contract import keeps_the_contract


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


def test_a_gateway_that_does_not_take_the_route(site: Site, gateway: Gateway) -> None:
    gateway.refuses = "no matching listener"
    wait_for(lambda: "no matching" in json.dumps(site.plane.get(ROUTE).get("status", {})))
    with pytest.raises(PlanProblem, match="is not Accepted: no matching listener"):
        site.made("r2", "route").dry_run()


def test_a_gateway_that_serves_rules_of_the_route_as_they_were_before(site: Site, gateway: Gateway) -> None:
    """kubernetes-sigs/gateway-api#2429: such a route is Accepted, and its new weights need not be in force."""
    driver = site.driver("route")
    gateway.drops = "Fall Back: rule 2 has an unsupported filter"
    wait_for(lambda: "Fall Back" in json.dumps(site.plane.get(ROUTE).get("status", {})))
    with pytest.raises(PlanProblem, match="is PartiallyInvalid: Fall Back: rule 2"):
        site.made("r2", "route").dry_run()
    with pytest.raises(DriverProblem, match="is PartiallyInvalid: Fall Back"):
        driver.share((("blue", 90), ("green", 10)))


def test_a_service_that_selects_both_copies_and_a_paused_deployment(site: Site) -> None:
    site.plane.patch(f"{APPS}/shop-green", {"spec": {"paused": True}})
    with pytest.raises(PlanProblem, match="shop-green is paused"):
        site.made("r2", "selector").dry_run()
    site.plane.patch(SERVICE, {"spec": {"selector": {"slot": None}}})
    with pytest.raises(PlanProblem, match="selects the pods of both copies") as error:
        site.made("r2", "selector").dry_run()
    assert error.value.code == 4


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
