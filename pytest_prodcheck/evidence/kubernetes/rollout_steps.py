"""What each workload's rollout asks for: how many pods of which size, and how its strategy gets there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.manifest_files import documents, template, with_coming
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.node_constraints import NodeConstraints, node_constraints
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.pod_affinity import PodConstraints, pod_constraints
from pytest_prodcheck.evidence.kubernetes.resource_requests import resource_amounts, with_default_requests
from pytest_prodcheck.evidence.kubernetes.runtime_classes import runtime_classes, with_runtime_class
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.evidence.kubernetes.volume_constraints import ClaimUse, claim_uses
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
USUAL_SCHEDULER = "default-scheduler"
ONCE = ("Job", "Pod")  # run as they are made, besides what runs


@dataclass(frozen=True)
class Demand:
    """The pods that a workload has when its rollout is done, and the steps that it takes to get there."""

    what: str  # "deployment/shop"
    namespace: str
    count: int  # pods of the new version; of a DaemonSet: as many as it has now, for quotas
    asked: dict[str, float] = field(default_factory=dict)  # of one pod, by resource
    where: NodeConstraints = field(default_factory=NodeConstraints)
    surge: int = 0  # pods more than `count` on the way
    unavailable: int = 1  # pods fewer than `count` on the way
    kept: int = 0  # pods of the old version that stay: a StatefulSet's partition
    pod: Object = field(default_factory=dict)  # its specification, filled in
    old: Object = field(default_factory=dict)  # that of the pods that it replaces, {} for none
    now: int = 0  # pods asked for before the rollout
    labels: dict[str, str] = field(default_factory=dict)
    beside: PodConstraints = field(default_factory=PodConstraints)
    claims: tuple[ClaimUse, ...] = ()
    first: int = 0  # number of a StatefulSet's first pod
    in_order: bool = False  # one after the other, each only when those before it are ready
    recreate: bool = False  # no new pod before the last old one is gone
    item: Object = field(default_factory=dict)  # the workload as it is about to be applied
    live: Object = field(default_factory=dict)  # as it is, {} where there is none
    unchanged: bool = False  # its pods stay as they are: only their number may change
    unread: str = ""  # what it needs and nobody read, "" for nothing
    priority: int | None = 0  # None where its class is not known
    preempts: bool = True

    @property
    def cpu(self) -> float:
        """Cores that one pod asks for."""
        return self.asked.get("cpu", 0.0)

    @property
    def memory(self) -> int:
        """Bytes that one pod asks for."""
        return int(self.asked.get("memory", 0))

    @property
    def doubt(self) -> str:
        """Why nobody but another program can tell where its pods go, "" for none."""
        if self.unread:
            return self.unread
        scheduler = str(self.pod.get("schedulerName") or USUAL_SCHEDULER)
        if scheduler != USUAL_SCHEDULER:
            return f"its pods use the scheduler {scheduler}, whose rules prodcheck does not know"
        devices = "its pods use resourceClaims, and device drivers decide their placement"
        return devices if rows(self.pod, "resourceClaims") else ""

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
    ranges = with_coming("LimitRange", raw("", "limitranges", context, deadline), context)
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
        f"{kind.lower()}/{name}", namespace, max(0, wanted - kept), asked,
        node_constraints(pod), surge, unavailable, kept, pod, before, now,
        _labels(new), pod_constraints(pod, _labels(new)), claim_uses(pod, new),
        int(table(new, "spec", "ordinals").get("start") or 0),
        kind == "StatefulSet" and table(new, "spec").get("podManagementPolicy") != "Parallel",
        kind == "Deployment" and table(new, "spec", "strategy").get("type") == "Recreate", new, old or {},
    )  # fmt: skip


def scaled_only(demand: Demand, labels: dict[str, str], there: int) -> Demand:
    """The same where the pods that are there stay; labels: theirs."""
    whole = demand.count + demand.kept
    kept = min(there, whole)
    return replace(
        demand, count=demand.count if demand.daemon else whole - kept, kept=kept, surge=0, unchanged=True,
        recreate=False, labels=labels, beside=pod_constraints(demand.pod, labels),
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
    """Of the pods, with what the controller adds: the version's hash, of which nobody knows the value."""
    if item.get("kind") == "Pod":
        return labels_of(item)
    version = {"Deployment": "pod-template-hash", "StatefulSet": "controller-revision-hash",
               "DaemonSet": "controller-revision-hash"}.get(str(item.get("kind")), "")  # fmt: skip
    return {**labels_of(table(item, "spec", "template")), **({version: "(new)"} if version else {})}

