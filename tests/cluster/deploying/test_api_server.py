"""An API server that is restarted, goes away, or cannot answer now."""

from __future__ import annotations

from functools import partial

import pytest

from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import ObservedState
from tests.cluster.deploying.site import (
    RESTARTS,
    SERVICE,
    SPACE,
    Site,
    weights,
)
from tests.cluster.front import Front
from tests.soak import SOAK


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
