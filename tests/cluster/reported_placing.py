"""Rollouts of public reports that stopped, or did not, for other pods, zones, volumes or devices."""

from __future__ import annotations

import copy
from typing import Any

from tests.cluster.generated_placing import GPU, HOST, SPACE, ZONE, Placing, node, volume

Object = dict[str, Any]


def _workload(name: str, replicas: int, cpu: str, kind: str = "Deployment", **pod: Any) -> Object:
    asked: Object = {"cpu": cpu, **pod.pop("asked", {})}
    limits = {"limits": {GPU: asked[GPU]}} if GPU in asked else {}
    strategy = pod.pop("strategy", None)
    spec: Object = {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "nodeSelector": {"pool": name}, **pod,
            "containers": [{"name": "app", "image": "registry.test/web:1",
                            "resources": {"requests": asked, **limits}}]}},
    }  # fmt: skip
    if kind == "StatefulSet":
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                 "storageClassName": name}  # fmt: skip
        spec |= {"serviceName": "none", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
    elif strategy:
        spec["strategy"] = strategy
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def _changed(item: Object, cpu: str, **pod: Any) -> Object:
    made = copy.deepcopy(item)
    made["spec"]["template"]["spec"] |= pod
    made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


def _nodes(pool: str, *zones: str, cpu: str = "4", **more: str) -> list[Object]:
    room = {"cpu": cpu, "memory": "16Gi", "pods": "20", **more}
    return [node(pool, number, room, **{ZONE: f"{pool}-{zone}"}) for number, zone in enumerate(zones)]


def _spread(name: str, **more: Any) -> list[Object]:
    return [{"topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1,
             "labelSelector": {"matchLabels": {"app": name}}, **more}]  # fmt: skip


def _near(name: str) -> Object:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": name}}}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


_SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _gpu() -> list[Placing]:
    """defilantech/LLMKube#192, bayesimpact/bayes-platform#776: the old pod has the GPU and waits for the new one."""
    made = []
    for name, strategy, fits in (("gpu-surge", _SURGE, False), ("gpu-recreate", {"type": "Recreate"}, True)):
        was = _workload(name, 1, "1", asked={GPU: "2"}, strategy=strategy)
        made.append(Placing(name, _nodes(name, "a", **{GPU: "2"}), [], was, _changed(was, "2"), fits))
    return made


def _zones() -> list[Placing]:
    """kubernetes/kubernetes#98215, #116629: spread over zones, one of which has no room for one pod more."""
    made = []
    told: tuple[tuple[str, Object, bool], ...] = (("spread-full", {}, False), ("spread-loose", {"maxSkew": 4}, True))
    for name, more, fits in told:
        nodes = [*_nodes(name, "a", cpu="8"), *_nodes(name, "x", "b", cpu="1")[1:]]
        was = _workload(name, 4, "500m")
        after = _changed(was, "1500m", topologySpreadConstraints=_spread(name, **more))
        made.append(Placing(name, nodes, [], was, after, fits))
    return made


def _bound() -> list[Placing]:
    """kubernetes/kubernetes#97386, aws/karpenter-provider-aws#2971: the volume's zone has no room for the pod."""
    made = []
    for name, zone, fits in (("volume-full", "b", False), ("volume-roomy", "a", True)):
        kept = {"key": ZONE, "operator": "In", "values": [f"{name}-{zone}"]}
        kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
                "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}  # fmt: skip
        nodes = [*_nodes(name, "a", cpu="8"), *_nodes(name, "x", "b", cpu="1")[1:]]
        was = _workload(name, 1, "500m", "StatefulSet")
        made.append(Placing(name, nodes, [kind, volume(f"{name}-0", name, kept)], was, _changed(was, "2"), fits))
    return made


def _companions() -> list[Placing]:
    """Altinity/clickhouse-operator#702, and beside it: pods that have to be near others, whose node is full."""
    made = []
    for name, cpu, fits in (("near-full", "3", False), ("near-roomy", "1", True)):
        cache = _workload(f"{name}-cache", 1, "1500m")
        cache["spec"]["template"]["spec"]["nodeSelector"] = {HOST: f"{name}-0"}
        after = _workload(name, 1, cpu, affinity=_near(f"{name}-cache"))
        made.append(Placing(name, _nodes(name, "a", "b"), [cache], None, after, fits))
    return made


def _cordoned() -> list[Placing]:
    """kubernetes/kubernetes#86037: all nodes of a zone are cordoned, and it still counts as a zone without pods."""
    made = []
    told: tuple[tuple[str, Object, bool], ...] = (
        ("cordoned", {}, False), ("cordoned-honored", {"nodeTaintsPolicy": "Honor"}, True),
    )  # fmt: skip
    for name, more, fits in told:
        nodes = _nodes(name, "a", "b", cpu="8")
        taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        nodes[1]["spec"] = {"unschedulable": True, "taints": [taint]}
        after = _workload(name, 3, "1", topologySpreadConstraints=_spread(name, **more))
        made.append(Placing(name, nodes, [], None, after, fits))
    return made


def _scaled() -> list[Placing]:
    """What is as it was needs no room for a surge: beside the reports, in full clusters."""
    made = []
    told = (
        ("same-full", "3", 3, 3, True), ("more-full", "3", 3, 4, False), ("more", "4", 3, 4, True),
        ("waits-already", "1", 3, 2, False), ("waits-no-more", "2", 3, 2, True),
    )  # fmt: skip
    for name, cpu, before, replicas, fits in told:
        was = _workload(name, before, "1", strategy=_SURGE)
        after = copy.deepcopy(was)
        after["spec"]["replicas"] = replicas
        made.append(Placing(name, _nodes(name, "a", cpu=cpu), [], was, after, fits))
    return made


def _preempting() -> list[Placing]:
    """kubernetes/autoscaler#742, #4110: pods that keep room free for others, which end them, or may not."""
    made = []
    for name, more, fits in (("preempts", {}, True), ("preempts-never", {"preemptionPolicy": "Never"}, False)):
        told = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        low = {**told, "metadata": {"name": f"{name}-low"}, "value": -10}
        high = {**told, "metadata": {"name": f"{name}-high"}, "value": 5, **more}
        pause = _workload(f"{name}-pause", 1, "2", priorityClassName=f"{name}-low")
        pause["spec"]["template"]["spec"]["nodeSelector"] = {"pool": name}
        was = _workload(name, 1, "1", priorityClassName=f"{name}-high", strategy=_SURGE)
        made.append(Placing(name, _nodes(name, "a"), [low, high, pause], was, _changed(was, "2"), fits))
    return made


def reported() -> list[Placing]:
    """All of them, each on nodes of its own."""
    return [*_gpu(), *_zones(), *_bound(), *_companions(), *_cordoned(), *_scaled(), *_preempting()]
