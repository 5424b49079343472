"""Who else has a say in a cluster: Services that select other pods, webhooks that change images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_prodcheck.deploy.plan import PlanProblem
from tests.cluster.deploying.site import APPS, SERVICE, SPACE, Object, Site, deployment, pods, wait_for, weights
from tests.cluster.webhooks import webhook

DIGEST = "@sha256:" + 64 * "a"
WRONG_BACKENDS = {
    "argo-rollouts#5006, #2726, openkruise/rollouts#230": (
        {"spec": {"selector": {"slot": None}}}, "the backend of green, selects the pods of blue, green: app=shop",
    ),
    "the two changed places": (
        {"spec": {"selector": {"slot": "blue"}}}, "the backend of green, selects the pods of blue: app=shop,slot=blue",
    ),
    "no selector": ({"spec": {"selector": None}}, "selects the pods of no copy: no selector"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_BACKENDS)
def test_a_backend_of_other_pods_than_its_copys_is_refused(what: str, site: Site) -> None:
    """Ten percent of the traffic would be more, and at 100 % the old revision would still serve."""
    change, why = WRONG_BACKENDS[what]
    site.plane.patch(f"{SERVICE}-green", change)
    with pytest.raises(PlanProblem, match=why) as error:
        site.made("r2", "route").dry_run()
    assert error.value.code == 4


def test_a_backend_that_somebody_widens_half_way_leads_back(site: Site) -> None:
    def widen(slot: str) -> None:
        if weights(site.plane) == [90, 10]:
            site.plane.patch(f"{SERVICE}-green", {"spec": {"selector": {"slot": None}}})

    site.at = widen
    assert site.deploy("r2", "route") == 21, site.lines()  # who gets what is not ours to tell
    assert (weights(site.plane), "selects the pods of blue, green" in site.lines()) == ([100, 0], True)
    site.at = lambda slot: None
    site.plane.patch(f"{SERVICE}-green", {"spec": {"selector": {"slot": "green"}}})
    assert site.made().undo() == 20, site.lines()


@pytest.mark.parametrize("way", ["route", "selector"])
def test_a_service_that_selects_pods_of_others_too_is_refused(way: str, site: Site) -> None:
    """tektoncd/operator#3228, kubernetes-sigs/wg-serving#50, cryostatio/cryostat-operator#388."""
    other = deployment("blue", 1)
    other["metadata"]["name"] = "shop-report"
    labels = {"app": "shop", "slot": "blue", "part": "report"}
    other["spec"]["selector"], other["spec"]["template"]["metadata"]["labels"] = {"matchLabels": labels}, labels
    site.plane.apply(other)
    try:
        wait_for(lambda: "selects the pod shop-report-" in site.driver(way).observe().problem)
        with pytest.raises(PlanProblem, match="which is none of shop-blue") as error:
            site.made("r2", way).dry_run()
        assert error.value.code == 4
    finally:
        site.plane.delete(f"{APPS}/shop-report")
    wait_for(lambda: pods(site.plane) == 2)


def test_an_image_that_a_webhook_pins_to_its_digest_is_the_revision_all_the_same(site: Site, tmp_path: Path) -> None:
    """GiganticMinecraft/seichi_infra#4625, kyverno/kyverno#3430: `verifyImages` changes what was written."""

    def pinned(request: Object) -> list[Object]:
        containers = request["object"]["spec"]["template"]["spec"]["containers"]
        return [
            {"op": "replace", "path": f"/spec/template/spec/containers/{number}/image", "value": each["image"] + DIGEST}
            for number, each in enumerate(containers)
            if "@" not in each["image"]
        ]

    hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pins.prodcheck.test"
    with webhook(tmp_path) as server:
        server.patch = pinned
        made = server.configuration("pins.prodcheck.test", SPACE, "deployments")
        made["kind"] = "MutatingWebhookConfiguration"
        made["webhooks"][0]["rules"][0]["apiGroups"] = ["apps"]
        site.plane.apply(made)
        try:
            blue = {"metadata": {"labels": {"touched": "yes"}}}

            def has_taken_effect() -> bool:
                site.plane.patch(f"{APPS}/shop-blue", blue)
                return DIGEST in json.dumps(site.plane.get(f"{APPS}/shop-blue"))

            wait_for(has_taken_effect)
            wait_for(lambda: site.driver("selector").observe().revisions["blue"] == "r1")
            assert site.deploy("r2", "selector") == 0, site.lines()
            assert site.made().undo() == 20, site.lines()
            assert DIGEST in json.dumps(site.plane.get(f"{APPS}/shop-green"))
        finally:
            site.plane.delete(hooks)
    whole = site.made(f"r2{DIGEST}", "selector")._driver(-1)  # who deploys by digests sees them
    assert whole.observe().revisions["blue"] == f"r1{DIGEST}"
