"""What each workload's rollout asks for: how many pods of which size, and how its strategy gets there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, template
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.node_constraints import NodeConstraints, node_constraints
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts, with_default_requests
from pytest_prodcheck.evidence.kubernetes.runtime_classes import runtime_classes, with_runtime_class
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
ONCE = ("Job", "Pod")  # run as they are made, besides what runs


@dataclass(frozen=True)
class Demand:
    """The pods that a workload has when its rollout is done, and the steps that it takes to get there."""

    what: str  # "deployment/shop"
    namespace: str
    count: int  # pods of the new version; of a DaemonSet: as many as it has now, for quotas
    cpu: float
    memory: int
    where: NodeConstraints = field(default_factory=NodeConstraints)
    surge: int = 0  # pods more than `count` on the way
    unavailable: int = 1  # pods fewer than `count` on the way
    kept: int = 0  # pods of the old version that stay: a StatefulSet's partition
    pod: Object = field(default_factory=dict)  # its specification, filled in
    old: Object = field(default_factory=dict)  # that of the pods that it replaces, {} for none
    now: int = 0  # pods asked for before the rollout

    @property
    def daemon(self) -> bool:
        """Whether each node gets one."""
        return self.what.startswith("daemonset/")


def rollouts(context: Context, deadline: Deadline) -> list[Demand]:
    """What rolling out each workload of the files asks for; without files, of those that run, rolled out anew."""
    running = {
        (kind, name_of(each)): each
        for kind, plural in KINDS.items()
        for each in raw("apps/v1", plural, context, deadline)
    }
    cluster = context.environment.kubernetes
    space = cluster.namespace if cluster else ""
    files = [each for _, each in documents(context)]
    coming = [((kind, name_of(each)), each) for each in files if (kind := str(each.get("kind"))) in (*KINDS, *ONCE)]
    ranges = raw("", "limitranges", context, deadline)
    pods = [template(each) for key, new in coming or running.items() for each in (new, running.get(key, {}))]
    classes = runtime_classes(pods, files, context, deadline)

    def pod(item: Object) -> Object:
        return with_runtime_class(with_default_requests(template(item), ranges), classes)

    made = []
    for key, each in coming or running.items():
        try:
            namespace = str(table(each, "metadata").get("namespace") or space)
            old = running.get(key) if namespace == space else None
            made.append(_demand(key, each, old, namespace, pod(each), {} if old is None else pod(old)))
        except (ValueError, TypeError) as error:  # a file with "two" for a number: the dry run says it in full
            raise EvidenceProblem(Problem("configuration", f"{' '.join(key)}: {error}")) from None
    return [each for each in made if each.count > 0 or each.daemon]


def _demand(
    key: tuple[str, str], new: Object, old: Object | None, namespace: str, pod: Object, before: Object
) -> Demand:
    kind, name = key
    asked = resource_amounts(pod, "requests")
    now = _pods(kind, old, 1) if old is not None else 0
    wanted = _pods(kind, new, 1 if old is None else now)
    surge, unavailable = _steps(kind, new, wanted)
    kept = 0
    if kind == "StatefulSet" and old is not None:
        strategy = table(new, "spec", "updateStrategy")
        partition = int(table(strategy, "rollingUpdate").get("partition") or 0)
        kept = min(now, wanted if strategy.get("type") == "OnDelete" else partition)
    return Demand(
        f"{kind.lower()}/{name}", namespace, max(0, wanted - kept), asked.get("cpu", 0.0), int(asked.get("memory", 0)),
        node_constraints(pod, _labels(new)), surge, unavailable, kept, pod, before, now,
    )  # fmt: skip


def _pods(kind: str, item: Object | None, usual: int) -> int:
    told = table(item, "spec")
    if kind == "DaemonSet":
        return int(table(item, "status").get("desiredNumberScheduled") or usual)
    if kind == "Job":
        most = int(told.get("parallelism", 1))
        return 0 if told.get("suspend") else min(most, int(told.get("completions") or most))
    return int(told["replicas"]) if told.get("replicas") is not None else usual


def _steps(kind: str, new: Object, wanted: int) -> tuple[int, int]:
    """How many pods too many and too few there may be.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy
    """
    strategy = table(new, "spec", "strategy" if kind == "Deployment" else "updateStrategy")
    rolling = table(strategy, "rollingUpdate")
    if kind != "Deployment":
        return 0, max(1, _share(rolling.get("maxUnavailable") or 1, wanted))
    if strategy.get("type") == "Recreate":
        return 0, wanted
    surge = _share(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted)
    return surge, unavailable if surge or unavailable else 1


def _share(value: object, of: int, rounded: Callable[[float], int] = math.floor) -> int:
    text = str(value)
    return rounded(of * float(text[:-1]) / 100) if text.endswith("%") else int(text)


def _labels(item: Object) -> dict[str, str]:
    metadata = table(item, "metadata") if item.get("kind") == "Pod" else table(item, "spec", "template", "metadata")
    return {str(key): str(value) for key, value in table(metadata, "labels").items()}

