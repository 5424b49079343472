"""The nodes of a cluster, by its metrics API (https://github.com/kubernetes/metrics), as `kubectl top nodes` does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.kubernetes import parsing
from pytest_prodcheck.evidence.kubernetes.api import api, listed
from pytest_prodcheck.evidence.kubernetes.objects import quantity, table
from pytest_prodcheck.records.hosts import HostUse
from pytest_prodcheck.records.kubernetes import Node

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

USE, NODES = "/apis/metrics.k8s.io/v1beta1/nodes", "/api/v1/nodes"
OLDEST = 300.0  # seconds


def resource_use(context: Context, deadline: Deadline) -> tuple[HostUse, ...]:
    """Processor (mean of the API's own window, about a minute) and working set, of what pods may have on each node."""
    nodes: list[Node] = listed("nodes", NODES, context, deadline, parsing.node)
    found = api(context, deadline).items(USE, deadline)
    told = {str(table(each, "metadata").get("name")): each for each in found}
    now = time.time()
    return tuple(_node_use(node, told.get(node.name), now) for node in nodes)


def _node_use(node: Node, told: dict[str, Any] | None, now: float) -> HostUse:
    if told is None:
        return HostUse(node.name, None, None, "the metrics API has no values for this node")
    try:
        age = now - parsing.epoch_seconds(told.get("timestamp"))
        cpu, memory = (quantity(table(told, "usage").get(name)) for name in ("cpu", "memory"))
    except ValueError as error:
        return HostUse(node.name, None, None, f"the metrics API returned unexpected values: {error}")
    if age > OLDEST:
        return HostUse(node.name, None, None, f"the values of the metrics API are {age:.0f} s old")
    if not node.cpu or not node.memory:
        return HostUse(node.name, None, None, "it has nothing allocatable")
    return HostUse(node.name, cpu / node.cpu, memory / node.memory)
