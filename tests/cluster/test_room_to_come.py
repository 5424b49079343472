"""Room that there is not yet: pods that are ending, that are resized, and those of lower priority."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_prodcheck.evidence.kubernetes.parsing import pod_footprint
from pytest_prodcheck.evidence.kubernetes.preemption import preempting, with_priority
from pytest_prodcheck.evidence.kubernetes.rolling_updates import rolled_in_all_orders
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.evidence.kubernetes.scheduling import Surroundings
from pytest_prodcheck.records.kubernetes import Node, Pod

NOW = 1_000_000.0
NODE = Node("n", True, (), False, 4.0, 2**34, 10, {"kubernetes.io/hostname": "n"}, ())
SHOP = Demand("deployment/shop", "shop", 1, {"cpu": 2.0}, pod={"priorityClassName": "web"})
OTHER = Pod("pause", "p", "deployment/pause", "", "Running", "", "n", 0.0, False, True, "", (), 3.0)


def around(*pods: Pod) -> Surroundings:
    return Surroundings((NODE,), pods, now=NOW)


@pytest.mark.parametrize(
    ("ends_at", "left"), [(NOW + 20, 0), (NOW - 20, 0), (NOW + 3000, 1), (NOW - 3000, 1), (None, 1)]
)
@pytest.mark.parametrize("what", ["deployment/shop", "statefulset/shop", "daemonset/shop"])
def test_the_room_of_pods_that_are_ending(what: str, ends_at: float | None, left: int) -> None:
    """kubernetes/kubernetes#107920, #37955: new pods wait a moment for it, unless the old ones do not end."""
    ending = dataclasses.replace(OTHER, ends_at=ends_at, deleting=ends_at is not None)
    (found,) = rolled_in_all_orders([dataclasses.replace(SHOP, what=what)], around(ending))
    assert found.left == left


@pytest.mark.parametrize(
    ("running", "ends", "doubt"),
    [
        (Pod("shop", "s", "deployment/else", "", "Running", "", "", 0.0, False, True, "", (), priority=7,
             priority_class="web"), ("deployment/pause",), False),
        (Pod("shop", "s", "deployment/else", "", "Running", "", "", 0.0, False, True, "", (), priority=-20,
             priority_class="web"), (), False),
        (Pod("shop", "s", "deployment/else", "", "Running", "", "", 0.0, False, True, "", (), priority=7,
             priority_class="web", preempts=False), (), False),
        (dataclasses.replace(OTHER, node="", name="q"), (), True),
    ],
)  # fmt: skip
def test_pods_of_lower_priority_make_room(running: Pod, ends: tuple[str, ...], doubt: bool) -> None:
    """kubernetes/autoscaler#742, #4110: pods that only keep room free for others."""
    pods = dataclasses.replace(OTHER, priority=-10), running
    demands = [with_priority(SHOP, pods, ())]
    (found,) = preempting(demands, rolled_in_all_orders(demands, around(*pods)), around(*pods))
    assert (found.left, found.ends, bool(found.doubt)) == (1, ends, doubt)


def test_a_priority_of_the_same_files() -> None:
    told: dict[str, Any] = {"metadata": {"name": "web"}, "value": 5, "preemptionPolicy": "Never"}
    found = with_priority(SHOP, (), [told])
    assert (found.priority, found.preempts) == (5, False)
    assert with_priority(dataclasses.replace(SHOP, pod={}), (), [{**told, "globalDefault": True}]).priority == 5
    assert with_priority(SHOP, (), ()).priority is None


@pytest.mark.parametrize(
    ("wanted", "held", "reason", "cpu"),
    [
        ("1", {}, "", 1.0),
        ("3", {"allocatedResources": {"cpu": "1"}}, "Deferred", 3.0),
        ("1", {"allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "3"}}}, "", 3.0),
        ("9", {"allocatedResources": {"cpu": "1"}}, "Infeasible", 1.0),
    ],
)
def test_pods_that_are_resized(wanted: str, held: dict[str, Any], reason: str, cpu: float) -> None:
    """kubernetes/kubernetes#135107, #117765: the scheduler takes the largest of what is wanted and what is held."""
    metadata = {"name": "a", "namespace": "s", "creationTimestamp": "2026-01-01T00:00:00Z"}
    conditions = [{"type": "PodResizePending", "status": "True", "reason": reason}] if reason else []
    status = {"phase": "Running", "containerStatuses": [{"name": "app", **held}], "conditions": conditions}
    containers = [{"name": "app", "resources": {"requests": {"cpu": wanted}}}]
    assert pod_footprint({"metadata": metadata, "spec": {"containers": containers}, "status": status}).cpu == cpu
