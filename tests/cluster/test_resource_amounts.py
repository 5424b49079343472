"""Made pods, with sidecars, init containers, overhead, amounts of the whole pod: counted as the real quota counts them.

PRODCHECK_SOAK=1 makes more of them.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from pytest_prodcheck.evidence.kubernetes.objects import quantity
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts, with_default_requests
from pytest_prodcheck.evidence.kubernetes.runtime_classes import with_runtime_class
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import emptied
from tests.cluster.test_capacity import SANDBOXED
from tests.soak import SOAK

Object = dict[str, Any]
SPACE = "amounts"
CORE = f"/api/v1/namespaces/{SPACE}"
COUNT = 200 if SOAK else 40
COUNTED = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def drawn(draw: random.Random, number: int) -> Object:
    """A pod that nobody schedules; each container has limits, not each has requests."""

    def amounts(low: int = 1) -> Object:
        cpu, memory = draw.randint(low, 4 * low) * 250, draw.randint(low, 4 * low) * 64
        told: Object = {"limits": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}}
        if draw.random() < 0.7:
            told["requests"] = {"cpu": f"{cpu // draw.choice([1, 2, 5])}m"}
        if draw.random() < 0.5:
            told.setdefault("requests", {})["memory"] = f"{memory // 2}Mi"
        return told

    def container(name: str, **more: Any) -> Object:
        return {"name": name, "image": "registry.test/web:1", "resources": amounts(), **more}

    first = [container(f"first-{at}", **({"restartPolicy": "Always"} if draw.random() < 0.5 else {}))
             for at in range(draw.randint(0, 3))]  # fmt: skip
    spec: Object = {
        "schedulerName": "nobody", "initContainers": first,
        "containers": [container(f"app-{at}") for at in range(draw.randint(1, 3))],
    }  # fmt: skip
    if draw.random() < 0.4:
        spec["runtimeClassName"] = "sandboxed"
    if draw.random() < 0.4:
        spec["resources"] = amounts(20)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"drawn-{number}"}, "spec": spec}


@pytest.fixture
def quota(plane: ControlPlane) -> str:
    emptied(plane, SPACE)
    plane.apply(SANDBOXED, {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all", "namespace": SPACE},
        "spec": {"hard": dict.fromkeys(COUNTED, "100000Gi")},
    })  # fmt: skip
    return f"{CORE}/resourcequotas/all"


def test_amounts_are_those_of_the_quota(plane: ControlPlane, quota: str) -> None:
    draw = random.Random(3)
    end = time.monotonic() + 60
    while not plane.get(quota).get("status", {}).get("used"):
        assert time.monotonic() < end, plane.get(quota)
        time.sleep(0.2)
    whole = dict.fromkeys(COUNTED, 0.0)
    taken = 0
    for number in range(COUNT):
        pod = drawn(draw, number)
        while (answer := plane.ask("POST", f"{CORE}/pods", pod))[0] == 403 and "service account" in str(answer[1]):
            assert time.monotonic() < end, answer
            time.sleep(0.2)
        if answer[0] == 422:  # more in a container than in the whole pod
            continue
        assert answer[0] == 201, answer
        taken += 1
        mine = with_runtime_class(with_default_requests(pod["spec"], ()), {"sandboxed": SANDBOXED})
        for name in COUNTED:
            which, _, resource = name.partition(".")
            whole[name] += resource_amounts(mine, which).get(resource, 0.0)
        last = time.monotonic() + 20  # its controller may count anew meanwhile
        while (now := used_of_quota(plane, quota)) != pytest.approx(whole, rel=1e-9):
            assert time.monotonic() < last, (now, whole, pod)
            time.sleep(0.2)
    assert taken > COUNT / 2
    plane.delete(f"{CORE}/pods")


def used_of_quota(plane: ControlPlane, quota: str) -> dict[str, float]:
    used = plane.get(quota)["status"]["used"]
    return {name: quantity(used[name]) for name in COUNTED}
